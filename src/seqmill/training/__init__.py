"""Loader, objectives, the loop, model folders and predictions."""
