-- counted_refunds: every refund that ltv_cohorts counts, and the cell that it is in.
WITH sales AS (
  SELECT order_id, customer_id, currency, purchase_month
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of
),
refunds AS (
  SELECT
    entries.entry_id,
    entries.order_id,
    sales.customer_id,
    sales.purchase_month AS sale_month,
    entries.occurred_at AS refunded_at,
    entries.purchase_date AS refund_date,
    entries.purchase_month AS refund_month,
    COALESCE(entries.currency, sales.currency) AS currency,
    entries.amount
  FROM ltv_entries AS entries
  JOIN sales ON sales.order_id = entries.order_id
  WHERE entries.kind = 'refund' AND entries.purchase_date <= @as_of
),
refunded_customers AS (
  SELECT customer_id FROM refunds WHERE customer_id IS NOT NULL GROUP BY customer_id
),
first_purchases AS (
  SELECT sales.customer_id, MIN(sales.purchase_month) AS cohort_month
  FROM sales
  JOIN refunded_customers ON refunded_customers.customer_id = sales.customer_id
  GROUP BY sales.customer_id
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
