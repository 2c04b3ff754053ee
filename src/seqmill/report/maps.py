"""What the report says of mutagenesis maps: a table of regions, still pictures, and data for the moving picture."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.evaluation.truth import importance, read_bounds
from seqmill.report.figures import overview
from seqmill.report.logo import still
from seqmill.report.words import number
from seqmill.stores.map_values import MUTAGENESIS
from seqmill.stores.maps import MapReader
from seqmill.stores.specs import track_names

MAX_REGIONS = 12
MAX_TRACKS = 8
MAX_LISTED = 100
MAX_BYTES = 3_000_000
"""Of effects in the page, for each map; the rest of its regions is in the store alone."""
BASES = "ACGTN"
GAP = -32768
FULL = 32767


def gather_map(folder: Path) -> dict[str, Any]:
    """One map as the page shows it; ``data`` is what its script draws from."""
    reader = MapReader(folder)
    attrs, places = reader.attrs, reader.regions
    tracks = [(target, i, name) for target, spec in reader.targets.items() for i, name in enumerate(track_names(spec))]
    many = len(reader.targets) > 1
    labels = [f"{target}: {name}" if many and target != name else name for target, _, name in tracks]
    found = {
        "name": attrs["name"],
        "model": attrs["model"],
        "method": reader.method,
        "completeness": attrs.get("completeness"),
        "references": attrs.get("references"),
        "genome": attrs["genome"],
        "n": reader.n,
        "length": reader.length,
        "runs": attrs["runs"],
        "members": len(attrs["models"]),
        "both_strands": attrs["both_strands"],
        "shifts": len(attrs["shifts_bp"]),
        "edits": list(reader.edits),
        "spaces": sorted(set(attrs["spaces"].values())),
        "tracks": labels[:MAX_TRACKS],
        "hidden_tracks": max(0, len(tracks) - MAX_TRACKS),
    }
    if "substitutions" not in reader.edits or not reader.n:
        return found | {"regions": [], "hidden": 0, "stills": [], "data": None, "overview": ""}
    weight, summary = _summary(reader, tracks, labels)
    order = np.argsort(-np.nan_to_num(np.array([line["largest"] for line in summary])), kind="stable")
    shown = [int(i) for i in order[: _fitting(reader, min(len(tracks), MAX_TRACKS))]]
    drawn = [_region(reader, places, i, tracks[:MAX_TRACKS]) for i in shown]
    return found | {
        "regions": [summary[i] for i in order[:MAX_LISTED]],
        "hidden": max(0, reader.n - MAX_LISTED),
        "shown": len(shown),
        "stills": [_still(region, labels, reader.method) for region in drawn],
        "overview": overview(weight[order[:MAX_LISTED]]),
        "data": {
            "name": str(attrs["name"]),
            "own": reader.method != MUTAGENESIS,
            "tracks": labels[:MAX_TRACKS],
            "space": [str(attrs["spaces"].get(target, "")) for target, _, _ in tracks[:MAX_TRACKS]],
            "regions": [_packed(region) for region in drawn],
        },
    }


def _fitting(reader: MapReader, tracks: int) -> int:
    """How many regions fit into the page."""
    rows = 5 if "deletions" in reader.edits else 4
    each = reader.length * rows * tracks * 2 * 4 // 3  # int16 in base64
    return max(1, min(MAX_REGIONS, reader.n, MAX_BYTES // max(each, 1)))


def _summary(reader: MapReader, tracks: list, labels: list[str]) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Importance of every base (region, position), and a line of the table for each region."""
    weight = np.full((reader.n, reader.length), np.nan, np.float32)
    lines: list[dict[str, Any]] = []
    for start, stop in read_bounds(reader):
        codes = reader.read("sequence", start, stop)
        effects = np.concatenate([reader.read(f"substitutions/{t}", start, stop) for t in reader.targets], axis=-1)
        weight[start:stop] = importance(effects, codes, reader.method)
        for i, place in enumerate(reader.regions.iloc[start:stop].to_dict("records")):
            lines.append(_line(place, effects[i], codes[i], labels, reader.method))
    return weight, lines


def _line(
    place: dict[str, Any], effects: np.ndarray, codes: np.ndarray, labels: list[str], method: str
) -> dict[str, Any]:
    line = {
        "name": str(place["name"]),
        "place": f"{place['contig']}:{place['start'] + 1:,}–{place['end']:,}" if place["contig"] else "–",
        "length": int(place["end"] - place["start"]),
        "runs": int(place["runs"]),
        "largest": 0.0,
        "what": "–",
        "track": "–",
    }
    if method != MUTAGENESIS:  # the strongest of the bases that are there
        effects = np.where(np.arange(4)[:, None] == codes[:, None, None], effects, 0)
    size = np.nan_to_num(np.abs(effects))
    if size.any():
        at, base, track = np.unravel_index(int(size.argmax()), size.shape)
        line["largest"] = float(size.max())
        line["effect"] = float(effects[at, base, track])
        change = f"→{BASES[base]}" if method == MUTAGENESIS else ""
        line["what"] = f"{max(place['start'], 0) + at + 1:,} {BASES[codes[at]]}{change}"
        line["track"] = labels[track]
    return line


def _region(reader: MapReader, places: pd.DataFrame, i: int, tracks: list) -> dict[str, Any]:
    """Codes (position,), effects (track, position, base) and of deletions (track, position) of one region."""
    place = places.iloc[i]
    length = int(place["end"] - place["start"])
    codes = reader.read("sequence", i, i + 1)[0, :length]
    stored = {target: reader.read(f"substitutions/{target}", i, i + 1)[0, :length] for target, _, _ in tracks}
    region = {"place": place, "codes": codes, "effects": np.stack([stored[t][:, :, k] for t, k, _ in tracks])}
    if "deletions" in reader.edits:
        stored = {target: reader.read(f"deletions/{target}", i, i + 1)[0, :length] for target, _, _ in tracks}
        region["deletions"] = np.stack([stored[t][:, k] for t, k, _ in tracks])
    return region


def _still(region: dict[str, Any], labels: list[str], method: str) -> dict[str, str]:
    """The picture for paper and for readers without script: the track with the largest effect."""
    place, effects = region["place"], region["effects"]
    track = int(np.nan_to_num(np.abs(effects)).reshape(len(effects), -1).max(axis=1).argmax())
    start = max(int(place["start"]), 0)
    source, first, last = still(region["codes"], effects[track], start)
    where = f"{_contig(place)}:{start + first + 1:,}–{start + last:,}"
    return {
        "source": source,
        "name": str(place["name"]),
        "track": labels[track],
        "where": where,
        "alt": f"Logo over heatmap of {where}, {labels[track]}; largest effect {number(_largest(effects[track]))}.",
    }


def _contig(place: pd.Series) -> str:
    """Contig of a region, or the name of a sequence of a table, which has none."""
    return str(place["contig"] or place["name"])


def _largest(effects: np.ndarray) -> float:
    return float(np.nan_to_num(np.abs(effects)).max(initial=0))


def pack(values: np.ndarray) -> dict[str, Any]:
    """Values as 16-bit numbers in base64, little-endian, and their factor; `GAP` for NaN. Error at most half a step."""
    scale = _largest(values) / FULL or 1.0
    whole = np.where(np.isnan(values), GAP, np.round(np.nan_to_num(values) / scale)).astype("<i2")
    return {"scale": scale, "bytes": base64.b64encode(whole.tobytes()).decode()}


def _packed(region: dict[str, Any]) -> dict[str, Any]:
    place = region["place"]
    found = {
        "name": str(place["name"]),
        "contig": _contig(place),
        "start": max(int(place["start"]), 0),
        "runs": int(place["runs"]),
        "sequence": "".join(BASES[min(code, 4)] for code in region["codes"]),
        "effects": [pack(track) for track in region["effects"]],
    }
    if "deletions" in region:
        found["deletions"] = [pack(track) for track in region["deletions"]]
    return found
