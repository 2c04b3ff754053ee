"""Inputs and targets of genome windows.

Rows are visited in genome order and their values scattered into a temporary file (`seqmill.examples.scatter`), some
tracks at a time, so that memory grows neither with the genome nor with the number of tracks.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.config.datasets import Control, Dataset, Target
from seqmill.config.sheet import STRANDED_FORMATS, Track
from seqmill.examples.call_pairs import in_pairs, pair_blocks
from seqmill.examples.peak_arrays import label_blocks, mask_blocks, merged_blocks, needs_mask
from seqmill.examples.scatter import RecordFile
from seqmill.examples.signal_arrays import Geometry, signal_blocks
from seqmill.examples.sources import Array, genomic_section
from seqmill.examples.visits import Source, contig_groups
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.genome import GenomeReader
from seqmill.stores.specs import ArraySpec
from seqmill.stores.track import TrackReader

log = logging.getLogger("seqmill")
BASES_AT_ONCE = 4 << 20


def input_array(
    *,
    name: str,
    dataset: Dataset,
    input_name: str,
    rows: pd.DataFrame,
    rows_attrs: dict[str, Any],
    genomes: dict[str, Path],
) -> Array:
    """The sequence of each window and its margins: uint8 (example, bp), A0 C1 G2 T3 N4, + strand."""
    width = genomic_section(dataset).window_bp + 2 * dataset.margin_bp
    spec = ArraySpec(
        role="input",
        name=input_name,
        axes=("example", "bp"),
        dtype="uint8",
        shape_per_example=(width,),
        kind="sequence",
        bp_per_bin=1,
        margin_bp=dataset.margin_bp,
        rc="sequence" if dataset.reverse_complement else "forbidden",
        shift="moves",
    )
    readers = {assembly: GenomeReader(folder) for assembly, folder in genomes.items()}
    blocks = sequence_blocks(rows, readers, width, dataset.margin_bp, f"datasets.{name}.{input_name}")
    return Array(spec, blocks, made_from=list(genomes.values()))


def sequence_blocks(
    rows: pd.DataFrame, readers: dict[str, GenomeReader], width: int, margin_bp: int, what: str
) -> Iterator[np.ndarray]:
    """Codes of ``width`` bases from ``start - margin_bp`` of each row; N outside contigs. uint8 blocks in row order."""
    step = max(1, BASES_AT_ONCE // width)
    with RecordFile(len(rows), (width,), "uint8") as records, Progress(what, len(rows), "examples") as progress:
        for genome, contig, numbers, starts in contig_groups(rows):
            for first in range(0, len(numbers), step):
                part = slice(first, first + step)
                records.put(numbers[part], readers[genome].many(contig, starts[part] - margin_bp, width))
                progress.add(len(numbers[part]))
        yield from records.blocks()


def control_array(
    *, name: str, dataset: Dataset, tracks: list[Track], rows: pd.DataFrame, track_stores: dict[str, Path]
) -> Array:
    """The control: float32 (example, bins, tracks), made, moved and turned round as a profile target is.

    A row has no value of a track of another genome or of a track that could not be read: NaN.
    """
    section, where = dataset.control, f"datasets.{name}.control"
    if section is None:
        raise InputError(where, "the dataset has no control")
    sources = _sources(tracks, track_stores, where)
    array = _signal(dataset, section, "control", "", sources, rows, where)
    array.made_from = list(track_stores.values())
    return array


def target_array(
    *,
    name: str,
    dataset: Dataset,
    target_name: str,
    group: str,
    tracks: list[Track],
    rows: pd.DataFrame,
    rows_attrs: dict[str, Any],
    track_stores: dict[str, Path],
    genomes: dict[str, Path],
) -> Array:
    """One group of tracks of a target. Tracks whose store says "dropped" are left out, "masked" ones are missing.

    A row has no value of a track of another genome: NaN, or False in the mask.
    """
    target, where = dataset.targets[target_name], f"datasets.{name}.targets.{target_name}"
    if target.column is not None or not tracks:
        raise InputError(where, "a target of genome windows needs 'tracks'")
    sources = _sources(tracks, track_stores, where)
    if target.kind == "binary":
        array = _binary(dataset, target_name, group, sources, rows, rows_attrs, where)
    else:
        array = _signal(dataset, target, target_name, group, sources, rows, where)
    array.made_from = list(track_stores.values())
    return array


def _sources(tracks: list[Track], track_stores: dict[str, Path], where: str) -> list[Source]:
    sources = _alive([Source.of(track, track_stores[track.track]) for track in tracks], where)
    _check_partners(sources, where)
    return sources


def _alive(sources: list[Source], where: str) -> list[Source]:
    """Tracks that were not dropped; the partner of a dropped strand goes with it, or strands could not be swapped."""
    dropped = {source.track.track for source in sources if source.state == "dropped"}
    dropped |= {source.track.track for source in sources if source.track.strand_pair in dropped}
    if dropped:
        log.warning("%s: left out, as their files were dropped: %s", where, ", ".join(sorted(dropped)))
    alive = [source for source in sources if source.track.track not in dropped]
    if not alive:
        reasons = (TrackReader(source.folder).attrs["reason"] for source in sources if source.state == "dropped")
        raise InputError(where, f"0 of {len(sources)} tracks left, all were dropped; the first: {next(reasons)}")
    return alive


def _check_partners(sources: list[Source], where: str) -> None:
    """Strand partners must not be copies of one file, where a file holds one strand."""
    content = {source.track.track: source.content for source in sources if source.content}
    for source in sources:
        name, partner = source.track.track, source.track.strand_pair
        same = name != partner and content.get(name, "") == content.get(partner)
        if same and source.track.format not in STRANDED_FORMATS:
            raise InputError(where, f"tracks {name} and {partner} are strands of one another, but of equal files")


def _spec(name: str, group: str, part: Target | Control, sources: list[Source], **more: Any) -> ArraySpec:
    tracks = [source.track for source in sources]
    pairs = tuple(track.strand_pair or track.track for track in tracks)
    paired = any(pair != track.track for pair, track in zip(pairs, tracks))
    kind = part.kind if isinstance(part, Target) else "profile"
    profile = kind == "profile"
    units = {source.units for source in sources}
    missing = {track.missing for track in tracks}
    return ArraySpec(
        role="target" if isinstance(part, Target) else "input",
        name=name,
        group=group,
        kind=kind,
        rc=("reverse_swap" if paired else "reverse") if profile else ("swap" if paired else "none"),
        shift="moves" if profile else "fixed",
        tracks=tuple(track.track for track in tracks),
        strand_pairs=pairs,
        units=units.pop() if len(units) == 1 else "mixed",
        missing=missing.pop() if len(missing) == 1 else "mixed",
        **more,
    )


def _binary(
    dataset: Dataset,
    target_name: str,
    group: str,
    sources: list[Source],
    rows: pd.DataFrame,
    rows_attrs: dict[str, Any],
    where: str,
) -> Array:
    target = dataset.targets[target_name]
    for source in sources:
        if source.kind != "intervals":
            raise InputError(where, f"track {source.track.track} holds signal; a binary target needs peaks")
    axes, shape = ("example", "tracks"), (len(sources),)
    spec = _spec(target_name, group, target, sources, axes=axes, dtype="uint8", shape_per_example=shape)
    if target.rule == "merged":
        blocks = merged_blocks(sources, rows, rows_attrs, where)
    else:
        blocks = label_blocks(dataset, target_name, sources, rows, where)
    return Array(spec, blocks, mask_blocks(sources, rows) if needs_mask(sources, rows) else None)


def _signal(
    dataset: Dataset,
    part: Target | Control,
    name: str,
    group: str,
    sources: list[Source],
    rows: pd.DataFrame,
    where: str,
) -> Array:
    geometry = Geometry.of(dataset, part, sources, where)
    axes: tuple[str, ...] = ("example", "tracks")
    shape: tuple[int, ...] = (len(sources),)
    named = sources
    if geometry.kind == "profile":
        axes, shape = ("example", "bins", "tracks"), (geometry.bins, *shape)
    elif geometry.kind == "beta_binomial":
        sources = in_pairs(sources, where)
        named = sources[::2]  # a pair has the name of its successes
        axes, shape = ("example", "count", "tracks"), (2, len(named))
    spec = _spec(
        name,
        group,
        part,
        named,
        axes=axes,
        dtype="float32",
        shape_per_example=shape,
        bp_per_bin=geometry.bin_bp,
        offset_bp=geometry.offset_bp,
        margin_bp=geometry.margin_bp,
    )
    blocks = signal_blocks(geometry, sources, rows)
    return Array(spec, pair_blocks(blocks) if geometry.kind == "beta_binomial" else blocks)
