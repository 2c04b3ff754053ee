"""Metrics of predictions and their confidence intervals; undefined ones are NaN with a reason, never an exception."""
