"""`binlog-worker check`: every finding of the preflight, a line each."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from binlog_worker.preflight.checks import check_start, failures, preflight
from binlog_worker.preflight.facts import read_facts
from binlog_worker.preflight.findings import Finding, Level
from binlog_worker.server import login
from schemas.checkpoint_store import open_checkpoint
from schemas.config import ShopConfig

_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


def check(config: ShopConfig) -> bool:
    """Prints; True where `run` would start. Raises LtvError where server or checkpoint cannot be read."""
    config.need("source", "server_id")
    with login(config) as connection:
        facts = read_facts(connection, config)
    with open_checkpoint(config.checkpoint) as store:
        checkpoint = store.read()
    findings = [*preflight(facts, config), *check_start(facts, checkpoint, config.source_tables)]
    console = Console(soft_wrap=True)
    for finding in findings:
        console.print(line(finding), highlight=False)
    failed = failures(findings)
    console.print(f"{len(failed)} of {len(findings)} failed" if failed else "all is well", highlight=False)
    return not failed


def line(finding: Finding) -> Text:
    """`FAIL  what — why it matters — what to do`."""
    return Text.assemble((f"{finding.level.value:<5}", _STYLES[finding.level]), " ", str(finding))
