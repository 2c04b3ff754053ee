"""How reads became signal and peaks, in sentences made from the markers and run records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqmill.report.words import number
from seqmill.runtime.marker import RECORD, read_marker, unseal

MAX_NAMES = 12


def processing(experiments: Sequence[Path], libraries: Sequence[Path]) -> list[str]:
    """Sentences for each way of processing, with the experiments that went it.

    Parameters
    ----------
    experiments, libraries : nouns. Of libraries that are not given nothing is said.
    """
    given = {f"libraries/{read_marker(folder).name}": folder for folder in libraries}
    groups: dict[str, list[str]] = {}
    for folder in experiments:
        marker = read_marker(folder)
        own = set(marker.attrs["inputs"]) - {f"libraries/{name}" for name in marker.attrs.get("control", [])}
        text = _experiment(folder, marker.attrs, [given[name] for name in sorted(own) if name in given])
        groups.setdefault(text, []).append(str(marker.attrs["name"]))
    return [f"{_names(names)}: {text}" for text, names in groups.items() if text]


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ("Experiment " if len(names) == 1 else "Experiments ") + ", ".join(names[:MAX_NAMES]) + more


def _record(folder: Path) -> dict[str, Any]:
    return unseal(folder / RECORD) if (folder / RECORD).exists() else {}


def _experiment(folder: Path, attrs: Mapping[str, Any], libraries: Sequence[Path]) -> str:
    said = list(dict.fromkeys(_library(library) for library in libraries))
    record = _record(folder)
    settings = record.get("parameters", {}).get("settings", {})
    assay = attrs["assay"]
    if assay == "atac" and settings:
        said.append(_shift(attrs.get("shift", {}), settings))
    if assay == "chip" and attrs.get("fragment_bp") and not all(attrs["paired"].values()):
        said.append(f"Single reads were extended to {attrs['fragment_bp']['pooled']} bp.")
    if assay == "mnase" and settings.get("mnase_fragment_bp"):
        low, high = settings["mnase_fragment_bp"]
        said.append(f"Centres are those of fragments of {low} to {high} bp.")
    if attrs.get("macs"):
        said.append(_peaks(attrs, settings))
    return " ".join(said)


def _signed(value: int) -> str:
    return f"{value:+d}".replace("-", "−")


def _shift(applied: Mapping[str, Sequence[int]], settings: Mapping[str, Any]) -> str:
    plus, minus = settings["plus_shift"], settings["minus_shift"]
    text = f"Cut sites are 5′ ends, {_signed(plus)} bp on the + and {_signed(minus)} bp on the − strand"
    moves = set(map(tuple, applied.values()))
    if not moves or moves == {(plus, minus)}:
        return f"{text}."
    if moves == {(0, 0)}:
        return f"{text}, as the files had them already: nothing was moved."
    done = ", ".join(f"replicate {name} by {_signed(a)} and {_signed(b)}" for name, (a, b) in sorted(applied.items()))
    return f"{text}; what files had already was not moved again ({done})."


def _library(folder: Path) -> str:
    """One sentence on the reads, one on the filters."""
    attrs, record = read_marker(folder).attrs, _record(folder)
    settings, source = record.get("parameters", {}), attrs["source"]
    versions = {**record.get("versions", {}), **record.get("programs", {})}

    def program(name: str) -> str:
        return f"{name} {versions[name]}" if versions.get(name) else name

    if source == "fragments":
        return "Fragments were taken from fragment files as they are."
    reads = "pairs" if attrs["paired"] else "single reads"
    if source == "fastq":
        first = f"Adapters were cut from {reads} with {program('cutadapt')}; they were aligned with "
        first += f"{program(attrs['aligner'])}."
    else:
        first = f"Alignments of {reads} were taken as given."
    kept = f"Of {reads}, those with a mapping quality of at least {settings.get('mapq_min', '–')} were kept"
    if attrs["paired"] and settings.get("max_fragment_bp"):
        kept += f", properly paired within {number(settings['max_fragment_bp'])} bp"
    excluded = attrs["counts"].get("excluded_by_contig", {})
    names = [name for name, count in excluded.items() if count]
    kept += f", without those on {', '.join(sorted(names)[:MAX_NAMES])}" if names else ""
    copies = "duplicates were removed" if attrs.get("duplicates") == "removed" else "duplicates were kept"
    return f"{first} {kept} ({program('samtools')}); {copies}."


def _peaks(attrs: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    macs = " and ".join(f"{name} {version}" for name, version in attrs["macs"].items())
    control = " against the control" if attrs.get("control") else ""
    text = f"Peaks were called with {macs} at p ≤ {settings.get('peak_p', '–')}{control}"
    method = attrs.get("reproducibility", {}).get("method")
    if method == "idr":
        text += (
            f"; reproducible ones have an irreproducible discovery rate of at most {settings.get('idr_max', '–')} in "
        )
    elif method == "overlap":
        text += "; reproducible ones are found again, by half of either peak, in "
    if method:
        several = len(attrs["replicates"]) > 1
        text += (
            "two replicates or in two halves of the pooled data, whichever are more"
            if several
            else "both halves of the data"
        )
    return f"{text}."
