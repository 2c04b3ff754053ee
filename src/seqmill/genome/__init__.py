"""Coordinates, sequence codes and contig names."""
