// From what was ordered to what is kept.

const STEP_WORDS = {
  ordered: ["Ordered", "every order dated up to the day, whether it counts or not"],
  "not counted": ["Not counted", "orders of a status that does not count, such as cancelled ones"],
  gross: ["Gross", "counted orders: the gross revenue of every other view"],
  refunds: ["Refunds", "given back for counted orders, in the month it happened"],
  net: ["Net", "gross less refunds: the net revenue of every other view"],
};

function bridgeView() {
  const currency = chosenCurrency(state);
  const note = "How the money that was ordered becomes the money that counts. Each step is a figure of the tables; they add up to the cent.";
  const all = figures.gross_to_net.filter((step) => step.currency === currency);
  if (!all.length) return [heading("Gross to net", note), emptyNote(`There are no orders in ${currency || "any currency"} yet.`)];
  const months = [...new Set(all.map((step) => step.month))].filter(Boolean).sort().reverse();
  const month = months.includes(state.month) ? state.month : null;
  const steps = all.filter((step) => step.month === month);
  const words = `${month ? monthName(month) : "All months"}, ${currency}`;
  return [
    heading("Gross to net", note, actions("bridge", () => bridgeRows(all))),
    element("div", { class: "controls" }, list("Month", "month", [["", "All months"], ...months.map((known) => [known, monthName(known)])], month ?? "", (value) => choose({ month: value }))),
    element(
      "div",
      { class: "two" },
      chart("bridge", { rows: bridgeBars(steps, currency) }, { words: `Gross to net: ${words}.`, unit: currency, height: 320 }),
      scrolling(
        "Gross to net, table",
        plainTable({
          caption: words,
          columns: [
            { title: "Step", words: true, cell: (step) => STEP_WORDS[step.name]?.[0] ?? step.name },
            { title: currency, cell: (step) => exactMoney(step.amount, currency) },
            { title: "Orders", cell: (step) => count(step.orders) },
            { title: "What it is", words: true, prose: true, cell: (step) => STEP_WORDS[step.name]?.[1] ?? "" },
          ],
          rows: steps,
        }),
        true,
      ),
    ),
  ];
}

/** Each bar from one figure to another of the same table; nothing is subtracted here. */
function bridgeBars(steps, currency) {
  const amount = Object.fromEntries(steps.map((step) => [step.name, Number(step.amount)]));
  const ends = {
    ordered: [0, amount.ordered],
    "not counted": [amount.ordered, amount.gross],
    gross: [0, amount.gross],
    refunds: [amount.gross, amount.net],
    net: [0, amount.net],
  };
  return steps
    .filter((step) => step.name in ends)
    .map((step) => {
      const [start, end] = ends[step.name];
      const name = STEP_WORDS[step.name][0];
      const text = exactMoney(step.amount, currency);
      return { name, start, end, top: Math.max(start, end), amount: text, short: compact(step.amount), label: `${name}\n${text} ${currency}, ${plural(step.orders, "order")}`, kind: ["not counted", "refunds"].includes(step.name) ? "less" : "sum" };
    });
}

function bridgeRows(steps) {
  return [["currency", "month", "step", "amount", "orders"], ...steps.map((step) => [step.currency, step.month ?? "all", step.name, step.amount, step.orders])];
}
