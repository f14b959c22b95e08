// Above every view: of which day and how fresh the figures are, how money is counted, whether it adds up; problems.

function barParts() {
  if (figures.is_live) whenShown(showAge);
  return [
    element("h1", {}, "Customer lifetime value", element("bdi", {}, figures.shop)),
    figures.is_live ? element("span", { id: "live" }) : null,
    figures.currencies.length > 1 ? currencyList() : null,
    themeButton(),
  ];
}

function bannerParts() {
  return figures.problems.map(banner);
}

function fact(words, value, look = null, title = null) {
  return element("div", { class: "fact", title }, element("dt", {}, words), element("dd", { class: look }, value));
}

function factParts() {
  const fresh = figures.freshness;
  const zone = figures.time_zone;
  const made = [];
  if (figures.as_of) made.push(fact("As of", dayName(figures.as_of)));
  if (fresh) {
    const lag = fresh.source_lag_seconds === null ? "" : `, ${duration(fresh.source_lag_seconds)} behind`;
    if (fresh.applied_at) made.push(fact("Applied up to", `${instant(fresh.applied_at, zone)}${lag}`, null, "Every change of the shop's database up to here is in these figures"));
    if (fresh.rolled_up_at) made.push(fact("Rolled up", `${instant(fresh.rolled_up_at, zone)}${fresh.is_stale ? ", older than the data" : ""}`, fresh.is_stale ? "bad" : null));
  }
  made.push(fact("Zone", zone));
  const only = figures.currencies.length === 1 ? figures.currencies[0].code : null;
  if (only) made.push(fact("Currency", only));
  if (fresh) made.push(fact("Dead letters", count(fresh.dead_letters), fresh.dead_letters ? "bad" : null, "Changes that could not be applied"));
  return made;
}

function currencyList() {
  return element(
    "select",
    { id: "currency", "aria-label": "Currency", change: (event) => choose({ currency: event.target.value, cell: "" }) },
    figures.currencies.map(({ code }) => element("option", { value: code, selected: code === chosenCurrency(state) }, code)),
  );
}

function formulasParts() {
  if (!figures.formulas.length) return [];
  const lines = figures.formulas.map(({ name, text }) => [element("dt", {}, name === "ltv" ? "LTV" : capital(name)), element("dd", {}, sentence(text))]);
  return [more("formulas", "more", "How money is counted", element("dl", { class: "formulas" }, lines))];
}

/** What opens below a word of the header. It is moved to the left as far as the screen needs. */
function more(id, look, words, ...parts) {
  const sheet = element("div", { class: "sheet" }, parts);
  const place = (event) => {
    if (!event.target.open) return;
    const { left } = event.target.getBoundingClientRect();
    const { width } = sheet.getBoundingClientRect();
    sheet.style.left = `${Math.min(0, document.documentElement.clientWidth - 12 - width - left)}px`;
  };
  return element("details", { class: look, id, toggle: place }, element("summary", {}, words), sheet);
}

/** The three sums of the chosen currency: a tick, or a cross and what to do. */
function sumsParts() {
  const currency = chosenCurrency(state);
  const rows = figures.adds_up.filter((sums) => sums.currency === currency);
  const whole = rows.find((sums) => sums.month === null);
  if (!whole) return [];
  const unequal = rows.filter((sums) => !sums.is_equal);
  const isEqual = unequal.length === 0;
  const columns = [
    { title: "Of", cell: (sums) => (sums.month ? `${monthName(sums.month)}, gross` : "Everything, net") },
    ...["triangle", "entries", "orders"].map((name) => ({ title: capital(name), cell: (sums) => exactMoney(sums[name], currency) })),
    { title: "Equal", words: true, cell: (sums) => (sums.is_equal ? "✓ yes" : "✗ no"), look: (sums) => (sums.is_equal ? "good" : "bad") },
  ];
  const tick = more(
    "sums",
    isEqual ? "more tick" : "more tick bad",
    isEqual ? "✓ Adds up" : "✗ Does not add up",
    element("p", {}, "Added up three ways: the cells of the triangles, the ltv entries, and the orders with their refunds."),
    scrolling("The three sums", plainTable({ caption: `Sums in ${currency}`, columns, rows: [whole, ...unequal.filter((sums) => sums !== whole)] }), true),
    isEqual
      ? element("p", { class: "quiet" }, `${plural(rows.length - 1, "month")} compared as well; all are equal.`)
      : element("p", { class: "bad" }, sentence("Run `ltv-pipeline verify`, then `ltv-pipeline rollup`.")),
  );
  return [tick];
}

/** Instants of a text as the header has them. */
function inZone(text) {
  return text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, (found) => instant(found, figures.time_zone));
}

function banner({ level, text, hint }) {
  const mark = { error: "Error", warning: "Warning", note: "Note" }[level] ?? "Note";
  return element(
    "div",
    { class: `banner ${mark === "Error" ? "error" : mark === "Warning" ? "warning" : "note"}`, role: mark === "Error" ? "alert" : null },
    element("strong", {}, mark),
    element("div", {}, element("p", {}, sentence(inZone(text))), hint ? element("p", {}, sentence(hint)) : null),
  );
}
