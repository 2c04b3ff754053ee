"""What others read of a mutagenesis map: bigWig, BED, arrays for motif discovery, pictures.

::

    maps/{map}.files/             marker.json run.json
       {target}/{track}.bw        mean |effect| of the edits of each base
       {target}/signed/{track}.bw minus the mean effect: above 0 where the base that is there raises the score
       {target}/{track}.bedgraph.gz, {target}/signed/{track}.bedgraph.gz   the same as text, where asked for
       positions.bed              stretches that matter, where asked for: see `seqmill.effects.maps.stretches`
       regions.bed                BED6, then how many runs scored the region and its strongest mean |effect|
       {target}.ohe.npz           sequences, one-hot (region, ACGT, position), key arr_0
       {target}.shap.npz          hypothetical contributions of the same shape, mean over the tracks
       {target}/{track}.shap.npz  those of each track, where a target has 2 to 6
       pictures/{n}.png           logo over heatmap of the first regions, n from 1

Of a map of attribution the bigWigs hold the size of the contribution of the base that is there and the contribution
itself, the arrays its hypothetical contributions as they are.

bigWigs are of substitutions if the map has them, else of deletions, else of insertions; where regions overlap they
hold the mean. Arrays and pictures need substitutions.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.config.names import slug
from seqmill.effects.maps.pictures import draw_region, rows_of
from seqmill.effects.maps.stretches import Line, stretches, write_stretches
from seqmill.effects.maps.values import by_track, npz_stream, pieces, slabs, write_bedgraph
from seqmill.formats.bigwig_out import write_bigwig
from seqmill.genome.sequence import one_hot
from seqmill.runtime.errors import InputError
from seqmill.runtime.files import atomic_write
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import noun_folder, upstream
from seqmill.stores.map_values import MUTAGENESIS, hypothetical
from seqmill.stores.maps import EDITS, MapReader
from seqmill.stores.specs import track_names

SLAB_BYTES = 100_000_000
SEPARATE_TRACKS = 6
_SIGNED = {
    "substitutions": "mean over the three substitutions of a base",
    "deletions": "deletion of a base",
    "insertions": "mean over the four insertions in front of a base",
}


def write_map_files(
    out: str | Path,
    *,
    map_folder: str | Path,
    genome: str | Path | None,
    pictures: int | None = None,
    exports: Sequence[str] = (),
) -> None:
    """Write the files of a map.

    Parameters
    ----------
    out : ``…/maps/{map}.files``. map_folder : of the map. genome : folder of the genome of its regions; None where
        they are sequences of a table, then there are no bigWigs and no BED file.
    pictures : how many regions to draw; as the map says if None.
    exports : "bedgraph", "positions" or both: further files on a genome.

    Raises
    ------
    InputError
        The genome is not the one of the map.
    """
    source, reader = MapReader(map_folder), None if genome is None else GenomeReader(genome)
    if genome is not None and reader is not None and reader.name != source.attrs["genome"]:
        raise InputError(genome, f"is genome {reader.name}, map {map_folder} is on {source.attrs['genome'] or 'none'}")
    if reader is None and source.attrs["genome"]:
        raise ValueError(f"{map_folder}: its bigWigs need genome {source.attrs['genome']}")
    name = source.attrs["name"]
    edit = next(edit for edit in EDITS if edit in source.edits)
    made_from = [map_folder] if genome is None else [map_folder, genome]
    with noun_folder(
        out, noun="map-files", label=name, inputs=upstream(*made_from),
        packages=("numpy", "pybigtools", "matplotlib"),
    ) as (part, attrs, _):  # fmt: skip
        strongest = np.zeros(source.n)
        lines: list[Line] = []
        for target in source.targets:
            if reader is not None:
                most, found = _write_signals(part, source, reader, edit, target, exports)
                strongest, lines = np.maximum(strongest, most), lines + found
            if edit == "substitutions":
                _write_arrays(part, source, target)
        if reader is not None:
            _write_bed(part / "regions.bed", source, strongest)
            if "positions" in exports:
                write_stretches(part / "positions.bed", lines, list(reader.sizes))
        count = source.attrs["picture"] if pictures is None else pictures
        drawn = list(_draw(part, source, count)) if edit == "substitutions" else []
        attrs |= {
            "map": name,
            "edit": edit,
            "value": _value(source, edit),
            "bigwigs": reader is not None,
            "tracks": {target: list(track_names(spec)) for target, spec in source.targets.items()},
            "pictures": drawn,
        }


def _write_signals(
    part: Path, source: MapReader, genome: GenomeReader, edit: str, target: str, exports: Sequence[str]
) -> tuple[np.ndarray, list[Line]]:
    """Both bigWigs of each track, and what else is asked for.

    Returns
    -------
    The strongest mean |effect| of each region, float (region,), and lines for `_write_positions`.
    """
    tracks, found = track_names(source.targets[target]), np.zeros(source.n)
    lines: list[Line] = []
    for number, sizes, signed in by_track(source, edit, target, part / "scratch", SLAB_BYTES):
        name = slug(tracks[number])
        for start, stop in slabs(source, 1, SLAB_BYTES):
            found[start:stop] = np.maximum(found[start:stop], np.nan_to_num(sizes[start:stop]).max(axis=1))
            if "positions" in exports:
                label = f"{target}|{tracks[number]}"
                lines += stretches(source.regions.iloc[start:stop], sizes[start:stop], signed[start:stop], label)
        for folder, values in ((part / slug(target), sizes), (part / slug(target) / "signed", signed)):
            folder.mkdir(parents=True, exist_ok=True)
            write_bigwig(folder / f"{name}.bw", genome.sizes, pieces(source, genome.sizes, values, SLAB_BYTES))
            if "bedgraph" in exports:
                write_bedgraph(folder / f"{name}.bedgraph.gz", pieces(source, genome.sizes, values, SLAB_BYTES))
    return found, lines


def _write_arrays(part: Path, source: MapReader, target: str) -> None:
    """One-hot sequences and hypothetical contributions: effects minus their mean over the four bases."""
    tracks = track_names(source.targets[target])
    several = 1 < len(tracks) <= SEPARATE_TRACKS
    names = [f"{slug(target)}.shap.npz", *(f"{slug(target)}/{slug(t)}.shap.npz" for t in tracks if several)]
    shape = (source.n, 4, source.length)
    with ExitStack() as opened:
        write = [opened.enter_context(npz_stream(part / name, shape, np.float32)) for name in names]
        bases = opened.enter_context(npz_stream(part / f"{slug(target)}.ohe.npz", shape, np.int8))
        for start, stop in slabs(source, len(tracks), SLAB_BYTES):
            effects = source.read(f"substitutions/{target}", start, stop)
            centred = np.nan_to_num(hypothetical(effects, source.method)).transpose(0, 2, 1, 3)
            write[0](centred.mean(axis=-1))
            for place, one in enumerate(write[1:]):
                one(centred[..., place])
            bases(one_hot(source.read("sequence", start, stop)).transpose(0, 2, 1))


def _write_bed(path: Path, source: MapReader, strongest: np.ndarray) -> None:
    """Regions in the order of the map."""
    top, lines = strongest.max() or 1.0, []
    for row, value in zip(source.regions.itertuples(), strongest.tolist()):
        strand = {1: "+", -1: "-"}.get(row.strand, ".")
        fields = (row.contig, row.start, row.end, row.name, round(1000 * value / top), strand, row.runs, f"{value:.6g}")
        lines.append("\t".join(str(field).replace("\t", " ").replace("\n", " ") for field in fields) + "\n")
    atomic_write(path, "".join(lines))


def _draw(part: Path, source: MapReader, count: int) -> Iterator[dict[str, Any]]:
    """Pictures of the first ``count`` regions; yields what each shows."""
    for number, row in enumerate(source.regions.head(count).itertuples()):
        bp = row.end - row.start
        effects = {t: source.read(f"substitutions/{t}", number, number + 1)[0, :bp] for t in source.targets}
        tracks = {target: track_names(spec) for target, spec in source.targets.items()}
        file = f"pictures/{number + 1}.png"
        (part / "pictures").mkdir(exist_ok=True)
        place = f"{row.contig}:{row.start + 1:,}-{row.end:,} (1-based)" if row.contig else f"{bp:,} bp"
        draw_region(
            part / file,
            codes=source.read("sequence", number, number + 1)[0, :bp],
            contig=row.contig,
            start=max(row.start, 0),
            rows=list(rows_of(effects, tracks, source.attrs["spaces"], SEPARATE_TRACKS)),
            method=source.method,
            title=place if row.name == f"{row.contig}:{row.start}-{row.end}" else f"{row.name}, {place}",
            caption=_caption(source, row.runs),
        )
        yield {"file": file, "region": row.name, "contig": row.contig, "start": row.start, "end": row.end}


def _value(source: MapReader, edit: str) -> str:
    """What the bigWigs hold."""
    if source.method != MUTAGENESIS:
        return f"|contribution| of the base that is there ({source.method}); under signed/ the contribution"
    return f"|effect|, {_SIGNED[edit]}; under signed/ minus the effect"


def _caption(source: MapReader, runs: int) -> str:
    """How to read a picture."""
    several = f", mean over {runs} runs of model {source.attrs['model']}" if runs > 1 else ""
    if source.method != MUTAGENESIS:
        return (
            "Letters: what each base contributes to the score by method "
            f"{source.method}{several}; above the line it raises the score, below it lowers it. Heatmap: what each of "
            "the four bases would contribute in its place (dots: the base that is there; grey: N)."
        )
    return (
        "Heatmap: what each single substitution does to the prediction (orange raises, blue lowers it; dots: the base "
        f"that is there; grey: N){several}. Letters: minus the mean of the three substitutions; letters above the "
        "line are bases that raise the prediction, those below it lower it."
    )
