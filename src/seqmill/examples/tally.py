"""The table of what was kept and dropped, and why."""

import pandas as pd


class Tally:
    """Counts of rows by stage, reason, pool and part, in the order in which the stages ran."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str, str], int] = {}

    def add(self, stage: str, reason: str, pool: str, count: int, fold: str = "") -> None:
        """Count ``count`` rows; zero leaves a line too, so that a filter that found nothing is seen to have run."""
        key = (stage, reason, pool, fold)
        self._counts[key] = self._counts.get(key, 0) + int(count)

    def add_kept(self, rows: pd.DataFrame) -> None:
        """Count the final rows of each pool and fold."""
        for (pool, fold), part in rows.groupby(["pool", "fold"], sort=False):
            self.add("kept", "", pool, len(part), fold)

    def frame(self) -> pd.DataFrame:
        """Columns stage, reason, pool, fold, count; the last rows have stage ``kept``."""
        rows = [(*key, count) for key, count in self._counts.items()]
        return pd.DataFrame(rows, columns=["stage", "reason", "pool", "fold", "count"])

    def reasons(self) -> str:
        """What was found and dropped so far, for a message."""
        found = sum(count for (stage, *_), count in self._counts.items() if stage == "found")
        dropped = [f"{n} {reason}" for (stage, reason, *_), n in self._counts.items() if stage != "found" and n]
        return f"{found} found" + (", dropped: " + ", ".join(dropped) if dropped else "")
