"""The quality of all experiments as tables.

::

    quality-table/    marker.json run.json
       quality.tsv    long: one line a metric of a replicate, with its limits and what they say
       samples.tsv    wide: one line a replicate (and one for all together), one column a metric

Cells that a table program would take for a formula begin with an apostrophe.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqmill.reads.quality_rows import POOLED, Row
from seqmill.reads.quality_words import METRICS
from seqmill.reads.thresholds import NOT_JUDGED
from seqmill.runtime.files import atomic_write
from seqmill.runtime.marker import Marker, read_marker, unseal
from seqmill.stores.layout import check_file, noun_folder, open_noun, upstream

LONG = ("experiment", "replicate", "metric", "value", "n", "lower", "upper", "level", "limits", "words", "consequence")
WIDE = ("experiment", "replicate", "assay", "target", "verdict")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def cell(value: Any) -> str:
    """One cell of a table: numbers as they are, text so that no table program reads a formula or another column.

    >>> cell(0.25), cell(None), cell(-1.5), cell("=1+1"), cell("a\\tb"), cell("-2"), cell("K562")
    ('0.25', '', '-1.5', "'=1+1", 'a b', "'-2", 'K562')
    """
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f"{value:.8g}" if isinstance(value, float) else str(value)
    text = str(value)
    guarded = f"'{text}" if text.startswith(FORMULA) else text
    return "".join(character if character.isprintable() else " " for character in guarded)


def read_quality(folder: str | Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Name, attrs of the marker and content of ``metrics.json`` of a noun quality. Raises DamageError."""
    marker = open_noun(folder, "quality")
    return str(marker.attrs["name"]), marker.attrs, unseal(check_file(folder, marker, "metrics.json"))


def long_lines(name: str, rows: Iterable[Row], findings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of an experiment joined to what is said of them: keys of `LONG`, in the order of the rows."""
    by_place = {(finding["metric"], finding["replicate"]): finding for finding in findings}
    nothing = {"level": NOT_JUDGED, "limits": "", "words": "", "consequence": ""}
    lines = []
    for row in rows:
        finding = by_place.get((row["metric"], row["replicate"]), nothing)
        lines.append({"experiment": name, **row, **{key: finding[key] for key in nothing}})
    return lines


def wide_lines(about: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line a replicate of an experiment, "pooled" last: the keys of ``about``, and its metrics."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        replicate = str(line["replicate"])
        found.setdefault(replicate, {**about, "replicate": replicate})[line["metric"]] = line["value"]
    return sorted(found.values(), key=lambda line: line["replicate"] == POOLED)


def _tsv(columns: Sequence[str], lines: Iterable[Mapping[str, Any]]) -> bytes:
    text = ["\t".join(columns)]
    text += ["\t".join(cell(line.get(column)) for column in columns) for line in lines]
    return ("\n".join(text) + "\n").encode("utf-8", "replace")


def build_quality_table(folder: str | Path, qualities: Sequence[str | Path]) -> Marker:
    """Write the tables.

    Parameters
    ----------
    folder : ``…/quality-table``. qualities : folders of the nouns quality, in the order of the tables.

    Returns
    -------
    The marker; its attrs hold "verdicts": experiment -> "good", "warning", "poor" or "not judged".

    Raises
    ------
    DamageError : a quality is not as it was written.
    """
    long: list[dict[str, Any]] = []
    wide: list[dict[str, Any]] = []
    verdicts: dict[str, str] = {}
    with noun_folder(folder, noun="quality-table", label="quality table", inputs=upstream(*qualities), packages=()) as (
        part,
        attrs,
        _,
    ):
        for quality in qualities:
            name, made, metrics = read_quality(quality)
            verdicts[name] = made["verdict"]
            lines = long_lines(name, metrics["rows"], made["findings"])
            long += lines
            wide += wide_lines(
                {"experiment": name, **{key: made[key] for key in ("assay", "target", "verdict")}}, lines
            )
        used = {line["metric"] for line in long}
        columns = [metric for metric in METRICS if metric in used] + sorted(used - set(METRICS))
        atomic_write(part / "quality.tsv", _tsv(LONG, long))
        atomic_write(part / "samples.tsv", _tsv([*WIDE, *columns], wide))
        attrs["verdicts"] = verdicts
    return read_marker(folder)
