-- ltv_cohorts: what the customers of each cohort month have spent up to each month number, cumulated; guests apart.
-- The cohort month is the MIN over the customer's live sale entries, so a late, moved, cancelled or deleted first order
-- puts every number right by itself.
WITH sales AS (
  SELECT
    order_id,
    customer_id IS NULL AS is_guest,
    IF(customer_id IS NULL, CONCAT('order ', order_id), CONCAT('customer ', customer_id)) AS buyer,
    currency,
    purchase_month,
    amount
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of
),
first_purchases AS (
  SELECT buyer, MIN(purchase_month) AS cohort_month
  FROM sales
  GROUP BY buyer
),
refunds AS (
  -- A refund counts if its order has a live sale entry, in the month it happens; customer and guest flag are its order's.
  SELECT
    sales.buyer,
    sales.is_guest,
    COALESCE(entries.currency, sales.currency) AS currency,
    entries.purchase_month,
    entries.amount
  FROM ltv_entries AS entries
  JOIN sales ON sales.order_id = entries.order_id
  WHERE entries.kind = 'refund' AND entries.purchase_date <= @as_of
),
money AS (
  SELECT buyer, is_guest, currency, purchase_month, amount AS revenue, amount - amount AS refund, 1 AS orders FROM sales
  UNION ALL
  SELECT buyer, is_guest, currency, purchase_month, amount - amount, amount, 0 FROM refunds
),
activity AS (
  SELECT
    first_purchases.cohort_month,
    -- A refund dated before the cohort month (its first order moved or went) belongs to month 0.
    GREATEST(DATE_DIFF(money.purchase_month, first_purchases.cohort_month, MONTH), 0) AS month_number,
    money.currency,
    money.is_guest,
    COUNT(DISTINCT IF(money.orders = 1, money.buyer, NULL)) AS active_customers,
    CAST(SUM(money.orders) AS INT64) AS orders,
    SUM(money.revenue) AS revenue,
    SUM(money.refund) AS refunds
  FROM money
  JOIN first_purchases ON first_purchases.buyer = money.buyer
  GROUP BY cohort_month, month_number, currency, is_guest
),
cohorts AS (
  SELECT
    first_purchases.cohort_month,
    money.currency,
    money.is_guest,
    COUNT(DISTINCT IF(money.orders = 1, money.buyer, NULL)) AS customers
  FROM money
  JOIN first_purchases ON first_purchases.buyer = money.buyer
  GROUP BY cohort_month, currency, is_guest
),
spine AS (
  -- Every month from the cohort's to that of as_of, whether anything was bought in it or not.
  SELECT cohort_month, currency, is_guest, customers, month_number
  FROM cohorts
  CROSS JOIN UNNEST(GENERATE_ARRAY(0, DATE_DIFF(DATE_TRUNC(@as_of, MONTH), cohort_month, MONTH))) AS month_number
),
cells AS (
  SELECT
    spine.cohort_month,
    spine.month_number,
    spine.currency,
    spine.is_guest,
    spine.customers,
    COALESCE(activity.active_customers, 0) AS active_customers,
    COALESCE(activity.orders, 0) AS orders,
    COALESCE(activity.revenue, 0) AS revenue,
    COALESCE(activity.refunds, 0) AS refunds
  FROM spine
  LEFT JOIN activity
    ON activity.cohort_month = spine.cohort_month
    AND activity.month_number = spine.month_number
    AND activity.currency = spine.currency
    AND activity.is_guest = spine.is_guest
),
cumulated AS (
  SELECT
    *,
    SUM(revenue + refunds) OVER months AS ltv,
    SUM(revenue) OVER months AS ltv_gross
  FROM cells
  WINDOW months AS (
    PARTITION BY cohort_month, currency, is_guest ORDER BY month_number
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
)
SELECT
  cohort_month,
  month_number,
  currency,
  is_guest,
  customers,
  active_customers,
  orders,
  revenue,
  refunds,
  ltv,
  ltv_gross,
  -- Divided as integers of a ten-thousandth, half away from zero: no float touches money.
  IF(
    customers = 0,
    NULL,
    SIGN(ltv) * DIV(CAST(ABS(ltv) * 20000 AS INT64) + customers, 2 * customers) * CAST('0.0001' AS NUMERIC)
  ) AS ltv_per_customer,
  DATE_ADD(cohort_month, INTERVAL month_number MONTH) = DATE_TRUNC(@as_of, MONTH) AS is_open
FROM cumulated
ORDER BY cohort_month, currency, is_guest, month_number
