"""A world whose truth is known: a genome with a stated motif grammar, and noisy data files made from it."""

FORMAT = 3  # raise it when the same settings would give other files
