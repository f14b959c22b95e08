// What is chosen. It lives in the address after #, so that every view has a link. Unknown values count as not given.

const CHOICES = {
  view: ["triangle", "curves", "retention", "revenue", "drivers", "bridge", "compare", "products", "payments", "changes"],
  sum: ["cumulated", "month"],
  by: ["total", "customer", "share"],
  money: ["net", "gross"],
  guests: ["0", "1"],
  of: ["cohorts", "values"],
  across: ["numbers", "cohorts"],
};
const TEXTS = ["currency", "segment", "value", "from", "to", "cell", "month", "number", "a", "b", "sort", "filter"];
const listeners = [];

function stateOf(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const state = {};
  for (const [name, values] of Object.entries(CHOICES)) {
    const value = given.get(name);
    state[name] = values.includes(value) ? value : values[0];
  }
  for (const name of TEXTS) state[name] = given.get(name) ?? "";
  return state;
}

/** The shortest address of a state: defaults are left out, but for the view. */
function hashOf(state) {
  const named = new URLSearchParams({ view: state.view });
  for (const [name, values] of Object.entries(CHOICES)) {
    if (name !== "view" && state[name] !== values[0]) named.set(name, state[name]);
  }
  for (const name of TEXTS) if (state[name]) named.set(name, state[name]);
  return `#${named}`;
}

let state = stateOf("");

function readState() {
  state = stateOf(location.hash);
}

/** Changes choices in place; a new view is an entry of the browser's history. */
function choose(changes) {
  state = { ...state, ...changes };
  const hash = hashOf(state);
  try {
    if (changes.view) history.pushState(null, "", hash);
    else history.replaceState(null, "", hash);
  } catch {
    say("The address of this view could not be kept."); // some browsers allow no more than 100 changes in half a minute
  }
  for (const listener of listeners) listener();
}

/** The address of another view with the choices that views share. */
function hashOfView(view) {
  return hashOf({ ...state, view, cell: "", sort: "", filter: "" });
}

function onState(listener) {
  listeners.push(listener);
  addEventListener("hashchange", () => {
    readState();
    listener();
  });
  addEventListener("popstate", () => {
    readState();
    listener();
  });
}
