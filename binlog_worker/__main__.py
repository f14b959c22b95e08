"""`python -m binlog_worker`, the same as the console script `binlog-worker`."""

import sys

from binlog_worker.cli import main

sys.exit(main())
