// What the last rollup has moved: cells by reason, and the orders that moved them. Closed months stand out.

const REASON_WORDS = {
  new: "an order dated since then",
  late: "an order of an earlier day that was not there, or did not count",
  moved: "to another month, customer or currency",
  amount: "another amount",
  cancelled: "it does not count any more",
  deleted: "it is gone",
  refunded: "a refund came, went or changed",
  cohort: "the first order of its customer changed",
};

function changesView() {
  const note = "Which cells have other money than at the rollup before, why, and which orders moved them.";
  const { since, since_as_of: day, cells, orders, left_out: left } = figures.changes;
  if (!since && !cells.length) return [heading("What changed", note), emptyNote("Nothing has changed since the rollup before, or there was none.")];
  const currency = chosenCurrency(state);
  const ofCells = cells.filter((cell) => cell.currency === currency);
  const ofOrders = orders.filter((order) => order.currency === currency);
  const closed = ofCells.filter((cell) => !cell.was_open);
  const before = since ? `Since the rollup of ${instant(since, figures.time_zone)}${day ? `, as of ${dayName(day)}` : ""}.` : "";
  return [
    heading("What changed", `${note} ${before}`, actions("changes", () => changeRows(ofCells))),
    element("p", { class: "shown" }, closed.length ? element("span", { class: "badge bad" }, `${plural(closed.length, "change")} of closed months`) : element("span", { class: "badge good" }, "No closed month has moved")),
    ofCells.length
      ? element(
          "div",
          { class: "two below" },
          scrolling("Changed cells", changedCellsTable([...closed, ...ofCells.filter((cell) => cell.was_open)], currency)),
          element("div", {}, scrolling("Orders that changed them", changedOrdersTable(ofOrders, currency, left)), reasonsList(ofCells)),
        )
      : emptyNote(`No cell in ${currency} has changed.`),
  ];
}

function changedCellsTable(rows, currency) {
  return plainTable({
    caption: `Changed cells in ${currency}, closed months first; figures are what was added`,
    columns: [
      { title: "Cohort", words: true, cell: (row) => `${monthName(row.month)}${row.is_guest ? ", guests" : ""}` },
      { title: "Month number", cell: (row) => String(row.number) },
      { title: "Was", words: true, cell: (row) => (row.was_open ? "open" : element("span", { class: "badge bad" }, "closed")) },
      { title: "Reason", words: true, cell: (row) => row.reason },
      { title: "Orders that moved it", cell: (row) => count(row.changes) },
      { title: "Orders", cell: (row) => signed(count(row.orders)) },
      { title: "Revenue", cell: (row) => signed(exactMoney(row.revenue, currency)) },
      { title: "Refunds", cell: (row) => signed(exactMoney(row.refunds, currency)) },
    ],
    rows,
  });
}

function changedOrdersTable(rows, currency, left) {
  return plainTable({
    caption: `Orders that changed them${left ? `; ${plural(left, "further order")} left out` : ""}`,
    columns: [
      { title: "Order", words: true, cell: (row) => shopText(row.order_id) },
      { title: "Customer", words: true, cell: (row) => (row.customer_id === null ? "guest" : shopText(row.customer_id)) },
      { title: "Reason", words: true, cell: (row) => row.reason },
      { title: "Cohort", words: true, cell: (row) => monthName(row.month) },
      { title: "Month number", cell: (row) => String(row.number) },
      { title: "Revenue", cell: (row) => signed(exactMoney(row.revenue, currency)) },
      { title: "Refunds", cell: (row) => signed(exactMoney(row.refunds, currency)) },
    ],
    rows,
  });
}

function reasonsList(cells) {
  const reasons = Object.keys(REASON_WORDS).filter((reason) => cells.some((cell) => cell.reason === reason));
  return element("p", { class: "quiet row-button" }, reasons.map((reason, place) => [place ? "; " : "", element("strong", {}, reason), `: ${REASON_WORDS[reason]}`]), ".");
}

function signed(text) {
  return /^[-0]$|^-/.test(text) || /^0(\.0+)?$/.test(text) ? text : `+${text}`;
}

function changeRows(cells) {
  const names = ["month", "number", "currency", "is_guest", "was_open", "reason", "changes", "orders", "revenue", "refunds"];
  return [["cohort_month", "month_number", ...names.slice(2)], ...cells.map((cell) => names.map((name) => (typeof cell[name] === "boolean" ? String(cell[name]) : cell[name])))];
}
