// LTV by month number, a line for each cohort, the average bold, the open month dashed to a hollow point.

const NAMED_CURVES = 12;

function curvesView() {
  const key = chosenKey(state);
  const triangle = triangleOf(key);
  const note = "One line for each cohort, from its first month on.";
  const controls = moneyControls(triangle);
  if (!triangle?.cohorts.length) return [heading("LTV curves", note), controls, emptyNote(`There are no cohorts of ${customersWords(key)} in ${key.currency}.`)];
  const measure = moneyMeasure(state);
  const averages = averagesOf(key);
  const places = chosenPlaces(triangle, state);
  const words = `${capital(measureWords(measure))}${isMoney(measure) ? `, ${key.currency}` : ""}; ${customersWords(key)}.`;
  return [
    heading("LTV curves", note, actions("curves", () => triangleRows(triangle, averages, measure, places))),
    controls,
    chart("curves", curveSources(triangle, averages, measure, places), {
      words: `${words} The average is of all cohorts that have completed the month, whether shown or not: it can fall where fewer of them are old enough.`,
      unit: isMoney(measure) ? key.currency : null,
      height: 420,
      ratio: isRatio(measure),
    }),
    element(
      "p",
      { class: "legend" },
      rampLegend(triangle, places),
      averageOf(averages, measure).length ? element("span", { class: "one" }, element("span", { class: "key average" }), "average") : null,
      element("span", { class: "one" }, element("span", { class: "key ahead" }), "to the open month, still moving"),
    ),
    tableBelow("curves-table", () => triangleTable(triangle, averages, measure, places, words)),
  ];
}

/** The colours of the cohorts, from the first that is shown to the last. */
function rampLegend(triangle, places) {
  const name = (place) => monthName(triangle.cohorts[place]);
  return places.length < 2 ? null : element("span", { class: "one" }, `cohort ${name(places[0])}`, element("span", { class: "ramp" }), name(places.at(-1)));
}

/** Numbers to place marks with; the label holds the exact text. */
function curveSources(triangle, averages, measure, places) {
  const { currency } = triangle.key;
  const rows = rowsOf(triangle, measure);
  const made = { rows: [], open: [], ends: [], average: [], names: [] };
  places.forEach((place, order) => {
    const texts = rows[place] ?? [];
    const cohort = monthName(triangle.cohorts[place]);
    const points = texts
      .map((text, number) => ({ text, number }))
      .filter(({ text }) => text !== "-")
      .map(({ text, number }) => ({
        cohort,
        place: order,
        number,
        value: Number(text),
        label: `${cohort}, month ${number}${number === texts.length - 1 ? " (open)" : ""}\n${spelled(text, measure, currency)}`,
      }));
    const last = points.at(-1);
    if (!last) return;
    const isOpen = last.number === texts.length - 1;
    made.rows.push(...(isOpen ? points.slice(0, -1) : points));
    if (isOpen) {
      if (points.length > 1) made.open.push(...points.slice(-2));
      made.ends.push(last);
    }
    if (places.length <= NAMED_CURVES) made.names.push(last);
  });
  averageOf(averages, measure).forEach((text, number) => {
    if (text === "-") return;
    const label = `Average, month ${number}, of ${plural(Number(averageOf(averages, "cohorts")[number]), "cohort")}\n${spelled(text, measure, currency)}`;
    made.average.push({ number, value: Number(text), label });
  });
  return made;
}
