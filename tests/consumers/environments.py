"""The Python environments of dbt and Airflow, beside that of the tests: `python -m tests.consumers.environments` makes
them, and so does a test that finds none."""

from __future__ import annotations

import fcntl
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bigquery.emulator_environment import clean_environment

LOG = logging.getLogger(__name__)
NAMES = ("dbt", "airflow")
PATIENCE_S = 600.0


def environment(name: str) -> Path:
    """The folder with the executables of an environment, which is made if it is missing or another was asked for."""
    folder, wanted = Path(sys.prefix) / name, Path(__file__).with_name(f"{name}.txt")
    stamp = folder / ".installed"
    with folder.with_suffix(".lock").open("ab") as lock:  # of tests side by side one installs
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted.read_text():
            LOG.warning("installing %s into %s", name, folder)
            install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(wanted)]
            for command in ([sys.executable, "-m", "venv", str(folder)], install):
                subprocess.run(command, check=True, env=clean_environment())
            stamp.write_text(wanted.read_text())
    return folder / "bin"


def run(name: str, *command: str, folder: Path, variables: Mapping[str, str], fails: bool = False) -> str:
    """What a program of an environment printed, on both streams. It must fail if `fails`, else must not."""
    done = subprocess.run(
        [str(environment(name) / command[0]), *command[1:]],
        cwd=folder,
        env={**clean_environment(), "NO_COLOR": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
    )
    assert bool(done.returncode) == fails, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        print(environment(name))
