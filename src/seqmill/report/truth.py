"""What the report says of a map beside the truth of the simulated world."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seqmill.evaluation.truth import ALL, COLUMNS, DECOYS, OTHERS, judge_map, world_of
from seqmill.report.words import interval, number
from seqmill.runtime.files import atomic_write
from seqmill.stores.maps import MapReader


def gather_truth(folder: Path) -> dict[str, Any] | None:
    """Lines and a sentence for one map; None where its genome is not a simulated one, or nothing can be judged."""
    reader = MapReader(folder)
    world = world_of(reader)
    if world is None:
        return None
    table = judge_map(reader, world)
    if table.empty:
        return None
    first = table[table["target"] == table["target"].iloc[0]].set_index(["motif", "against"])
    sentence = _sentence(reader.attrs, first.loc[(ALL, OTHERS)], first.loc[(ALL, DECOYS)])
    return {"map": str(reader.attrs["name"]), "sentence": sentence, "lines": table.to_dict("records")}


def _sentence(attrs: dict[str, Any], main: Any, decoys: Any) -> str:
    what = "contributions" if "method" in attrs else "effects"
    start = f"Map {attrs['name']} of {attrs['model']}, where the truth is known"
    if main.auroc != main.auroc:
        return f"{start}: it cannot be judged ({main.note})."
    bounds = interval(main.ci_low, main.ci_high)
    said = f" (95 % interval {bounds})" if bounds != "–" else f" ({main.note})"
    text = (
        f"{start}: the size of {what} tells bases of functional motifs from all other bases with an AUROC of "
        f"{number(float(main.auroc))}{said}"
    )
    if decoys.auroc == decoys.auroc:
        text += f", and from bases of motifs in decoys with {number(float(decoys.auroc))}"
    return f"{text}; 0.5 is guessing, 1 is perfect."


def write_truth(path: str | Path, truths: Sequence[dict[str, Any]]) -> None:
    """Write the lines of all maps as TSV; the header alone where there are none."""
    table = pd.DataFrame([line for truth in truths for line in truth["lines"]], columns=COLUMNS)
    atomic_write(path, table.to_csv(sep="\t", index=False, float_format="%.6g", lineterminator="\n").encode())
