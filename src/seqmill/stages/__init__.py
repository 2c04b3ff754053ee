"""The stages: what each noun needs, and its work, without Snakemake."""
