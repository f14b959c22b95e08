"""Runs a command that cannot outlive its parent: `python -I -S tether.py PARENT_PID COMMAND …`.

Sets the parent-death signal (prctl(2), Linux) on itself and becomes the command, under the same pid. A script of its
own rather than a `preexec_fn`, which is not safe in a process with threads (gRPC, DuckDB). The kernel ties the signal
to the *thread* that started the process: start servers from a thread that lives as long as they shall.
"""

from __future__ import annotations

import os
import sys

PR_SET_PDEATHSIG = 1
SIGKILL = 9


def main() -> None:
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):  # it died before the signal was set
        raise SystemExit(1)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
