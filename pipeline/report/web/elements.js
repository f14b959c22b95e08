// Elements of the page. Whatever comes from the shop gets in as text, never as markup.

/** An element: attributes by name, listeners where the value is a function; children are elements, texts or null. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  append(made, children);
  return made;
}

function append(parent, children) {
  for (const child of children) {
    if (child === null || child === undefined) continue;
    if (Array.isArray(child)) append(parent, child);
    else parent.append(child);
  }
}

/** A text of the shop, kept apart from the direction of what is around it; long ones scroll in their own box. */
function shopText(text) {
  if (text === null) return element("span", { class: "quiet" }, "none");
  if (text === "") return element("span", { class: "quiet" }, "empty text");
  return text.length > 40 ? element("bdi", { class: "clamp" }, text) : element("bdi", {}, text);
}

/** A sentence in which `this` is code. */
function sentence(text) {
  return element("bdi", {}, text.split("`").map((part, place) => (place % 2 ? element("code", {}, part) : part)));
}

function byId(id) {
  return document.getElementById(id);
}

/** Tells screen readers, and shows nothing. */
function say(text) {
  byId("status").textContent = text;
}

/** Rows of a table: `columns` have a title, a cell (row → node or text), and `words` where it holds no figure. */
function plainTable({ caption, columns, rows, headed = true, unseen = false }) {
  const head = columns.map((column) =>
    element("th", { scope: "col", class: column.words ? "words" : null, "aria-sort": column.order }, column.head ?? column.title),
  );
  const body = rows.map((row) =>
    element(
      "tr",
      {},
      columns.map((column, place) =>
        headed && place === 0
          ? element("th", { scope: "row" }, column.cell(row))
          : element("td", { class: [column.words ? "words" : "", column.prose ? "prose" : "", column.look?.(row) ?? ""].join(" ").trim() || null }, column.cell(row)),
      ),
    ),
  );
  return element(
    "table",
    {},
    element("caption", { class: unseen ? "unseen" : null }, element("span", {}, caption)),
    element("thead", {}, element("tr", {}, head)),
    element("tbody", {}, body),
  );
}

/** A box in which a table scrolls, both ways, by keyboard too. `name` keeps its place when the figures change. */
function scrolling(name, table, flat = false) {
  return element(
    "div",
    { class: flat ? "scroll flat" : "scroll", tabindex: "0", role: "region", "aria-label": name, "data-scroll": name },
    table,
  );
}
