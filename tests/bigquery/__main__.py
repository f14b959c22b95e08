"""Runs the server as a program, and prints where it is: `python -m tests.bigquery`. Ends with its standard input."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.bigquery.server import BigQueryServer

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, BigQueryServer(Path(folder)) as server:
        print(json.dumps(server.environment), flush=True)
        sys.stdin.read()
