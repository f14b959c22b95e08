-- cohort_changes: which cells of ltv_cohorts have other money than at the rollup before, and which orders moved it. A row
-- for each order and cell; `orders`, `revenue` and `refunds` are what was added, and add up to the change of the cell.
--   new        an order dated on the day of that rollup or later
--   late       an order of an earlier day that was not there, or did not count
--   moved      to another month, customer or currency
--   amount     another amount
--   cancelled  it does not count any more
--   deleted    it is gone
--   refunded   a refund came, went or changed
--   cohort     nothing of its own: the first order of its customer changed
-- Only customers of whom something was written since are looked at. What is written is stamped before it is seen, hence
-- the ten minutes. This table is made first: the tables of the rollup before are still there (`pipeline.facts`).
WITH previous AS (
  SELECT rollup.as_of, rollup.rolled_up_at, rollup.written_up_to, rollup.floors_mark <> marks.floors_mark AS is_floored
  FROM rollup_before AS rollup
  CROSS JOIN marks
  WHERE rollup.as_of <= @as_of AND (rollup.as_of < @as_of OR rollup.entries_mark <> marks.entries_mark)
),
written AS (
  SELECT entries.entry_id, entries.kind, entries.order_id
  FROM raw.ltv_entries AS entries
  CROSS JOIN previous
  WHERE previous.written_up_to IS NULL
    OR entries._written_at >= TIMESTAMP_SUB(previous.written_up_to, INTERVAL 10 MINUTE)
    OR (entries.purchase_date > previous.as_of AND entries.purchase_date <= @as_of)
),
touched_orders AS (
  SELECT order_id
  FROM (
    SELECT order_id FROM written
    UNION ALL
    SELECT refunds.order_id
    FROM refunds_before AS refunds
    JOIN written ON written.entry_id = refunds.entry_id
    UNION ALL
    -- A floor takes rows away of which nothing is written.
    SELECT orders.order_id FROM orders_before AS orders CROSS JOIN previous WHERE previous.is_floored
  ) AS touched
  GROUP BY order_id
),
sales AS (
  SELECT order_id, customer_id, purchase_month, purchase_date, currency, amount
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of AND EXISTS (SELECT 1 FROM previous)
),
touched_customers AS (
  SELECT customer_id
  FROM (
    SELECT customer_id FROM orders_before WHERE order_id IN (SELECT order_id FROM touched_orders)
    UNION ALL
    SELECT customer_id FROM sales WHERE order_id IN (SELECT order_id FROM touched_orders)
  ) AS touched
  WHERE customer_id IS NOT NULL
  GROUP BY customer_id
),
orders_then AS (
  SELECT order_id, customer_id, cohort_month, month_number, currency, amount
  FROM orders_before
  WHERE customer_id IN (SELECT customer_id FROM touched_customers)
  UNION ALL
  SELECT order_id, customer_id, cohort_month, month_number, currency, amount
  FROM orders_before
  WHERE customer_id IS NULL AND order_id IN (SELECT order_id FROM touched_orders)
),
sales_now AS (
  SELECT * FROM sales WHERE customer_id IN (SELECT customer_id FROM touched_customers)
  UNION ALL
  SELECT * FROM sales WHERE customer_id IS NULL AND order_id IN (SELECT order_id FROM touched_orders)
),
first_purchases AS (
  SELECT customer_id, MIN(purchase_month) AS cohort_month
  FROM sales_now
  WHERE customer_id IS NOT NULL
  GROUP BY customer_id
),
orders_now AS (
  SELECT sales_now.*, COALESCE(first_purchases.cohort_month, sales_now.purchase_month) AS cohort_month
  FROM sales_now
  LEFT JOIN first_purchases ON first_purchases.customer_id = sales_now.customer_id
),
pairs AS (
  SELECT
    COALESCE(latest.order_id, earlier.order_id) AS order_id,
    IF(latest.order_id IS NULL, earlier.customer_id, latest.customer_id) AS customer_id,
    earlier.order_id IS NOT NULL AS was_there,
    latest.order_id IS NOT NULL AS is_there,
    COALESCE(latest.customer_id, '') <> COALESCE(earlier.customer_id, '')
      OR latest.purchase_month <> DATE_ADD(earlier.cohort_month, INTERVAL earlier.month_number MONTH)
      OR latest.currency <> earlier.currency AS is_moved,
    latest.purchase_date,
    earlier.cohort_month AS cohort_then,
    latest.cohort_month AS cohort_now,
    earlier.month_number AS number_then,
    DATE_DIFF(latest.purchase_month, latest.cohort_month, MONTH) AS number_now,
    earlier.currency AS currency_then,
    latest.currency AS currency_now,
    earlier.customer_id IS NULL AS was_guest,
    latest.customer_id IS NULL AS is_guest,
    earlier.amount AS amount_then,
    latest.amount AS amount_now
  FROM orders_then AS earlier
  FULL JOIN orders_now AS latest ON latest.order_id = earlier.order_id
),
gone AS (
  SELECT order_id FROM pairs WHERE NOT is_there
),
still_dated AS (
  SELECT entries.order_id
  FROM ltv_entries AS entries
  JOIN gone ON gone.order_id = entries.order_id
  WHERE entries.kind = 'sale'
),
still_stored AS (
  SELECT order_amounts.order_id FROM order_amounts JOIN gone ON gone.order_id = order_amounts.order_id
),
reasons AS (
  SELECT
    pairs.*,
    CASE
      WHEN NOT was_there AND purchase_date >= previous.as_of THEN 'new'
      WHEN NOT was_there THEN 'late'
      WHEN still_dated.order_id IS NOT NULL THEN 'moved'
      WHEN still_stored.order_id IS NOT NULL THEN 'cancelled'
      WHEN NOT is_there THEN 'deleted'
      WHEN is_moved THEN 'moved'
      WHEN amount_then <> amount_now THEN 'amount'
      ELSE 'cohort'
    END AS reason
  FROM pairs
  CROSS JOIN previous
  LEFT JOIN still_dated ON still_dated.order_id = pairs.order_id
  LEFT JOIN still_stored ON still_stored.order_id = pairs.order_id
),
refunds_then AS (
  SELECT
    refunds.entry_id, refunds.order_id, refunds.refund_date, refunds.month_number, refunds.currency, refunds.amount
  FROM refunds_before AS refunds
  JOIN orders_then ON orders_then.order_id = refunds.order_id
),
refunds_now AS (
  SELECT
    entries.entry_id,
    entries.order_id,
    entries.purchase_month,
    COALESCE(entries.currency, orders_now.currency) AS currency,
    entries.amount,
    GREATEST(DATE_DIFF(entries.purchase_month, orders_now.cohort_month, MONTH), 0) AS month_number
  FROM ltv_entries AS entries
  JOIN orders_now ON orders_now.order_id = entries.order_id
  WHERE entries.kind = 'refund' AND entries.purchase_date <= @as_of
),
refund_pairs AS (
  SELECT
    COALESCE(latest.order_id, earlier.order_id) AS order_id,
    earlier.entry_id IS NULL OR latest.entry_id IS NULL OR earlier.amount <> latest.amount
      OR DATE_TRUNC(earlier.refund_date, MONTH) <> latest.purchase_month AS is_changed,
    earlier.month_number AS number_then,
    latest.month_number AS number_now,
    earlier.currency AS currency_then,
    latest.currency AS currency_now,
    earlier.amount AS amount_then,
    latest.amount AS amount_now
  FROM refunds_then AS earlier
  FULL JOIN refunds_now AS latest ON latest.entry_id = earlier.entry_id AND latest.order_id = earlier.order_id
),
refund_reasons AS (
  SELECT
    refund_pairs.*,
    reasons.customer_id,
    reasons.cohort_then,
    reasons.cohort_now,
    reasons.was_guest,
    reasons.is_guest,
    IF(
      was_there AND is_there
        AND (is_changed OR (reason <> 'moved' AND refund_pairs.currency_then <> refund_pairs.currency_now)),
      'refunded',
      reason
    ) AS reason
  FROM refund_pairs
  JOIN reasons ON reasons.order_id = refund_pairs.order_id
),
moves AS (
  SELECT cohort_then AS cohort_month, number_then AS month_number, currency_then AS currency, was_guest AS is_guest,
    order_id, customer_id, reason, -1 AS orders, -amount_then AS revenue, CAST(0 AS NUMERIC) AS refunds
  FROM reasons
  WHERE was_there
  UNION ALL
  SELECT cohort_now, number_now, currency_now, is_guest, order_id, customer_id, reason, 1, amount_now, 0
  FROM reasons
  WHERE is_there
  UNION ALL
  SELECT cohort_then, number_then, currency_then, was_guest, order_id, customer_id, reason, 0, 0, -amount_then
  FROM refund_reasons
  WHERE amount_then IS NOT NULL
  UNION ALL
  SELECT cohort_now, number_now, currency_now, is_guest, order_id, customer_id, reason, 0, 0, amount_now
  FROM refund_reasons
  WHERE amount_now IS NOT NULL
),
changes AS (
  SELECT
    cohort_month, month_number, currency, is_guest, order_id, customer_id, reason,
    CAST(SUM(orders) AS INT64) AS orders,
    SUM(revenue) AS revenue,
    SUM(refunds) AS refunds
  FROM moves
  GROUP BY cohort_month, month_number, currency, is_guest, order_id, customer_id, reason
)
SELECT
  changes.*,
  DATE_ADD(cohort_month, INTERVAL month_number MONTH) >= DATE_TRUNC(previous.as_of, MONTH) AS was_open,
  previous.as_of AS since_as_of,
  previous.rolled_up_at AS since
FROM changes
CROSS JOIN previous
WHERE orders <> 0 OR revenue <> 0 OR refunds <> 0
ORDER BY cohort_month, month_number, currency, is_guest, order_id, reason
