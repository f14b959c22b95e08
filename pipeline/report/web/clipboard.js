// Copies, links and files: the same figures as on the page, as plain texts.

async function copyText(text, words) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus();
    if (!copied) {
      say("The browser did not let the page copy.");
      return false;
    }
  }
  say(words);
  return true;
}

/** A cell that a spreadsheet would take for a formula gets an apostrophe before it. */
function harmless(text) {
  return /^[=+\-@\t\r]/.test(text) && !/^[+-]?\d+(\.\d+)?$/.test(text) ? `'${text}` : text;
}

/** RFC 4180. What has no value is an empty field. */
function csvText(rows) {
  const field = (value) => {
    const text = value === null || value === undefined ? "" : harmless(String(value));
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

function tabbedText(rows) {
  const field = (value) => harmless(String(value ?? "")).replace(/[\t\r\n]+/g, " ");
  return rows.map((row) => row.map(field).join("\t")).join("\n");
}

function saveCsv(view, rows) {
  const address = URL.createObjectURL(new Blob([csvText(rows)], { type: "text/csv;charset=utf-8" }));
  const name = `ltv-${view}-${figures.as_of ?? "empty"}.csv`;
  const link = element("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
  say(`${name} is saved.`);
}

/** CSV, Copy and Link of a view; `rows` gives the header and the rows when asked. */
function actions(view, rows) {
  gives(rows);
  const done = (event, words) => {
    const button = event.currentTarget;
    const before = button.textContent;
    button.textContent = words;
    setTimeout(() => (button.textContent = before), 1500);
  };
  const copying = (make, words) => async (event) => {
    const shownBy = { currentTarget: event.currentTarget };
    if (await copyText(make(), `${words} copied.`)) done(shownBy, "Copied");
  };
  return element(
    "div",
    { class: "actions" },
    element("button", { type: "button", class: "button", id: "csv", title: "Save these figures as CSV", click: () => saveCsv(view, rows()) }, "CSV"),
    element("button", { type: "button", class: "button", id: "copy", title: "Copy these figures for a spreadsheet", click: copying(() => tabbedText(rows()), "Table") }, "Copy"),
    element("button", { type: "button", class: "button", id: "link", title: "Copy the address of this view", click: copying(() => location.href, "Link") }, "Link"),
  );
}
