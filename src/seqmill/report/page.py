"""The report: one HTML file that needs nothing else, opens from disk and prints.

Names come from sheets of strangers: every string passes the template engine's escaping, or JSON in which no character
that means something to HTML is left. Figures are images. The only script, there when the page has maps to draw, is
allowed by its digest; the content security policy forbids any other, and all requests.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from seqmill import __version__
from seqmill.config.models import Report
from seqmill.report import collect, words
from seqmill.report.figures import training_curves
from seqmill.report.judged import MAX_LINES, comparisons_of, headlines, targets_of
from seqmill.report.logo import GLYPHS
from seqmill.report.maps import gather_map
from seqmill.report.measured import gather_measured
from seqmill.report.methods import methods
from seqmill.report.motifs import gather_motifs
from seqmill.report.reads import gather_reads
from seqmill.report.searches import gather_curves, gather_searches
from seqmill.report.truth import gather_truth, write_truth
from seqmill.report.variants import gather_variants
from seqmill.runtime.files import atomic_write
from seqmill.runtime.progress import human_bytes, human_seconds

Written = Mapping[str, Mapping[str, Mapping[str, str]]]


def _networks(folders: Sequence[Path]) -> list[dict[str, Any]]:
    return [{**network, "figure": training_curves(network["runs"])} for network in collect.models(folders)]


def _machine(machine: dict[str, Any]) -> str:
    memory = human_bytes(machine.get("memory_bytes") or 0)
    cpu, cores, system = (machine.get(key) or "unknown" for key in ("cpu", "cores", "system"))
    return f"Processor {cpu}, {cores} cores, {memory} memory, {system}"


def _records(folders: Iterable[Path]) -> dict[str, Any]:
    """Run records, what they have in common, and their sums."""
    records = [record for folder in folders if (record := collect.run_record(folder))]
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record["versions"].items():
            versions.setdefault(package, set()).add(str(version))
    machines = {_machine(record["machine"]) for record in records if record["machine"]}
    return {
        "lines": records[:MAX_LINES],
        "hidden": max(0, len(records) - MAX_LINES),
        "seconds": sum(record["seconds"] or 0 for record in records),
        "versions": {package: ", ".join(sorted(found)) for package, found in sorted(versions.items())},
        "machines": sorted(machines),
    }


def gather(
    report: Report,
    evaluations: Sequence[Path],
    datasets: Sequence[Path],
    models: Sequence[Path],
    predictions: Sequence[Path],
    maps: Sequence[Path] = (),
    variants: Sequence[Path] = (),
    written: Written | None = None,
    *,
    searches: Sequence[Path] = (),
    scores: Sequence[Path] = (),
    curves: Sequence[Path] = (),
    qualities: Sequence[Path] = (),
    experiments: Sequence[Path] = (),
    libraries: Sequence[Path] = (),
    motifs: Sequence[Path] = (),
    measured: Sequence[Path] = (),
) -> dict[str, Any]:
    """Everything the template shows."""
    judged = [collect.evaluation(folder) for folder in evaluations]
    for item in judged:
        item["targets"] = targets_of(item.pop("metrics"), item.pop("figures"))
        item["comparisons"] = comparisons_of(item.pop("comparison"))
    upstream = list(collect.upstream_folders(datasets))
    reads = [*libraries, *experiments, *qualities]
    tuned = [*searches, *scores, *curves]
    edits = [*maps, *motifs, *variants, *measured]
    parts = [folder / part for folder in datasets for part in collect.read_marker(folder).parts]
    found = {
        "title": report.title,
        "version": __version__,
        "headlines": headlines(judged),
        "sources": collect.sources(datasets, predictions, written or {}, libraries),
        "reads": gather_reads(qualities, experiments, libraries),
        "datasets": [collect.dataset(folder) for folder in datasets],
        "networks": _networks(models),
        "searches": gather_searches(searches, scores),
        "curves": gather_curves(curves),
        "evaluations": judged,
        "maps": [gather_map(folder) for folder in maps],
        "truths": [truth for folder in maps if (truth := gather_truth(folder))],
        "motifs": [gather_motifs(folder) for folder in motifs],
        "variants": [gather_variants(folder) for folder in variants],
        "measured": [gather_measured(folder) for folder in measured],
        "record": _records([*reads, *upstream, *parts, *models, *predictions, *evaluations, *tuned, *edits]),
        "max_lines": MAX_LINES,
    }
    return found | {"methods": methods(found, collect.settings_of(datasets, models, predictions))}


def safe_json(value: Any) -> str:
    """JSON for a script element: no character is left that could end the element or begin a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text, and browsers choke on it
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def template(name: str) -> str:
    return files("seqmill.report").joinpath("templates", name).read_text()


def render(context: dict[str, Any]) -> str:
    """The page as text, from what `gather` found."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("seqmill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "whole": words.whole,
        "plural": words.plural,
        "percent": words.percent,
        "short": words.short,
        "seconds": lambda value: human_seconds(value) if value is not None else "–",
        "bytes": lambda value: human_bytes(value) if value else "–",
    }
    environment.globals["interval"] = words.interval
    drawn = [item["data"] for item in context["maps"]]
    style = template("page.css")
    # viewer.js opens the function that map.js closes
    script = template("viewer.js") + template("map.js") if any(drawn) else ""
    return environment.get_template("page.html").render(
        **context,
        style=Markup(style),
        style_digest=digest(style),
        script=Markup(script),
        script_digest=digest(script),
        map_data=Markup(safe_json({"glyphs": GLYPHS, "maps": drawn})),
    )


def write_report(
    path: str | Path,
    *,
    report: Report,
    evaluations: Sequence[Path],
    datasets: Sequence[Path],
    models: Sequence[Path],
    predictions: Sequence[Path],
    maps: Sequence[Path] = (),
    variants: Sequence[Path] = (),
    searches: Sequence[Path] = (),
    scores: Sequence[Path] = (),
    curves: Sequence[Path] = (),
    qualities: Sequence[Path] = (),
    experiments: Sequence[Path] = (),
    libraries: Sequence[Path] = (),
    motifs: Sequence[Path] = (),
    measured: Sequence[Path] = (),
    written: Written | None = None,
    truth_table: str | Path | None = None,
) -> None:
    """Write the report page.

    Parameters
    ----------
    path : HTML file to write, whole or not at all.
    report : section of the configuration.
    evaluations, datasets, models, predictions, maps, variants : folders of the nouns to report on. Genome and track
        stores, and the simulated world, are found beside them.
    searches, scores, curves : of searches the choice in each fold and the nested scores; curves over the size of data.
    measured : of effects that were measured by experiment.
    qualities, experiments, libraries : of reads; the first are the section on reads, the others its methods text.
    motifs : of maps and networks.
    written : `seqmill.config.written.written_sources`; without it files are named without their folders, and licences
        are not stated.
    truth_table : TSV file for the numbers of the truth section; with its header alone where there are none.

    Apart from the run record the page is the same for the same nouns.
    """
    groups = (evaluations, datasets, models, predictions, maps, variants)
    judged, examples, networks, predicted, drawn, scored = ([Path(folder) for folder in group] for group in groups)
    more = {"searches": searches, "scores": scores, "curves": curves}
    more |= {"qualities": qualities, "experiments": experiments, "libraries": libraries}
    more |= {"motifs": motifs, "measured": measured}
    others = {key: [Path(folder) for folder in folders] for key, folders in more.items()}
    context = gather(report, judged, examples, networks, predicted, drawn, scored, written, **others)
    page = render(context)
    if truth_table is not None:
        write_truth(truth_table, context["truths"])
    atomic_write(path, page.encode("utf-8", "replace"))
