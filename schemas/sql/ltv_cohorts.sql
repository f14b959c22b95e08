-- ltv_cohorts: what the customers of each cohort month have spent up to each month number, cumulated; guests apart.
-- The cohort month is the MIN over the customer's live sale entries, so a late, moved, cancelled or deleted first order
-- puts every number right by itself. Customers are grouped by month once; all else counts these groups.
WITH customer_months AS (
  SELECT customer_id, currency, purchase_month, COUNT(*) AS orders, SUM(amount) AS revenue
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of AND customer_id IS NOT NULL
  GROUP BY customer_id, currency, purchase_month
),
customer_currencies AS (
  SELECT customer_id, currency, MIN(purchase_month) AS first_month
  FROM customer_months
  GROUP BY customer_id, currency
),
first_purchases AS (
  SELECT customer_id, MIN(first_month) AS cohort_month
  FROM customer_currencies
  GROUP BY customer_id
),
bought AS (
  SELECT
    first_purchases.cohort_month,
    DATE_DIFF(customer_months.purchase_month, first_purchases.cohort_month, MONTH) AS month_number,
    customer_months.currency,
    FALSE AS is_guest,
    COUNT(*) AS active_customers,
    SUM(customer_months.orders) AS orders,
    SUM(customer_months.revenue) AS revenue
  FROM customer_months
  JOIN first_purchases ON first_purchases.customer_id = customer_months.customer_id
  GROUP BY cohort_month, month_number, currency
  UNION ALL
  -- Each order of a guest is its own customer.
  SELECT purchase_month, 0, currency, TRUE, COUNT(*), COUNT(*), SUM(amount)
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of AND customer_id IS NULL
  GROUP BY purchase_month, currency
),
given_back AS (
  SELECT order_id, currency, purchase_month, amount
  FROM ltv_entries
  WHERE kind = 'refund' AND purchase_date <= @as_of
),
refunded_sales AS (
  SELECT order_id, customer_id, currency, purchase_month
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of AND order_id IN (SELECT order_id FROM given_back)
),
refunds AS (
  -- A refund counts if its order has a live sale entry, in the month it happens; customer and guest flag are its order's.
  SELECT
    COALESCE(first_purchases.cohort_month, sales.purchase_month) AS cohort_month,
    COALESCE(entries.currency, sales.currency) AS currency,
    sales.customer_id IS NULL AS is_guest,
    entries.purchase_month,
    entries.amount
  FROM given_back AS entries
  JOIN refunded_sales AS sales ON sales.order_id = entries.order_id
  LEFT JOIN first_purchases ON first_purchases.customer_id = sales.customer_id
),
refunded AS (
  SELECT
    cohort_month,
    -- One dated before the cohort month (its first order moved or went) belongs to month 0.
    GREATEST(DATE_DIFF(purchase_month, cohort_month, MONTH), 0) AS month_number,
    currency,
    is_guest,
    SUM(amount) AS refunds
  FROM refunds
  GROUP BY cohort_month, month_number, currency, is_guest
),
sizes AS (
  SELECT first_purchases.cohort_month, customer_currencies.currency, FALSE AS is_guest, COUNT(*) AS customers
  FROM customer_currencies
  JOIN first_purchases ON first_purchases.customer_id = customer_currencies.customer_id
  GROUP BY cohort_month, currency
  UNION ALL
  SELECT cohort_month, currency, is_guest, active_customers FROM bought WHERE is_guest
  UNION ALL
  -- Of a currency in which nobody of the cohort bought, but something was refunded.
  SELECT cohort_month, currency, is_guest, 0 FROM refunded
),
cohorts AS (
  SELECT cohort_month, currency, is_guest, CAST(SUM(customers) AS INT64) AS customers
  FROM sizes
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
    COALESCE(bought.active_customers, 0) AS active_customers,
    CAST(COALESCE(bought.orders, 0) AS INT64) AS orders,
    COALESCE(bought.revenue, 0) AS revenue,
    COALESCE(refunded.refunds, 0) AS refunds
  FROM spine
  LEFT JOIN bought
    ON bought.cohort_month = spine.cohort_month
    AND bought.month_number = spine.month_number
    AND bought.currency = spine.currency
    AND bought.is_guest = spine.is_guest
  LEFT JOIN refunded
    ON refunded.cohort_month = spine.cohort_month
    AND refunded.month_number = spine.month_number
    AND refunded.currency = spine.currency
    AND refunded.is_guest = spine.is_guest
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
    SIGN(ltv) * DIV(CAST(ABS(ltv) * 20000 + customers AS NUMERIC), CAST(2 * customers AS INT64))
    * CAST('0.0001' AS NUMERIC)
  ) AS ltv_per_customer,
  IF(
    customers = 0,
    NULL,
    SIGN(ltv_gross) * DIV(CAST(ABS(ltv_gross) * 20000 + customers AS NUMERIC), CAST(2 * customers AS INT64))
    * CAST('0.0001' AS NUMERIC)
  ) AS ltv_gross_per_customer,
  -- The share of the cohort that bought in the month.
  IF(
    customers = 0, NULL, DIV(active_customers * 20000 + customers, 2 * customers) * CAST('0.0001' AS NUMERIC)
  ) AS retention,
  DATE_ADD(cohort_month, INTERVAL month_number MONTH) = DATE_TRUNC(@as_of, MONTH) AS is_open
FROM cumulated
ORDER BY cohort_month, currency, is_guest, month_number
