"""Build the motifs of a section of the configuration: search, match, filters, marginal effects, spacing."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seqmill.config.models import Prediction
from seqmill.config.motifs import PATTERN, Motifs
from seqmill.config.names import slug
from seqmill.effects.motifs.match import RELIABLE, match
from seqmill.effects.motifs.modisco import (
    LEAST_SEQLETS,
    Pattern,
    read_patterns,
    require_modisco,
    run_modisco,
    window_of,
)
from seqmill.effects.motifs.tables import filter_table, pattern_tables, places
from seqmill.formats.motifs import Motif, read_motifs
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import file_digest
from seqmill.stores.layout import check_file, noun_folder, open_noun, upstream
from seqmill.stores.maps import MapReader
from seqmill.stores.motifs import write_files
from seqmill.stores.specs import track_names

_LOG = logging.getLogger("seqmill")


def build_motifs(
    out: str | Path,
    *,
    name: str,
    section: Motifs,
    models: Sequence[str | Path],
    prediction: Prediction,
    dataset: str | Path,
    state: str | Path,
    map_folder: str | Path | None = None,
    map_files: str | Path | None = None,
    threads: int = 1,
) -> None:
    """Write the motifs of a section.

    Parameters
    ----------
    out : ``…/motifs/{name}``. models : folders of the runs of the network.
    prediction : strands, shifts and batch size. dataset : folder of the one that the network was trained on.
    state : folder beside ``out`` that keeps what a killed job has found; deleted at the end.
    map_folder, map_files : of the map, where the section names one. threads : of TF-MoDISco.

    Raises
    ------
    InputError
        The database, a target, a track or a named motif cannot be used. WorkerError : TF-MoDISco failed.
    """
    where, state = f"motifs.{name}", Path(state)
    database = read_motifs(section.database) if section.database else []
    known = {motif.name: motif for motif in database}
    _check_database(section, database, where)
    searched: list[dict[str, Any]] = []
    made_from = [*models, dataset]
    source = None
    if section.searches and map_folder is not None and map_files is not None:
        require_modisco()
        source, made_from = MapReader(map_folder), [*made_from, map_folder, map_files]
        searched = _searches(section, source, Path(map_files), where)
    with noun_folder(
        out, noun="motifs", label=name, inputs=upstream(*made_from),
        parameters={"motifs": section.model_dump(mode="json"), "prediction": prediction.model_dump(mode="json")},
        packages=("numpy", "scipy", "jax", "modisco-lite") if searched else ("numpy", "scipy", "jax"),
    ) as (part, attrs, _):  # fmt: skip
        patterns = _search(part, searched, section, source, threads, state, where) if source else {}
        filters = _filters(section, models, dataset)
        motifs = [pattern.motif for pattern in patterns.values()] + [one.motif for one in filters if one.motif]
        matches = match(motifs, database, section.matches)
        best = matches[matches["rank"] == 1].set_index("motif")
        tables = {"matches": matches, "filters": filter_table(filters, best)}
        tables |= pattern_tables(patterns, searched, best)
        found_motifs = [pattern.motif for pattern in patterns.values()]
        tables |= _tried(section, models, prediction, dataset, found_motifs, database, where)
        absent = [n for n in section.named if PATTERN.fullmatch(n) and n not in patterns]
        if absent:
            _LOG.warning("%s: %s not found this time, left out", where, ", ".join(absent))
        sites = {key: len(pattern.start) for key, pattern in patterns.items()}
        sites |= {one.motif.name: one.sites for one in filters if one.motif}
        shown = [known[key] for key in dict.fromkeys(matches["name"])]
        write_files(part, tables, motifs, sites, shown, places(patterns, source))
        attrs |= _about(section, models, source, searched, database) | {"absent": absent}
    shutil.rmtree(state, ignore_errors=True)


def _check_database(section: Motifs, database: Sequence[Motif], where: str) -> None:
    from seqmill.effects.motifs.backgrounds import check_names

    check_names([name for name in section.named if not PATTERN.fullmatch(name)], database, where)
    if database and len(database) < RELIABLE:
        _LOG.warning(
            "%s: %s holds %d motifs; p-values are of their columns, with fewer than %d they are rough",
            where, section.database, len(database), RELIABLE,
        )  # fmt: skip


def _searches(section: Motifs, source: MapReader, files: Path, where: str) -> list[dict[str, Any]]:
    """What is searched: source (its name), target, track ("" for the mean), window_bp and both arrays."""
    marker = open_noun(files, "map-files")
    chosen = section.targets or list(source.targets)
    window_bp, found = window_of(section.modisco, source.length, where), []  # type: ignore[arg-type]
    for target in chosen:
        if target not in source.targets:
            raise InputError(where, f"target {target!r} is not in the map: {', '.join(source.targets)}")
        names = track_names(source.targets[target])
        for track in [name for name in names if name in section.tracks] if section.tracks else [""]:
            path = f"{slug(target)}/{slug(track)}" if track and len(names) > 1 else slug(target)
            if f"{path}.shap.npz" not in marker.files:
                raise InputError(where, f"{files} has no contributions to track {track!r} alone: too many tracks")
            arrays = {
                "ohe": check_file(files, marker, f"{slug(target)}.ohe.npz"),
                "shap": check_file(files, marker, f"{path}.shap.npz"),
            }
            label = path.replace("/", ".")
            found.append({"source": label, "target": target, "track": track, "window_bp": window_bp} | arrays)
    for track in section.tracks or []:
        if track not in {item["track"] for item in found}:
            raise InputError(where, f"track {track!r} is in none of the targets {', '.join(chosen)}")
    return found


def _search(
    part: Path,
    searched: list[dict[str, Any]],
    section: Motifs,
    source: MapReader,
    threads: int,
    state: Path,
    where: str,
) -> dict[str, Pattern]:
    """Patterns of all sources by name; to ``searched`` are added the names of each source's, and their seqlets."""
    patterns: dict[str, Pattern] = {}
    assert section.modisco is not None
    for item in searched:
        file = part / f"{item['source']}.modisco.h5"
        run_modisco(
            item.pop("ohe"), item.pop("shap"), file, settings=section.modisco, window_bp=item["window_bp"],
            threads=threads, state=state, what=f"{where}, {item['source']}",
        )  # fmt: skip
        prefix = f"{item['source']}." if len(searched) > 1 else ""
        found = read_patterns(file, length=source.length, window_bp=item["window_bp"], prefix=prefix)
        patterns |= {pattern.motif.name: pattern for pattern in found}
        item["patterns"] = [pattern.motif.name for pattern in found]
        item["seqlets"] = sum(len(pattern.start) for pattern in found)
        if not found:
            _LOG.warning(
                "%s, %s: no pattern in %d regions; TF-MoDISco clusters more than %d seqlets of a sign",
                where, item["source"], source.n, LEAST_SEQLETS,
            )  # fmt: skip
    return patterns


def _filters(section: Motifs, models: Sequence[str | Path], dataset: str | Path) -> list[Any]:
    """Filters of the first run."""
    if not section.filters:
        return []
    from seqmill.effects.motifs.filters import filters_of

    return filters_of(models[0], dataset)


def _tried(
    section: Motifs,
    models: Sequence[str | Path],
    prediction: Prediction,
    dataset: str | Path,
    found: Sequence[Motif],
    database: Sequence[Motif],
    where: str,
) -> dict[str, pd.DataFrame]:
    """Tables of motifs in backgrounds."""
    if section.marginal is None and section.spacing is None:
        return {}
    from seqmill.effects.ensemble import Ensemble
    from seqmill.effects.motifs.backgrounds import Backgrounds, resolve
    from seqmill.effects.motifs.marginal import marginal_effects
    from seqmill.effects.motifs.spacing import spacing_effects
    from seqmill.stores.dataset import DatasetReader

    ensemble = Ensemble(models, prediction)
    backgrounds = Backgrounds(ensemble, DatasetReader(dataset), section.seed, section.targets, where)
    tables = {}
    if section.marginal is not None:
        names = section.marginal.motifs
        listed = [motif.name for motif in found] if names == "found" else list(names)
        chosen = resolve(listed, found, database)
        tables["marginal"] = marginal_effects(backgrounds, chosen, section.marginal)
    if section.spacing is not None:
        names = [name for pair in section.spacing.pairs for name in pair]
        tables["spacing"] = spacing_effects(backgrounds, resolve(names, found, database), section.spacing)
    return tables


def _about(
    section: Motifs,
    models: Sequence[str | Path],
    source: MapReader | None,
    searched: Sequence[dict[str, Any]],
    database: Sequence[Motif],
) -> dict[str, Any]:
    from seqmill.effects.measures import SPACES
    from seqmill.stores.model import ModelReader

    info = ModelReader(models[0]).info
    about = {
        "model": info["name"], "map": section.map or "", "searched": section.searches, "sources": list(searched),
        "filters": section.filters, "runs": len(models), "filters_of": Path(models[0]).name if section.filters else "",
        "spaces": {name: SPACES[spec["kind"]] for name, spec in info["predicted"].items() if spec["kind"] in SPACES},
        "regions": 0 if source is None else source.n, "database": {},
        "marginal": section.marginal.model_dump(mode="json") if section.marginal else {},
    }  # fmt: skip
    if section.database:
        path = Path(section.database)
        about["database"] = {"file": path.name, "sha256": file_digest(path), "motifs": len(database)}
    return about
