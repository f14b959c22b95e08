"""What stops a bundle. The command that runs the graph in this process raises it by its name, of which Beam's runner
would only hand on the text; a worker of another machine logs it by its name.

Either way the bundle fails, none of its messages is acknowledged, and all of them come again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from pipeline.process_warehouse import is_command
from pipeline.progress import PROGRESS
from schemas.config import ShopConfig
from schemas.errors import LtvError, Transient

LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def noting_failures(config: ShopConfig) -> Iterator[None]:
    """Notes an LtvError and lets it pass."""
    try:
        yield
    except LtvError as error:
        PROGRESS.failure = error
        if not is_command(config):
            level = logging.WARNING if isinstance(error, Transient) else logging.ERROR
            LOG.log(level, "%s: %s%s", type(error).__name__, error, f" ({error.hint})" if error.hint else "")
        raise
