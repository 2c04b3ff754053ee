"""Motifs that a network reads: found in maps, seen in its first layer, matched to a database, tried in backgrounds."""
