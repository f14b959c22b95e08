// Light, dark, or as the system has it. The choice is kept where the browser lets a page keep something.

const THEMES = { system: "System colours", light: "Light colours", dark: "Dark colours" };
const THEME_PLACE = "ltv-theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
let theme = "system";
let isPrinting = false;

function startTheme() {
  try {
    const kept = localStorage.getItem(THEME_PLACE);
    if (kept in THEMES) theme = kept;
  } catch {
    theme = "system";
  }
  applyTheme();
  systemIsDark.addEventListener("change", applyTheme);
  matchMedia("print").addEventListener("change", (event) => print(event.matches));
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
}

/** Paper is light, has nothing out of view, and no closed sheets: the sums and how money is counted stand at its end. */
function print(isNow) {
  if (isNow === isPrinting) return;
  isPrinting = isNow;
  byId(isNow ? "paper" : "facts").append(byId("counted"));
  for (const sheet of document.querySelectorAll(".more")) sheet.open = isNow;
  if (isNow) drawRest();
  applyTheme();
}

function shownTheme() {
  if (isPrinting) return "light";
  return theme === "system" ? (systemIsDark.matches ? "dark" : "light") : theme;
}

function applyTheme() {
  document.documentElement.dataset.theme = theme;
  document.documentElement.dataset.shown = shownTheme();
  drawAgain();
}

function themeButton() {
  return element(
    "select",
    {
      id: "theme",
      "aria-label": "Colours",
      change: (event) => {
        theme = event.target.value;
        try {
          localStorage.setItem(THEME_PLACE, theme);
        } catch {
          say("The choice holds until the page is closed.");
        }
        applyTheme();
      },
    },
    Object.entries(THEMES).map(([value, words]) => element("option", { value, selected: value === theme }, words)),
  );
}
