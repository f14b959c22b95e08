"""What is checked before a run, and by `binlog-worker check`."""
