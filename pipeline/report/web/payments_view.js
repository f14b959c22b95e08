// Payments against orders: states, how old they are, and the orders that nothing explains.

const STATE_WORDS = {
  matched: "charged what is due",
  explained: "paid in full, then given back in part or whole: no alarm",
  underpaid: "charged less than is due",
  overpaid: "charged more than is due",
  unpaid: "no charge at all",
  "orphan charge": "a charge of an order that is not there",
  "currency mismatch": "charged in another currency",
};
const FINE = new Set(["matched", "explained"]);
const AGES = ["0 to 7", "8 to 30", "31 to 90", "over 90"];

function paymentsView() {
  const note = "Each order's amount against its charges. A difference that a refund explains is no alarm; any other stands out.";
  const { reconciliation } = figures;
  const { is_mapped: isMapped, states, orders, left_out: left } = reconciliation;
  gives(() => reconciliation);
  if (!isMapped) return [heading("Payments", note), emptyNote("The shop's charges are not mapped.", "Name the table under `charges` in shop.yaml, load it, and roll up.")];
  if (!states.length) return [heading("Payments", note), emptyNote("There are no orders and no charges yet.")];
  const whole = states.filter((row) => row.age === null);
  const strays = whole.filter((row) => !FINE.has(row.state));
  const open = strays.reduce((sum, row) => sum + row.orders, 0);
  return [
    heading("Payments", note, actions("payments", () => stateRows(states))),
    element("p", { class: "shown" }, open ? element("span", { class: "badge bad" }, `✗ ${plural(open, "order")} not explained`) : element("span", { class: "badge good" }, "✓ every order is matched or explained")),
    element(
      "div",
      { class: "below" },
      scrolling("States", statesTable(whole), true),
      strays.length ? element("div", { class: "below" }, scrolling("Age of what is not explained", agesTable(states, strays), true)) : null,
    ),
    element(
      "div",
      { class: "below" },
      element("h3", {}, "Orders that are not explained"),
      figures.is_live
        ? pagedList("unexplained.json?", unexplainedTable, (listed, total) => (total ? `${count(listed)} of ${plural(total, "order")}, largest difference first` : "None: every order is matched or explained."))
        : orders.length
          ? [
              scrolling("Orders that are not explained", unexplainedTable(orders, `${plural(orders.length, "order")}, largest difference first${left ? `; ${plural(left, "further order")} left out` : ""}`)),
              element("div", { class: "row-button" }, element("button", { type: "button", class: "button", id: "csv-orders", click: () => saveCsv("unexplained", unexplainedRows(orders)) }, "CSV of the orders")),
            ]
          : element("p", { class: "quiet" }, "None."),
    ),
  ];
}

function statesTable(rows) {
  return plainTable({
    caption: "Orders by state, of any age; an order that does not count, such as a cancelled one, has nothing due",
    columns: [
      { title: "State", words: true, cell: (row) => element("span", { class: FINE.has(row.state) ? "badge good" : "badge bad" }, row.state) },
      { title: "Orders", cell: (row) => count(row.orders) },
      { title: "Amount", cell: (row) => exactMoney(row.amount, row.currency) },
      { title: "Due", cell: (row) => exactMoney(row.due, row.currency) },
      { title: "Charged", cell: (row) => exactMoney(row.charged, row.currency) },
      { title: "Difference", cell: (row) => exactMoney(row.difference, row.currency) },
      { title: "Currency", words: true, cell: (row) => row.currency ?? "none" },
      { title: "What it is", words: true, prose: true, cell: (row) => STATE_WORDS[row.state] ?? "" },
    ],
    rows,
  });
}

function agesTable(states, strays) {
  const of = (row, age) => states.find((one) => one.age === age && one.state === row.state && one.currency === row.currency);
  return plainTable({
    caption: "Age in days of what is not explained: orders, and their difference",
    columns: [
      { title: "State", words: true, cell: (row) => row.state },
      { title: "Currency", words: true, cell: (row) => row.currency ?? "none" },
      ...AGES.flatMap((age) => [
        { title: `${age} days`, cell: (row) => (of(row, age) ? count(of(row, age).orders) : "0") },
        { title: "Difference", cell: (row) => (of(row, age) ? exactMoney(of(row, age).difference, row.currency) : "0"), look: () => "quiet" },
      ]),
    ],
    rows: strays,
  });
}

function unexplainedTable(rows, caption) {
  const sum = (text, row) => (text === null ? "–" : exactMoney(text, row.currency));
  return plainTable({
    caption,
    columns: [
      { title: "Order", words: true, cell: (row) => (row.order_id === null ? "–" : shopText(row.order_id)) },
      { title: "State", words: true, cell: (row) => element("span", { class: "badge bad" }, row.state) },
      { title: "Ordered", words: true, cell: (row) => (row.ordered_on ? dayName(row.ordered_on) : "–") },
      { title: "Age, days", cell: (row) => (row.age_days === null ? "–" : count(row.age_days)) },
      { title: "Status", words: true, cell: (row) => (row.status === null ? "–" : shopText(row.status)) },
      { title: "Currency", words: true, cell: (row) => row.currency ?? "none" },
      { title: "Amount", cell: (row) => sum(row.amount, row) },
      { title: "Due", cell: (row) => sum(row.due, row) },
      { title: "Paid", cell: (row) => sum(row.paid, row) },
      { title: "Refunded", cell: (row) => sum(row.refunded, row) },
      { title: "Difference", cell: (row) => sum(row.difference, row), look: () => "bad" },
      { title: "% of amount", cell: (row) => (row.difference_pct === null ? "–" : `${formatter(0, 2).format(row.difference_pct)}%`) },
      { title: "Charge", words: true, cell: (row) => (row.charge_id === null ? "–" : shopText(row.charge_id)) },
    ],
    rows,
  });
}

function stateRows(states) {
  return [["currency", "state", "age_days", "orders", "amount", "due", "charged", "difference"], ...states.map((row) => [row.currency, row.state, row.age ?? "any", row.orders, row.amount, row.due, row.charged, row.difference])];
}

function unexplainedRows(rows) {
  const names = ["order_id", "charge_id", "ordered_on", "currency", "status", "amount", "due", "paid", "refunded", "difference", "difference_pct", "state", "age_days"];
  return [names, ...rows.map((row) => names.map((name) => row[name]))];
}
