// Figures for the eye. Money stays the decimal text that it is: Intl rounds texts exactly, without a float.

const LANGUAGE = "en";
const formatters = new Map();

function formatter(least, most) {
  const name = `${least} ${most}`;
  if (!formatters.has(name)) {
    formatters.set(name, new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: least, maximumFractionDigits: most }));
  }
  return formatters.get(name);
}

function money(text, currency) {
  const digits = digitsOf(currency);
  return formatter(digits, digits).format(text);
}

/** All decimals that there are, and those of the currency at least. */
function exactMoney(text, currency) {
  return formatter(digitsOf(currency), 20).format(text);
}

/** Three digits, for where there is no room: 307,191.06 → 307k. */
function compact(text) {
  return new Intl.NumberFormat(LANGUAGE, { notation: "compact", maximumSignificantDigits: 3 }).format(text).replace("K", "k");
}

function count(number) {
  return formatter(0, 20).format(number);
}

/** A ratio's text times a hundred: the decimal point two places to the right. */
function hundredfold(text) {
  const [, sign, whole, part] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  const decimals = (part ?? "").padEnd(2, "0");
  const moved = `${whole}${decimals.slice(0, 2)}`.replace(/^0+(?=\d)/, "");
  return `${sign}${moved}${decimals.length > 2 ? `.${decimals.slice(2)}` : ""}`;
}

function percent(text) {
  return `${formatter(1, 1).format(hundredfold(text))}%`;
}

const MONTH_NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function monthName(month) {
  return `${MONTH_NAMES[Number(month.slice(5, 7)) - 1]} ${month.slice(0, 4)}`;
}

function dayName(day) {
  return `${Number(day.slice(8, 10))} ${monthName(day)}`;
}

/** "2022-01", 3 → "2022-04". */
function monthAfter(month, number) {
  const months = Number(month.slice(0, 4)) * 12 + Number(month.slice(5, 7)) - 1 + number;
  return `${String(Math.floor(months / 12)).padStart(4, "0")}-${String((months % 12) + 1).padStart(2, "0")}`;
}

/** An instant in the shop's time zone. */
function instant(text, zone) {
  const options = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  try {
    return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone }).format(new Date(text));
  } catch {
    return text;
  }
}

/** 3 → "3 s", 4000 → "1 h 6 min". */
function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}
