"""What the report says of haplotypes: how many there are, what was left out, and where variants act together."""

from typing import Any

import numpy as np
import pandas as pd

TOP = 10
MAX_TEXT = 60


def gather_haplotypes(reader: Any) -> dict[str, Any] | None:
    """Haplotypes of a set of variants; None if they were not asked for.

    Parameters
    ----------
    reader : `seqmill.stores.variants.VariantsReader`.
    """
    attrs = reader.attrs.get("haplotypes")
    if attrs is None:
        return None
    told = together(reader.haplotypes(), list(reader.attrs["targets"]))
    return {"n": attrs["n"], "reasons": reader.haplotypes_dropped().to_dict("records"), "groups": told}


def together(table: pd.DataFrame, targets: list[str]) -> list[dict[str, Any]]:
    """For each target and effect with a direction the haplotypes of the largest interaction, on any track."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in table:
        if name.endswith("_interaction"):
            column = name.removesuffix("_interaction")
            rest, _, effect = column.rpartition("|")
            target = max((t for t in targets if rest.startswith(f"{t}|")), key=len)
            groups.setdefault((target, effect), []).append(column)
    found = []
    for (target, effect), columns in groups.items():
        values = table[[f"{column}_interaction" for column in columns]].to_numpy(np.float64)
        size = np.nan_to_num(np.abs(values), nan=-1)
        which = size.argmax(axis=1) if len(table) else np.zeros(0, np.int64)
        order = np.argsort(-size[np.arange(len(table)), which], kind="stable")[:TOP]
        lines = []
        for row in order.tolist():
            column = columns[which[row]]
            names = str(table["variants"].iloc[row])
            lines.append(
                {
                    "place": f"{table['contig'].iloc[row]}:{table['start_1based'].iloc[row]:,}",
                    "variants": names if len(names) <= MAX_TEXT else f"{names[:MAX_TEXT]}…",
                    "count": int(table["n_variants"].iloc[row]),
                    "carriers": int(table["carriers"].iloc[row]),
                    "track": column[len(target) + 1 : -len(effect) - 1],
                    "whole": float(table[column].iloc[row]),
                    "singles": float(table[f"{column}_singles"].iloc[row]),
                    "interaction": float(table[f"{column}_interaction"].iloc[row]),
                }
            )
        found.append({"target": target, "effect": effect, "lines": lines})
    return found
