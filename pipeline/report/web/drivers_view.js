// Why a cohort is better: its size, the share that is active, their orders, and what an order is worth.

const DRIVERS = {
  retention: ["Active share", "of the cohort, that bought in the month"],
  orders_per_customer: ["Orders per active customer", "of those who bought in the month"],
  basket: ["Revenue per order", "gross"],
};

function driversView() {
  const key = chosenKey(state);
  const triangle = triangleOf(key);
  const note = "Revenue of a cohort in a month = customers × active share × orders per active customer × revenue per order. Here are the four.";
  const across = choices("Across", "across", { numbers: "Month numbers", cohorts: "Cohorts" });
  if (!triangle?.cohorts.length) return [heading("Why a cohort is better", note), element("div", { class: "controls" }, customersList()), emptyNote(`There are no cohorts of ${customersWords(key)} in ${key.currency}.`)];
  const places = chosenPlaces(triangle, state);
  const most = Math.max(...places.map((place) => rowsOf(triangle, "revenue")[place]?.length ?? 0)) - 1;
  const number = Math.min(/^\d{1,4}$/.test(state.number) ? Number(state.number) : 0, Math.max(most, 0));
  const byCohort = state.across === "cohorts";
  const numbers = list("At month", "number", Array.from({ length: most + 1 }, (_, at) => [String(at), at ? String(at) : "0 (first month)"]), String(number), (value) => choose({ number: value }));
  const sizes = chart("sizes", { rows: sizeBars(triangle, places) }, { words: `Customers of each cohort; ${customersWords(key)}.`, small: true, height: 190 });
  const charts = Object.entries(DRIVERS).map(([measure, [title, words]]) => {
    const drawn = byCohort
      ? chart("by_cohort", { rows: cohortPoints(triangle, measure, places, number) }, { words: `${title} at month ${number}, by cohort.`, small: true, height: 190, ratio: isRatio(measure) })
      : chart("curves", driverSources(triangle, measure, places), { words: `${title} by month number, a line for each cohort; bold: the average.`, small: true, height: 190, ratio: isRatio(measure) });
    return element("section", {}, element("h3", {}, title), element("p", {}, `${words}${measure === "basket" ? `, ${key.currency}` : ""}`), drawn);
  });
  return [
    heading("Why a cohort is better", note, actions("drivers", () => driverRows(triangle, places))),
    element("div", { class: "controls" }, across, byCohort ? numbers : null, customersList(), cohortRange(triangle)),
    element("div", { class: "grid" }, element("section", {}, element("h3", {}, "Customers"), element("p", {}, "the size of the cohort"), sizes), charts),
    element("div", { class: "below" }, element("h3", {}, `At month ${number}`), byCohort ? null : element("div", { class: "controls" }, numbers), scrolling("Drivers at a month number", driversTable(triangle, places, number))),
  ];
}

/** The curves without their open month: a month that is not over has no share yet. */
function driverSources(triangle, measure, places) {
  const sources = curveSources(triangle, averagesOf(triangle.key), measure, places);
  return { ...sources, open: [], ends: [], names: [] };
}

function sizeBars(triangle, places) {
  return places.map((place) => ({
    month: triangle.cohorts[place],
    value: triangle.customers[place],
    label: `${monthName(triangle.cohorts[place])}\n${plural(triangle.customers[place], "customer")}`,
  }));
}

function cohortPoints(triangle, measure, places, number) {
  return places
    .map((place) => ({ place, texts: rowsOf(triangle, measure)[place] ?? [] }))
    .filter(({ texts }) => texts[number] !== undefined && texts[number] !== "-")
    .map(({ place, texts }) => {
      const isOpen = number === texts.length - 1;
      const month = monthName(triangle.cohorts[place]);
      return { month: triangle.cohorts[place], value: Number(texts[number]), is_open: isOpen, label: `${month}, month ${number}${isOpen ? " (open)" : ""}\n${spelled(texts[number], measure, triangle.key.currency)}` };
    });
}

function driversTable(triangle, places, number) {
  const { currency } = triangle.key;
  const text = (place, measure) => rowsOf(triangle, measure)[place]?.[number];
  const measures = ["retention", "orders_per_customer", "basket", "revenue_per_customer", "revenue"];
  const titles = ["Active share", "Orders per active", `Per order, ${currency}`, `Per customer, ${currency}`, `Revenue, ${currency}`];
  return plainTable({
    caption: `Cohorts at month ${number}, newest first; open months are in italics`,
    columns: [
      { title: "Cohort", words: true, cell: (place) => monthName(triangle.cohorts[place]) },
      { title: "Customers", cell: (place) => count(triangle.customers[place]) },
      ...measures.map((measure, at) => ({
        title: titles[at],
        cell: (place) => shown(text(place, measure), measure, currency),
        look: (place) => (number === rowsOf(triangle, measure)[place].length - 1 ? "open" : ""),
      })),
    ],
    rows: places.filter((place) => text(place, "revenue") !== undefined).reverse(),
  });
}

function driverRows(triangle, places) {
  const measures = ["active_customers", "retention", "orders", "orders_per_customer", "basket", "revenue"];
  const plain = (text) => (text === "-" ? "" : text);
  return [
    ["cohort_month", "month_number", "customers", ...measures, "is_open"],
    ...places.flatMap((place) =>
      rowsOf(triangle, "revenue")[place].map((_, number, all) => [
        triangle.cohorts[place],
        number,
        triangle.customers[place],
        ...measures.map((measure) => plain(rowsOf(triangle, measure)[place][number])),
        String(number === all.length - 1),
      ]),
    ),
  ];
}
