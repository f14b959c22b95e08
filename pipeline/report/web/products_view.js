// Products: what was sold, at what price, to whom; and the LTV of those whose first order had it.

const PRODUCT_ROWS = 200;
let allProducts = false;

const PRODUCT_COLUMNS = {
  product: { title: "Product", words: true, cell: (row) => shopText(row.product), value: (row) => row.product },
  quantity: { title: "Sold", cell: (row) => count(row.quantity), value: (row) => Number(row.quantity) },
  revenue: { title: "Revenue", cell: (row) => exactMoney(row.revenue, row.currency), value: (row) => Number(row.revenue) },
  average_price: { title: "Average price", cell: (row) => (row.average_price === null ? "–" : money(row.average_price, row.currency)), value: (row) => (row.average_price === null ? null : Number(row.average_price)) },
  customers: { title: "Customers", cell: (row) => count(row.customers), value: (row) => row.customers },
  first_sold_on: { title: "First sold", words: true, cell: (row) => dayName(row.first_sold_on), value: (row) => row.first_sold_on },
  top_countries: { title: "Most sold in", words: true, cell: (row) => countryList(row.top_countries), value: (row) => row.top_countries[0] ?? null },
  first_customers: { title: "In first order of", cell: (row) => (row.first_customers === null ? "–" : count(row.first_customers)), value: (row) => row.first_customers },
};

function countryList(countries) {
  const length = countries.reduce((sum, country) => sum + (country?.length ?? 4) + 2, 0);
  return countries.length ? element("span", { class: length > 40 ? "clamp" : null }, countries.map((country, place) => [place ? ", " : "", shopText(country)])) : "–";
}

function productsView() {
  const currency = chosenCurrency(state);
  const note = "What was sold in counted orders. At the right: how many customers had the product in their first order, and their net LTV per customer up to month 0, 3, 6 and 12.";
  const ofCurrency = figures.products.rows.filter((row) => row.currency === currency);
  if (!ofCurrency.length) return [heading("Products", note), emptyNote(`No product was sold in ${currency || "any currency"}.`, "Products are known where shop.yaml maps order_items.")];
  const columns = { ...PRODUCT_COLUMNS };
  for (const number of [...new Set(ofCurrency.flatMap((row) => Object.keys(row.ltv)))].sort((one, other) => one - other)) {
    columns[`ltv_${number}`] = {
      title: `LTV, month ${number}`,
      cell: (row) => ((row.ltv[number] ?? null) === null ? "–" : money(row.ltv[number], currency)),
      value: (row) => ((row.ltv[number] ?? null) === null ? null : Number(row.ltv[number])),
    };
  }
  const rows = sortedProducts(ofCurrency.filter(isWanted), columns);
  const some = allProducts ? rows : rows.slice(0, PRODUCT_ROWS);
  const left = figures.products.left_out;
  return [
    heading("Products", note, actions("products", () => productRows(rows, columns))),
    element(
      "div",
      { class: "controls" },
      element("label", { class: "field" }, element("span", {}, "Filter"), element("input", { type: "search", id: "filter", value: state.filter, placeholder: "product or country", input: filterBy, compositionend: filterBy })),
    ),
    rows.length
      ? scrolling("Products, table", productTable(some, columns, `${plural(rows.length, "product")} in ${currency}${state.filter.trim() ? ` with «${clipped(state.filter.trim())}»` : ""}${left ? `; ${plural(left, "further product")} of less revenue left out` : ""}. A title sorts.`))
      : emptyNote(`No product or country has «${clipped(state.filter)}» in its name.`),
    some.length < rows.length
      ? element("button", { type: "button", class: "button row-button", id: "all-products", click: () => { allProducts = true; showView(); } }, `Show all ${count(rows.length)}`)
      : null,
  ];
}

/** Not before a word is whole where several keys make a letter: the view is built anew. */
function filterBy(event) {
  if (!event.isComposing) choose({ filter: event.target.value });
}

function isWanted(row) {
  const wanted = state.filter.trim().toLocaleLowerCase();
  return !wanted || [row.product, ...row.top_countries].some((text) => text?.toLocaleLowerCase().includes(wanted));
}

/** `sort` is a column, with - before it where it descends. What has no value comes last. */
function sortedProducts(rows, columns) {
  const { column, order } = productOrder(columns);
  const sign = order === "descending" ? -1 : 1;
  const value = columns[column].value;
  return [...rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
  });
}

function productOrder(columns) {
  const column = state.sort.replace(/^-/, "");
  if (!(column in columns)) return { column: "revenue", order: "descending" };
  return { column, order: state.sort.startsWith("-") ? "descending" : "ascending" };
}

function productTable(rows, columns, caption) {
  const { column, order } = productOrder(columns);
  const head = (name) => {
    const next = name === column ? (order === "descending" ? name : `-${name}`) : columns[name].words ? name : `-${name}`;
    return element("button", { type: "button", id: `sort-${name}`, click: () => choose({ sort: next }) }, columns[name].title);
  };
  return plainTable({
    caption,
    columns: Object.entries(columns).map(([name, known]) => ({ ...known, head: head(name), order: name === column ? order : null })),
    rows,
  });
}

function productRows(rows, columns) {
  const numbers = Object.keys(columns).filter((name) => name.startsWith("ltv_"));
  return [
    ["product", "currency", "quantity", "revenue", "average_price", "customers", "first_sold_on", "top_countries", "first_customers", ...numbers],
    ...rows.map((row) => [
      row.product, row.currency, row.quantity, row.revenue, row.average_price, row.customers, row.first_sold_on,
      row.top_countries.map((country) => country ?? "none").join(" "), row.first_customers, ...numbers.map((name) => row.ltv[name.slice(4)]),
    ]),
  ];
}
