// The triangle by keyboard and mouse, as a grid (WAI-ARIA Authoring Practices, «Grid»): one cell is in the tab order,
// arrows move it, Enter opens it. What is selected across cells is copied as plain figures.

const MOVES = new Set(["ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End"]);

/** `told`: month, number → what a pointer over the cell is told. */
function gridOf(table, open, told) {
  const cells = [...table.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll(".cell")]);
  const first = cells.flat()[0];
  if (!first) return;
  (table.querySelector(`[data-cell="${CSS.escape(state.cell)}"]`) ?? first).tabIndex = 0;
  const focus = (cell) => {
    if (!cell) return;
    for (const other of table.querySelectorAll('.cell[tabindex="0"]')) other.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus({ preventScroll: true });
    reveal(cell, table);
  };
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell || event.altKey || event.metaKey) return;
    const row = cells.findIndex((line) => line.includes(cell));
    if (MOVES.has(event.key)) {
      event.preventDefault(); // also at the edge: the browser would scroll the cell out of sight
      focus(moved(cells, row, cells[row].indexOf(cell), event));
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      open(cell.dataset.cell, true);
    }
  });
  table.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell || !getSelection().isCollapsed) return;
    focus(cell);
    open(cell.dataset.cell, false);
  });
  table.addEventListener("pointermove", (event) => {
    const cell = event.pointerType === "mouse" && !event.buttons ? event.target.closest(".cell") : null;
    const [month, number] = cell?.dataset.cell.split(".") ?? [];
    showTip(event, cell && told(month, Number(number)));
  });
  table.addEventListener("pointerleave", (event) => showTip(event, null));
  table.addEventListener("copy", (event) => copySelected(event, table));
}

/** Scrolls the table, then the page, no further than is needed to see the cell beside the heads that stay. */
function reveal(cell, table) {
  const box = table.closest(".scroll");
  const least = (start, end, from, to) => (start < from ? start - from : Math.max(0, Math.min(end - to, start - from)));
  const edge = box.getBoundingClientRect();
  const foot = table.tFoot?.getBoundingClientRect().height ?? 0;
  const left = table.rows[0].cells[0].getBoundingClientRect().width;
  const at = cell.getBoundingClientRect();
  if (cell === cell.parentElement.querySelector(".cell")) box.scrollLeft = 0;
  else box.scrollLeft += least(at.left, at.right, edge.left + left + 2, edge.left + box.clientWidth);
  box.scrollTop += least(at.top, at.bottom, edge.top + table.tHead.getBoundingClientRect().height + 2, edge.top + box.clientHeight - foot - 2);
  const now = cell.getBoundingClientRect();
  const strip = Math.max(0, byId("strip").getBoundingClientRect().bottom, byId("tabs").getBoundingClientRect().bottom);
  const panel = byId("panel");
  const floor = !panel.hidden && getComputedStyle(panel).position === "fixed" ? panel.getBoundingClientRect().top : innerHeight;
  scrollBy(0, least(now.top, now.bottom, strip + 4, floor - 4));
}

/** The cell that a key leads to, or null. */
function moved(cells, row, place, event) {
  const line = cells[row];
  switch (event.key) {
    case "ArrowRight":
      return line[place + 1];
    case "ArrowLeft":
      return line[place - 1];
    case "ArrowDown":
      return cells.slice(row + 1).find((other) => other.length > place)?.[place];
    case "ArrowUp":
      return cells.slice(0, row).filter((other) => other.length > place).at(-1)?.[place];
    case "PageDown":
      return cells.slice(row + 1, row + 11).filter((other) => other.length > place).at(-1)?.[place];
    case "PageUp":
      return cells.slice(Math.max(0, row - 10), row).find((other) => other.length > place)?.[place];
    case "Home":
      return event.ctrlKey ? cells.find((other) => other.length)?.[0] : line[0];
    case "End":
      return event.ctrlKey ? cells.filter((other) => other.length).at(-1)?.at(-1) : line.at(-1);
    default:
      return null;
  }
}

function copySelected(event, table) {
  const selection = getSelection();
  const rows = [...table.rows]
    .map((row) => [...row.cells].filter((cell) => selection.containsNode(cell, true)))
    .filter((cells) => cells.length);
  if (rows.flat().length < 2) return;
  const plain = (cell) => (cell.dataset.text === undefined ? cell.textContent : cell.dataset.text === "-" ? "" : cell.dataset.text);
  event.clipboardData.setData("text/plain", tabbedText(rows.map((cells) => cells.map(plain))));
  event.preventDefault();
}
