-- ltv_triangle: ltv_cohorts with everything that a page shows of a cell; and of the 20 values of each segment that have
-- most customers (over all cohorts and currencies) ltv_cohorts_by_segment, too. Segment NULL: all customers. `net` is
-- of one month, as `revenue` is; `…_of_first` is by the same of month 0, `orders_per_customer` by who bought in the
-- month.
WITH sizes AS (
  SELECT segment, value, is_other, SUM(customers) AS customers
  FROM ltv_cohorts_by_segment
  WHERE month_number = 0
  GROUP BY segment, value, is_other
),
largest AS (
  SELECT segment, COALESCE(CONCAT('=', value), '') AS name, is_other
  FROM sizes
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY segment ORDER BY customers DESC, value, is_other) <= 20
),
cells AS (
  SELECT
    CAST(NULL AS STRING) AS segment, CAST(NULL AS STRING) AS value, FALSE AS is_other, cohort_month, month_number,
    currency, is_guest, customers, is_open, active_customers, orders, revenue, refunds, ltv, ltv_gross,
    ltv_per_customer, ltv_gross_per_customer, retention
  FROM ltv_cohorts
  UNION ALL
  SELECT
    cut.segment, cut.value, cut.is_other, cut.cohort_month, cut.month_number,
    cut.currency, cut.is_guest, cut.customers, cut.is_open, cut.active_customers, cut.orders, cut.revenue, cut.refunds,
    cut.ltv, cut.ltv_gross, cut.ltv_per_customer, cut.ltv_gross_per_customer, cut.retention
  FROM ltv_cohorts_by_segment AS cut
  JOIN largest
    ON largest.segment = cut.segment
    AND largest.name = COALESCE(CONCAT('=', cut.value), '')
    AND largest.is_other = cut.is_other
),
firsts AS (
  SELECT
    *,
    FIRST_VALUE(revenue) OVER cohort AS revenue_then,
    FIRST_VALUE(ltv) OVER cohort AS net_then
  FROM cells
  WINDOW cohort AS (PARTITION BY segment, value, is_other, cohort_month, currency, is_guest ORDER BY month_number)
),
divisors AS (
  -- What is divided by nothing is NULL; so is what is compared with a first month that gave nothing, or less.
  SELECT
    *,
    revenue + refunds AS net,
    NULLIF(customers, 0) AS size,
    NULLIF(active_customers, 0) AS active,
    NULLIF(orders, 0) AS bought,
    IF(revenue_then > 0, revenue_then, NULL) AS first_revenue,
    IF(net_then > 0, net_then, NULL) AS first_net
  FROM firsts
)
SELECT
  segment,
  value,
  is_other,
  cohort_month,
  month_number,
  currency,
  is_guest,
  customers,
  is_open,
  active_customers,
  orders,
  revenue,
  refunds,
  net,
  ltv,
  ltv_gross,
  -- Divided as whole numbers, half away from zero at the fourth decimal: no float touches money.
  SIGN(revenue) * DIV(CAST(ABS(revenue) * 20000 + size AS NUMERIC), CAST(2 * size AS INT64))
    * CAST('0.0001' AS NUMERIC) AS revenue_per_customer,
  SIGN(net) * DIV(CAST(ABS(net) * 20000 + size AS NUMERIC), CAST(2 * size AS INT64))
    * CAST('0.0001' AS NUMERIC) AS net_per_customer,
  ltv_per_customer,
  ltv_gross_per_customer,
  SIGN(revenue) * DIV(CAST(ABS(revenue) * 20000 + first_revenue AS NUMERIC), CAST(first_revenue * 2 AS NUMERIC))
    * CAST('0.0001' AS NUMERIC) AS revenue_of_first,
  SIGN(net) * DIV(CAST(ABS(net) * 20000 + first_net AS NUMERIC), CAST(first_net * 2 AS NUMERIC))
    * CAST('0.0001' AS NUMERIC) AS net_of_first,
  SIGN(ltv) * DIV(CAST(ABS(ltv) * 20000 + first_net AS NUMERIC), CAST(first_net * 2 AS NUMERIC))
    * CAST('0.0001' AS NUMERIC) AS ltv_of_first,
  SIGN(ltv_gross) * DIV(CAST(ABS(ltv_gross) * 20000 + first_revenue AS NUMERIC), CAST(first_revenue * 2 AS NUMERIC))
    * CAST('0.0001' AS NUMERIC) AS ltv_gross_of_first,
  retention,
  DIV(orders * 20000 + active, 2 * active) * CAST('0.0001' AS NUMERIC) AS orders_per_customer,
  SIGN(revenue) * DIV(CAST(ABS(revenue) * 20000 + bought AS NUMERIC), CAST(2 * bought AS INT64))
    * CAST('0.0001' AS NUMERIC) AS basket
FROM divisors
ORDER BY segment, value, is_other, currency, is_guest, cohort_month, month_number
