-- order_first_purchase: for every counted order, when its customer bought first, and the months since. A guest's order is
-- its own first. The first order is the lowest (ordered_at, id); ids that are numbers are compared as numbers. Joins of
-- aggregates take less memory than windows over all orders.
WITH sales AS (
  SELECT order_id, customer_id, occurred_at, purchase_month, currency, amount
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of
),
first_times AS (
  SELECT customer_id, MIN(occurred_at) AS first_ordered_at, MIN(purchase_month) AS cohort_month
  FROM sales
  WHERE customer_id IS NOT NULL
  GROUP BY customer_id
),
first_orders AS (
  SELECT
    first_times.customer_id,
    first_times.first_ordered_at,
    first_times.cohort_month,
    sales.order_id AS first_order_id
  FROM first_times
  JOIN sales
    ON sales.customer_id = first_times.customer_id AND sales.occurred_at = first_times.first_ordered_at
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY first_times.customer_id
    -- DuckDB casts a text to NUMERIC 200 times as slowly as to INT64.
    ORDER BY
      COALESCE(CAST(SAFE_CAST(sales.order_id AS INT64) AS NUMERIC), SAFE_CAST(sales.order_id AS NUMERIC)),
      sales.order_id
  ) = 1
)
SELECT
  sales.order_id,
  sales.occurred_at AS ordered_at,
  sales.customer_id,
  COALESCE(first_orders.first_order_id, sales.order_id) AS first_order_id,
  COALESCE(first_orders.first_ordered_at, sales.occurred_at) AS first_ordered_at,
  COALESCE(first_orders.cohort_month, sales.purchase_month) AS cohort_month,
  DATE_DIFF(sales.purchase_month, COALESCE(first_orders.cohort_month, sales.purchase_month), MONTH) AS month_number,
  sales.currency,
  sales.amount
FROM sales
LEFT JOIN first_orders ON first_orders.customer_id = sales.customer_id
