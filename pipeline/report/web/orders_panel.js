// What is behind a cell: its figures, how the shown one is divided, and the orders.

let opener = null;

/** Opens the panel; by keyboard the focus goes into it, and comes back when it closes. */
function openCell(cell, isKeyboard) {
  opener = cell;
  choose({ cell });
  revealCell();
  if (isKeyboard) byId("panel").querySelector("button")?.focus();
}

/** The cell whose panel is open: the panel may lie over it. */
function revealCell() {
  const cell = document.querySelector('.cell[aria-selected="true"]');
  if (cell) reveal(cell, cell.closest("table"));
}

function closePanel() {
  const cell = opener ?? state.cell;
  opener = null;
  choose({ cell: "" });
  document.querySelector(`[data-cell="${CSS.escape(cell)}"]`)?.focus();
}

/** The open cell: nothing where there is none. While its figures stay, so does what was loaded of its orders. */
function panelParts() {
  const key = chosenKey(state);
  const triangle = ["triangle", "retention"].includes(state.view) ? triangleOf(key) : null;
  const [month, given] = state.cell.split(".");
  const place = triangle?.cohorts.indexOf(month) ?? -1;
  const number = /^\d{1,4}$/.test(given ?? "") ? Number(given) : -1;
  const isThere = place >= 0 && number >= 0 && number < (rowsOf(triangle, "revenue")[place]?.length ?? 0);
  return isThere ? cellParts(triangle, place, number) : [];
}

function markCell() {
  const panel = byId("panel");
  panel.hidden = !panel.firstChild;
  for (const cell of document.querySelectorAll('.cell[aria-selected="true"]')) cell.removeAttribute("aria-selected");
  if (!panel.hidden) document.querySelector(`[data-cell="${CSS.escape(state.cell)}"]`)?.setAttribute("aria-selected", "true");
}

function cellParts(triangle, place, number) {
  const { key } = triangle;
  const month = triangle.cohorts[place];
  const text = (measure) => rowsOf(triangle, measure)[place]?.[number] ?? "-";
  const line = (words, measure) => [element("dt", {}, words), element("dd", {}, spelled(text(measure), measure, key.currency))];
  const isOpen = number === rowsOf(triangle, "revenue")[place].length - 1;
  const division = divided(triangle, place, number, state.view === "retention" ? "retention" : moneyMeasure(state));
  return [
    element(
      "header",
      {},
      element(
        "div",
        {},
        element("h2", { id: "panel-title" }, `${monthName(month)}, month ${number}`),
        element("p", { class: "quiet" }, `${monthName(monthAfter(month, number))}${isOpen ? ", open: still moving" : ""}; `, element("bdi", {}, customersWords(key))),
      ),
      element("button", { type: "button", class: "button", id: "close-panel", "aria-label": "Close the orders behind the cell", click: closePanel }, "Close"),
    ),
    element(
      "dl",
      {},
      element("dt", {}, "Customers of the cohort"),
      element("dd", {}, count(triangle.customers[place])),
      line("Bought in the month", "active_customers"),
      line("Orders", "orders"),
      line("Gross revenue", "revenue"),
      line("Refunds", "refunds"),
      line("Net revenue", "net"),
      line("LTV net, cumulated", "ltv"),
      line("LTV gross, cumulated", "ltv_gross"),
      line("Retention", "retention"),
      line("Orders per active customer", "orders_per_customer"),
      line("Revenue per order", "basket"),
      division && element("dd", { class: "division" }, division),
    ),
    key.segment === null
      ? ordersBehind(key, month, number, text("orders"))
      : element("p", { class: "quiet" }, "The orders of a cell are listed for all customers and for guests, not for a segment's value."),
  ];
}

/** What a pointer over a cell is told: the figure, how it is divided, and who bought. */
function cellWords(triangle, place, number, measure) {
  const text = (name) => rowsOf(triangle, name)[place][number];
  const { currency } = triangle.key;
  const month = monthName(triangle.cohorts[place]);
  const isOpen = number === rowsOf(triangle, measure)[place].length - 1;
  if (triangle.customers[place] === 0) return `${month}\nnobody's first purchase`;
  return [
    `${month}, month ${number}${isOpen ? " (open)" : ""}`,
    divided(triangle, place, number, measure) ?? spelled(text(measure), measure, currency),
    `${count(text("active_customers"))} of ${plural(triangle.customers[place], "customer")} bought, ${plural(Number(text("orders")), "order")}`,
  ].join("\n");
}

/** `LTV 375 ÷ 2 customers = 187.5`, where the shown figure is a ratio. */
function divided(triangle, place, number, measure) {
  const texts = (name) => rowsOf(triangle, name)[place] ?? [];
  const { currency } = triangle.key;
  const name = measure.replace(/_per_customer$|_of_first$/, "");
  const parts = measure.endsWith("_per_customer")
    ? [spelled(texts(name)[number], name, currency), plural(triangle.customers[place], "customer")]
    : measure.endsWith("_of_first")
      ? [spelled(texts(name)[number], name, currency), `${spelled(texts(name)[0], name, currency)} of month 0`]
      : measure === "retention"
        ? [plural(Number(texts("active_customers")[number]), "customer bought", "customers bought"), plural(triangle.customers[place], "customer")]
        : null;
  return parts && `${parts[0]} ÷ ${parts[1]} = ${spelled(texts(measure)[number], measure, currency)}`;
}

function ordersBehind(key, month, number, orders) {
  const name = `${key.currency} ${key.is_guest ? "guests " : ""}${month} ${number}`;
  return element(
    "div",
    {},
    element("h3", {}, "Orders"),
    figures.is_live ? liveOrders(key, month, number) : storedOrders(figures.cell_orders.cells[name] ?? [], orders, key, month, number),
  );
}

function ordersTable(rows, key, words) {
  return plainTable({
    caption: words,
    columns: [
      { title: "Order", words: true, cell: (row) => shopText(row.order_id) },
      { title: "On", words: true, cell: (row) => instant(row.at, figures.time_zone).replace(/, .*$/, "") },
      { title: "Customer", words: true, cell: (row) => (row.customer_id === null ? "guest" : shopText(row.customer_id)) },
      { title: key.currency, cell: (row) => exactMoney(row.amount, key.currency) },
      ...(rows.some((row) => row.is_refund) ? [{ title: "Kind", words: true, cell: (row) => (row.is_refund ? "refund" : "order") }] : []),
    ],
    rows,
  });
}

/** How many of the cell's orders are listed; refunds are listed beside them. */
function listedWords(rows, orders) {
  const refunds = rows.filter((row) => row.is_refund).length;
  const listed = rows.length - refunds;
  const total = orders === "-" ? 0 : Number(orders);
  if (!rows.length) return total ? `${plural(total, "order")}; this file lists none.` : "Nobody bought, and nothing was refunded.";
  if (!listed && total) return `${plural(refunds, "refund")}; ${plural(total, "order")} not listed`;
  const some = total > listed ? `The ${listed} largest of ${plural(total, "order")}` : plural(listed, "order");
  return refunds ? `${some}, ${plural(refunds, "refund")}` : some;
}

function storedOrders(rows, orders, key, month, number) {
  const words = listedWords(rows, orders);
  if (!rows.length && !(Number(orders) > 0)) return element("p", { class: "quiet" }, words);
  const query = ordersQuery(key, month, number);
  return [
    rows.length ? scrolling("Orders behind the cell", ordersTable(rows, key, words), true) : element("p", { class: "quiet" }, words),
    element("h3", {}, "All of them"),
    element("pre", { id: "query" }, query),
    element("button", { type: "button", class: "button row-button", click: () => copyText(query, "Query copied.") }, "Copy the query"),
  ];
}

function ordersQuery(key, month, number) {
  const who = key.is_guest ? "IS NULL" : "IS NOT NULL";
  const where = `WHERE cohort_month = DATE '${month}-01' AND month_number = ${number} AND currency = '${key.currency.replaceAll("'", "")}' AND customer_id ${who}`;
  return `ltv-pipeline query -c shop.yaml "SELECT order_id, ordered_at, customer_id, amount FROM order_first_purchase ${where} ORDER BY amount DESC"`;
}
