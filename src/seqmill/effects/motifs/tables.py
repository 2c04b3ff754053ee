"""Tables of motifs from what was found."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqmill.effects.motifs.modisco import Pattern
from seqmill.formats.motifs import Motif, consensus, information
from seqmill.stores.maps import MapReader
from seqmill.stores.motifs import TABLES


def _described(motif: Motif, best: pd.DataFrame) -> dict[str, Any]:
    """Width, consensus and best match of a motif."""
    line = {
        "motif": motif.name, "width": len(motif.pwm), "consensus": consensus(motif.pwm),
        "information_bits": float(information(motif.pwm).sum()),
    }  # fmt: skip
    if motif.name not in best.index:
        return line | {"match": "", "alias": "", "p": np.nan, "q": np.nan}
    known = best.loc[motif.name]
    return line | {"match": known["name"], "alias": known["alias"], "p": known["p"], "q": known["q"]}


def pattern_tables(
    patterns: Mapping[str, Pattern], searched: Sequence[Mapping[str, Any]], best: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Tables of patterns and of their contributions; ``best``: the first matches, by motif."""
    lines, bases = [], []
    for item in searched:
        for name in item["patterns"]:
            pattern = patterns[name]
            line = _described(pattern.motif, best) | {"target": item["target"], "track": item["track"]}
            line |= {"sign": name.rpartition(".")[2].partition("_")[0], "seqlets": len(pattern.start)}
            line |= {"regions": len(np.unique(pattern.region)), "contribution": float(pattern.strength.mean())}
            lines.append(line)
            bases += [[name, i, *column] for i, column in enumerate(pattern.contributions.tolist())]
    if not lines:
        return {}
    return {
        "patterns": pd.DataFrame(lines),
        "contributions": pd.DataFrame(bases, columns=["motif", "position", *"ACGT"]),
    }


def filter_table(filters: Sequence[Any], best: pd.DataFrame) -> pd.DataFrame:
    """Table of filters; ``best``: the first matches, by motif."""
    lines: list[dict[str, Any]] = []
    for one in filters:
        empty = {"motif": f"filter_{one.number}", "width": 0, "consensus": "", "match": "", "alias": ""}
        lines.append(_described(one.motif, best) if one.motif else empty)
        lines[-1] |= {"sites": one.sites, "largest": one.largest}
    return pd.DataFrame(lines, columns=TABLES["filters"])


def places(patterns: Mapping[str, Pattern], source: MapReader | None) -> pd.DataFrame:
    """Seqlets on the genome, sorted; those of a table's sequences within them, under their names."""
    parts = []
    for name, pattern in patterns.items():
        assert source is not None
        rows = source.regions.iloc[pattern.region]
        placed = (rows["contig"] != "").to_numpy()
        first = np.where(placed, rows["start"], 0)
        end = np.minimum(pattern.end, (rows["end"] - rows["start"]).to_numpy())  # the last may reach over a region
        place = {"contig": np.where(placed, rows["contig"], rows["name"]), "motif": name, "strand": pattern.strand}
        place |= {"start": first + np.maximum(pattern.start, 0), "end": first + end, "contribution": pattern.strength}
        parts.append(pd.DataFrame(place | {"region": rows["name"].to_numpy()}))
    columns = ["contig", "start", "end", "motif", "strand", "contribution", "region"]
    if not parts:
        return pd.DataFrame(columns=columns)
    table = pd.concat(parts)[columns]
    return table[table["end"] > table["start"]].sort_values(["contig", "start", "end", "motif"], kind="stable")
