"""Statements in the log: what they mean for the configured tables."""
