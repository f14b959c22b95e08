// The views, their tabs, and drawing the chosen one without losing the reader's place.

const VIEWS = {
  triangle: ["LTV triangle", triangleView],
  curves: ["LTV curves", curvesView],
  retention: ["Retention", retentionView],
  revenue: ["Revenue", revenueView],
  drivers: ["Drivers", driversView],
  bridge: ["Gross to net", bridgeView],
  compare: ["Compare", compareView],
  products: ["Products", productsView],
  payments: ["Payments", paymentsView],
  changes: ["Changes", changesView],
};

let shownView = "";

function viewParts() {
  return figures.triangles.length || state.view === "payments" ? VIEWS[state.view][1]() : emptyDocument();
}

function showTabs() {
  const tabs = byId("tabs");
  if (!tabs.firstChild) {
    tabs.append(...Object.entries(VIEWS).map(([view, [title]]) => element("a", { id: `tab-${view}`, href: "#", "data-view": view }, title)));
  }
  for (const tab of tabs.children) {
    tab.setAttribute("href", hashOfView(tab.dataset.view));
    if (tab.dataset.view === state.view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  const strip = tabs.getBoundingClientRect();
  const current = byId(`tab-${state.view}`).getBoundingClientRect();
  if (current.left < strip.left || current.right > strip.right) tabs.scrollLeft += current.left - strip.left - 20;
}

/** What the reader chose. */
function showView() {
  const isNew = shownView !== state.view;
  shownView = state.view;
  keepingPlace(isNew, () => {
    for (const box of Object.keys(BOXES).map(built)) if (box.id === "main" || isOther(box)) fill(box);
    settle();
  });
  if (isNew) scrollTo(0, 0);
  else drawShown();
}

/** What has come. Gives the boxes for which it must wait: then nothing is another than before. */
function showNews(document, isWanted) {
  const before = figures;
  showFigures(document);
  const others = Object.keys(BOXES).map(built).filter(isOther);
  const inUse = isWanted ? [] : others.map(({ id }) => id).filter(isInUse);
  if (inUse.length) {
    showFigures(before);
    return inUse;
  }
  keepingPlace(false, () => {
    for (const box of others) fill(box);
    settle();
  });
  drawShown();
  return [];
}

/** What is around the boxes. */
function settle() {
  showTabs();
  byId("main").setAttribute("aria-labelledby", "title");
  markCell();
  document.documentElement.dataset.state = location.hash;
  document.documentElement.style.setProperty("--strip-height", `${Math.max(byId("strip").getBoundingClientRect().height, byId("tabs").getBoundingClientRect().height)}px`);
}

function emptyDocument() {
  const nothing = figures.problems.length ? "What is the case, and what to do, stands above." : "Load the history with `ltv-pipeline batch`, then run `ltv-pipeline rollup`.";
  return [heading(VIEWS[state.view][0], "There are no figures yet."), emptyNote("The warehouse has no cohorts to show.", nothing)];
}

/** Focus, scroll, open details and the caret stay through a redraw of the same view. */
function keepingPlace(isOther, draw) {
  const active = document.activeElement;
  const focus = active?.id || null;
  const caret = active instanceof HTMLInputElement && active.type === "search" ? [active.selectionStart, active.selectionEnd] : null;
  const top = scrollY;
  const scrolls = [...document.querySelectorAll("[data-scroll]")].map((box) => [box.dataset.scroll, box.scrollLeft, box.scrollTop]);
  const opened = [...document.querySelectorAll("details[open]")].map((details) => details.id);
  draw();
  for (const id of opened) {
    const details = id && byId(id);
    if (details && !(isOther && details.closest("main"))) details.open = true;
  }
  if (!isOther) {
    for (const box of document.querySelectorAll("[data-scroll]")) {
      const kept = scrolls.find(([name]) => name === box.dataset.scroll);
      if (kept) [, box.scrollLeft, box.scrollTop] = kept;
    }
    if (scrollY !== top) scrollTo(0, top);
  }
  const again = focus && byId(focus);
  if (again && again !== document.activeElement) {
    if (again.classList.contains("cell")) {
      for (const cell of document.querySelectorAll('.cell[tabindex="0"]')) cell.tabIndex = -1;
      again.tabIndex = 0;
    }
    again.focus({ preventScroll: true });
    if (caret) again.setSelectionRange(...caret);
  }
}
