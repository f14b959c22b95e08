// Lists that the live page asks for, a hundred at a time.

/** `path` with its parameters gives { total, orders } from `offset` on; `table` shows what has come so far. */
function pagedList(path, table, words) {
  const box = element("div", { "aria-busy": "true" }, element("p", { class: "quiet" }, "Loading…"));
  const rows = [];
  const load = async () => {
    box.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(`${path}offset=${rows.length}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(await answer.text());
      const page = await answer.json();
      rows.push(...page.orders);
      const wasFocused = box.contains(document.activeElement);
      box.replaceChildren(...parts(page.total));
      if (wasFocused) box.querySelector("button")?.focus();
      say(words(rows.length, page.total));
    } catch (error) {
      box.replaceChildren(
        element("p", { class: "bad" }, `The orders could not be read: ${error.message}`),
        element("button", { type: "button", class: "button row-button", click: load }, "Try again"),
      );
    }
    box.removeAttribute("aria-busy");
  };
  const parts = (total) => [
    rows.length ? scrolling("Orders", table(rows, words(rows.length, total)), true) : element("p", { class: "quiet" }, words(0, total)),
    rows.length < total ? element("button", { type: "button", class: "button row-button", click: load }, `Show more of ${count(total)}`) : "",
  ];
  load();
  return box;
}

function liveOrders(key, month, number) {
  const asked = new URLSearchParams({ currency: key.currency, guest: key.is_guest ? "1" : "0", cohort: month, month: String(number) });
  const words = (listed, total) =>
    total === 0 ? "Nobody bought, and nothing was refunded." : listed < total ? `The ${count(listed)} largest of ${count(total)} orders and refunds` : `${plural(total, "order or refund", "orders and refunds")}`;
  return pagedList(`cell.json?${asked}&`, (rows, caption) => ordersTable(rows, key, caption), words);
}
