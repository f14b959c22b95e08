"""The console script: in this process, which starts at once, or as a program of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

from pipeline.cli import main


def command(folder: Path, *arguments: str, status: int = 0) -> str:
    """What it prints where it ends well, or else what it says about why not. It runs in `folder`."""
    out, said, before = io.StringIO(), io.StringIO(), Path.cwd()
    try:
        os.chdir(folder)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            ended = main(arguments)
    finally:
        os.chdir(before)
    assert ended == status, said.getvalue()
    return said.getvalue() if status else out.getvalue()


def program(folder: Path, *arguments: str, status: int = 0, **environment: str) -> str:
    """The same as a process, with nothing of this one's environment."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout
