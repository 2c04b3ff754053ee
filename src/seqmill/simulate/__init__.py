"""A world whose truth is known: a genome with a stated motif grammar, and noisy data files made from it."""
