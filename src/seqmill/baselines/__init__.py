"""Simple models on the same datasets, judged by the same predictions format."""
