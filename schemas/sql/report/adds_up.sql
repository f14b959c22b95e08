-- adds_up: the same money counted three times: in the triangle (ltv_cohorts), in the ltv entries, and in the stored
-- orders with what the charges gave back of them. Month NULL: all of it, net of refunds. Of a month: what was ordered in
-- it, gross.
WITH sold AS (
  SELECT currency, purchase_month, SUM(amount) AS amount
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of
  GROUP BY currency, purchase_month
),
refunds AS (
  SELECT order_id, currency, SUM(amount) AS amount
  FROM ltv_entries
  WHERE kind = 'refund' AND purchase_date <= @as_of
  GROUP BY order_id, currency
),
refunded_sales AS (
  SELECT order_id, currency
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of AND order_id IN (SELECT order_id FROM refunds)
),
refunded AS (
  SELECT COALESCE(refunds.currency, sales.currency) AS refund_currency, SUM(refunds.amount) AS amount
  FROM refunds
  JOIN refunded_sales AS sales ON sales.order_id = refunds.order_id
  GROUP BY refund_currency
),
ordered AS (
  SELECT currency, DATE_TRUNC(ordered_on, MONTH) AS order_month, SUM(amount) AS amount
  FROM order_amounts
  WHERE is_counted AND ordered_on <= @as_of
  GROUP BY currency, order_month
),
charged_back AS (
  SELECT order_id, currency, SUM(amount) AS amount
  FROM charge_facts
  WHERE amount < 0 AND charged_on <= @as_of
  GROUP BY order_id, currency
),
refunded_orders AS (
  SELECT order_id, currency
  FROM order_amounts
  WHERE is_counted AND ordered_on <= @as_of AND order_id IN (SELECT order_id FROM charged_back)
),
given_back AS (
  SELECT COALESCE(charged_back.currency, orders.currency) AS refund_currency, SUM(charged_back.amount) AS amount
  FROM charged_back
  JOIN refunded_orders AS orders ON orders.order_id = charged_back.order_id
  GROUP BY refund_currency
),
parts AS (
  SELECT
    currency,
    DATE_ADD(cohort_month, INTERVAL month_number MONTH) AS purchase_month,
    revenue AS triangle,
    0 AS entries,
    0 AS orders
  FROM ltv_cohorts
  UNION ALL
  SELECT currency, purchase_month, 0, amount, 0 FROM sold
  UNION ALL
  SELECT currency, order_month, 0, 0, amount FROM ordered
  UNION ALL
  SELECT currency, NULL, ltv, 0, 0 FROM ltv_cohorts WHERE is_open
  UNION ALL
  SELECT currency, NULL, 0, amount, 0 FROM sold
  UNION ALL
  SELECT refund_currency, NULL, 0, amount, 0 FROM refunded
  UNION ALL
  SELECT currency, NULL, 0, 0, amount FROM ordered
  UNION ALL
  SELECT refund_currency, NULL, 0, 0, amount FROM given_back
),
sums AS (
  SELECT
    currency,
    purchase_month,
    COALESCE(SUM(triangle), 0) AS triangle,
    COALESCE(SUM(entries), 0) AS entries,
    COALESCE(SUM(orders), 0) AS orders
  FROM parts
  GROUP BY currency, purchase_month
)
SELECT
  currency,
  purchase_month,
  triangle,
  entries,
  orders,
  triangle = entries AND entries = orders AS is_equal
FROM sums
ORDER BY currency, purchase_month
