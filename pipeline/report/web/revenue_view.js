// What each cohort has bought in each calendar month, and that it is the month's revenue.

function revenueView() {
  const currency = chosenCurrency(state);
  const note = "Gross revenue of each calendar month, in layers by the cohort that spent it, older ones below; the mark on top is the month's revenue in the monthly table.";
  const triangles = [false, true]
    .map((isGuest) => triangleOf({ segment: null, value: null, is_other: false, currency, is_guest: isGuest }))
    .filter(Boolean);
  const totals = figures.months.filter((month) => month.currency === currency);
  if (!triangles.length || !totals.length) return [heading("Revenue by cohort", note), emptyNote(`There is no revenue in ${currency || "any currency"} yet.`)];
  const layers = triangles.flatMap(layersOf);
  const checks = new Map(figures.adds_up.filter((sums) => sums.currency === currency).map((sums) => [sums.month, sums]));
  const isWhole = totals.every((total) => checks.get(total.month)?.is_equal ?? true);
  return [
    heading("Revenue by cohort", note, actions("revenue", () => revenueRows(layers, totals))),
    chart(
      "revenue",
      {
        rows: layers,
        totals: totals.map((total) => ({ month: total.month, value: Number(total.revenue), is_open: isOpenMonth(total.month), label: `${openName(total.month)}, all\n${exactMoney(total.revenue, currency)} ${currency}` })),
      },
      {
        words: `Gross revenue by calendar month and cohort, ${currency}. ${isWhole ? "In every month the layers add up to the month's revenue." : "In some months the layers do not add up to the month's revenue."}`,
        unit: currency,
        height: 400,
      },
    ),
    element("p", { class: "legend" }, rampLegend(triangles[0], triangles[0].cohorts.map((_, place) => place))),
    element("div", { class: "below" }, element("h3", {}, "Months"), scrolling("Revenue of the months", monthsTable(totals, checks, currency))),
  ];
}

function isOpenMonth(month) {
  return month === figures.as_of?.slice(0, 7);
}

function openName(month) {
  return `${monthName(month)}${isOpenMonth(month) ? " (open)" : ""}`;
}

/** The cells of a triangle that are not 0, where they lie in the calendar. */
function layersOf(triangle) {
  const { currency, is_guest: isGuest } = triangle.key;
  return triangle.cohorts.flatMap((cohort, place) =>
    rowsOf(triangle, "revenue")[place]
      .map((text, number) => ({ text, number }))
      .filter(({ text }) => text !== "-" && Number(text) !== 0)
      .map(({ text, number }) => {
        const month = monthAfter(cohort, number);
        const who = isGuest ? "guests" : `cohort ${monthName(cohort)}`;
        return { month, cohort, isGuest, place, text, value: Number(text), label: `${openName(month)}, ${who}\n${exactMoney(text, currency)} ${currency}` };
      }),
  );
}

function revenueRows(layers, totals) {
  return [
    ["month", "cohort_month", "is_guest", "revenue"],
    ...[...layers]
      .sort((one, other) => one.month.localeCompare(other.month) || one.cohort.localeCompare(other.cohort))
      .map((layer) => [layer.month, layer.cohort, String(layer.isGuest), layer.text]),
    ...totals.map((total) => [total.month, "all", "", total.revenue]),
  ];
}

function monthsTable(totals, checks, currency) {
  const check = (total) => checks.get(total.month);
  return plainTable({
    caption: `Months in ${currency}, gross, newest first; an open one is still moving; the layers of a month are compared with its entries and its orders`,
    columns: [
      { title: "Month", words: true, cell: (total) => openName(total.month) },
      { title: "Revenue", cell: (total) => exactMoney(total.revenue, currency) },
      { title: "Orders", cell: (total) => count(total.orders) },
      { title: "Customers", cell: (total) => count(total.customers) },
      { title: "Layers", cell: (total) => (check(total) ? exactMoney(check(total).triangle, currency) : "") },
      {
        title: "Adds up",
        words: true,
        cell: (total) => (check(total) ? (check(total).is_equal ? "✓ yes" : "✗ no") : ""),
        look: (total) => (check(total)?.is_equal === false ? "bad" : "good"),
      },
    ],
    rows: [...totals].reverse(),
  });
}
