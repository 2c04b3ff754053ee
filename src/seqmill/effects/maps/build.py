"""Build a mutagenesis map: regions, the runs that may score them, the effects of all edits."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from seqmill.config.effects import REFERENCES, STEPS, WITH_REFERENCES, Map
from seqmill.config.models import Prediction
from seqmill.config.scope import map_scope
from seqmill.effects.attribution.contributions import Attribution, Contributions
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.maps.parts import open_writer
from seqmill.effects.maps.regions import read_regions, tested_rows, tested_sequences
from seqmill.effects.maps.state import GroupStore, groups_of, part_of
from seqmill.effects.maps.tiles import contig_regions, cut
from seqmill.effects.measures import SPACES
from seqmill.effects.mutagenesis import Effects, Mutagenesis, Stretch
from seqmill.effects.unseen import Unseen
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import file_digest
from seqmill.runtime.progress import Progress, human_bytes
from seqmill.runtime.record import versions
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.genome import N_CODE, GenomeReader
from seqmill.stores.layout import upstream, version
from seqmill.stores.maps import shapes
from seqmill.training.across import unseen_rows
from seqmill.training.predict import check_dataset
from seqmill.training.seen import run_name

LARGEST_REGION_BYTES = 4_000_000_000
"""Effects of one region, of all runs, that may be held in memory."""
EDITS_OF_A_BASE = {"substitutions": 3, "deletions": 1, "insertions": 4}
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
    state: str | Path | None = None,
    part: tuple[int, int] | None = None,
) -> None:
    """Write the map of a section of the configuration.

    Parameters
    ----------
    out : ``…/maps/{map}.zarr``, or of a part of it. name : of the map.
    genome : folder of the genome that the regions are on; None where they are sequences of a table.
    models : folders of the runs of the network.
    prediction : strands, shifts and batch size.
    datasets : folders of the datasets that the runs, and those they started from, were trained on. Not needed for
        ``runs: all``.
    rows_of : folder of the dataset whose test rows are the regions, for ``windows``.
    state : folder for finished groups of regions, from which a killed run goes on; deleted at the end. None: nothing
        is kept.
    part : number, from 0, and count of the jobs that divide the regions; `seqmill.effects.maps.parts` joins what they
        write.

    Raises
    ------
    InputError
        Regions, targets or runs that cannot be used; every run has seen a region in training.
    """
    where = f"maps.{name}"
    ensemble = Ensemble(models, prediction)
    scorer = choose_scorer(ensemble, section, where)
    reader = None if genome is None else GenomeReader(genome)
    dataset = None if rows_of is None or section.windows is None else DatasetReader(rows_of)
    regions, source, sequences, rows = _regions(section, reader, ensemble, dataset, where)
    left_out = 0
    if section.runs == "all":
        may = np.ones((len(ensemble), len(regions)), bool)
    elif rows is None or dataset is None:
        regions, may, left_out = _unseen(regions, ensemble, datasets, source, where, tiled=section.tile_bp is not None)
    else:
        may = _unseen_sequences(dataset, rows, ensemble, datasets)
    lengths = (regions["end"] - regions["start"]).to_numpy()
    _check_size(int(lengths.max()), scorer, int(may.sum(axis=0).max()), where)
    used = int(may.sum())
    attrs = {
        "model": ensemble.infos[0]["name"],
        "genome": "" if reader is None else reader.name,
        "spaces": {target: SPACES[spec.kind] for target, spec in scorer.specs.items()},
        "models": {run_name(info): int(runs.sum()) for info, runs in zip(ensemble.infos, may)},
        "both_strands": ensemble.both_strands,
        "shifts_bp": list(ensemble.shifts_bp),
        "runs": section.runs,
        "source": next(key for key in ("windows", "regions", "contigs") if getattr(section, key) is not None),
        "picture": section.picture,
    }
    if section.regions is not None:
        attrs |= {"file": Path(section.regions).name, "file_sha256": file_digest(Path(section.regions))}
    attrs |= _method(section)
    if section.tile_bp is not None:
        attrs |= {"tile_bp": section.tile_bp, "seen_tiles_left_out": left_out}
    groups = groups_of((lengths * sum(EDITS_OF_A_BASE[edit] for edit in section.edits)).tolist(), ensemble.batch_size)
    mine = range(len(groups)) if part is None else part_of(groups, *part)
    _LOG.info(
        "map %s: %d regions, at most %d bp; %d scorings (a region by a run)", name, len(regions), lengths.max(), used
    )
    parameters = {"map": section.model_dump(mode="json"), "prediction": prediction.model_dump(mode="json")}
    head = {
        "attrs": attrs,
        "length": int(lengths.max()),
        "edits": list(section.edits),
        "targets": {target: spec.to_json() for target, spec in scorer.specs.items()},
        "target_order": list(scorer.specs),
        "spread": len(ensemble) > 1,
        "inputs": upstream(*_given(genome), *ensemble.folders, *_given(rows_of if dataset else None)),
        "parameters": parameters,
    }
    places = hashlib.sha256(pd.util.hash_pandas_object(regions).to_numpy().tobytes() + np.packbits(may).tobytes())
    fixed = {
        "format": version("map"), "head": head | {"parameters": {}}, "batch_size": ensemble.batch_size,
        "section": map_scope(section).model_dump(mode="json"), "prediction": parameters["prediction"],
        "places": places.hexdigest(), "device": jax.devices()[0].device_kind,
        "versions": versions("numpy", "jax", "jaxlib"),
    }  # fmt: skip
    bases = int(sum(lengths[slice(*groups[number])].sum() for number in mine))
    with open_writer(out, name, head, part) as writer, Progress(f"map {name}", bases, "bp") as progress:
        kept = None if state is None else GroupStore(state, fixed)
        resumed = 0
        for number in mine:
            some = slice(*groups[number])
            if kept is not None and kept.has(number):
                found = kept.read(number)
                progress.add(int(lengths[some].sum()))
                resumed += 1
            else:
                stretches = list(_stretches(regions.iloc[some], may[:, some], reader, sequences[some], ensemble))
                found = _arrays(stretches, scorer.effects(stretches, progress), len(ensemble) > 1)
                if kept is not None:
                    kept.write(number, found)
            counts = may[:, some].sum(axis=0).tolist()
            for row, arrays, count in zip(regions.iloc[some].itertuples(), found, counts, strict=True):
                writer.append(row._asdict() | {"runs": count}, arrays)
        if resumed:
            _LOG.info("map %s: %d of %d groups of regions were there already", name, resumed, len(mine))
    if kept is not None:
        kept.delete()


def choose_scorer(ensemble: Ensemble, section: Map, where: str) -> Any:
    """What scores the edits of a map: an object with ``specs`` and ``effects``, as `Mutagenesis` has them."""
    if section.method != "mutagenesis":
        how = section.references or REFERENCES, section.steps or STEPS
        return Attribution(ensemble, section.targets, section.method, *how, where)
    return Mutagenesis(ensemble, section.targets, section.edits, where)


def _method(section: Map) -> dict[str, Any]:
    """What the attributes of a map say of its method: nothing of mutagenesis."""
    found: dict[str, Any] = {} if section.method == "mutagenesis" else {"method": section.method}
    if section.method in WITH_REFERENCES:
        found["references"] = section.references or REFERENCES
    if section.method == "integrated_gradients":
        found["steps"] = section.steps or STEPS
    return found


def _given(folder: str | Path | None) -> list[str | Path]:
    return [] if folder is None else [folder]


def _arrays(stretches: Sequence[Stretch], effects: Iterable[Effects], spread: bool) -> list[dict[str, np.ndarray]]:
    """Of each region its arrays by their path."""
    return [
        {"sequence": one.codes[1 + one.first : 1 + one.last]} | _over_runs(found, spread)
        for one, found in zip(stretches, effects, strict=True)
    ]


def _over_runs(effects: Effects, spread: bool) -> dict[str, np.ndarray]:
    arrays = {f"reference/{name}": x.mean(axis=0, dtype=np.float64) for name, x in effects.reference.items()}
    arrays |= {path: effects.mean(path) for path in effects.changes}
    if isinstance(effects, Contributions):
        arrays |= {f"completeness/{name}": error.max(axis=0) for name, error in effects.error.items()}
    if spread:
        arrays |= {f"spread/{path}": effects.spread(path) for path in effects.changes}
    return arrays


def _regions(
    section: Map, genome: GenomeReader | None, ensemble: Ensemble, dataset: DatasetReader | None, where: str
) -> tuple[pd.DataFrame, str | Path, list[np.ndarray], pd.DataFrame | None]:
    """Regions to edit, where they come from, for messages; sequences of a table and their rows, where it is one."""
    if section.windows is None and genome is None:
        raise ValueError(f"{where}: 'regions' need the genome that they are on")
    if section.contigs is not None and section.tile_bp is not None and genome is not None:
        whole = contig_regions(genome, section.contigs, where)
        return cut(whole, genome, section.tile_bp, ensemble.window_bp, where), where, [], None
    if section.regions is not None and genome is not None:
        table = read_regions(section.regions, genome, None if section.tile_bp else ensemble.window_bp)
        if section.tile_bp is not None:
            table = cut(table, genome, section.tile_bp, ensemble.window_bp, where)
        return table, section.regions, [], None
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
    regions: pd.DataFrame,
    ensemble: Ensemble,
    datasets: Sequence[str | Path],
    source: str | Path,
    where: str,
    *,
    tiled: bool,
) -> tuple[pd.DataFrame, np.ndarray, int]:
    """Regions; which run may score which, bool (run, region): it has seen nothing of the whole window in training; and
    how many tiles every run has seen, which are left out (of regions that are not tiles this is an error)."""
    first = regions["window_start"] - ensemble.margin_bp
    windows = regions[["genome", "contig"]].assign(start=first, end=first + ensemble.extent_bp)
    unseen = Unseen(ensemble.infos, datasets)
    if not set(unseen.genomes) & set(windows["genome"]):
        _LOG.warning(
            "%s: regions on %s cannot be compared by their places with the training rows (on %s); all runs score them",
            where, windows["genome"].iloc[0], ", ".join(unseen.genomes) or "no genome",
        )  # fmt: skip
    free = unseen.of(windows)
    seen: np.ndarray = np.logical_not(free.any(axis=0))
    none = np.flatnonzero(seen)
    if tiled and 0 < len(none) < len(seen):
        _LOG.warning(
            "%s: %d of %d tiles are left out, their windows overlap training rows of every run; runs: all scores them",
            where, len(none), len(seen),
        )  # fmt: skip
        return regions[~seen].reset_index(drop=True), free[:, ~seen], len(none)
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
    return regions, free, 0


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


def _check_size(length: int, scorer: Any, runs: int, where: str) -> None:
    sizes = shapes(length, scorer.edits, scorer.specs).values()
    size = 4 * runs * sum(int(np.prod(shape, dtype=np.int64)) for shape in sizes)
    if size > LARGEST_REGION_BYTES:
        raise InputError(
            where,
            f"the effects of a region of {length:,} bp ({runs} runs) are {human_bytes(size)}, more than "
            f"{human_bytes(LARGEST_REGION_BYTES)}; choose 'targets', fewer 'edits' or shorter regions",
        )
