"""Runs the graph on the runner that the options name; on one machine that is Beam's FnApiRunner, pinned by name.

`DirectRunner` first tries Prism, which downloads a binary. `PortableRunner` hands the graph to a job server, such as
Flink's or Prism, that `--job_endpoint` names. Dataflow: see `pipeline.dataflow`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult

from pipeline.message_source import DATAFLOW
from pipeline.progress import PROGRESS
from schemas.errors import UsageError

LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner")
PORTABLE = "PortableRunner"
RUNNERS = (*LOCAL_RUNNERS, "BundleBasedDirectRunner", PORTABLE)
HERE = "LOOPBACK"
"""The environment in which a job server has this very process run the stages."""


def pipeline_options(
    arguments: Sequence[str], runners: Sequence[str] = RUNNERS, *, elsewhere: bool = False
) -> PipelineOptions:
    """Raises UsageError for an option that Beam does not know, or a runner that this command cannot use.

    `elsewhere`: the stages may also run in other processes, since the source needs nothing of this one.
    """
    try:
        options = PipelineOptions(list(arguments))
        unknown = unknown_options(arguments)
    except (SystemExit, ValueError, TypeError) as error:
        raise UsageError(f"Beam does not take these options: {' '.join(arguments)}") from error
    if unknown:
        raise UsageError(
            f"neither this command nor Beam knows {' '.join(unknown)}", hint="`ltv-pipeline stream --help` lists ours"
        )
    standard = options.view_as(StandardOptions)
    if runners is RUNNERS and standard.runner in (None, *LOCAL_RUNNERS):
        standard.runner = "FnApiRunner"
    elif standard.runner not in runners:
        raise UsageError(
            f"the runner {standard.runner} is not supported here",
            hint=f"one of {', '.join(LOCAL_RUNNERS)}, {PORTABLE}; {DATAFLOW} for `stream`",
        )
    if standard.runner == PORTABLE:
        _check_portable(options.view_as(PortableOptions), elsewhere)
    return options


def _check_portable(portable: PortableOptions, elsewhere: bool) -> None:
    """Without an endpoint Beam would start a job server in a container; without an environment, workers."""
    if not portable.job_endpoint:
        raise UsageError(f"{PORTABLE} needs --job_endpoint", hint="host:port of the job server of Flink, or of Prism")
    portable.environment_type = portable.environment_type or HERE
    if portable.environment_type != HERE and not elsewhere:
        raise UsageError(
            f"--environment_type={portable.environment_type}: this command reads in its own process",
            hint=f"--environment_type={HERE}; `replay` takes others as well",
        )


def runs_elsewhere(options: PipelineOptions) -> bool:
    """Whether the stages run in other processes than this one."""
    runner = options.view_as(StandardOptions).runner
    return bool(runner == PORTABLE and options.view_as(PortableOptions).environment_type != HERE)


def runner_of(arguments: Sequence[str]) -> str | None:
    """The runner that the options name. Raises UsageError where Beam does not take them."""
    try:
        options = PipelineOptions(list(arguments))
        runner: str | None = options.view_as(StandardOptions).runner
    except (SystemExit, ValueError, TypeError) as error:
        raise UsageError(f"Beam does not take these options: {' '.join(arguments)}") from error
    return runner


def unknown_options(arguments: Sequence[str]) -> list[str]:
    """Those that Beam has no option for, under any of its names. Raises what Beam raises."""
    options = PipelineOptions(list(arguments))
    known = options.get_all_options(retain_unknown_options=False)
    names = options.get_all_options(retain_unknown_options=True).keys() - known.keys()
    return [argument for argument in arguments if argument.startswith("-") and _name(argument) in names]


def _name(argument: str) -> str:
    return argument.lstrip("-").split("=")[0].replace("-", "_")


def run_graph(
    lay: Callable[[beam.Pipeline], None], arguments: Sequence[str], *, elsewhere: bool = False
) -> PipelineResult:
    """Builds a pipeline with `lay`, runs it to its end.

    Raises the LtvError that stopped a bundle, of which Beam itself only hands on the text, else what Beam raises.
    """
    PROGRESS.failure = None
    pipeline = beam.Pipeline(options=pipeline_options(arguments, elsewhere=elsewhere))
    lay(pipeline)
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except Exception as error:
        raise (PROGRESS.failure or error) from error
    return result
