-- payment_reconciliation: every order beside its charges, and every charge without an order; nothing where no charges are
-- mapped. An order that does not count owes nothing. `difference` is what is due less what was charged. Its states:
--   matched            exactly what is due was charged
--   explained          it was paid in full, and what is missing was given back as a refund
--   unpaid             there is no charge at all
--   underpaid          too little was paid, or more given back than paid
--   overpaid           too much was paid
--   currency mismatch  a charge is in another currency than its order: it is not added up with the others
--   orphan charge      its order is not there; a row of its own
WITH orders AS (
  SELECT order_id, ordered_on, currency, status, is_counted, amount, IF(is_counted, amount, 0) AS due
  FROM order_facts
  WHERE EXISTS (SELECT 1 FROM mapped_roles WHERE role = 'charges')
),
charges AS (
  SELECT charge_id, order_id, charged_on, amount, currency
  FROM charge_facts
  WHERE (charged_on <= @as_of OR charged_on IS NULL)
    AND EXISTS (SELECT 1 FROM mapped_roles WHERE role = 'charges')
),
charge_sums AS (
  SELECT
    order_id,
    currency,
    SUM(IF(amount > 0, amount, 0)) AS paid,
    SUM(IF(amount < 0, amount, 0)) AS refunded,
    COUNT(*) AS charges,
    MAX(charged_on) AS last_charged_on
  FROM charges
  GROUP BY order_id, currency
),
order_sums AS (
  SELECT
    charge_sums.order_id,
    SUM(IF(COALESCE(charge_sums.currency, orders.currency) = orders.currency, paid, 0)) AS paid,
    SUM(IF(COALESCE(charge_sums.currency, orders.currency) = orders.currency, refunded, 0)) AS refunded,
    SUM(charges) AS charges,
    SUM(IF(COALESCE(charge_sums.currency, orders.currency) = orders.currency, 0, charges)) AS other_currency_charges,
    MAX(last_charged_on) AS last_charged_on
  FROM charge_sums
  JOIN orders ON orders.order_id = charge_sums.order_id
  GROUP BY charge_sums.order_id
),
reconciled AS (
  SELECT
    orders.order_id,
    CAST(NULL AS STRING) AS charge_id,
    orders.ordered_on,
    orders.currency,
    orders.status,
    orders.is_counted,
    orders.amount,
    orders.due,
    COALESCE(order_sums.paid, 0) AS paid,
    COALESCE(order_sums.refunded, 0) AS refunded,
    COALESCE(order_sums.charges, 0) AS charges,
    COALESCE(order_sums.other_currency_charges, 0) AS other_currency_charges,
    order_sums.last_charged_on
  FROM orders
  LEFT JOIN order_sums ON order_sums.order_id = orders.order_id
  WHERE orders.ordered_on <= @as_of OR orders.ordered_on IS NULL
  UNION ALL
  SELECT
    charges.order_id,
    charges.charge_id,
    NULL,
    charges.currency,
    NULL,
    NULL,
    NULL,
    0,
    IF(charges.amount > 0, charges.amount, 0),
    IF(charges.amount < 0, charges.amount, 0),
    1,
    0,
    charges.charged_on
  FROM charges
  LEFT JOIN orders ON orders.order_id = charges.order_id
  WHERE orders.order_id IS NULL
),
differences AS (
  SELECT *, paid + refunded AS charged, due - paid - refunded AS difference
  FROM reconciled
)
SELECT
  order_id,
  charge_id,
  ordered_on,
  currency,
  status,
  is_counted,
  amount,
  due,
  paid,
  refunded,
  charged,
  CAST(charges AS INT64) AS charges,
  CAST(other_currency_charges AS INT64) AS other_currency_charges,
  last_charged_on,
  difference,
  -- Of the order's amount, half away from zero at the second decimal, divided as whole numbers.
  CASE
    WHEN COALESCE(amount, 0) = 0 THEN NULL
    WHEN difference = 0 THEN 0
    WHEN difference = amount THEN 100
    ELSE SIGN(difference)
      * DIV(CAST(ABS(difference) * 20000 + ABS(amount) AS NUMERIC), CAST(ABS(amount) * 2 AS NUMERIC))
      * CAST('0.01' AS NUMERIC)
  END AS difference_pct,
  CASE
    WHEN charge_id IS NOT NULL THEN 'orphan charge'
    WHEN other_currency_charges > 0 THEN 'currency mismatch'
    WHEN difference = 0 THEN 'matched'
    WHEN charges = 0 THEN 'unpaid'
    WHEN paid = due AND refunded < 0 AND charged >= 0 THEN 'explained'
    WHEN difference > 0 THEN 'underpaid'
    ELSE 'overpaid'
  END AS state,
  DATE_DIFF(@as_of, COALESCE(ordered_on, last_charged_on), DAY) AS age_days
FROM differences
