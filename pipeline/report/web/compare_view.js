// Two cohorts, or two values of a segment, side by side at the same month number.

function compareView() {
  const note = "Two sides at the same age: only month numbers that both have are shown.";
  const measure = moneyMeasure(state);
  const currency = chosenCurrency(state);
  const sides = state.of === "values" ? valueSides(currency, measure) : cohortSides(measure);
  const controls = element(
    "div",
    { class: "controls" },
    choices("Compare", "of", { cohorts: "Cohorts", values: "Segment values" }),
    choices("Months", "sum", { cumulated: "Cumulated", month: "Per month" }),
    choices("Refunds", "money", { net: "Net", gross: "Gross" }),
    choices("Shown", "by", { total: state.of === "values" ? "Mean of a cohort" : "Total", customer: "Per customer", share: "% of month 0" }),
    state.of === "values" ? null : customersList(),
  );
  if (sides.options.flatMap((option) => option.options ?? [option]).length < 2) {
    return [heading("Compare", note), controls, emptyNote(state.of === "values" ? "There are no two values of a segment to compare. Name columns under `segments` in shop.yaml." : "There are no two cohorts to compare.")];
  }
  const side = (name) => list(`Side ${name.toUpperCase()}`, name, sides.options, sides[name].id, (value) => choose({ [name]: value }));
  const length = Math.min(sides.a.texts.length, sides.b.texts.length);
  const numbers = Array.from({ length }, (_, number) => number);
  const words = `${capital(measureWords(measure))}${isMoney(measure) ? `, ${currency}` : ""}`;
  const rows = ["a", "b"].flatMap((name) =>
    numbers
      .filter((number) => sides[name].texts[number] !== "-")
      .map((number) => ({
        side: name.toUpperCase(),
        number,
        value: Number(sides[name].texts[number]),
        label: `${sides[name].words}, month ${number}${isOpenOf(sides[name], number) ? " (open)" : ""}\n${spelled(sides[name].texts[number], measure, currency)}`,
      })),
  );
  return [
    heading("Compare", note, actions("compare", () => compareRows(sides, numbers))),
    controls,
    element("div", { class: "controls" }, side("a"), side("b")),
    element(
      "p",
      { class: "legend" },
      element("span", { class: "one" }, element("span", { class: "key a" }), "A: ", element("bdi", {}, clipped(sides.a.words))),
      element("span", { class: "one" }, element("span", { class: "key b" }), "B: ", element("bdi", {}, clipped(sides.b.words))),
    ),
    length
      ? element(
          "div",
          { class: "two" },
          chart("compare", { rows }, { words: `${words}. A is the full line, B the dashed one.`, unit: isMoney(measure) ? currency : null, height: 360, ratio: isRatio(measure) }),
          scrolling("Comparison, table", compareTable(sides, numbers, measure, currency, words)),
        )
      : emptyNote("The two have no month number in common."),
  ];
}

function clipped(words) {
  return words.length > 80 ? `${words.slice(0, 80)}…` : words;
}

function isOpenOf(side, number) {
  return side.hasOpen && number === side.texts.length - 1;
}

/** The chosen sides, else the first two of the options. */
function chosenSides(options, make) {
  const ids = options.flatMap((option) => option.options ?? [option]).map(([id]) => id);
  const a = ids.includes(state.a) ? state.a : ids[0];
  const b = ids.includes(state.b) ? state.b : (ids.find((id) => id !== a) ?? ids[0]);
  return { options, ...(ids.length ? { a: { id: a, ...make(a) }, b: { id: b, ...make(b) } } : {}) };
}

function cohortSides(measure) {
  const triangle = triangleOf(chosenKey(state));
  const options = (triangle?.cohorts ?? []).map((month) => [month, monthName(month)]);
  return chosenSides(options, (month) => {
    const place = triangle.cohorts.indexOf(month);
    const texts = rowsOf(triangle, measure)[place] ?? [];
    return { words: `cohort ${monthName(month)}`, texts, hasOpen: true, customers: texts.map(() => String(triangle.customers[place])) };
  });
}

function valueSides(currency, measure) {
  const known = new Map();
  const options = figures.segments.map((segment) => ({
    label: segment.name,
    options: segment.values.flatMap((value) => {
      const id = `${segment.name} ${valueName(value)}`;
      const averages = averagesOf({ segment: segment.name, value: value.value, is_other: value.is_other, currency, is_guest: false });
      if (!averages) return [];
      known.set(id, { averages, words: `${segment.name}: ${valueWords(value)}` });
      return [[id, `${segment.name}: ${valueWords(value)}`]];
    }),
  }));
  return chosenSides(options.filter((option) => option.options.length), (id) => {
    const { averages, words } = known.get(id);
    return { words, texts: averageOf(averages, measure), hasOpen: false, customers: averageOf(averages, "customers") };
  });
}

function compareTable(sides, numbers, measure, currency, words) {
  const column = (name) => [
    { title: name.toUpperCase(), cell: (number) => shown(sides[name].texts[number], measure, currency), look: (number) => (isOpenOf(sides[name], number) ? "open" : "") },
    { title: `Customers ${name.toUpperCase()}`, cell: (number) => count(sides[name].customers[number]), look: () => "quiet" },
  ];
  return plainTable({
    caption: `${words}; open months are in italics`,
    columns: [{ title: "Month", cell: (number) => String(number) }, ...column("a"), ...column("b")],
    rows: numbers,
  });
}

function compareRows(sides, numbers) {
  const plain = (text) => (text === "-" ? "" : text);
  return [
    ["month_number", sides.a.words, sides.b.words, "customers_a", "customers_b"],
    ...numbers.map((number) => [number, plain(sides.a.texts[number]), plain(sides.b.texts[number]), sides.a.customers[number], sides.b.customers[number]]),
  ];
}
