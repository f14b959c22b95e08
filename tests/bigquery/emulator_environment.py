"""The Python environment of bqemulator, beside that of the tests: `python -m tests.bigquery.emulator_environment` makes
it, and so does a test that finds none."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

LOG = logging.getLogger(__name__)
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYTHON_VARIABLE = "BQEMULATOR_PYTHON"
LEAST = (3, 11)
NAMES = ("python3.11", "python3.12", "python3.13")


def emulator_python() -> Path:
    """The Python that BQEMULATOR_PYTHON names, or that of an environment in the tests', made if missing."""
    if named := os.environ.get(PYTHON_VARIABLE):
        return Path(named)
    folder = Path(sys.prefix) / "bqemulator"
    python, stamp = folder / "bin" / "python", folder / ".installed"
    with folder.with_suffix(".lock").open("ab") as lock:  # of tests side by side one installs
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
            LOG.warning("installing bqemulator into %s", folder)
            environment = clean_environment()
            subprocess.run([_base_python(), "-m", "venv", str(folder)], check=True, env=environment)
            install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS)]
            subprocess.run(install, check=True, env=environment)
            stamp.write_text(REQUIREMENTS.read_text())
    return python


def clean_environment() -> dict[str, str]:
    """This process's, without what would bring its packages into another Python."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def _base_python() -> str:
    """This one, or where it is too old for bqemulator another that is installed."""
    if sys.version_info >= LEAST:
        return sys.executable
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise RuntimeError(
            f"the tests on BigQuery need Python {'.'.join(map(str, LEAST))} or later for bqemulator: install one, or"
            f" name the Python of an environment with tests/bigquery/requirements.txt in {PYTHON_VARIABLE}"
        )
    return found


if __name__ == "__main__":
    print(emulator_python())
