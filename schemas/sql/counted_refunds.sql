-- counted_refunds: every refund that ltv_cohorts counts, and the cell that it is in.
WITH given_back AS (
  SELECT entry_id, order_id, occurred_at, purchase_date, purchase_month, currency, amount
  FROM ltv_entries
  WHERE kind = 'refund' AND purchase_date <= @as_of
),
sales AS (
  SELECT order_id, customer_id, currency, purchase_month
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of
),
refunded_sales AS (
  SELECT * FROM sales WHERE order_id IN (SELECT order_id FROM given_back)
),
refunds AS (
  SELECT
    given_back.entry_id,
    given_back.order_id,
    sales.customer_id,
    sales.purchase_month AS sale_month,
    given_back.occurred_at AS refunded_at,
    given_back.purchase_date AS refund_date,
    given_back.purchase_month AS refund_month,
    COALESCE(given_back.currency, sales.currency) AS currency,
    given_back.amount
  FROM given_back
  JOIN refunded_sales AS sales ON sales.order_id = given_back.order_id
),
first_purchases AS (
  SELECT customer_id, MIN(purchase_month) AS cohort_month
  FROM sales
  WHERE customer_id IN (SELECT customer_id FROM refunds)
  GROUP BY customer_id
),
dated AS (
  SELECT refunds.*, COALESCE(first_purchases.cohort_month, refunds.sale_month) AS cohort_month
  FROM refunds
  LEFT JOIN first_purchases ON first_purchases.customer_id = refunds.customer_id
)
SELECT
  entry_id,
  order_id,
  customer_id,
  refunded_at,
  refund_date,
  cohort_month,
  GREATEST(DATE_DIFF(refund_month, cohort_month, MONTH), 0) AS month_number,
  currency,
  amount
FROM dated
