-- adds_up: the same money counted three times: in the triangle (ltv_cohorts), in the ltv entries, and in the stored
-- orders and charges. Month NULL: all of it, net of refunds. Of a month: what was ordered in it, gross. Orders are read
-- once, beside what was given back of each: a row for each of its currencies, of which the first brings the order along.
-- The amount of an order is that of its ltv entry; a stored order that has none is in no sum, so those are counted.
WITH refunds AS (
  SELECT
    order_id,
    currency,
    SUM(amount) AS amount,
    ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY currency) = 1 AS is_first
  FROM ltv_entries
  WHERE kind = 'refund' AND purchase_date <= @as_of
  GROUP BY order_id, currency
),
sold AS (
  SELECT
    sales.currency,
    sales.purchase_month,
    COALESCE(refunds.currency, sales.currency) AS refund_currency,
    SUM(IF(COALESCE(refunds.is_first, TRUE), sales.amount, 0)) AS amount,
    SUM(refunds.amount) AS refunded
  FROM ltv_entries AS sales
  LEFT JOIN refunds ON refunds.order_id = sales.order_id
  WHERE sales.kind = 'sale' AND sales.purchase_date <= @as_of
  GROUP BY sales.currency, sales.purchase_month, refund_currency
),
given_back AS (
  SELECT
    order_id,
    currency,
    SUM(amount) AS amount,
    ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY currency) = 1 AS is_first
  FROM charge_facts
  WHERE amount < 0 AND charged_on <= @as_of
  GROUP BY order_id, currency
),
every_order AS (
  SELECT
    orders.is_counted,
    orders.currency,
    orders.ordered_on,
    COALESCE(given_back.currency, orders.currency) AS refund_currency,
    SUM(IF(COALESCE(given_back.is_first, TRUE), orders.amount, 0)) AS amount,
    SUM(given_back.amount) AS refunded,
    COUNTIF(COALESCE(given_back.is_first, TRUE)) AS orders
  FROM order_facts AS orders
  LEFT JOIN given_back ON given_back.order_id = orders.order_id
  GROUP BY orders.is_counted, orders.currency, orders.ordered_on, refund_currency
),
ordered AS (
  SELECT currency, ordered_on, refund_currency, amount, refunded
  FROM every_order
  WHERE is_counted AND ordered_on <= @as_of
),
stored AS (
  SELECT COUNT(*) AS orders FROM stored_orders
),
lost AS (
  SELECT CAST(stored.orders - COALESCE(SUM(every_order.orders), 0) AS INT64) AS orders
  FROM stored
  LEFT JOIN every_order ON TRUE
  GROUP BY stored.orders
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
  SELECT currency, DATE_TRUNC(ordered_on, MONTH), 0, 0, amount FROM ordered
  UNION ALL
  SELECT currency, NULL, ltv, 0, 0 FROM ltv_cohorts WHERE is_open
  UNION ALL
  SELECT currency, NULL, 0, amount, 0 FROM sold
  UNION ALL
  SELECT refund_currency, NULL, 0, refunded, 0 FROM sold WHERE refunded IS NOT NULL
  UNION ALL
  SELECT currency, NULL, 0, 0, amount FROM ordered
  UNION ALL
  SELECT refund_currency, NULL, 0, 0, refunded FROM ordered WHERE refunded IS NOT NULL
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
  sums.currency,
  sums.purchase_month,
  sums.triangle,
  sums.entries,
  sums.orders,
  IF(sums.purchase_month IS NULL, lost.orders, 0) AS orders_without_entry,
  sums.triangle = sums.entries AND sums.entries = sums.orders
    AND (sums.purchase_month IS NOT NULL OR lost.orders = 0) AS is_equal
FROM sums
CROSS JOIN lost
ORDER BY currency, purchase_month
