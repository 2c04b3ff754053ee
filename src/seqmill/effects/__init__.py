"""What a change of the sequence does to predictions: maps of every edit, and scores of variants."""
