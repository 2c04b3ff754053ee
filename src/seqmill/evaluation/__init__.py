"""Metric tables and comparisons, from predictions alone."""
