"""The macros and generic tests of the dbt package, as text."""

from __future__ import annotations

from pipeline.dbt.model import DUCKDB
from pipeline.facts import BEFORE, empty
from pipeline.google_sql import to_duckdb

AS_OF = """{%% macro ltv_as_of() -%%}
{#- The last local day that counts: --vars '{ltv_as_of: 2026-10-31}', else the shop's day when dbt began. -#}
{%%- set given = var('ltv_as_of', '') | string -%%}
{%%- if not given -%%}
{{ run_started_at.astimezone(modules.pytz.timezone('%(zone)s')).date().isoformat() }}
{%%- elif modules.re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2}', given) -%%}
{{ given }}
{%%- else -%%}
{{ exceptions.raise_compiler_error('ltv_as_of is no date such as 2026-10-31: ' ~ given) }}
{%%- endif -%%}
{%%- endmacro %%}
"""

BEFORE_MACRO = """{%% macro ltv_before(view) -%%}
{#- What the run before left: cohort_changes compares it with what there is now. Empty if not all of it is there. -#}
{%%- set shown = ltv.ltv_tables_before() -%%}
{%%- set there = namespace(all=execute) -%%}
{%%- if execute -%%}
{%%- for before in shown.values() -%%}
{%%- set relation = ltv.ltv_made(before.table) -%%}
{%%- set columns = [] if relation is none else adapter.get_columns_in_relation(relation) -%%}
{%%- if before.columns | reject('in', columns | map(attribute='name') | list) | list -%%}
{%%- set there.all = false -%%}
{%%- endif -%%}
{%%- endfor -%%}
{%%- endif -%%}
{%%- if there.all -%%}
(SELECT {{ shown[view].columns | join(', ') }} FROM {{ ltv.ltv_made(shown[view].table) }})
{%%- else -%%}
({{ shown[view].empty }})
{%%- endif -%%}
{%%- endmacro %%}

{%% macro ltv_made(table) -%%}
{#- A table of this package, wherever the project puts it. No ref: what is made later is read here. -#}
{%%- set node = graph.nodes['model.ltv.' ~ table] -%%}
{{ return(adapter.get_relation(node.database, node.schema, node.alias)) }}
{%%- endmacro %%}

{%% macro ltv_tables_before() -%%}
{{ return({
%(tables)s
}) }}
{%%- endmacro %%}
"""

UNIQUE = """{% test ltv_unique(model, columns) %}
SELECT {{ columns | join(', ') }}, COUNT(*) AS times
FROM {{ model }}
GROUP BY {{ columns | join(', ') }}
HAVING COUNT(*) > 1
{% endtest %}
"""

FILLED = """{% test ltv_filled(model, columns) %}
{#- One query a table: each is billed for 10 MB at least. -#}
SELECT * FROM {{ model }} WHERE {{ columns | join(' IS NULL OR ') }} IS NULL
{% endtest %}
"""

ALWAYS = """{% test ltv_always(model, condition) %}
SELECT * FROM {{ model }} WHERE NOT COALESCE({{ condition }}, FALSE)
{% endtest %}
"""

TESTS = {
    "tests/generic/ltv_unique.sql": UNIQUE,
    "tests/generic/ltv_filled.sql": FILLED,
    "tests/generic/ltv_always.sql": ALWAYS,
}


def macros(time_zone: str, adapter: str) -> dict[str, str]:
    """Path → text. A zone's name has no quotes."""
    tables = []
    for view, (table, columns) in BEFORE.items():
        nothing = to_duckdb(empty(columns)) if adapter == DUCKDB else empty(columns)
        names = ", ".join(f"'{name}'" for name in columns)
        tables.append(f"'{view}': {{'table': '{table}', 'columns': [{names}],\n  'empty': \"{_escaped(nothing)}\"}},")
    return {
        "macros/ltv_as_of.sql": AS_OF % {"zone": time_zone},
        "macros/ltv_before.sql": BEFORE_MACRO % {"tables": "\n".join(tables)},
    }


def _escaped(sql: str) -> str:
    return sql.replace("\\", "\\\\").replace('"', '\\"')
