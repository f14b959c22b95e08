// Lists that the live page asks for, a hundred at a time.

const MOST_LISTS = 20;
const lists = new Map(); // path → what came last: shown while it is asked for anew, so that the reader's place stays

/** `path` with its parameters gives { total, orders } from `offset` on; `table` shows what has come so far. */
function pagedList(path, table, words) {
  const box = element("div", { "aria-busy": "true" });
  const known = lists.get(path) ?? { rows: [], total: null };
  const show = ({ rows, total }) => {
    if (total === null) return box.replaceChildren(element("p", { class: "quiet" }, "Loading…"));
    const list = rows.length ? scrolling("Orders", table(rows, words(rows.length, total)), true) : element("p", { class: "quiet" }, words(0, total));
    const further = rows.length < total ? element("button", { type: "button", class: "button row-button", click: () => load(rows, rows.length + 1) }, `Show more of ${count(total)}`) : "";
    return box.replaceChildren(list, further);
  };
  const load = async (before, wanted) => {
    box.setAttribute("aria-busy", "true");
    let rows = before;
    let total;
    try {
      do {
        const answer = await fetch(`${path}offset=${rows.length}`, { cache: "no-store" });
        if (!answer.ok) throw new Error(await answer.text());
        const page = await answer.json();
        rows = [...rows, ...page.orders];
        total = page.orders.length ? page.total : rows.length;
      } while (rows.length < Math.min(wanted, total));
      remember(path, { rows, total });
      const wasFocused = box.contains(document.activeElement);
      keepingPlace(false, () => show({ rows, total }));
      if (wasFocused) box.querySelector("button")?.focus();
      say(words(rows.length, total));
    } catch (error) {
      box.replaceChildren(
        element("p", { class: "bad" }, `The orders could not be read: ${error.message}`),
        element("button", { type: "button", class: "button row-button", click: () => load(before, wanted) }, "Try again"),
      );
    }
    box.removeAttribute("aria-busy");
  };
  whenShown(() => {
    show(known);
    load([], known.rows.length);
  });
  return box;
}

function remember(path, list) {
  lists.delete(path);
  lists.set(path, list);
  if (lists.size > MOST_LISTS) lists.delete(lists.keys().next().value);
}

function liveOrders(key, month, number) {
  const asked = new URLSearchParams({ currency: key.currency, guest: key.is_guest ? "1" : "0", cohort: month, month: String(number) });
  const words = (listed, total) =>
    total === 0 ? "Nobody bought, and nothing was refunded." : listed < total ? `The ${count(listed)} largest of ${count(total)} orders and refunds` : `${plural(total, "order or refund", "orders and refunds")}`;
  return pagedList(`cell.json?${asked}&`, (rows, caption) => ordersTable(rows, key, caption), words);
}
