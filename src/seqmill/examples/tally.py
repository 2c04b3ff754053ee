"""The table of what was kept and dropped, and why."""

import io
from pathlib import Path

import pandas as pd


class Tally:
    """Counts of rows by stage, reason and pool, in the order in which the stages ran."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str, str], int] = {}

    def add(self, stage: str, reason: str, pool: str, count: int, fold: str = "") -> None:
        """Count ``count`` rows; zero leaves a line too, so that a filter that found nothing is seen to have run."""
        key = (stage, reason, pool, fold)
        self._counts[key] = self._counts.get(key, 0) + int(count)

    def frame(self) -> pd.DataFrame:
        """Columns stage, reason, pool, fold, count; the last rows have stage ``kept``."""
        rows = [(*key, count) for key, count in self._counts.items()]
        return pd.DataFrame(rows, columns=["stage", "reason", "pool", "fold", "count"])

    def write(self, path: Path) -> None:
        buffer = io.StringIO()
        self.frame().to_csv(buffer, sep="\t", index=False, lineterminator="\n")
        path.write_text(buffer.getvalue())
