-- gross_to_net: from all orders to the net, by the month in which they were ordered or refunded; month NULL: all of it.
-- `not counted` is negative, as `refunds` are; `orders` are of which a step is made, never negative, and an order that
-- was refunded in two months is one of each. Every month from a currency's first to the open one has its five steps.
WITH not_counted AS (
  SELECT currency, DATE_TRUNC(ordered_on, MONTH) AS purchase_month, COUNT(*) AS orders, SUM(amount) AS amount
  FROM order_amounts
  WHERE NOT is_counted AND ordered_on <= @as_of
  GROUP BY currency, purchase_month
),
refunded_orders AS (
  SELECT currency, DATE_TRUNC(refund_date, MONTH) AS purchase_month, order_id, SUM(amount) AS amount
  FROM counted_refunds
  GROUP BY currency, purchase_month, order_id
),
refunded AS (
  SELECT currency, purchase_month, COUNT(*) AS orders, SUM(amount) AS amount
  FROM refunded_orders
  GROUP BY currency, purchase_month
),
parts AS (
  SELECT currency, purchase_month, 2 AS step, orders, COALESCE(amount, 0) AS amount FROM not_counted
  UNION ALL
  SELECT currency, purchase_month, 3, orders, COALESCE(revenue, 0) FROM ltv_monthly
  UNION ALL
  SELECT currency, purchase_month, 4, orders, COALESCE(amount, 0) FROM refunded
),
firsts AS (
  SELECT currency, MIN(purchase_month) AS first_month FROM parts GROUP BY currency
),
spine AS (
  SELECT currency, DATE_ADD(first_month, INTERVAL months MONTH) AS purchase_month
  FROM firsts
  CROSS JOIN UNNEST(GENERATE_ARRAY(0, DATE_DIFF(DATE_TRUNC(@as_of, MONTH), first_month, MONTH))) AS months
),
monthly AS (
  SELECT
    spine.currency,
    spine.purchase_month,
    SUM(IF(parts.step = 2, parts.amount, 0)) AS not_counted,
    SUM(IF(parts.step = 3, parts.amount, 0)) AS gross,
    SUM(IF(parts.step = 4, parts.amount, 0)) AS refunds,
    SUM(IF(parts.step = 2, parts.orders, 0)) AS not_counted_orders,
    SUM(IF(parts.step = 3, parts.orders, 0)) AS gross_orders,
    SUM(IF(parts.step = 4, parts.orders, 0)) AS refunded_orders
  FROM spine
  LEFT JOIN parts ON parts.currency = spine.currency AND parts.purchase_month = spine.purchase_month
  GROUP BY spine.currency, spine.purchase_month
),
ever_refunded AS (
  SELECT currency, COUNT(DISTINCT order_id) AS orders FROM refunded_orders GROUP BY currency
),
totals AS (
  SELECT
    monthly.currency,
    SUM(not_counted) AS not_counted,
    SUM(gross) AS gross,
    SUM(refunds) AS refunds,
    SUM(not_counted_orders) AS not_counted_orders,
    SUM(gross_orders) AS gross_orders,
    COALESCE(MAX(ever_refunded.orders), 0) AS refunded_orders
  FROM monthly
  LEFT JOIN ever_refunded ON ever_refunded.currency = monthly.currency
  GROUP BY monthly.currency
),
every AS (
  SELECT currency, purchase_month, not_counted, gross, refunds, not_counted_orders, gross_orders, refunded_orders
  FROM monthly
  UNION ALL
  SELECT currency, NULL, not_counted, gross, refunds, not_counted_orders, gross_orders, refunded_orders
  FROM totals
),
steps AS (
  SELECT currency, purchase_month, 1 AS step, 'ordered' AS name, gross + not_counted AS amount,
    gross_orders + not_counted_orders AS orders
  FROM every
  UNION ALL
  SELECT currency, purchase_month, 2, 'not counted', -not_counted, not_counted_orders FROM every
  UNION ALL
  SELECT currency, purchase_month, 3, 'gross', gross, gross_orders FROM every
  UNION ALL
  SELECT currency, purchase_month, 4, 'refunds', refunds, refunded_orders FROM every
  UNION ALL
  SELECT currency, purchase_month, 5, 'net', gross + refunds, gross_orders FROM every
)
SELECT currency, purchase_month, CAST(step AS INT64) AS step, name, amount, CAST(orders AS INT64) AS orders
FROM steps
ORDER BY currency, purchase_month, step
