-- product_top_country: the country in which each product sold most, by quantity over all currencies, in counted orders;
-- all of them where several are equal. The country NULL stands for orders that name none.
WITH sales AS (
  SELECT order_id, country
  FROM order_facts
  WHERE is_counted AND ordered_on <= @as_of
),
product_countries AS (
  SELECT items.product, sales.country, COALESCE(SUM(items.quantity), 0) AS quantity
  FROM item_facts AS items
  JOIN sales ON sales.order_id = items.order_id
  GROUP BY product, country
)
SELECT product, country, quantity
FROM product_countries
WHERE TRUE
QUALIFY RANK() OVER (PARTITION BY product ORDER BY quantity DESC) = 1
ORDER BY product, country
