"""What the report says, read from markers and tables into plain lists and dictionaries."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seqmill.config.base import expand
from seqmill.report.figures import svg_uri
from seqmill.report.split import missing_negatives, parts_of, split_in_words
from seqmill.report.words import records
from seqmill.runtime.errors import DamageError
from seqmill.runtime.marker import RECORD, Marker, read_marker, unseal

Written = Mapping[str, Mapping[str, Mapping[str, str]]]
DENSITY_ROWS = 2048
DENSITY_BYTES = 64_000_000
_NUMBERS = ["value", "n", "n_pos", "prevalence", "ci_low", "ci_high", "blocks", "runs"]
_NUMBERS += ["network_value", "baseline_value", "difference", "tracks", "tracks_better"]
_NUMBERS += ["tracks_clearly_better", "tracks_clearly_worse"]


def _label(folder: Path, marker: Marker) -> str:
    """Name for people: the label, and fold and seed of a run."""
    label = str(marker.attrs.get("name", marker.name))
    return f"{label} {folder.name.removesuffix('.zarr')}" if marker.noun in ("model", "predictions") else label


def run_record(folder: Path) -> dict[str, Any]:
    """The run record of a noun in short; empty if it has none."""
    if not (folder / RECORD).exists():
        return {}
    marker, record = read_marker(folder), unseal(folder / RECORD)
    return {
        "noun": marker.noun.replace("-", " "),
        "name": marker.name,
        "label": _label(folder, marker),
        "seconds": (record.get("seconds") or 0) + (record.get("training_seconds") or 0),  # training, then writing
        "peak_memory_bytes": record.get("peak_memory_bytes"),
        "device": record.get("device") or "cpu",
        "versions": {**record.get("versions", {}), **record.get("programs", {})},
        "machine": record.get("machine", {}),
        "parameters": record.get("parameters", {}),
    }


def _said(written: Written, kind: str, name: str, recorded: Any) -> dict[str, str]:
    """File and licence of a source: as the configuration says, else the name of the file that was recorded."""
    said = written.get(kind, {}).get(name, {})
    return {"file": said.get("file") or Path(str(recorded or "")).name, "licence": said.get("licence", "")}


def _as_written(text: str, location: str) -> str:
    """``text`` with the path that ``location`` stands for replaced by it: ``${NAME}`` is not told."""
    try:
        return text.replace(str(expand(location)), location)
    except ValueError:
        return text


def _genome(folder: Path, marker: Marker, written: Written) -> dict[str, Any]:
    section = run_record(folder).get("parameters", {}).get("genome", {})
    attrs = marker.attrs
    sizes = [size for _, size in attrs["sizes"]]
    return {
        "name": attrs["name"],
        **_said(written, "genomes", attrs["name"], section.get("fasta")),
        "blacklist": bool(section.get("blacklist")),
        "contigs": len(sizes),
        "bp": sum(sizes),
        "n_share": attrs["n_count"] / max(sum(sizes), 1),
        "partial": attrs["partial"],
        "digest": attrs.get("source_sha256"),
    }


def _track(folder: Path, marker: Marker, written: Written) -> dict[str, Any]:
    section = run_record(folder).get("parameters", {}).get("track", {})
    attrs, location = marker.attrs, str(section.get("location", ""))  # as the sheet has it
    return {
        "name": attrs["name"],
        "file": location,
        "licence": written.get("tracks", {}).get(attrs["name"], {}).get("licence", ""),
        "format": section.get("format", ""),
        "what": " ".join(str(section[key]) for key in ("assay", "target", "biosample") if section.get(key))
        or written.get("tracks", {}).get(attrs["name"], {}).get("description", ""),
        "kind": attrs["kind"],
        "bin_bp": attrs.get("bin_bp"),
        "aggregate": attrs.get("aggregate") or "",
        "missing": attrs.get("missing") or "",
        "records": records(attrs, str(section.get("format", ""))),
        "state": attrs["state"],
        "reason": _as_written(attrs.get("reason", ""), location),
        "digest": attrs.get("source_sha256"),
    }


def upstream_folders(datasets: Sequence[Path]) -> dict[Path, str]:
    """Genome and track stores that the datasets were made from, beside them in the results, with their digests."""
    found: dict[Path, str] = {}
    for folder in datasets:
        for part in read_marker(folder).parts:
            for label, digest in read_marker(folder / part).attrs.get("inputs", {}).items():
                if label.startswith(("genome/", "tracks/")):
                    found[folder.parent.parent / label] = digest
    return dict(sorted(found.items()))


def _published(predictions: Sequence[Path], written: Written) -> list[dict[str, str]]:
    """Published predictions: name, dataset, file and where they come from."""
    found: dict[str, dict[str, str]] = {}
    for folder in predictions:
        attrs = read_marker(folder).attrs
        if attrs["kind"] == "published":
            said = run_record(folder).get("parameters", {})
            file = _said(written, "published", attrs["model"], said.get("file"))["file"]
            source = written.get("published", {}).get(attrs["model"], {}).get("source") or said.get("source", "")
            line = {"name": attrs["model"], "dataset": attrs["dataset"], "file": file, "source": source}
            found[attrs["model"]] = line | {"digest": attrs.get("source_sha256", "")}
    return list(found.values())


def _read_files(libraries: Sequence[Path]) -> list[dict[str, str]]:
    """Files that libraries were made from, with their digests."""
    attrs = [read_marker(folder).attrs for folder in libraries]
    files = [(one["name"], file) for one in attrs for file in one["files"]]
    return [{"file": f"{name}: {file['file']}", "digest": file["sha256"]} for name, file in files]


def sources(
    datasets: Sequence[Path], predictions: Sequence[Path], written: Written, libraries: Sequence[Path] = ()
) -> dict[str, list[dict[str, Any]]]:
    """Genomes and tracks that the datasets were made from, those not at hand, publications, fetched files, reads."""
    genomes, tracks, absent = [], [], []
    for folder, digest in upstream_folders(datasets).items():
        try:
            marker = read_marker(folder)
        except DamageError:
            marker = None
        if marker is None or marker.digest != digest:
            absent.append({"name": f"{folder.parent.name}/{folder.name}", "rebuilt": marker is not None})
        elif marker.noun == "genome":
            genomes.append(_genome(folder, marker, written))
        else:
            tracks.append(_track(folder, marker, written))
    tracks.sort(key=lambda track: track["state"] == "ok")
    published = _published(predictions, written)
    fetched: list[dict[str, Any]] = [dict(item) for item in written.get("fetched", {}).values()]
    reads: list[dict[str, Any]] = [dict(item) for item in written.get("reads", {}).values()]
    found = {"genomes": genomes, "tracks": tracks, "absent": absent, "published": published}
    return found | {"fetched": fetched, "reads": reads, "read_files": _read_files(libraries)}


def _density(reader: Any, target: str) -> list[dict[str, Any]]:
    """Values of a target in each pool, from the first rows of its parts (rows are shuffled: a fair sample)."""
    spec = reader.targets[target]
    width = 1
    for size in spec.shape_per_example:
        width *= size
    rows = max(1, min(DENSITY_ROWS, DENSITY_BYTES // (8 * max(width, 1))))
    pools: dict[str, list[float]] = {}
    for part in reader.parts:
        stop = min(part["stop"], part["start"] + rows)
        values = reader.read(f"targets/{target}", part["start"], stop).astype("float64")
        mask = reader.read(f"mask/{target}", part["start"], stop)
        weight = (part["stop"] - part["start"]) / max(stop - part["start"], 1)  # large parts count by their size
        known = values[mask]
        sums = (known.size, known.sum(), (known > 0).sum(), mask.size)
        pool = pools.setdefault(part["pool"], [0.0] * 4)
        for i, value in enumerate(sums):
            pool[i] += weight * float(value)
    return [
        {
            "pool": pool,
            "mean": total / known if known else None,
            "positive": positive / known if known else None,
            "missing": 1 - known / every if every else None,
        }
        for pool, (known, total, positive, every) in pools.items()
    ]


def dataset(folder: Path) -> dict[str, Any]:
    """Examples for each pool and fold, what was dropped and why, geometry and density of the targets."""
    from seqmill.stores.dataset import DatasetReader, open_rows
    from seqmill.stores.layout import check_file

    reader = DatasetReader(folder)
    rows = open_rows(folder / "rows")
    path = check_file(folder / "rows", rows, "dropped.tsv")
    # a file may serve several keys, as windows and split
    files = [(key.partition(":")[2], digest) for key, digest in rows.attrs.get("files", {}).items()]
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    tally = [
        {key: line.get(key, "") for key in ("stage", "reason", "pool", "fold")} | {"count": int(line["count"])}
        for line in table.to_dict("records")
    ]
    settings = run_record(folder / "rows").get("parameters", {}).get("dataset", {})
    count = {(part["pool"], part["fold"]): part["stop"] - part["start"] for part in reader.parts}
    lines = [
        {"pool": pool, "counts": [count.get((pool, fold), 0) for fold in reader.folds]}
        | {"total": sum(value for (name, _), value in count.items() if name == pool)}
        for pool in reader.pools
    ]
    return {
        "name": reader.name,
        "n": reader.n,
        "files": [{"file": file, "digest": digest} for file, digest in dict.fromkeys(files)],
        "window_bp": reader.window_bp,
        "margin_bp": reader.margin_bp,
        "reverse_complement": reader.reverse_complement,
        "folds": reader.folds,
        "pools": lines,
        "split": split_in_words(settings.get("split", {})),
        "parts": parts_of(reader.rows(), reader.folds),
        "runs": [{"name": name, **run} for name, run in reader.runs.items() if run != {part: [part] for part in run}],
        "missing_negatives": missing_negatives(tally),
        "dropped": [line for line in tally if line["stage"] != "kept"],
        "inputs": [
            {
                "name": name,
                "kind": spec.kind,
                "shape": " × ".join(map(str, spec.shape_per_example)) or "1",
                "dtype": spec.dtype,
            }
            for name, spec in reader.inputs.items()
        ],
        "targets": [
            {
                "name": name,
                "kind": spec.kind,
                "tracks": len(spec.tracks) or 1,
                "shape": " × ".join(map(str, spec.shape_per_example)) or "1",
                "bp_per_bin": spec.bp_per_bin,
                "dtype": spec.dtype,
                "density": _density(reader, name),
            }
            for name, spec in reader.targets.items()
        ],
    }


def models(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Networks with their runs (fold, seed) and training history."""
    from seqmill.stores.model import ModelReader

    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        reader = ModelReader(folder)
        info = reader.info
        network = found.setdefault(info["name"], {"name": info["name"], "dataset": info.get("dataset", ""), "runs": []})
        keys = ("architecture", "fold", "seed", "best_epoch", "valid_loss", "steps", "device", "xla_threads")
        run = {key: info.get(key) for key in keys}
        # early stopping needs a pass after the kept one, so here the limit ended it
        limited = bool(reader.history) and run["best_epoch"] == reader.history[-1]["epoch"]
        run |= {"parameters": info.get("parameters"), "history": reader.history, "limited": limited}
        run["note"] = info.get("note", "")  # what the training itself found odd
        network["runs"].append(run)
    return list(found.values())


def evaluation(folder: Path) -> dict[str, Any]:
    """Metric and comparison tables of one dataset as data frames, figures, and how the intervals were made."""
    from seqmill.stores.layout import check_file, open_noun

    marker = open_noun(folder, "evaluation")
    tables = {
        name: pd.read_csv(
            check_file(folder, marker, f"{name}.tsv"), sep="\t", dtype=str, keep_default_na=False, na_values={}
        )
        for name in ("metrics", "comparison")
    }
    for table in tables.values():
        for column in set(table.columns) & set(_NUMBERS):
            table[column] = pd.to_numeric(table[column], errors="coerce")
    attrs = marker.attrs
    figures = [
        {**figure, "source": svg_uri(check_file(folder, marker, figure["file"]).read_bytes())}
        for figure in attrs["figures"]
    ]
    shown = {key: attrs[key] for key in ("name", "resamples", "block_units")}
    return {**shown, "figures": figures, **tables}


def settings_of(datasets: Sequence[Path], models: Sequence[Path], predictions: Sequence[Path]) -> dict[str, Any]:
    """Sections of the configuration as the run records keep them, for the methods text.

    Returns
    -------
    "datasets": name -> section; "networks": name -> content of ``model.json`` of its first run, with "runs";
    "predictions": network -> attrs of its predictions; "baselines": name -> section.
    """
    from seqmill.stores.model import ModelReader

    found: dict[str, dict[str, Any]] = {"datasets": {}, "networks": {}, "predictions": {}, "baselines": {}}
    for folder in datasets:
        section = run_record(folder / "rows").get("parameters", {}).get("dataset", {})
        found["datasets"][read_marker(folder).attrs["name"]] = section
    for folder in models:
        info = ModelReader(folder).info
        network = found["networks"].setdefault(info["name"], {**info, "runs": 0})
        network["runs"] += 1
    for folder in predictions:
        attrs = read_marker(folder).attrs
        if attrs["kind"] == "baseline":
            section = run_record(folder).get("parameters", {})
            found["baselines"].setdefault(attrs["model"], {**section, "dataset": attrs["dataset"]})
        elif attrs["kind"] == "network":
            found["predictions"].setdefault(attrs["model"], attrs)
    return found
