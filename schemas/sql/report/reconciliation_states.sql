-- reconciliation_states: payment_reconciliation by state: how many rows are in it (orders, and orphan charges), and
-- their money; an order that does not count is in `amount`, not in `due`. Age NULL: of any age. The others are days since
-- the order, or its charge; what has no date is in none of them.
WITH aged AS (
  SELECT
    currency,
    state,
    CASE
      WHEN age_days <= 7 THEN '0 to 7'
      WHEN age_days <= 30 THEN '8 to 30'
      WHEN age_days <= 90 THEN '31 to 90'
      WHEN age_days > 90 THEN 'over 90'
    END AS age,
    COUNT(*) AS orders,
    SUM(COALESCE(amount, 0)) AS amount,
    SUM(due) AS due,
    SUM(charged) AS charged,
    SUM(difference) AS difference
  FROM payment_reconciliation
  GROUP BY currency, state, age
),
ages AS (
  SELECT currency, state, age, orders, amount, due, charged, difference FROM aged WHERE age IS NOT NULL
  UNION ALL
  SELECT currency, state, NULL, SUM(orders), SUM(amount), SUM(due), SUM(charged), SUM(difference)
  FROM aged
  GROUP BY currency, state
)
SELECT currency, state, age, CAST(orders AS INT64) AS orders, amount, due, charged, difference
FROM ages
ORDER BY currency, state, age
