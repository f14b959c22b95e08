-- ltv_averages: what a cohort has spent by each month number, on average over the cohorts that have completed that
-- month: a cell that is open is not eligible yet. Sums are divided by sums, so each cohort weighs as much as it has
-- customers. Segment NULL: all customers; else of every value of each segment.
WITH cells AS (
  SELECT
    CAST(NULL AS STRING) AS segment, CAST(NULL AS STRING) AS value, FALSE AS is_other, cohort_month, month_number,
    currency, is_guest, customers, is_open, active_customers, orders, revenue, refunds, ltv, ltv_gross
  FROM ltv_cohorts
  UNION ALL
  SELECT
    segment, value, is_other, cohort_month, month_number,
    currency, is_guest, customers, is_open, active_customers, orders, revenue, refunds, ltv, ltv_gross
  FROM ltv_cohorts_by_segment
),
sums AS (
  SELECT
    segment,
    value,
    is_other,
    currency,
    is_guest,
    month_number,
    COUNT(*) AS cohorts,
    CAST(SUM(customers) AS INT64) AS customers,
    CAST(SUM(active_customers) AS INT64) AS active_customers,
    CAST(SUM(orders) AS INT64) AS orders,
    SUM(revenue) AS revenue,
    SUM(revenue + refunds) AS net,
    SUM(ltv) AS ltv,
    SUM(ltv_gross) AS ltv_gross,
    MAX(cohort_month) AS last_cohort
  FROM cells
  WHERE NOT is_open
  GROUP BY segment, value, is_other, currency, is_guest, month_number
),
firsts AS (
  -- Of a cohort and all before it. Cohorts have every month up to the open one, so those that have completed a month are
  -- all up to a last one.
  SELECT
    segment,
    value,
    is_other,
    currency,
    is_guest,
    cohort_month,
    SUM(revenue) OVER cohorts AS revenue,
    SUM(ltv) OVER cohorts AS ltv
  FROM cells
  WHERE month_number = 0
  WINDOW cohorts AS (
    PARTITION BY segment, value, is_other, currency, is_guest ORDER BY cohort_month
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
),
divisors AS (
  -- What is divided by nothing is NULL; so is what is compared with first months that gave nothing, or less.
  SELECT
    sums.*,
    NULLIF(customers, 0) AS size,
    NULLIF(active_customers, 0) AS active,
    NULLIF(orders, 0) AS bought,
    IF(firsts.revenue > 0, firsts.revenue, NULL) AS first_revenue,
    IF(firsts.ltv > 0, firsts.ltv, NULL) AS first_net
  FROM sums
  JOIN firsts
    ON firsts.cohort_month = sums.last_cohort
    AND COALESCE(firsts.segment, '') = COALESCE(sums.segment, '')
    AND COALESCE(CONCAT('=', firsts.value), '') = COALESCE(CONCAT('=', sums.value), '')
    AND firsts.is_other = sums.is_other
    AND firsts.currency = sums.currency
    AND firsts.is_guest = sums.is_guest
)
SELECT
  segment,
  value,
  is_other,
  currency,
  is_guest,
  month_number,
  cohorts,
  customers,
  -- Divided as whole numbers, half away from zero at the fourth decimal: no float touches money.
  SIGN(revenue) * DIV(CAST(ABS(revenue) * 20000 + cohorts AS NUMERIC), CAST(2 * cohorts AS INT64))
    * CAST('0.0001' AS NUMERIC) AS revenue,
  SIGN(net) * DIV(CAST(ABS(net) * 20000 + cohorts AS NUMERIC), CAST(2 * cohorts AS INT64))
    * CAST('0.0001' AS NUMERIC) AS net,
  SIGN(ltv) * DIV(CAST(ABS(ltv) * 20000 + cohorts AS NUMERIC), CAST(2 * cohorts AS INT64))
    * CAST('0.0001' AS NUMERIC) AS ltv,
  SIGN(ltv_gross) * DIV(CAST(ABS(ltv_gross) * 20000 + cohorts AS NUMERIC), CAST(2 * cohorts AS INT64))
    * CAST('0.0001' AS NUMERIC) AS ltv_gross,
  SIGN(revenue) * DIV(CAST(ABS(revenue) * 20000 + size AS NUMERIC), CAST(2 * size AS INT64))
    * CAST('0.0001' AS NUMERIC) AS revenue_per_customer,
  SIGN(net) * DIV(CAST(ABS(net) * 20000 + size AS NUMERIC), CAST(2 * size AS INT64))
    * CAST('0.0001' AS NUMERIC) AS net_per_customer,
  SIGN(ltv) * DIV(CAST(ABS(ltv) * 20000 + size AS NUMERIC), CAST(2 * size AS INT64))
    * CAST('0.0001' AS NUMERIC) AS ltv_per_customer,
  SIGN(ltv_gross) * DIV(CAST(ABS(ltv_gross) * 20000 + size AS NUMERIC), CAST(2 * size AS INT64))
    * CAST('0.0001' AS NUMERIC) AS ltv_gross_per_customer,
  SIGN(revenue) * DIV(CAST(ABS(revenue) * 20000 + first_revenue AS NUMERIC), CAST(first_revenue * 2 AS NUMERIC))
    * CAST('0.0001' AS NUMERIC) AS revenue_of_first,
  SIGN(net) * DIV(CAST(ABS(net) * 20000 + first_net AS NUMERIC), CAST(first_net * 2 AS NUMERIC))
    * CAST('0.0001' AS NUMERIC) AS net_of_first,
  SIGN(ltv) * DIV(CAST(ABS(ltv) * 20000 + first_net AS NUMERIC), CAST(first_net * 2 AS NUMERIC))
    * CAST('0.0001' AS NUMERIC) AS ltv_of_first,
  SIGN(ltv_gross) * DIV(CAST(ABS(ltv_gross) * 20000 + first_revenue AS NUMERIC), CAST(first_revenue * 2 AS NUMERIC))
    * CAST('0.0001' AS NUMERIC) AS ltv_gross_of_first,
  DIV(active_customers * 20000 + size, 2 * size) * CAST('0.0001' AS NUMERIC) AS retention,
  DIV(orders * 20000 + active, 2 * active) * CAST('0.0001' AS NUMERIC) AS orders_per_customer,
  SIGN(revenue) * DIV(CAST(ABS(revenue) * 20000 + bought AS NUMERIC), CAST(2 * bought AS INT64))
    * CAST('0.0001' AS NUMERIC) AS basket
FROM divisors
ORDER BY segment, value, is_other, currency, is_guest, month_number
