"""Where a run begins: checkpoints, positions, GTID sets, and which server it is."""
