-- ltv_cohorts_by_segment: ltv_cohorts cut by every segment: columns of orders (of the customer's first order), columns of
-- customers (as they are today), and `first product`: what most was paid for in the first order, of equals the first by
-- name. Each customer is in one value of each segment, so the values of a segment add up to ltv_cohorts. Who has no value
-- is in NULL; beyond the 250 values with most customers all others are one (`is_other`).
WITH sales AS (
  SELECT order_id, customer_id, currency, purchase_month, occurred_at, amount
  FROM ltv_entries
  WHERE kind = 'sale' AND purchase_date <= @as_of AND EXISTS (SELECT 1 FROM mapped_segments)
),
customer_months AS (
  SELECT
    customer_id, currency, purchase_month, COUNT(*) AS orders, SUM(amount) AS revenue, MIN(occurred_at) AS first_at
  FROM sales
  WHERE customer_id IS NOT NULL
  GROUP BY customer_id, currency, purchase_month
),
first_times AS (
  SELECT customer_id, MIN(first_at) AS first_at, MIN(purchase_month) AS cohort_month
  FROM customer_months
  GROUP BY customer_id
),
firsts AS (
  -- Of orders at the same moment the lowest id, as in order_first_purchase.
  SELECT first_times.customer_id, first_times.cohort_month, sales.order_id
  FROM first_times
  JOIN sales ON sales.customer_id = first_times.customer_id AND sales.occurred_at = first_times.first_at
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY first_times.customer_id
    ORDER BY
      COALESCE(CAST(SAFE_CAST(sales.order_id AS INT64) AS NUMERIC), SAFE_CAST(sales.order_id AS NUMERIC)),
      sales.order_id
  ) = 1
),
buyers AS (
  SELECT customer_id, order_id, cohort_month FROM firsts
  UNION ALL
  -- Each order of a guest is its own customer.
  SELECT NULL, order_id, purchase_month FROM sales WHERE customer_id IS NULL
),
order_products AS (
  SELECT buyers.order_id, items.product, COALESCE(SUM(items.amount), 0) AS amount
  FROM buyers
  JOIN item_facts AS items ON items.order_id = buyers.order_id
  GROUP BY buyers.order_id, items.product
),
first_products AS (
  SELECT order_id, product
  FROM order_products
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY amount DESC, product IS NULL, product) = 1
),
given AS (
  SELECT buyers.customer_id, buyers.order_id, segments.segment, segments.value
  FROM buyers
  JOIN order_segments AS segments ON segments.order_id = buyers.order_id
  UNION ALL
  SELECT buyers.customer_id, buyers.order_id, segments.segment, segments.value
  FROM buyers
  JOIN customer_segments AS segments ON segments.customer_id = buyers.customer_id
  UNION ALL
  SELECT buyers.customer_id, buyers.order_id, 'first product', first_products.product
  FROM buyers
  JOIN first_products ON first_products.order_id = buyers.order_id
),
named AS (
  -- A value is `=` and itself, so that none, which is the empty text, is equal to none.
  SELECT
    buyers.customer_id,
    buyers.order_id,
    buyers.cohort_month,
    segments.segment,
    COALESCE(CONCAT('=', given.value), '') AS value
  FROM buyers
  CROSS JOIN mapped_segments AS segments
  LEFT JOIN given ON given.order_id = buyers.order_id AND given.segment = segments.segment
),
largest AS (
  SELECT segment, value
  FROM (SELECT segment, value, COUNT(*) AS buyers FROM named GROUP BY segment, value) AS counted
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY segment ORDER BY buyers DESC, value) <= 250
),
members AS (
  SELECT
    named.customer_id,
    named.order_id,
    named.cohort_month,
    named.segment,
    COALESCE(largest.value, 'other') AS value
  FROM named
  LEFT JOIN largest ON largest.segment = named.segment AND largest.value = named.value
),
bought AS (
  SELECT
    members.segment,
    members.value,
    members.cohort_month,
    DATE_DIFF(customer_months.purchase_month, members.cohort_month, MONTH) AS month_number,
    customer_months.currency,
    FALSE AS is_guest,
    COUNT(*) AS active_customers,
    SUM(customer_months.orders) AS orders,
    SUM(customer_months.revenue) AS revenue
  FROM customer_months
  JOIN members ON members.customer_id = customer_months.customer_id
  GROUP BY segment, value, cohort_month, month_number, currency
  UNION ALL
  SELECT members.segment, members.value, members.cohort_month, 0, sales.currency, TRUE, COUNT(*), COUNT(*),
    SUM(sales.amount)
  FROM sales
  JOIN members ON members.order_id = sales.order_id
  WHERE sales.customer_id IS NULL
  GROUP BY members.segment, members.value, members.cohort_month, sales.currency
),
refunds AS (
  SELECT
    sales.customer_id,
    sales.order_id,
    COALESCE(entries.currency, sales.currency) AS currency,
    entries.purchase_month,
    entries.amount
  FROM ltv_entries AS entries
  JOIN sales ON sales.order_id = entries.order_id
  WHERE entries.kind = 'refund' AND entries.purchase_date <= @as_of
),
refunded AS (
  SELECT segment, value, cohort_month, month_number, currency, is_guest, SUM(amount) AS refunds
  FROM (
    SELECT
      members.segment,
      members.value,
      members.cohort_month,
      GREATEST(DATE_DIFF(refunds.purchase_month, members.cohort_month, MONTH), 0) AS month_number,
      refunds.currency,
      FALSE AS is_guest,
      refunds.amount
    FROM refunds
    JOIN members ON members.customer_id = refunds.customer_id
    UNION ALL
    SELECT
      members.segment,
      members.value,
      members.cohort_month,
      GREATEST(DATE_DIFF(refunds.purchase_month, members.cohort_month, MONTH), 0),
      refunds.currency,
      TRUE,
      refunds.amount
    FROM refunds
    JOIN members ON members.order_id = refunds.order_id
    WHERE refunds.customer_id IS NULL
  ) AS every_refund
  GROUP BY segment, value, cohort_month, month_number, currency, is_guest
),
customer_currencies AS (
  SELECT customer_id, currency FROM customer_months GROUP BY customer_id, currency
),
sizes AS (
  SELECT
    members.segment, members.value, members.cohort_month, customer_currencies.currency, FALSE AS is_guest,
    COUNT(*) AS customers
  FROM customer_currencies
  JOIN members ON members.customer_id = customer_currencies.customer_id
  GROUP BY segment, value, cohort_month, currency
  UNION ALL
  SELECT segment, value, cohort_month, currency, is_guest, active_customers FROM bought WHERE is_guest
  UNION ALL
  SELECT segment, value, cohort_month, currency, is_guest, 0 FROM refunded
),
cohorts AS (
  SELECT segment, value, cohort_month, currency, is_guest, CAST(SUM(customers) AS INT64) AS customers
  FROM sizes
  GROUP BY segment, value, cohort_month, currency, is_guest
),
spine AS (
  SELECT segment, value, cohort_month, currency, is_guest, customers, month_number
  FROM cohorts
  CROSS JOIN UNNEST(GENERATE_ARRAY(0, DATE_DIFF(DATE_TRUNC(@as_of, MONTH), cohort_month, MONTH))) AS month_number
),
cells AS (
  SELECT
    spine.segment,
    spine.value,
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
    ON bought.segment = spine.segment
    AND bought.value = spine.value
    AND bought.cohort_month = spine.cohort_month
    AND bought.month_number = spine.month_number
    AND bought.currency = spine.currency
    AND bought.is_guest = spine.is_guest
  LEFT JOIN refunded
    ON refunded.segment = spine.segment
    AND refunded.value = spine.value
    AND refunded.cohort_month = spine.cohort_month
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
    PARTITION BY segment, value, cohort_month, currency, is_guest ORDER BY month_number
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
)
SELECT
  segment,
  IF(STARTS_WITH(value, '='), SUBSTR(value, 2), NULL) AS value,
  value = 'other' AS is_other,
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
  IF(
    customers = 0, NULL, DIV(active_customers * 20000 + customers, 2 * customers) * CAST('0.0001' AS NUMERIC)
  ) AS retention,
  DATE_ADD(cohort_month, INTERVAL month_number MONTH) = DATE_TRUNC(@as_of, MONTH) AS is_open
FROM cumulated
