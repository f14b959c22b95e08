-- changed_cells: cohort_changes by cell and reason: what each reason has added to a cell of ltv_cohorts since the
-- rollup before. `changes` is how many orders moved it, `orders` how many more it has.
SELECT
  cohort_month,
  month_number,
  currency,
  is_guest,
  was_open,
  reason,
  COUNT(*) AS changes,
  CAST(SUM(orders) AS INT64) AS orders,
  SUM(revenue) AS revenue,
  SUM(refunds) AS refunds,
  since,
  since_as_of
FROM cohort_changes
GROUP BY cohort_month, month_number, currency, is_guest, was_open, reason, since, since_as_of
ORDER BY cohort_month, month_number, currency, is_guest, reason
