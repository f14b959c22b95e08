"""`ltv-pipeline replay`: files of change events → warehouse, by the same graph as `stream`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

from pipeline.file_source import find_files, read_files
from pipeline.graph import build
from pipeline.metrics import counted
from pipeline.process_warehouse import release, share
from pipeline.progress import PROGRESS, live_line
from pipeline.runner import pipeline_options, run_graph, runs_elsewhere
from pipeline.warehouse import open_warehouse
from schemas.config import ShopConfig

LOG = logging.getLogger(__name__)


def replay(
    config: ShopConfig, patterns: Sequence[str], beam_arguments: Sequence[str] = (), *, live: bool = False
) -> None:
    """Applies every change of the files once. Run again it changes nothing. Raises Terminal errors.

    With a job server the stages may run in other processes: they read the same files, and share a DuckDB warehouse with
    this one, which holds it.
    """
    config.need("warehouse")
    elsewhere = runs_elsewhere(pipeline_options(beam_arguments, elsewhere=True))
    files = find_files(patterns)
    warehouse = open_warehouse(config, hold=elsewhere, waiting=LOG.warning)
    share(config, warehouse)
    try:
        warehouse.check_settings(config)
        with live_line() if live else contextlib.nullcontext():
            result = run_graph(
                lambda pipeline: build(pipeline, read_files(files), config), beam_arguments, elsewhere=True
            )
    finally:
        release(config)
    facts = counted(result) if elsewhere else PROGRESS.facts()
    LOG.info("replayed", extra={"files": len(files), **facts})
