// Starts the page. `data-ready` of the root element: milliseconds since the navigation began until it can be used.

async function start() {
  showFigures(JSON.parse(await documentText()));
  readState();
  startTheme();
  onState(() => {
    takeWaiting();
    showView();
  });
  showView();
  revealCell();
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const sheet = document.querySelector(".more[open]");
    if (sheet) {
      sheet.open = false;
      sheet.querySelector("summary").focus();
    } else if (!byId("panel").hidden) closePanel();
  });
  addEventListener("click", (event) => {
    for (const sheet of document.querySelectorAll(".more[open]")) if (!sheet.contains(event.target)) sheet.open = false;
  });
  if (figures.is_live) startLive();
  document.documentElement.dataset.ready = performance.now().toFixed(0);
}

start();
