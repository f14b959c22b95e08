"""What the launcher of the Flex Template runs: `ltv-pipeline stream --runner DataflowRunner`.

The launcher calls this file with the template's parameters and Beam's options as `--name=value`, and without a command.
It stands in a folder of its own, since that folder comes first in the path in which modules are looked for. Source:
Dataflow documentation, «Configure Flex Templates».
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from pipeline.cli import main
from pipeline.runner import unknown_options

LOG = logging.getLogger(__name__)
OURS = ("--config=",)


def launch(given: Sequence[str] | None = None) -> int:
    """Exit status as of `ltv-pipeline`. An option that this version of Beam does not know is left out, with a warning:
    launchers are newer than images."""
    given = sys.argv[1:] if given is None else list(given)
    unknown = unknown_options([argument for argument in given if not argument.startswith(OURS)])
    arguments = [argument for argument in given if argument not in unknown]
    for argument in unknown:
        LOG.warning("left out, since Beam does not know it: %s", argument)
    if not any(argument.startswith("--runner=") for argument in arguments):
        arguments.append("--runner=DataflowRunner")
    return main(["stream", *arguments])


if __name__ == "__main__":
    sys.exit(launch())
