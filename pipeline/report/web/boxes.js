// The boxes of the page. New figures rebuild a box only where it would show, or give, anything else; and none while the
// reader has a hand on one of those: selected text, an open list, a pressed button. Then all of them wait, so that what
// is shown together is of one rollup.

const BOXES = {
  bar: barParts,
  "fact-list": factParts,
  "sums-box": sumsParts,
  "formulas-box": formulasParts,
  banners: bannerParts,
  main: viewParts,
  panel: panelParts,
};
const OPEN_LIST = CSS.supports("selector(select:open)") ? "select:open" : null;
const prints = new Map(); // box → what it shows and gives
let building = null;
let held = null;

/** To be done as soon as the box under construction is on the page. */
function whenShown(start) {
  building.starts.push(start);
}

/** What the box under construction gives beside its markup: rows of a chart, of a list or of a file. */
function gives(rows) {
  building.given.push(rows);
}

function built(id) {
  building = { given: [], starts: [] };
  const box = element("div");
  append(box, BOXES[id]());
  const { given, starts } = building;
  building = null;
  const isCompared = id !== "main" || figures.is_live; // a file has one document: its view is never compared
  return { id, box, starts, print: isCompared ? JSON.stringify([new XMLSerializer().serializeToString(box), given.map((rows) => rows())]) : null };
}

function isOther({ id, print }) {
  return prints.get(id) !== print;
}

function fill({ id, box, starts, print }) {
  prints.set(id, print);
  if (id === "main") forgetCharts();
  byId(id).replaceChildren(...box.childNodes);
  for (const start of starts) start();
}

function watchHands() {
  for (const name of ["pointerdown", "compositionstart"]) addEventListener(name, (event) => (held = event.target), true);
  for (const name of ["pointerup", "pointercancel", "compositionend"]) addEventListener(name, () => (held = null), true);
  addEventListener("pointermove", (event) => event.buttons || event.pointerType !== "mouse" || (held = null), true); // let go where no event told
}

/** Whether the reader has a hand on the box. */
function isInUse(id) {
  const box = byId(id);
  const selection = getSelection();
  return (!selection.isCollapsed && selection.containsNode(box, true)) || box.contains(held) || (OPEN_LIST !== null && box.querySelector(OPEN_LIST) !== null);
}
