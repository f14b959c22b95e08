// Choices: a few side by side, many in a list, months in a range.

/** Radio buttons side by side. `values`: value → words. */
function choices(title, name, values, disabled = {}) {
  return element(
    "div",
    { class: "field", role: "radiogroup", "aria-labelledby": `label-${name}` },
    element("span", { id: `label-${name}` }, title),
    element(
      "div",
      { class: "choices" },
      Object.entries(values).map(([value, words]) =>
        element(
          "label",
          { title: disabled[value] ?? null },
          element("input", {
            type: "radio",
            name,
            id: `choice-${name}-${value}`,
            value,
            checked: state[name] === value,
            disabled: value in disabled,
            change: () => choose({ [name]: value }),
          }),
          words,
        ),
      ),
    ),
  );
}

/** A list. `options`: [value, words] or { label, options }. */
function list(title, id, options, value, change) {
  const made = ([given, words]) => element("option", { value: given, selected: given === value }, words);
  return element(
    "label",
    { class: "field" },
    element("span", {}, title),
    element(
      "select",
      { id, change: (event) => change(event.target.value) },
      options.map((option) =>
        Array.isArray(option) ? made(option) : element("optgroup", { label: option.label }, option.options.map(made)),
      ),
    ),
  );
}

/** Whose figures: all customers, guests, or a segment's value that has a triangle. */
function customersList() {
  const currency = chosenCurrency(state);
  const guests = triangleOf({ segment: null, value: null, is_other: false, currency, is_guest: true });
  const value = valueNamed(state);
  const chosen = value ? JSON.stringify([state.segment, valueName(value)]) : state.guests === "1" && guests ? "guests" : "all";
  const whole = [["all", "All customers"]];
  if (guests) whole.push(["guests", "Guests"]);
  const segments = figures.segments
    .filter((segment) => segment.triangles > 0)
    .map((segment) => ({
      label: `${segment.name}${furtherValues(segment)}`,
      options: segment.values
        .slice(0, segment.triangles)
        .map((known) => [JSON.stringify([segment.name, valueName(known)]), `${segment.name}: ${valueWords(known)}`]),
    }));
  return list("Customers", "customers", [...whole, ...segments], chosen, (given) => {
    if (given === "all" || given === "guests") choose({ segment: "", value: "", guests: given === "guests" ? "1" : "0", cell: "" });
    else {
      const [segment, named] = JSON.parse(given);
      choose({ segment, value: named, guests: "0", cell: "" });
    }
  });
}

function furtherValues(segment) {
  const further = segment.values.length - segment.triangles + segment.left_out;
  return further ? ` (${plural(further, "further value")} not here)` : "";
}

/** First and last cohort that is shown. */
function cohortRange(triangle) {
  if (!triangle || triangle.cohorts.length < 2) return [];
  const options = triangle.cohorts.map((month) => [month, monthName(month)]);
  const places = chosenPlaces(triangle, state);
  const [first, last] = [triangle.cohorts[0], triangle.cohorts.at(-1)];
  return [
    list("Cohorts from", "from", options, triangle.cohorts[places[0]], (month) =>
      choose({ from: month === first ? "" : month, to: state.to && state.to < month ? "" : state.to }),
    ),
    list("to", "to", options, triangle.cohorts[places.at(-1)], (month) =>
      choose({ to: month === last ? "" : month, from: state.from && state.from > month ? "" : state.from }),
    ),
  ];
}

/** The toggles of the triangle and the curves. */
function moneyControls(triangle) {
  return element(
    "div",
    { class: "controls" },
    choices("Months", "sum", { cumulated: "Cumulated", month: "Per month" }),
    choices("Refunds", "money", { net: "Net", gross: "Gross" }),
    choices("Shown", "by", { total: "Total", customer: "Per customer", share: "% of month 0" }),
    customersList(),
    cohortRange(triangle),
  );
}
