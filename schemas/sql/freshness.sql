-- freshness: one row, of the moment of the rollup: how far into the source everything has been applied, and what is not.
-- Messages of a worker's run are numbered: below the end of the gap-free prefix of the numbers nothing of the run is
-- missing, nor of the runs before it, if those had arrived as far as it needs (as `pipeline.applied` has it).
-- `applied_at` and `last_change_at` are by the source's clock. Heartbeats move the former also while nobody buys.
WITH RECURSIVE ordered AS (
  SELECT
    run, number, through, after_run, after_number, last_sequence, committed_at, received_at,
    MAX(through) OVER (
      PARTITION BY run ORDER BY number, through ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS before
  FROM raw.arrivals
),
numbered AS (
  SELECT *, SUM(IF(before IS NULL OR number > before + 1, 1, 0)) OVER (
    PARTITION BY run ORDER BY number, through ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ) AS island
  FROM ordered
),
arrived AS (
  -- What has arrived without gaps, a row each.
  SELECT
    run,
    island,
    MIN(number) AS number,
    MAX(through) AS through,
    COALESCE(MAX(after_run), '') AS after_run,
    COALESCE(MAX(after_number), 0) AS after_number,
    MAX(last_sequence) AS last_sequence,
    MAX(committed_at) AS committed_at,
    MAX(received_at) AS received_at
  FROM numbered
  GROUP BY run, island
),
runs AS (
  SELECT run, MAX(received_at) AS received_at FROM arrived GROUP BY run
),
prefixes AS (
  SELECT arrived.run, through, after_run, after_number, last_sequence, committed_at, runs.received_at
  FROM arrived
  JOIN runs ON runs.run = arrived.run
  WHERE number <= 1
),
chain AS (
  -- Back from each run over those that had arrived as far as the next one needs; BigQuery goes no more than 500 steps.
  SELECT run, run AS link, 0 AS steps FROM prefixes
  UNION ALL
  SELECT chain.run, earlier.run, chain.steps + 1
  FROM chain
  JOIN prefixes AS later ON later.run = chain.link
  JOIN prefixes AS earlier ON earlier.run = later.after_run
  WHERE later.after_number > 0 AND earlier.through >= later.after_number
    AND earlier.run <> chain.run AND chain.steps < 400
),
whole AS (
  SELECT chain.run
  FROM chain
  JOIN prefixes ON prefixes.run = chain.link
  LEFT JOIN runs ON runs.run = prefixes.after_run
  WHERE prefixes.after_run = '' OR prefixes.after_number = 0 OR chain.steps = 400
    -- Runs are forgotten after a week, unless one of this week follows them.
    OR (runs.run IS NULL AND prefixes.received_at < TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 168 HOUR))
  GROUP BY chain.run
),
applied AS (
  SELECT MAX(last_sequence) AS applied_up_to, MAX(committed_at) AS applied_at
  FROM prefixes
  JOIN whole ON whole.run = prefixes.run
),
waiting AS (
  SELECT COUNT(*) AS gaps, MIN(arrived.received_at) AS gap_since
  FROM arrived
  CROSS JOIN applied
  WHERE arrived.last_sequence > COALESCE(applied.applied_up_to, '')
),
changes AS (
  SELECT MAX(_committed_at) AS last_change_at, MAX(_written_at) AS last_written_at FROM raw.ltv_entries
),
letters AS (
  SELECT COUNT(*) AS dead_letters, MIN(received_at) AS oldest_dead_letter_at FROM raw.dead_letters
),
loaded AS (
  SELECT `table`, MAX(sequence) AS sequence FROM raw.loads WHERE done_at IS NOT NULL AND whole GROUP BY `table`
),
marked AS (
  SELECT reloads.`table`
  FROM raw.reloads AS reloads
  LEFT JOIN loaded ON loaded.`table` = reloads.`table`
  WHERE loaded.sequence IS NULL OR loaded.sequence <= reloads._sequence
  GROUP BY reloads.`table`
),
needed AS (
  SELECT COUNT(*) AS reloads_needed, STRING_AGG(`table`, ', ' ORDER BY `table`) AS tables_to_reload FROM marked
)
SELECT
  @as_of AS as_of,
  CURRENT_TIMESTAMP() AS rolled_up_at,
  applied.applied_up_to,
  applied.applied_at,
  TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), applied.applied_at, SECOND) AS source_lag_seconds,
  waiting.gaps,
  waiting.gap_since,
  changes.last_change_at,
  changes.last_written_at,
  letters.dead_letters,
  letters.oldest_dead_letter_at,
  needed.reloads_needed,
  needed.tables_to_reload
FROM applied
CROSS JOIN waiting
CROSS JOIN changes
CROSS JOIN letters
CROSS JOIN needed
