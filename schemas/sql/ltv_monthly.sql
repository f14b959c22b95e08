-- ltv_monthly: revenue by purchase month and currency; the plain SUM and GROUP BY over the intermediate table.
SELECT
  purchase_month,
  currency,
  COUNT(*) AS orders,
  CAST(COUNT(DISTINCT customer_id) + COUNTIF(customer_id IS NULL) AS INT64) AS customers,
  SUM(amount) AS revenue
FROM ltv_entries
WHERE kind = 'sale' AND purchase_date <= @as_of
GROUP BY purchase_month, currency
ORDER BY purchase_month, currency
