"""What stands on a command line for files → the files."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from schemas.errors import UsageError


def find_input(patterns: Sequence[str], belongs: Callable[[str], bool], nothing: str, hint: str) -> list[str]:
    """Files, folders (the files whose name `belongs`) and glob patterns → files: in the order given, those of one
    pattern by name, each once. Raises UsageError: `nothing` says that there is no such file."""
    found: list[str] = []
    missing = []
    for pattern in patterns:
        if Path(pattern).is_dir():
            matches = sorted(str(path) for path in Path(pattern).iterdir() if belongs(path.name))
        elif Path(pattern).exists():
            matches = [pattern]
        else:
            matches = sorted(glob.glob(pattern))  # noqa: PTH207 - a pattern may be absolute
        if not matches:
            missing.append(pattern)
        found += matches
    if missing:
        raise UsageError(f"{nothing}: {', '.join(missing)}", hint=hint)
    unreadable = [name for name in found if not os.access(name, os.R_OK) or not Path(name).is_file()]
    if unreadable:
        raise UsageError(f"cannot be read as files: {', '.join(unreadable)}")
    return list(dict.fromkeys(found))
