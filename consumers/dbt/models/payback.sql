-- payback: the first month number by which the customers of a cohort have brought in, net, what it cost to win them.
SELECT
  costs.cohort_month,
  costs.currency,
  costs.cost,
  MAX(cells.customers) AS customers,
  MIN(CASE WHEN cells.ltv >= costs.cost THEN cells.month_number END) AS paid_back_in
FROM {{ ref('acquisition_costs') }} AS costs
LEFT JOIN {{ ref('ltv', 'ltv_cohorts') }} AS cells
  ON cells.cohort_month = costs.cohort_month AND cells.currency = costs.currency AND NOT cells.is_guest
GROUP BY costs.cohort_month, costs.currency, costs.cost
