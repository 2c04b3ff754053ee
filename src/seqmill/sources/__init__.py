"""ENCODE, SRA/ENA, GEO, references, URLs: locations become lock rows, lock rows become files that were checked."""
