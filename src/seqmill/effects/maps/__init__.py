"""Mutagenesis maps: regions, edits of every base, files and pictures for others."""
