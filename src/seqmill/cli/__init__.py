"""The ``seqmill`` command: every stage without Snakemake, and what a run would cost before it starts."""

from seqmill.cli.command import main
from seqmill.cli.settings import overrides

__all__ = ["main", "overrides"]
