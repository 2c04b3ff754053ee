"""ENCODE, SRA/ENA, GEO, references, URLs: locations become lock rows, lock rows become files that were checked."""

FORMAT = 1  # of the folders of fetched files; raise it when the same lock would give other folders
