"""seqmill: from public sequencing tracks to trained sequence models, maps and reports."""

__version__ = "0.1.0"
