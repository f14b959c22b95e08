"""`ltv-pipeline replay`: files of change events → warehouse, by the same graph as `stream`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

from pipeline.file_source import find_files, read_files
from pipeline.graph import build
from pipeline.process_warehouse import release, share
from pipeline.progress import PROGRESS, live_line
from pipeline.runner import pipeline_options, run_graph
from pipeline.warehouse import open_warehouse
from schemas.config import ShopConfig

LOG = logging.getLogger(__name__)


def replay(
    config: ShopConfig, patterns: Sequence[str], beam_arguments: Sequence[str] = (), *, live: bool = False
) -> None:
    """Applies every change of the files once. Run again it changes nothing. Raises Terminal errors."""
    config.need("warehouse")
    pipeline_options(beam_arguments)
    files = find_files(patterns)
    warehouse = open_warehouse(config, waiting=LOG.warning)
    share(config, warehouse)
    try:
        warehouse.check_settings(config)
        with live_line() if live else contextlib.nullcontext():
            run_graph(lambda pipeline: build(pipeline, read_files(files), config), beam_arguments)
    finally:
        release(config)
    LOG.info("replayed", extra={"files": len(files), **PROGRESS.facts()})
