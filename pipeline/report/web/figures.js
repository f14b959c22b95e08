// The document, and what is looked up in it. No figure is computed here.

let figures = null;
let found = new Map();

function showFigures(document) {
  figures = document;
  found = new Map();
  for (const triangle of document.triangles) found.set(`triangle ${keyName(triangle.key)}`, triangle);
  for (const averages of document.averages) found.set(`averages ${keyName(averages.key)}`, averages);
}

function keyName(key) {
  return JSON.stringify([key.segment, key.value, key.is_other, key.currency, key.is_guest]);
}

function triangleOf(key) {
  return found.get(`triangle ${keyName(key)}`) ?? null;
}

function averagesOf(key) {
  return found.get(`averages ${keyName(key)}`) ?? null;
}

function digitsOf(currency) {
  return figures.currencies.find((known) => known.code === currency)?.digits ?? 2;
}

const splits = new WeakMap();

/** Texts of a measure: a list for each cohort, by month number. Split once. */
function rowsOf(triangle, measure) {
  if (!splits.has(triangle)) splits.set(triangle, new Map());
  const known = splits.get(triangle);
  if (!known.has(measure)) known.set(measure, (triangle.cells[measure] ?? []).map((line) => (line ? line.split(" ") : [])));
  return known.get(measure);
}

/** Texts of an average by month number; [] where there is none. */
function averageOf(averages, measure) {
  const line = measure in { cohorts: 1, customers: 1 } ? averages?.[measure] : averages?.cells[measure];
  return line ? line.split(" ") : [];
}

/** The key of the whole triangle, or of a segment's value, that the choices name. */
function chosenKey(state) {
  const currency = chosenCurrency(state);
  const value = valueNamed(state);
  if (value) return { segment: state.segment, value: value.value, is_other: value.is_other, currency, is_guest: false };
  const guests = { segment: null, value: null, is_other: false, currency, is_guest: true };
  return state.guests === "1" && triangleOf(guests) ? guests : { ...guests, is_guest: false };
}

function chosenCurrency(state) {
  const codes = figures.currencies.map((currency) => currency.code);
  return codes.includes(state.currency) ? state.currency : (codes[0] ?? "");
}

/** How a link names a segment's value: `is FR`, `none`, `other`. */
function valueName(value) {
  return value.is_other ? "other" : value.value === null ? "none" : `is ${value.value}`;
}

function valueWords(value) {
  if (value.is_other) return "all other values";
  return value.value === null ? "no value" : value.value === "" ? "empty text" : value.value;
}

function valueNamed(state) {
  const segment = figures.segments.find((known) => known.name === state.segment);
  const place = segment?.values.findIndex((value) => valueName(value) === state.value) ?? -1;
  return place >= 0 && place < segment.triangles ? segment.values[place] : null;
}

/** Who is shown, in words. */
function customersWords(key) {
  if (key.segment !== null) return `${key.segment}: ${valueWords(key)}`;
  return key.is_guest ? "guests, each order a customer of its own" : "all customers";
}

/** The places of the cohorts between the chosen months. */
function chosenPlaces(triangle, state) {
  const places = triangle.cohorts.map((_, place) => place);
  const chosen = places.filter(
    (place) => (!state.from || triangle.cohorts[place] >= state.from) && (!state.to || triangle.cohorts[place] <= state.to),
  );
  return chosen.length ? chosen : places;
}
