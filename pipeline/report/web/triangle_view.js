// LTV and retention by cohort and month number, as tables.

function triangleView() {
  const key = chosenKey(state);
  const triangle = triangleOf(key);
  const measure = moneyMeasure(state);
  const note = "A cohort is the customers whose first purchase falls in the same month; month 0 is that month. A cell opens the orders behind it.";
  return triangleLike("triangle", "LTV by cohort", note, key, triangle, measure, moneyControls(triangle));
}

function retentionView() {
  const key = chosenKey(state);
  const triangle = triangleOf(key);
  const note = "Of each cohort's customers, the share that bought in the month. Month 0 is the month of the first purchase.";
  const controls = element("div", { class: "controls" }, customersList(), cohortRange(triangle));
  return triangleLike("retention", "Retention by cohort", note, key, triangle, "retention", controls);
}

function triangleLike(view, title, note, key, triangle, measure, controls) {
  if (!triangle || !triangle.cohorts.length) {
    return [heading(title, note), controls, emptyNote(`There are no cohorts of ${customersWords(key)} in ${key.currency}.`)];
  }
  const averages = averagesOf(key);
  const places = chosenPlaces(triangle, state);
  const words = `${capital(measureWords(measure))}${isMoney(measure) ? `, ${key.currency}` : ""}; ${customersWords(key)}`;
  const table = triangleTable(triangle, averages, measure, places, `${words}. Columns are months since the first purchase.`);
  const told = (month, number) => cellWords(triangle, triangle.cohorts.indexOf(month), number, measure);
  gridOf(table, openCell, told);
  const texts = places.flatMap((place) => rowsOf(triangle, measure)[place] ?? []);
  return [
    heading(title, note, actions(view, () => triangleRows(triangle, averages, measure, places))),
    controls,
    element("p", { class: "shown" }, element("bdi", {}, words)),
    scrolling(`${title}, table`, table),
    scaleLegend(texts, measure, key.currency),
    averageNote(averages, measure),
  ];
}

function averageNote(averages, measure) {
  if (!averageOf(averages, measure).length) return null;
  const how = measure.endsWith("_per_customer") || isRatio(measure) ? "weighted by customers" : "the mean of a cohort";
  return element("p", { class: "quiet" }, `Average: ${how}, over all cohorts that have completed the month; open months are left out.`);
}

function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A view's head: title, a sentence, its buttons. */
function heading(title, note, buttons = null) {
  return element("div", { class: "view-head" }, element("h2", { id: "title" }, title), buttons, element("p", {}, note));
}

function emptyNote(...sentences) {
  return element(
    "div",
    { class: "empty" },
    sentences.map((words) => element("p", {}, sentence(words))),
  );
}
