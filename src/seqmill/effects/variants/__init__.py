"""Scores of variants: what a network makes of the alleles of a file."""
