-- order_first_purchase: for every counted order, when its customer bought first, and the months since. A guest's order is
-- its own first. The first order is the lowest (ordered_at, id); ids that are numbers are compared as numbers.
WITH sales AS (
  SELECT
    order_id,
    customer_id,
    IF(customer_id IS NULL, CONCAT('order ', order_id), CONCAT('customer ', customer_id)) AS buyer,
    occurred_at,
    purchase_month
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of
),
placed AS (
  SELECT
    *,
    FIRST_VALUE(order_id) OVER orders AS first_order_id,
    FIRST_VALUE(occurred_at) OVER orders AS first_ordered_at,
    MIN(purchase_month) OVER (PARTITION BY buyer) AS cohort_month
  FROM sales
  WINDOW orders AS (PARTITION BY buyer ORDER BY occurred_at, SAFE_CAST(order_id AS NUMERIC), order_id)
)
SELECT
  order_id,
  occurred_at AS ordered_at,
  customer_id,
  first_order_id,
  first_ordered_at,
  cohort_month,
  DATE_DIFF(purchase_month, cohort_month, MONTH) AS month_number
FROM placed
ORDER BY ordered_at, order_id
