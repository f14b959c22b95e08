// Nine steps of colour by rank: as many cells in each, so that one large cell does not pale the others.

const STEPS = 9;

/** The values at which a step begins, ascending. Equal values share a step. */
function thresholds(texts) {
  const values = texts
    .filter((text) => text !== "-")
    .map(Number)
    .filter((value) => value > 0)
    .sort((one, other) => one - other);
  if (!values.length) return [];
  const bounds = [];
  for (let step = 1; step < STEPS; step++) bounds.push(values[Math.min(values.length - 1, Math.floor((step * values.length) / (STEPS - 1)))]);
  bounds[0] = values[0];
  return bounds;
}

function stepClass(text, bounds) {
  if (text === "-") return "none";
  const value = Number(text);
  if (value < 0) return "minus";
  if (value === 0) return "s0";
  let step = 1;
  while (step < STEPS - 1 && value >= bounds[step]) step += 1;
  return `s${step}`;
}

function scaleLegend(texts, measure, currency) {
  const filled = texts.filter((text) => text !== "-" && Number(text) > 0);
  const [least, most] = filled.reduce(
    ([low, high], text) => [Number(text) < Number(low) ? text : low, Number(text) > Number(high) ? text : high],
    [filled[0], filled[0]],
  );
  const steps = Array.from({ length: STEPS - 1 }, (_, step) => element("i", { class: `s${step + 1}` }));
  return element(
    "div",
    { class: "legend" },
    filled.length
      ? element(
          "div",
          { class: "steps" },
          shown(least, measure, currency),
          element("span", { "aria-hidden": "true" }, steps),
          `${shown(most, measure, currency)}, by rank`,
        )
      : null,
    element("div", { class: "one" }, element("i", { class: "s2 open", "aria-hidden": "true" }), "open month, still moving"),
    element("div", { class: "one" }, element("i", { class: "s0", "aria-hidden": "true" }), "0: nobody bought"),
    element("div", { class: "one" }, "blank: not yet come"),
    filled.length < texts.length && texts.some((text) => Number(text) < 0)
      ? element("div", { class: "one" }, element("i", { class: "minus", "aria-hidden": "true" }), "less than 0")
      : null,
  );
}
