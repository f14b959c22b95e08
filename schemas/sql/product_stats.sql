-- product_stats: what counted orders bought of each product, per currency. Each order of a guest is a customer of its own;
-- an item of a return (a negative quantity) takes off what it gives back.
WITH sales AS (
  SELECT order_id, customer_id, currency, purchase_date
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of
),
customer_products AS (
  SELECT
    items.product,
    sales.currency,
    sales.customer_id,
    IF(sales.customer_id IS NULL, sales.order_id, NULL) AS guest_order_id,
    SUM(items.quantity) AS quantity,
    SUM(items.amount) AS revenue,
    MIN(sales.purchase_date) AS first_sold_on
  FROM item_facts AS items
  JOIN sales ON sales.order_id = items.order_id
  GROUP BY product, currency, customer_id, guest_order_id
),
products AS (
  SELECT
    product,
    currency,
    COALESCE(SUM(quantity), 0) AS quantity,
    COALESCE(SUM(revenue), 0) AS revenue,
    COUNT(*) AS customers,
    MIN(first_sold_on) AS first_sold_on
  FROM customer_products
  GROUP BY product, currency
)
SELECT
  product,
  currency,
  quantity,
  revenue,
  -- Weighted by quantity. Divided as whole numbers, half away from zero at the fourth decimal: no float touches money.
  IF(
    quantity = 0,
    NULL,
    SIGN(revenue) * SIGN(quantity)
    * DIV(CAST(ABS(revenue) * 20000 + ABS(quantity) AS NUMERIC), CAST(ABS(quantity) * 2 AS NUMERIC))
    * CAST('0.0001' AS NUMERIC)
  ) AS average_price,
  customers,
  first_sold_on
FROM products
ORDER BY revenue DESC, product, currency
