"""The HTML pages of one map: every edit of its regions, with tracks, genes and variants below them.

::

    maps/{map}.page/   marker.json run.json
       index.html      the regions with the largest effects
       {n}.html        the next ones, n from 2

Each page holds the data of some regions and needs no other file; like the report it allows its own script and style by
their digests and nothing else, and opens from disk. All pages list all regions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqmill import __version__
from seqmill.report.logo import GLYPHS
from seqmill.report.map_beside import genes_beside, tracks_beside, variants_beside
from seqmill.report.maps import BASES, pack
from seqmill.report.page import digest, safe_json, template
from seqmill.report.words import number, plural
from seqmill.runtime.files import atomic_write
from seqmill.stores.layout import noun_folder, upstream
from seqmill.stores.map_values import MUTAGENESIS
from seqmill.stores.maps import MapReader
from seqmill.stores.specs import track_names

PAGE_BYTES = 4_000_000
"""Data of a page, but at least one region."""
MAX_TRACKS = 24
"""Tracks of each region that can be chosen, beside the means over the tracks of each target."""


def write_map_page(
    out: str | Path,
    *,
    map_folder: str | Path,
    genome: str | Path | None,
    regions: int,
    tracks: Sequence[str | Path] = (),
    genes: str | Path | None = None,
    variants: Sequence[str | Path] = (),
    vcf: Sequence[str | Path] = (),
) -> None:
    """Write the pages of a map.

    Parameters
    ----------
    out : ``…/maps/{map}.page``. map_folder : of the map. genome : folder of its genome; None for sequences of a table.
    regions : at most so many, those with the largest effects.
    tracks : folders of track stores. genes : file for `seqmill.formats.genes.read_genes`.
    variants : folders of scored sets. vcf : files of variants.

    Raises
    ------
    InputError
        A file cannot be read.
    """
    reader = MapReader(map_folder)
    columns, hidden = _columns(reader)
    order = _strongest(reader)[:regions]
    places = reader.regions.iloc[order]
    beside = upstream(*([genome] if genome else []), *tracks, *variants)
    with noun_folder(out, noun="map-page", label=reader.attrs["name"], inputs=upstream(map_folder) | beside) as (
        part,
        attrs,
        _,
    ):
        lanes = {
            "signals": tracks_beside(tracks, places),
            "genes": genes_beside(genes, genome, places),
            "variants": variants_beside(variants, vcf, genome, places, columns),
        }
        chunks, lines = _chunks(reader, order, columns, lanes)
        names = ["index.html", *(f"{page + 1}.html" for page in range(1, len(chunks)))]
        shown = {"n": reader.n, "shown": len(order), "hidden_tracks": hidden, "lines": lines, "names": names}
        for page, (file, chunk) in enumerate(zip(names, chunks)):
            regions_of = [_region(reader, region, columns, lanes, order) for region in chunk]
            _write(part / file, reader, columns, regions_of, {**shown, "page": page})
        attrs |= {"map": reader.attrs["name"], "n": reader.n, "shown": len(order), "pages": len(names)}


def _columns(reader: MapReader) -> tuple[list[dict[str, Any]], int]:
    """What can be chosen: means over the tracks of a target, and tracks; and how many tracks cannot."""
    found: list[dict[str, Any]] = []
    tracks = 0
    for target, spec in reader.targets.items():
        names = track_names(spec)
        space = str(reader.attrs["spaces"].get(target, ""))
        if len(names) > 1:
            label = f"{target}: mean of {len(names)} tracks"
            found.append({"target": target, "place": None, "track": "", "label": label, "space": space})
        for place, name in enumerate(names):
            tracks += 1
            if tracks <= MAX_TRACKS:
                label = f"{target}: {name}" if target != name else name
                found.append({"target": target, "place": place, "track": name, "label": label, "space": space})
    return found, max(0, tracks - MAX_TRACKS)


def _strongest(reader: MapReader) -> np.ndarray:
    """Numbers of the regions, that with the largest effect of an edit first."""
    largest = np.zeros(reader.n)
    width = sum(len(track_names(spec)) for spec in reader.targets.values())
    step = max(1, 100_000_000 // (16 * reader.length * width))
    for start in range(0, reader.n, step):
        for target in reader.targets:
            for edit in reader.edits:
                effects = np.abs(reader.read(f"{edit}/{target}", start, start + step))
                most = np.nan_to_num(effects).reshape(len(effects), -1).max(axis=1, initial=0)
                largest[start : start + step] = np.maximum(largest[start : start + step], most)
    return np.argsort(-largest, kind="stable")


def _chunks(
    reader: MapReader, order: np.ndarray, columns: Sequence[Any], lanes: Mapping[str, Any]
) -> tuple[list[list[int]], list[dict[str, Any]]]:
    """Numbers of the regions of each page, and the lines of the list of all regions."""
    rows = {"substitutions": 4, "deletions": 1, "insertions": 4}
    each = sum(rows[edit] for edit in reader.edits) * len(columns) * 2 * 4 // 3  # int16 in base64, a position
    chunks: list[list[int]] = [[]]
    lines, held = [], 0
    for row, region in zip(reader.regions.iloc[order].itertuples(), order.tolist()):
        size = each * (row.end - row.start)
        if chunks[-1] and held + size > PAGE_BYTES:
            chunks.append([])
            held = 0
        place = f"{row.contig}:{row.start + 1:,}–{row.end:,}" if row.contig else "–"
        line = {"page": len(chunks) - 1, "at": len(chunks[-1]), "name": row.name, "place": place}
        lines.append(line | {"length": row.end - row.start, "runs": row.runs})
        chunks[-1].append(region)
        held += size
    return chunks, lines


def _region(
    reader: MapReader, at: int, columns: Sequence[Mapping[str, Any]], lanes: Mapping[str, Any], order: np.ndarray
) -> dict[str, Any]:
    """One region as the script reads it."""
    row = reader.regions.iloc[at]
    bp = int(row["end"] - row["start"])
    found = {
        "name": str(row["name"]),
        "contig": str(row["contig"] or row["name"]),
        "start": max(int(row["start"]), 0),
        "runs": int(row["runs"]),
        "sequence": "".join(BASES[min(code, 4)] for code in reader.read("sequence", at, at + 1)[0, :bp]),
    }
    for edit in reader.edits:
        stored = {target: reader.read(f"{edit}/{target}", at, at + 1)[0, :bp] for target in reader.targets}
        found["effects" if edit == "substitutions" else edit] = [
            pack(x.mean(axis=-1) if column["place"] is None else x[..., column["place"]])
            for column in columns
            for x in [stored[column["target"]]]
        ]
    place = int(np.flatnonzero(order == at)[0])
    return found | {lane: values[place] for lane, values in lanes.items()}


def _write(
    path: Path,
    reader: MapReader,
    columns: Sequence[Mapping[str, Any]],
    regions: list[dict[str, Any]],
    shown: Mapping[str, Any],
) -> None:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("seqmill.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "plural": plural}
    style = template("page.css") + template("map_page.css")
    script = template("viewer.js") + template("map_page.js")
    data = {
        "name": str(reader.attrs["name"]),
        "own": reader.method != MUTAGENESIS,
        "tracks": [column["label"] for column in columns],
        "space": [column["space"] for column in columns],
        "regions": regions,
    }
    page = environment.get_template("map_page.html").render(
        title=f"Map {reader.attrs['name']}",
        attrs=reader.attrs,
        edits=reader.edits,
        version=__version__,
        style=Markup(style),
        style_digest=digest(style),
        script=Markup(script),
        script_digest=digest(script),
        map_data=Markup(safe_json({"glyphs": GLYPHS, "maps": [data]})),
        **shown,
    )
    atomic_write(path, page.encode("utf-8", "replace"))
