"""What will be built, its disk and time, and what a change would re-run: known before anything runs.

Sizes are estimates from the configuration, from chrom.sizes or FASTA index files and from the sizes of source files;
nothing large is read. The rates behind them are part of the answer.
"""

import gzip
import shutil
import zlib
from pathlib import Path
from typing import Any

from seqmill.config.datasets import Dataset
from seqmill.config.experiments import EXPERIMENTS
from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.config.sheet import Track
from seqmill.config.stored import read_here
from seqmill.planning.effects import effect_amounts
from seqmill.planning.measured import measured_amounts
from seqmill.planning.motifs import motif_amounts
from seqmill.planning.reads import RATES as READS_RATES
from seqmill.planning.reads import reads_amounts
from seqmill.planning.rerun import many, rerun_lines
from seqmill.planning.searches import search_amounts, search_lines
from seqmill.runtime.errors import DamageError
from seqmill.runtime.marker import MARKER, read_marker
from seqmill.runtime.progress import human_bytes, human_seconds

RESERVE = 1.2  # free disk wanted, as a multiple of the estimate
# Bytes on disk for a byte in memory, by content.
PACKED = {"codes": 0.32, "signal": 0.35, "labels": 0.15, "predictions": 0.9}
# What one core of a laptop does, roughly; networks differ the most.
RATES = {
    "fetching": (20e6, "bytes/s"),
    "genome": (25e6, "bp/s"),
    "signal file": (200e6, "bp/s"),
    "alignment or text file": (20e6, "bytes/s"),
    "dataset": (40e6, "bytes/s"),
    "training": (0.15e6, "bp/s"),
    "prediction": (0.6e6, "bp/s"),
    "baseline": (0.5e6, "bp/s"),
}
NOUN_BYTES = 50_000  # headers, marker and run record
# start of a job; jax compiles the network
JOB_SECONDS = {
    "model": 20.0,
    "predictions": 8.0,
    "search": 8.0,
    "scores": 15.0,
    "map": 15.0,
    "variants": 8.0,
    "measured": 15.0,
}
JOB_SECONDS["motifs"] = 30.0  # TF-MoDISco compiles too
OTHER_JOB_SECONDS = 4.0
TRIAL_SECONDS = 12.0  # jax compiles the network of each trial
PARAMETER_BYTES = 20e6  # of a network; nothing is asked of jax here
FIGURES_BYTES = 150_000  # tables and figures of a search or a curve
HEAD_BYTES = 65_536
TEST_SHARE = 0.2


def _genome_bp(project: Project, name: str) -> int:
    """Length of a genome in bp; from its sizes file, its index, its simulation, else from the size of the FASTA."""
    section = project.config.genomes[name]
    wanted = set(section.contigs or [])
    for path in (section.sizes, section.fasta.with_name(section.fasta.name + ".fai")):
        if path and path.is_file():
            rows = [line.split("\t") for line in path.read_text().splitlines() if "\t" in line]
            return sum(int(row[1]) for row in rows if row[1].isdigit() and (not wanted or row[0] in wanted))
    simulation = project.config.simulation
    if section.fasta.is_file():
        packed = section.fasta.suffix in (".gz", ".bgz")
        return int(section.fasta.stat().st_size * (4 if packed else 1))
    return simulation.chromosomes * simulation.chromosome_bp if simulation else 0


def _file_bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def human_amount(value: float) -> str:
    """200e6 -> '200 M'."""
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k"


def _rate(what: str) -> float:
    return RATES[what][0]


def _source_entries(project: Project, results: Path) -> list[dict[str, Any]]:
    """Files to fetch, by track or location; the lock tells their sizes."""
    entries = []
    for name, rows in project.fetched().items():
        size = sum(row.bytes for row in rows)
        entries.append(_entry("source", name, results / f"sources/{slug(name)}", size, size / _rate("fetching")))
    return entries


def _track(track: Track, genome_bp: int, size: int) -> tuple[float, float]:
    """Bytes and seconds of the store of a track whose file has ``size`` bytes."""
    if track.kind == "intervals":
        return 1.5 * size, size / _rate("alignment or text file")
    if track.kind == "contacts":  # at most every contact of the band, and hardly more than the file holds
        bins = genome_bp / (track.bin_bp or 1)
        stored = min(float(size), PACKED["signal"] * 8 * bins * (1 + track.max_distance_bp / (track.bin_bp or 1)))
        return stored, stored / _rate("alignment or text file")
    stored = PACKED["signal"] * 4 * genome_bp / (track.bin_bp or 1)
    if track.format == "bigwig":
        return stored, genome_bp / _rate("signal file")
    return stored, size / _rate("alignment or text file")


def _intervals(track: Track, results: Path) -> int:
    """Number of peaks: from the store if it is there, else judged by the beginning of the file."""
    try:
        return int(read_marker(results / f"tracks/{slug(track.track)}.zarr").attrs["intervals"])
    except (DamageError, KeyError):
        return _records(track.path, fasta=False)


def _records(path: Path, fasta: bool) -> int:
    """Sequences of a FASTA file or lines of a table, judged by its beginning."""
    packed = path.suffix in (".gz", ".bgz")
    try:
        with gzip.open(path) if packed else open(path, "rb") as handle:
            head = handle.read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return _file_bytes(path) // 100
    count = head.count(b">" if fasta else b"\n")
    whole = len(head) < HEAD_BYTES
    length = len(zlib.compress(head)) if packed else len(head)  # of the beginning, as it lies in the file
    return count if whole else int(count * _file_bytes(path) / length)


def _examples(project: Project, name: str, section: Dataset, bp: int, results: Path) -> int:
    """At most so many examples: filters, merged peaks and 'labelled' make it fewer."""
    try:
        return int(read_marker(results / f"datasets/{slug(name)}.zarr").attrs["n"])
    except (DamageError, KeyError):
        pass
    if section.stored:
        return 0  # known when it is asked for
    windows = section.windows
    if windows.kind == "tiles":
        count = bp // (windows.stride_bp or windows.label_bp or windows.window_bp)
    elif windows.kind == "peaks":
        tracks = project.select(windows.tracks, name) if windows.tracks is not None else []
        count = sum(_intervals(track, results) for track in tracks)
        count += _records(windows.bed, fasta=False) if windows.bed else 0
    elif windows.kind == "table":
        headers = sum(file.format in ("tsv", "csv") and not file.columns for file in windows.files)
        count = sum(_records(file.path, file.format == "fasta") for file in windows.files)
        count = max(0, count - headers)
    else:
        count = sum(_file_bytes(path) for path in windows.source_files()) // 100
    return int(count * (1 + section.negatives.ratio)) if section.negatives else int(count)


def _widths(project: Project, name: str, section: Dataset) -> tuple[int, int]:
    """Bytes of the inputs and number of target values of an example."""
    windows = section.windows
    bp = getattr(windows, "window_bp", None) or getattr(windows, "length_bp", None) or 200
    values = 0
    for key, target in section.targets.items():
        columns = [target.column] if isinstance(target.column, str) else target.column or ["value"]
        tracks = len(project.target_tracks(name, key)) or len(columns)
        span = (target.length_bp or bp) + 2 * section.margin_bp
        bins = max(1, span // (target.bin_bp or project.grid_bp(name))) if target.kind == "profile" else 1
        values += tracks * bins
    return bp + 2 * section.margin_bp, values


def _control_values(project: Project, name: str, section: Dataset) -> int:
    """Number of values of an example's control."""
    if section.control is None:
        return 0
    span = (section.control.length_bp or getattr(section.windows, "window_bp", None) or 0) + 2 * section.margin_bp
    return len(project.control_tracks(name)) * (span // (section.control.bin_bp or project.grid_bp(name)))


def _entry(noun: str, name: str, folder: Path, size: float, seconds: float, **more: Any) -> dict[str, Any]:
    built = (folder / MARKER).is_file()
    size, seconds = size + NOUN_BYTES, seconds + JOB_SECONDS.get(noun, OTHER_JOB_SECONDS)
    return {"noun": noun, "name": name, "bytes": round(size), "seconds": round(seconds, 1), "built": built, **more}


def _dataset_entries(project: Project, results: Path, lengths: dict[str, int]) -> tuple[list[dict], dict[str, Any]]:
    entries, shapes = [], {}
    for name, section in project.config.datasets.items():
        bp = sum(lengths[genome] for genome in section.genomes)
        n = _examples(project, name, section, bp, results)
        width, values = _widths(project, name, section)
        item = 1 if all(target.kind == "binary" for target in section.targets.values()) else 4
        label = PACKED["labels" if item == 1 else "signal"]
        control = 4 * _control_values(project, name, section)
        size = n * (PACKED["codes"] * width + label * item * values + PACKED["signal"] * control)
        seconds = n * (width + item * values + control) / _rate("dataset")
        if section.stored:
            size = seconds = 0.0
        folder = results / f"datasets/{slug(name)}.zarr"
        # only records of files can lie outside a piece of a genome; windows along it cannot
        partial = section.windows.kind == "peaks" and any(project.config.genomes[g].partial for g in section.genomes)
        entry = _entry("dataset", name, folder, size, seconds, examples=n)
        entries.append({**entry, "partial": partial and not entry["built"]})
        shapes[name] = (n, width, values, item)
    return entries, shapes


def _run_entries(project: Project, results: Path, shapes: dict[str, Any]) -> list[dict[str, Any]]:
    entries, config = [], project.config
    for name in [*config.models, *config.baselines, *config.published]:
        n, width, values, item = shapes[project.run(name).dataset]
        network, published = name in config.models, name in config.published
        kept = TEST_SHARE * n * values * PACKED["predictions"] * (5 + item)
        for fold in project.folds(name):
            for seed in project.seeds(name):
                run = f"{name} {fold}.{seed}"
                place = results / f"predictions/{slug(name)}/{fold}.{seed}.zarr"
                if network:
                    passes = config.models[name].training.max_epochs
                    seconds = passes * n * (1 - TEST_SHARE) * width / _rate("training")
                    folder = results / f"models/{slug(name)}/{fold}.{seed}"
                    entries.append(_entry("model", run, folder, PARAMETER_BYTES, seconds))
                seconds = n * width / _rate("baseline")
                if network:
                    passes = len(config.models[name].prediction.shifts_bp)
                    seconds = passes * TEST_SHARE * n * width / _rate("prediction")
                entries.append(_entry("predictions", run, place, kept, 0.0 if published else seconds))
            if project.has_ensemble(name):
                place = results / f"predictions/{slug(name)}/{fold}.mean.zarr"
                entries.append(_entry("predictions", f"{name} {fold}.mean", place, 2 * kept, 0.0))
    return entries


def _search_entries(project: Project, results: Path, shapes: dict[str, Any]) -> list[dict[str, Any]]:
    entries = []
    for amount in search_amounts(project, TEST_SHARE):
        n, width, values, item = shapes[project.config.models[amount.model].dataset]
        kept = TEST_SHARE * n * values * PACKED["predictions"] * (5 + item)
        size = {"model": PARAMETER_BYTES, "predictions": kept}.get(amount.noun, FIGURES_BYTES)
        seconds = amount.passes * n * (1 - TEST_SHARE) * width / _rate("training")
        seconds += amount.predicted * n * width / _rate("prediction")
        seconds += amount.trials * TRIAL_SECONDS
        entries.append(_entry(amount.noun, amount.name, results / amount.place, size, seconds, **amount.more))
    return entries


def _effect_entries(
    project: Project, results: Path, shapes: dict[str, Any], lengths: dict[str, int]
) -> list[dict[str, Any]]:
    entries = []
    amounts = [*effect_amounts(project, lengths), *motif_amounts(project), *measured_amounts(project)]
    for amount in amounts:
        width = shapes[amount.dataset][1]
        seconds = amount.runs * amount.sequences * width / _rate("prediction")
        folder = results / amount.place
        seconds += (amount.jobs - 1) * JOB_SECONDS[amount.noun]
        size = 4 * PACKED["predictions"] * amount.values
        more = {"places": amount.places} | ({"jobs": amount.jobs} if amount.jobs > 1 else {})
        entries.append(_entry(amount.noun, amount.name, folder, size, seconds, **more))
    return entries


def make_plan(project: Project, results: Path) -> dict[str, Any]:
    """What the configuration asks for.

    Returns
    -------
    ``nouns``: each with noun, name, bytes and seconds (estimates), built (already there); datasets with examples (at
    most) and partial (records outside a piece of a genome are still among them), searches (one entry a fold) with
    trials, trainings (at most) and jobs, maps and variants with places (regions or variants, from the size of their
    file). ``to_build``, ``bytes``,
    ``seconds``: of those that are not there. ``free_bytes`` where results lie, ``enough`` (with a fifth to spare),
    ``rates`` that the times assume.
    """
    lengths = {name: _genome_bp(project, name) for name in project.config.genomes}
    tracks, genomes = read_here(project)
    nouns = [
        _entry("genome", name, results / f"genome/{slug(name)}.zarr", PACKED["codes"] * bp, bp / _rate("genome"), bp=bp)
        for name, bp in lengths.items()
        if name in genomes
    ]
    nouns += _source_entries(project, results)
    nouns += [
        _entry(noun, name, results / place, size, seconds)
        for noun, name, place, size, seconds in reads_amounts(project, lengths)
    ]
    fetched = project.fetched()
    for name, track in project.tracks.items():
        if track.kind == "reads" or name not in tracks:
            continue
        made = EXPERIMENTS in track.path.parents
        size = fetched[name][0].bytes if name in fetched and not made else _file_bytes(track.path)
        amount = _track(track, lengths[track.assembly], size)
        nouns.append(_entry("track", name, results / f"tracks/{slug(name)}.zarr", *amount))
    datasets, shapes = _dataset_entries(project, results, lengths)
    nouns += datasets + _run_entries(project, results, shapes) + _search_entries(project, results, shapes)
    nouns += _effect_entries(project, results, shapes, lengths)
    missing = [noun for noun in nouns if not noun["built"]]
    size = sum(noun["bytes"] for noun in missing)
    rates = RATES | (READS_RATES if project.experiments else {})
    place = next(path for path in (results, *results.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    return {
        "nouns": nouns,
        "to_build": len(missing),
        "bytes": size,
        "seconds": round(sum(noun["seconds"] for noun in missing), 1),
        "free_bytes": free,
        "enough": size * RESERVE <= free,
        "rates": {
            "start of a job": f"{OTHER_JOB_SECONDS:.0f} to {max(JOB_SECONDS.values()):.0f} s",
            **{name: f"{human_amount(rate)} {unit}" for name, (rate, unit) in rates.items()},
        },
    }


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """The plan for people."""
    if not plan["nouns"]:
        return ["nothing to build: no genomes, tracks or datasets are configured", *rerun_lines(plan)]
    lines = [f"{'what':<12} {'number':>7} {'there':>7} {'disk':>10} {'time':>12}"]
    for noun in dict.fromkeys(entry["noun"] for entry in plan["nouns"]):
        entries = [entry for entry in plan["nouns"] if entry["noun"] == noun]
        missing = [entry for entry in entries if not entry["built"]]
        size, seconds = sum(e["bytes"] for e in missing), sum(e["seconds"] for e in missing)
        built = len(entries) - len(missing)
        lines.append(f"{noun:<12} {len(entries):>7} {built:>7} {human_bytes(size):>10} {human_seconds(seconds):>12}")
    lines.append("")
    for entry in plan["nouns"]:
        if entry["noun"] == "dataset":
            bound = "" if entry["built"] else "at most about "
            piece = " before dropping records outside the piece of the genome" if entry["partial"] else ""
            lines.append(
                f"dataset {entry['name']}: {bound}{entry['examples']:,} examples{piece}, {human_bytes(entry['bytes'])}"
            )
    lines += search_lines(plan["nouns"])
    for entry in plan["nouns"]:
        if entry["noun"] == "map" and entry.get("jobs"):
            lines.append(f"map {entry['name']}: {entry['places']:,} regions by {entry['jobs']} jobs")
    need, free = human_bytes(plan["bytes"]), human_bytes(plan["free_bytes"])
    time = human_seconds(plan["seconds"])
    lines.append(f"to build: {many(plan['to_build'], 'thing')}, about {need} and {time} on one core; {free} free")
    if not plan["enough"]:
        lines.append(f"WARNING too little disk: {need} and a fifth to spare are more than the {free} that are free")
    rates = "; ".join(f"{name} {rate}" for name, rate in plan["rates"].items())
    lines.append(f"times are rough; they assume {rates}")
    return lines + rerun_lines(plan)
