// Which column of the tables a choice shows, and how its texts look.

const COUNTS = new Set(["active_customers", "orders", "customers", "cohorts"]);
const WORDS = {
  revenue: "gross revenue of the month",
  net: "revenue of the month, net of refunds",
  ltv: "LTV, net of refunds, cumulated",
  ltv_gross: "LTV, gross, cumulated",
  retention: "share of the cohort that bought in the month",
  orders_per_customer: "orders per active customer",
  basket: "revenue per order",
};
const BY = { total: "", customer: "_per_customer", share: "_of_first" };
const BY_WORDS = { total: "total of the cohort", customer: "per customer of the cohort", share: "in % of month 0" };

/** The measure of a triangle that the choices name. */
function moneyMeasure(state) {
  const cumulated = state.sum === "cumulated";
  const gross = state.money === "gross";
  return `${cumulated ? (gross ? "ltv_gross" : "ltv") : gross ? "revenue" : "net"}${BY[state.by]}`;
}

function measureWords(measure) {
  const [, name, suffix] = /^(.*?)(_per_customer|_of_first)?$/.exec(measure);
  if (measure in WORDS) return WORDS[measure];
  return `${WORDS[name]}, ${BY_WORDS[suffix === "_of_first" ? "share" : "customer"]}`;
}

function isRatio(measure) {
  return measure === "retention" || measure.endsWith("_of_first");
}

function isMoney(measure) {
  return !COUNTS.has(measure) && !isRatio(measure) && measure !== "orders_per_customer";
}

/** The text of a figure, for the eye. */
function shown(text, measure, currency) {
  if (text === "-") return "–";
  if (isRatio(measure)) return percent(text);
  if (COUNTS.has(measure)) return count(text);
  if (measure === "orders_per_customer") return formatter(2, 2).format(text);
  return text === "0" ? "0" : money(text, currency);
}

/** The same with every decimal, and its unit. */
function spelled(text, measure, currency) {
  if (text === "-") return "no value";
  if (isRatio(measure)) return `${hundredfold(text)}%`;
  return isMoney(measure) ? `${exactMoney(text, currency)} ${currency}` : count(text);
}
