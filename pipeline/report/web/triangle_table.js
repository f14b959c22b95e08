// The triangle as a table: cohorts down, month numbers across, the average of completed cohorts below.

/** `rows` to `texts`: what the table shows, as plain texts with a header row, for CSV and spreadsheets. */
function triangleRows(triangle, averages, measure, places) {
  const rows = rowsOf(triangle, measure);
  const length = Math.max(0, ...places.map((place) => rows[place]?.length ?? 0));
  const numbers = Array.from({ length }, (_, number) => number);
  const plain = (text) => (text === undefined || text === "-" ? "" : text);
  const average = averageOf(averages, measure);
  const made = [["cohort_month", "customers", "open_month_number", ...numbers.map((number) => `month_${number}`)]];
  for (const place of places) {
    const open = rows[place]?.length ? rows[place].length - 1 : "";
    made.push([triangle.cohorts[place], triangle.customers[place], open, ...numbers.map((number) => plain(rows[place]?.[number]))]);
  }
  if (average.length) {
    made.push(["average of completed cohorts", "", "", ...numbers.map((number) => plain(average[number]))]);
    const cohorts = averageOf(averages, "cohorts");
    made.push(["cohorts in the average", "", "", ...numbers.map((number) => plain(cohorts[number]))]);
  }
  return made;
}

function triangleTable(triangle, averages, measure, places, caption) {
  const currency = triangle.key.currency;
  const rows = rowsOf(triangle, measure);
  const bounds = thresholds(places.flatMap((place) => rows[place] ?? []));
  const length = Math.max(0, ...places.map((place) => rows[place]?.length ?? 0));
  const numbers = Array.from({ length }, (_, number) => number);
  const head = element(
    "tr",
    {},
    element("th", { scope: "col", class: "words" }, "Cohort"),
    element("th", { scope: "col", class: "size" }, "Customers"),
    numbers.map((number) => element("th", { scope: "col", abbr: `Month ${number}` }, number ? String(number) : "Month 0")),
  );
  const body = places.map((place) => {
    const month = triangle.cohorts[place];
    const texts = rows[place] ?? [];
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, monthName(month)),
      element("td", { class: "size" }, count(triangle.customers[place])),
      numbers.map((number) => {
        if (number >= texts.length) return element("td", { class: "blank" });
        const isOpen = number === texts.length - 1;
        return element(
          "td",
          {
            class: `cell ${stepClass(texts[number], bounds)}${isOpen ? " open" : ""}`,
            tabindex: "-1",
            id: `cell-${month}-${number}`,
            "data-cell": `${month}.${number}`,
            "data-text": texts[number],
            "aria-label": `${monthName(month)}, month ${number}: ${spelled(texts[number], measure, currency)}${isOpen ? ", open month" : ""}`,
          },
          shown(texts[number], measure, currency),
        );
      }),
    );
  });
  return element(
    "table",
    { class: length > 30 ? "triangle widest" : length > 13 ? "triangle wide" : "triangle", role: "grid", "aria-readonly": "true" },
    element("caption", { class: "unseen" }, caption),
    element("thead", {}, head),
    element("tbody", {}, body),
    averageFoot(averages, measure, currency, numbers),
  );
}

function averageFoot(averages, measure, currency, numbers) {
  const texts = averageOf(averages, measure);
  if (!texts.length) return null;
  const cohorts = averageOf(averages, "cohorts");
  const customers = averageOf(averages, "customers");
  return element(
    "tfoot",
    {},
    element(
      "tr",
      {},
      element("th", { scope: "row" }, "Average"),
      element("td", { class: "size" }),
      numbers.map((number) => element("td", {}, texts[number] === undefined ? "" : shown(texts[number], measure, currency))),
    ),
    element(
      "tr",
      {},
      element("th", { scope: "row" }, "of n cohorts"),
      element("td", { class: "size" }),
      numbers.map((number) =>
        element(
          "td",
          { title: cohorts[number] === undefined ? null : `${plural(Number(cohorts[number]), "completed cohort")}, ${plural(Number(customers[number]), "customer")}` },
          cohorts[number] === undefined ? "" : cohorts[number],
        ),
      ),
    ),
  );
}
