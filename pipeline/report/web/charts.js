// Charts: a specification of the file, filled with rows, compiled and drawn as SVG when it comes into view. Vega
// evaluates its expressions with its interpreter, so nothing is compiled from text and the strict policy holds.

const PAPER = 1000; // pixels of a page's width

let drawn = [];
let chartSpecs = null;

function forgetCharts() {
  for (const chart of drawn) chart.stop();
  drawn = [];
  byId("tip").hidden = true;
}

/** Draws what is on the screen before it is painted, so that new figures do not flicker. */
function drawShown() {
  for (const chart of drawn) {
    const { top, bottom } = chart.canvas.getBoundingClientRect();
    if (!chart.view && bottom > 0 && top < innerHeight) chart.start();
  }
}

function drawAgain() {
  for (const chart of drawn) chart.draw();
}

/** For paper, which has what is out of view, too. */
function drawRest() {
  for (const chart of drawn) if (!chart.view) chart.start();
}

/** `sources`: data name → rows. `words`: what a screen reader is told, and what stands below. `unit`: of the figures, above them. */
function chart(kind, sources, { words, unit = null, height = null, small = false, ratio = false }) {
  const name = ratio ? `${kind}_percent` : kind;
  const plot = element("div", { "aria-hidden": "true" });
  const canvas = element("div", { class: "canvas", role: "img", "aria-label": words }, plot);
  const one = { canvas, view: null, width: 0, start: () => {}, draw: () => {}, stop: () => {} };
  canvas.style.minHeight = `${(height ?? 300) + (unit ? 76 : 54)}px`;
  const draw = () => {
    const width = canvas.clientWidth;
    if (!width) return;
    one.width = width;
    one.view?.finalize();
    one.view = view(plot, name, sources, isPrinting ? Math.min(width, small ? PAPER / 2 : PAPER) : width, height, unit);
  };
  one.start = () => {
    seen.disconnect();
    one.draw = draw;
    draw();
    sized.observe(canvas);
  };
  const seen = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) one.start();
  });
  const sized = new ResizeObserver(() => {
    if (Math.abs(canvas.clientWidth - one.width) > 1) draw();
  });
  one.stop = () => {
    seen.disconnect();
    sized.disconnect();
    one.view?.finalize();
  };
  gives(() => sources);
  whenShown(() => {
    drawn.push(one);
    seen.observe(canvas);
  });
  return element("figure", { class: small ? "chart small" : "chart" }, canvas, element("figcaption", {}, words));
}

function view(plot, name, sources, width, height, unit) {
  chartSpecs ??= JSON.parse(byId("charts").textContent);
  const spec = { ...chartSpecs[name], datasets: sources, width };
  if (height) spec.height = height;
  if (unit) spec.title = unit;
  const config = chartSpecs.themes[shownTheme()];
  const compiled = vegaLite.compile(spec, { config, logger: quietLogger }).spec;
  const made = new vega.View(vega.parse(compiled, null, { ast: true }), {
    expr: vegaInterpreter.expressionInterpreter,
    renderer: "svg",
    container: plot,
    hover: true,
    loader: { load: refuse, sanitize: refuse, http: refuse, file: refuse },
    logger: quietLogger,
  });
  made.tooltip((handler, event, item, value) => showTip(event, value));
  made.run();
  return made;
}

function refuse() {
  return Promise.reject(new Error("a chart loads nothing"));
}

const quietLogger = {
  level: () => quietLogger,
  error: (...words) => {
    console.error(...words);
    return quietLogger;
  },
  warn: () => quietLogger,
  info: () => quietLogger,
  debug: () => quietLogger,
};

function showTip(event, value) {
  const tip = byId("tip");
  tip.hidden = value === null || value === undefined || value === "";
  if (tip.hidden) return;
  tip.textContent = String(value);
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, innerWidth - width - 8);
  const top = event.clientY + 16 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 16;
  tip.style.transform = `translate(${Math.max(8, left)}px, ${Math.max(8, top)}px)`;
}

/** The same figures as a table, built when it is opened. */
function tableBelow(id, make) {
  const box = element("div", {});
  return element(
    "details",
    {
      class: "table",
      id,
      toggle: (event) => {
        if (event.target.open && !box.firstChild) box.append(scrolling("The figures of the chart", make()));
      },
    },
    element("summary", {}, "The figures as a table"),
    box,
  );
}
