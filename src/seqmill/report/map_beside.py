"""What is drawn below a map's regions: signal and intervals of tracks, genes, variants with their effects."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.formats.genes import read_genes
from seqmill.formats.variant_records import Records
from seqmill.formats.variants import open_variants
from seqmill.genome.names import match_names
from seqmill.report.maps import pack
from seqmill.stores.genome import GenomeReader
from seqmill.stores.track import TrackReader
from seqmill.stores.variants import VariantsReader, score_column

MAX_VARIANTS, MAX_GENES, LETTERS = 500, 60, 60
"""Variants and genes of a region that are drawn, and letters of an allele that are told."""
BLOCK = 8192
Found = list[list[dict[str, Any]]]


def tracks_beside(folders: Sequence[str | Path], places: pd.DataFrame) -> list[list[dict[str, Any]]]:
    """For each place, of each track its values in bins, or its intervals.

    Parameters
    ----------
    folders : of track stores. places : columns contig, start, end, 0-based half-open.

    Returns
    -------
    ``name`` and ``kind`` of each track; of signal ``first`` (base of the first bin), ``bin`` (bp) and ``values``
    (`seqmill.report.maps.pack`); of intervals ``spans``, pairs of start and end cut to the place.
    """
    readers = [TrackReader(folder) for folder in folders]
    return [[_track(reader, row) for reader in readers] for row in places.itertuples()]


def _track(reader: TrackReader, row: Any) -> dict[str, Any]:
    if reader.kind == "intervals":
        found = reader.intervals(row.contig)
        near = np.flatnonzero((found.start < row.end) & (found.end > row.start))
        spans = [[max(int(found.start[i]), row.start), min(int(found.end[i]), row.end)] for i in near]
        return {"name": reader.name, "kind": "intervals", "spans": spans}
    bp = reader.bin_bp or 1
    first, last = row.start // bp, -(-row.end // bp)
    values = reader.bins(row.contig, first, last - first)
    return {"name": reader.name, "kind": "signal", "first": first * bp, "bin": bp, "values": pack(values)}


def genes_beside(
    path: str | Path | None, genome: str | Path | None, places: pd.DataFrame
) -> list[list[dict[str, Any]]]:
    """For each place the genes that overlap it: name, start, end, strand, exons and coding span, not cut."""
    if path is None or genome is None:
        return [[] for _ in range(len(places))]
    spans = {str(contig): list(zip(part["start"], part["end"])) for contig, part in places.groupby("contig")}
    genes = read_genes(path, GenomeReader(genome).sizes, spans)
    found = []
    for row in places.itertuples():
        mine = [gene for gene in genes if gene.contig == row.contig and gene.start < row.end and gene.end > row.start]
        found.append(
            [
                {
                    "name": gene.name,
                    "start": gene.start,
                    "end": gene.end,
                    "strand": gene.strand,
                    "exons": [exon for exon in gene.exons if exon[0] < row.end and exon[1] > row.start],
                    "coding": gene.coding,
                }
                for gene in mine[:MAX_GENES]
            ]
        )
    return found


def variants_beside(
    folders: Sequence[str | Path],
    files: Sequence[str | Path],
    genome: str | Path | None,
    places: pd.DataFrame,
    columns: Sequence[Mapping[str, Any]],
) -> list[list[dict[str, Any]]]:
    """For each place the variants that begin in it.

    Parameters
    ----------
    folders : of scored sets. files : of variants without scores.
    columns : what can be chosen on the page: ``target`` and ``track`` (empty for a mean).

    Returns
    -------
    ``set``, ``start`` (0-based), ``id``, ``ref``, ``alt``; of scored sets also ``effect``, its name, and ``scores``,
    one for each column, None where there is none.
    """
    found: Found = [[] for _ in range(len(places))]
    if genome is None:
        return found
    for folder in folders:
        _add_scored(found, places, VariantsReader(folder), columns)
    sizes = GenomeReader(genome).sizes
    for file in files:
        for records in open_variants(file).blocks(BLOCK):
            names = match_names(records.contig, sizes, str(file))

            def told(i: int, records: Records = records, file: str | Path = file) -> dict[str, Any]:
                ref, alt = records.ref[i][:LETTERS], records.alt[i][:LETTERS]
                return {"set": Path(file).name, "id": records.id[i], "ref": ref, "alt": alt}

            _put(found, places, [names.get(name, "") for name in records.contig], records.start, told)
    return found


def _add_scored(found: Found, places: pd.DataFrame, reader: VariantsReader, columns: Sequence[Mapping]) -> None:
    """Put the variants of a set into the places that they begin in."""
    effects = [*reader.attrs["effects"]]
    effect = "score" if "score" in effects else effects[0]
    wanted = [score_column(column["target"], column["track"] or "", effect) for column in columns]
    known = [name for name in wanted if name in reader.columns]
    for table in reader.table(["contig", "position_1based", "id", "ref", "alt", *dict.fromkeys(known)]):
        scores = [table[name].to_numpy(np.float64) if name in table else None for name in wanted]

        def told(i: int, table: pd.DataFrame = table, scores: Sequence[Any] = scores) -> dict[str, Any]:
            ref, alt = (str(table[key].iloc[i])[:LETTERS] for key in ("ref", "alt"))
            row = {"set": reader.attrs["set"], "id": str(table["id"].iloc[i]), "ref": ref, "alt": alt, "effect": effect}
            return row | {"scores": [None if x is None or np.isnan(x[i]) else float(f"{x[i]:.5g}") for x in scores]}

        _put(found, places, table["contig"].to_numpy(), table["position_1based"].to_numpy() - 1, told)


def _put(found: Found, places: pd.DataFrame, contigs: Any, starts: Any, told: Callable[[int], dict[str, Any]]) -> None:
    contigs, starts = np.asarray(contigs, object), np.asarray(starts, np.int64)
    for number, place in enumerate(places.itertuples()):
        inside = np.flatnonzero((starts >= place.start) & (starts < place.end) & (contigs == place.contig))
        room = max(0, MAX_VARIANTS - len(found[number]))
        found[number] += [{**told(int(i)), "start": int(starts[i])} for i in inside[:room]]
