"""What the report says of a set of variants: counts, the strongest of them, and how effects are spread."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.report.figures import histogram
from seqmill.report.haplotypes import gather_haplotypes

PLACE = ["contig", "position_1based", "id", "ref", "alt", "status", "runs"]
TOP = 20
MAX_LINES = 6
MAX_ALLELE = 12
BINS = 60
REASONS = {"seen": "each run saw the place in training"}
NAMES = {
    "diff": "ALT − REF of the prediction",
    "logfc": "log2 of ALT / REF",
    "score": "ALT − REF of the score",
    "jsd": "Jensen-Shannon divergence of the profiles",
    "active_allele_quantile": "quantile of the more active allele",
}
# What may stand beside an effect: how its column ends, and the head of the column on the page.
BESIDE = {
    "sd": "SD", "percentile": "percentile", "p": "p", "signed_percentile": "with sign: percentile",
    "signed_p": "with sign: p",
}  # fmt: skip


class Column:
    """One column of effects: ``{target}|{track}|{effect}``; a target's name may hold the separator, an effect's not."""

    def __init__(self, name: str, targets: Iterable[str]):
        self.name = name
        rest, _, self.effect = name.rpartition("|")
        known = [target for target in targets if rest.startswith(f"{target}|")]
        self.target = max(known, key=len) if known else rest.partition("|")[0]
        self.track = rest[len(self.target) + 1 :]


def columns_of(
    names: Iterable[str], targets: Iterable[str], statistics: Iterable[str] = ()
) -> dict[tuple[str, str], list[Column]]:
    """Columns of each target and effect, in the order of the table, without those of ``statistics`` of effects."""
    found: dict[tuple[str, str], list[Column]] = {}
    ends = tuple(f"_{name}" for name in statistics)
    for name in names:
        if name not in PLACE and "|" in name:
            column = Column(name, targets)
            if not (ends and column.effect.endswith(ends)):
                found.setdefault((column.target, column.effect), []).append(column)
    return found


class Strongest:
    """The ``TOP`` variants with the largest |effect| on any track, kept while a table streams by."""

    def __init__(self, columns: list[Column], statistics: Iterable[str] = ()):
        self.columns, self.statistics = columns, list(statistics)
        self.kept = pd.DataFrame()

    def add(self, table: pd.DataFrame) -> None:
        """``table``: the columns of `PLACE` and of the effects."""
        values = table[[column.name for column in self.columns]].to_numpy(np.float64)
        size = np.nan_to_num(np.abs(values), nan=-1)
        which = size.argmax(axis=1)
        rows = np.arange(len(table))
        found = table[PLACE].assign(effect=values[rows, which], size=size[rows, which], which=which)
        for statistic in self.statistics:
            names = [f"{column.name}_{statistic}" for column in self.columns]
            if names[0] in table:
                found[statistic] = table[names].to_numpy(np.float64)[rows, which]
        if "background_n" in table:
            found["background_n"] = table["background_n"].to_numpy(np.float64, na_value=np.nan)
        found = pd.concat([self.kept, found[found["size"] >= 0]])
        self.kept = found.nlargest(TOP, "size", keep="first") if len(found) else found

    def lines(self) -> list[dict[str, Any]]:
        """Place, alleles, track and effect of each, the strongest first."""
        return [
            {
                "place": f"{row['contig']}:{row['position_1based']:,}",
                "id": "" if pd.isna(row["id"]) or row["id"] == "." else str(row["id"]),
                "change": f"{allele(row['ref'])}→{allele(row['alt'])}",
                "track": self.columns[row["which"]].track,
                "effect": float(row["effect"]),
            }
            | ({"beside": [float(row[name]) for name in self.shown()]} if self.shown() else {})
            for row in self.kept.to_dict("records")
        ]

    def shown(self) -> list[str]:
        """Statistics of these effects, and the size of the background, as far as there are any."""
        return [name for name in (*self.statistics, "background_n") if name in self.kept]


def allele(text: Any) -> str:
    """An allele short enough for a table: 'ACGTAC…(31 bp)'."""
    text = str(text)
    return text if len(text) <= MAX_ALLELE else f"{text[: MAX_ALLELE - 6]}…({len(text)} bp)"


class Spread:
    """Histograms of the first tracks of one target and effect; bounds are known from a pass before."""

    def __init__(self, columns: list[Column], low: float, high: float):
        self.columns = columns[:MAX_LINES]
        self.edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
        self.counts = np.zeros((len(self.columns), BINS), np.int64)

    def add(self, table: pd.DataFrame) -> None:
        """``table``: the columns of effects."""
        for i, column in enumerate(self.columns):
            values = table[column.name].to_numpy(np.float64)
            self.counts[i] += np.histogram(values[~np.isnan(values)], self.edges)[0]

    def figure(self, label: str) -> str:
        """Data URI of the histogram."""
        return histogram(self.edges, [(c.track, n) for c, n in zip(self.columns, self.counts)], label)


def gather_variants(folder: Path) -> dict[str, Any]:
    """One set of variants as the page shows it, in two passes over its table."""
    from seqmill.stores.variants import VariantsReader

    reader = VariantsReader(folder)
    statistics = reader.attrs.get("statistics", ())
    told = effects(reader.table, list(reader.attrs["targets"]), reader.attrs["spaces"], statistics)
    return facts(reader.attrs, reader.dropped()) | {"effects": told, "haplotypes": gather_haplotypes(reader)}


def strongest_words(folder: Path, most: int = 5) -> list[str]:
    """The strongest variants of the first effect on each target as lines of text, with what stands beside it."""
    from seqmill.stores.variants import VariantsReader

    reader = VariantsReader(folder)
    statistics = reader.attrs.get("statistics", ())
    groups = columns_of(reader.columns, list(reader.attrs["targets"]), statistics)
    lines, told = [], set()
    for (target, effect), columns in groups.items():
        if target in told:
            continue
        told.add(target)
        top = Strongest(columns, statistics)
        names = [f"{column.name}{end}" for column in columns for end in ("", *(f"_{name}" for name in statistics))]
        for table in reader.table([*reader.place_columns, *(name for name in names if name in reader.columns)]):
            top.add(table)
        lines.append(f"strongest by {effect} of {target}:")
        heads = [BESIDE.get(name, "background") for name in top.shown()]
        for line in top.lines()[:most]:
            beside = ", ".join(f"{head} {value:.3g}" for head, value in zip(heads, line.get("beside", ())))
            effect_words = f"{line['effect']:.4g} ({beside})" if beside else f"{line['effect']:.4g}"
            lines.append(f"  {line['place']} {line['change']} {line['id']} {line['track']}: {effect_words}")
    return lines


def facts(attrs: dict[str, Any], dropped: pd.DataFrame) -> dict[str, Any]:
    """Numbers of a set from its attributes and the table of what was not scored."""
    return {
        "name": attrs["name"],
        "model": attrs["model"],
        "genome": attrs["genome"],
        "digest": attrs["file_sha256"],
        "n": attrs["n"],
        "scored": attrs["scored"],
        "ref_match": attrs["ref_match"],
        "reasons": dropped.replace({"reason": REASONS}).to_dict("records"),
        "both_strands": attrs["both_strands"],
        "shifts": len(attrs["shifts_bp"]),
        "members": len(attrs["models"]),
        "background": attrs.get("background"),
        "deviations": "sd" in attrs.get("statistics", ()),
        "haplotypes": None,
    }


def _label(effect: str, space: str) -> str:
    unit = f" ({space})" if effect == "score" and space else ""
    return NAMES.get(effect, effect) + unit


def effects(
    batches: Any, targets: list[str], spaces: Mapping[str, str], statistics: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """For each target and effect its strongest variants and a histogram.

    Parameters
    ----------
    batches : function that gives the rows of the table as data frames, each time from the start.
    spaces : of each target, what its scores are: "logit". statistics : that stand beside effects.
    """
    statistics = list(statistics)
    groups: dict[tuple[str, str], list[Column]] = {}
    top: dict[tuple[str, str], Strongest] = {}
    bounds: dict[tuple[str, str], tuple[float, float]] = {}
    for table in batches():
        groups = groups or columns_of(table.columns, targets, statistics)
        for key, columns in groups.items():
            top.setdefault(key, Strongest(columns, statistics)).add(table)
            values = table[[column.name for column in columns[:MAX_LINES]]].to_numpy(np.float64)
            values = values[np.isfinite(values)]
            if values.size:
                low, high = bounds.get(key, (np.inf, -np.inf))
                bounds[key] = min(low, float(values.min())), max(high, float(values.max()))
    spreads = {key: Spread(groups[key], *limits) for key, limits in bounds.items()}
    for table in batches():
        for spread in spreads.values():
            spread.add(table)
    return [
        {
            "target": target,
            "effect": effect,
            "label": _label(effect, spaces.get(target, "")),
            "tracks": len(groups[target, effect]),
            "lines": top[target, effect].lines(),
            "beside": [BESIDE.get(name, "background") for name in top[target, effect].shown()],
            "figure": spread.figure(_label(effect, spaces.get(target, ""))),
            "drawn": len(spread.columns),
        }
        for (target, effect), spread in spreads.items()
    ]
