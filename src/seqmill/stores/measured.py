"""Measured effects beside what a network and baselines predict of them: one row for each measured allele.

::

    measured/{name}/   marker.json run.json
       scores.parquet     element, contig, position_1based (0: no place), ref, alt, role ("measured", or "negative": a
                          variant without an effect), measured, error (null: none), block (resampled together), runs
                          (how many scored it), then float32 "{predictor}|{target}|{track}" (of the network and of a
                          k-mer baseline) and "{predictor}" (of baselines without tracks), null if not scored
       summary.tsv        agreement of each predictor with the measured values, see `SUMMARY`
       dropped.tsv        reason, count of what was left out
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seqmill.runtime.errors import DamageError
from seqmill.stores.layout import check_file, open_noun

SCORES, TEXT, DROPPED = "scores.parquet", "summary.tsv", "dropped.tsv"
PLACE = ("element", "contig", "position_1based", "ref", "alt", "role", "measured", "error", "block", "runs")
MEASURED, NEGATIVE = "measured", "negative"
NETWORK, KMER, PWM, DISTANCE, CONSERVATION = "network", "kmer", "pwm", "distance", "conservation"
SUMMARY = (
    *("element", "metric", "predictor", "target", "over", "track", "against", "n", "blocks"),
    *("value", "ci_low", "ci_high", "p", "note"),
)


@dataclass(frozen=True)
class Column:
    """One column of predictions.

    Attributes
    ----------
    name : of the column. predictor : `NETWORK`, `KMER`, `PWM`, `DISTANCE` or `CONSERVATION`.
    target, track : empty for predictors without tracks. signed : whether its sign predicts a direction; else large
        values predict large effects of either sign.
    """

    name: str
    predictor: str
    target: str = ""
    track: str = ""
    signed: bool = True


def track_column(predictor: str, target: str, track: str) -> Column:
    """Column of one track of a network or a k-mer baseline."""
    return Column(f"{predictor}|{target}|{track}", predictor, target, track)


def write_measured(
    folder: Path, scores: pd.DataFrame, columns: Sequence[Column], summary: pd.DataFrame, dropped: Mapping[str, int]
) -> dict[str, Any]:
    """Write the files of the noun into a staged folder.

    Parameters
    ----------
    scores : the columns of `PLACE`, then ``columns``. summary : the columns of `SUMMARY`.

    Returns
    -------
    Attributes for the marker.
    """
    import pyarrow as pa
    import pyarrow.parquet

    kinds = dict.fromkeys(PLACE, pa.string()) | {"position_1based": pa.int64(), "runs": pa.int32()}
    kinds |= {"measured": pa.float64(), "error": pa.float64()}
    schema = pa.schema([*kinds.items(), *((column.name, pa.float32()) for column in columns)])
    arrays = [pa.array(scores[name].to_numpy(), schema.field(name).type, from_pandas=True) for name in schema.names]
    pyarrow.parquet.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / SCORES, compression="zstd")
    summary[list(SUMMARY)].to_csv(folder / TEXT, sep="\t", index=False, float_format="%.6g")
    lines = ["reason\tcount", *(f"{reason}\t{count}" for reason, count in dropped.items())]
    (folder / DROPPED).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"n": len(scores), "columns": [asdict(column) for column in columns]}


class MeasuredReader:
    """Measured effects and their predictions, opened for reading.

    Attributes
    ----------
    attrs : of the marker: model, kind, n (rows), columns, targets, stated (tracks named beforehand), files (name and
        SHA-256), models (runs), backgrounds, notes.
    columns : list of `Column`. digest : of the marker.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.marker = open_noun(self.folder, "measured")
        self.digest, self.attrs = self.marker.digest, self.marker.attrs
        self.columns = [Column(**entry) for entry in self.attrs["columns"]]

    def scores(self) -> pd.DataFrame:
        """All rows, the columns of `PLACE` and of predictions. Raises DamageError if they are not as written."""
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(check_file(self.folder, self.marker, SCORES), partitioning=None).to_pandas()
        if len(table) != self.attrs["n"]:
            raise DamageError(f"{self.folder / SCORES}: {len(table)} rows, the marker says {self.attrs['n']}")
        return table

    def summary(self) -> pd.DataFrame:
        """Agreement with the measured values, the columns of `SUMMARY`; NaN where there is no number."""
        texts = dict.fromkeys(("element", "metric", "predictor", "target", "over", "track", "against", "note"), str)
        return pd.read_csv(
            check_file(self.folder, self.marker, TEXT), sep="\t", keep_default_na=False, dtype=texts,
            na_values={name: [""] for name in ("value", "ci_low", "ci_high", "p")},
        )  # fmt: skip

    def dropped(self) -> pd.DataFrame:
        """What was left out: reason and count."""
        return pd.read_csv(check_file(self.folder, self.marker, DROPPED), sep="\t", keep_default_na=False)
