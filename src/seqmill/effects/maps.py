"""Build a mutagenesis map: regions, the runs that may score them, the effects of all edits."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.config.effects import Map
from seqmill.config.models import Prediction
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.measures import SPACES
from seqmill.effects.mutagenesis import Effects, Mutagenesis, Stretch
from seqmill.effects.regions import read_regions, tested_rows, tested_sequences
from seqmill.effects.unseen import Unseen
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import file_digest
from seqmill.runtime.progress import Progress, human_bytes
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.genome import N_CODE, GenomeReader
from seqmill.stores.layout import upstream
from seqmill.stores.maps import MapWriter, shapes
from seqmill.training.across import unseen_rows
from seqmill.training.predict import check_dataset
from seqmill.training.seen import run_name

LARGEST_REGION_BYTES = 4_000_000_000
"""Effects of one region, of all runs, that may be held in memory."""
_LOG = logging.getLogger("seqmill")


def build_map(
    out: str | Path,
    *,
    name: str,
    section: Map,
    genome: str | Path | None,
    models: Sequence[str | Path],
    prediction: Prediction,
    datasets: Sequence[str | Path] = (),
    rows_of: str | Path | None = None,
) -> None:
    """Write the map of a section of the configuration.

    Parameters
    ----------
    out : ``…/maps/{map}.zarr``. name : of the map.
    genome : folder of the genome that the regions are on; None where they are sequences of a table.
    models : folders of the runs of the network.
    prediction : strands, shifts and batch size.
    datasets : folders of the datasets that the runs, and those they started from, were trained on. Not needed for
        ``runs: all``.
    rows_of : folder of the dataset whose test rows are the regions, for ``windows``.

    Raises
    ------
    InputError
        Regions, targets or runs that cannot be used; every run has seen a region in training.
    """
    where = f"maps.{name}"
    ensemble = Ensemble(models, prediction)
    mutagenesis = Mutagenesis(ensemble, section.targets, section.edits, where)
    reader = None if genome is None else GenomeReader(genome)
    dataset = None if rows_of is None or section.windows is None else DatasetReader(rows_of)
    regions, source, sequences, rows = _regions(section, reader, ensemble, dataset, where)
    if section.runs == "all":
        may = np.ones((len(ensemble), len(regions)), bool)
    elif rows is None or dataset is None:
        may = _unseen(regions, ensemble, datasets, source, where)
    else:
        may = _unseen_sequences(dataset, rows, ensemble, datasets)
    length = int((regions["end"] - regions["start"]).max())
    _check_size(length, mutagenesis, int(may.sum(axis=0).max()), where)
    used = int(may.sum())
    attrs = {
        "model": ensemble.infos[0]["name"],
        "genome": "" if reader is None else reader.name,
        "spaces": {target: SPACES[spec.kind] for target, spec in mutagenesis.specs.items()},
        "models": {run_name(info): int(runs.sum()) for info, runs in zip(ensemble.infos, may)},
        "both_strands": ensemble.both_strands,
        "shifts_bp": list(ensemble.shifts_bp),
        "runs": section.runs,
        "source": "windows" if section.regions is None else "regions",
        "picture": section.picture,
    }
    if section.regions is not None:
        attrs |= {"file": Path(section.regions).name, "file_sha256": file_digest(Path(section.regions))}
    _LOG.info("map %s: %d regions, at most %d bp; %d scorings (a region by a run)", name, len(regions), length, used)
    with (
        MapWriter(
            out,
            name,
            attrs,
            length=length,
            edits=section.edits,
            targets=mutagenesis.specs,
            spread=len(ensemble) > 1,
            inputs=upstream(*_given(genome), *ensemble.folders, *_given(rows_of if dataset else None)),
            parameters={"map": section.model_dump(mode="json"), "prediction": prediction.model_dump(mode="json")},
        ) as writer,
        Progress(f"map {name}", int((regions["end"] - regions["start"]).sum()), "bp") as progress,
    ):
        found = mutagenesis.effects(_stretches(regions, may, reader, sequences, ensemble), progress)
        for number, (row, effects) in enumerate(zip(regions.itertuples(), found, strict=True)):
            codes = sequences[number] if reader is None else reader.codes(row.contig, row.start, row.end)
            arrays = {"sequence": codes}
            writer.append(row._asdict() | {"runs": len(effects.runs)}, arrays | _over_runs(effects, len(ensemble) > 1))


def _given(folder: str | Path | None) -> list[str | Path]:
    return [] if folder is None else [folder]


def _over_runs(effects: Effects, spread: bool) -> dict[str, np.ndarray]:
    arrays = {f"reference/{name}": x.mean(axis=0, dtype=np.float64) for name, x in effects.reference.items()}
    arrays |= {path: effects.mean(path) for path in effects.changes}
    if spread:
        arrays |= {f"spread/{path}": effects.spread(path) for path in effects.changes}
    return arrays


def _regions(
    section: Map, genome: GenomeReader | None, ensemble: Ensemble, dataset: DatasetReader | None, where: str
) -> tuple[pd.DataFrame, str | Path, list[np.ndarray], pd.DataFrame | None]:
    """Regions to edit, where they come from, for messages; sequences of a table and their rows, where it is one."""
    if section.regions is not None:
        if genome is None:
            raise ValueError(f"{where}: 'regions' need the genome that they are on")
        return read_regions(section.regions, genome, ensemble.window_bp), section.regions, [], None
    if dataset is None or section.windows is None:
        raise ValueError(f"{where}: 'windows' needs the dataset that they are rows of")
    for info, folder in zip(ensemble.infos, ensemble.folders):
        check_dataset(info, dataset, folder, labelled=False)
    if genome is None:
        regions, sequences, rows = tested_sequences(dataset, ensemble.infos, section.windows, where)
        return regions, where, sequences, rows
    return tested_rows(dataset, genome, ensemble.infos, section.windows, where), where, [], None


def _unseen_sequences(
    dataset: DatasetReader, rows: pd.DataFrame, ensemble: Ensemble, datasets: Sequence[str | Path]
) -> np.ndarray:
    """Which run may score which sequence of a table, bool (run, sequence): neither strand was in its training."""
    ordered = rows.sort_index()
    free = unseen_rows(dataset, ordered, ensemble.infos, datasets)
    return free[:, ordered.index.get_indexer(rows.index)]


def _unseen(
    regions: pd.DataFrame, ensemble: Ensemble, datasets: Sequence[str | Path], source: str | Path, where: str
) -> np.ndarray:
    """Which run may score which region, bool (run, region): it has seen nothing of the whole window in training."""
    first = regions["window_start"] - ensemble.margin_bp
    windows = regions[["genome", "contig"]].assign(start=first, end=first + ensemble.extent_bp)
    unseen = Unseen(ensemble.infos, datasets)
    if not set(unseen.genomes) & set(windows["genome"]):
        _LOG.warning(
            "%s: regions on %s cannot be compared by their places with the training rows (on %s); all runs score them",
            where, windows["genome"].iloc[0], ", ".join(unseen.genomes) or "no genome",
        )  # fmt: skip
    free = unseen.of(windows)
    none = np.flatnonzero(~free.any(axis=0))
    if len(none):
        first, folds = regions.iloc[none[0]], dict.fromkeys(info["fold"] for info in ensemble.infos)
        raise InputError(
            source,
            f"the windows ({ensemble.extent_bp:,} bp) of {len(none):,} of {len(free[0]):,} regions (first: "
            f"{first['contig']}:{first['start']}-{first['end']}) overlap training rows of every run of model "
            f"{ensemble.infos[0]['name']} (fold {', '.join(folds)}); leave them out, train the fold that tests them, "
            "or set runs: all",
            record=int(first["record"]) or None,
        )
    return free


def _stretches(
    regions: pd.DataFrame,
    may: np.ndarray,
    genome: GenomeReader | None,
    sequences: Sequence[np.ndarray],
    ensemble: Ensemble,
) -> Iterator[Stretch]:
    for number, row in enumerate(regions.itertuples()):
        first = row.window_start - ensemble.margin_bp
        if genome is None:  # filled up as the dataset does, N around it
            codes = np.full(ensemble.extent_bp + 2, N_CODE, np.uint8)
            codes[1 : 1 + len(sequences[number])] = sequences[number]
        else:
            codes = genome.codes(row.contig, first - 1, first + ensemble.extent_bp + 1)
        runs = tuple(np.flatnonzero(may[:, number]).tolist())
        yield Stretch(codes, row.start - first, row.end - first, runs)


def _check_size(length: int, mutagenesis: Mutagenesis, runs: int, where: str) -> None:
    sizes = shapes(length, mutagenesis.edits, mutagenesis.specs).values()
    size = 4 * runs * sum(int(np.prod(shape, dtype=np.int64)) for shape in sizes)
    if size > LARGEST_REGION_BYTES:
        raise InputError(
            where,
            f"the effects of a region of {length:,} bp ({runs} runs) are {human_bytes(size)}, more than "
            f"{human_bytes(LARGEST_REGION_BYTES)}; choose 'targets', fewer 'edits' or shorter regions",
        )
