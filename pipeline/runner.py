"""Runs the graph on the runner that the options name; on one machine that is Beam's FnApiRunner, pinned by name.

`DirectRunner` first tries Prism, which downloads a binary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from pipeline.progress import PROGRESS
from schemas.errors import UsageError

LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner")


def pipeline_options(arguments: Sequence[str]) -> PipelineOptions:
    """Raises UsageError for an option that Beam does not know, or a runner that this command cannot use."""
    try:
        options = PipelineOptions(list(arguments))
        known = options.get_all_options(retain_unknown_options=False)
    except (SystemExit, ValueError, TypeError) as error:
        raise UsageError(f"Beam does not take these options: {' '.join(arguments)}") from error
    unknown = [argument for argument in arguments if not _is_known(argument, known)]
    if unknown:
        raise UsageError(
            f"neither this command nor Beam knows {' '.join(unknown)}", hint="`ltv-pipeline stream --help` lists ours"
        )
    standard = options.view_as(StandardOptions)
    if standard.runner in (None, *LOCAL_RUNNERS):
        standard.runner = "FnApiRunner"
    elif standard.runner != "BundleBasedDirectRunner":
        raise UsageError(
            f"the runner {standard.runner} is not supported here", hint=f"one of {', '.join(LOCAL_RUNNERS)}"
        )
    return options


def _is_known(argument: str, known: dict[str, object]) -> bool:
    if not argument.startswith("--"):
        return True  # the value of the option before
    name = argument[2:].split("=")[0].replace("-", "_")
    return name in known or name.removeprefix("no_") in known


def run_graph(lay: Callable[[beam.Pipeline], None], arguments: Sequence[str]) -> None:
    """Builds a pipeline with `lay`, runs it to its end.

    Raises the LtvError that stopped a bundle, of which Beam itself only hands on the text, else what Beam raises.
    """
    PROGRESS.failure = None
    pipeline = beam.Pipeline(options=pipeline_options(arguments))
    lay(pipeline)
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:
        raise (PROGRESS.failure or error) from error
