"""What another lock would make again: the jobs of two dry runs, compared by name."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqmill.config.lock import LockRow
from seqmill.config.names import slug
from seqmill.config.remote import fetched_folder
from seqmill.config.root import merge
from seqmill.planning.rerun import TARGETS, ask_snakemake, many
from seqmill.runtime.marker import MARKER
from seqmill.runtime.progress import human_bytes

# Rules in the order of the run, with what their jobs make.
RULES = {
    "fetch": "downloads",
    "genome": "genomes",
    "aligner": "indices of aligners",
    "library": "libraries of reads",
    "experiment": "experiments",
    "quality": "qualities of experiments",
    "call_quality": "qualities of methylation calls",
    "quality_table": "quality tables",
    "track": "tracks",
    "dataset_rows": "rows of datasets",
    "dataset_input": "inputs of datasets",
    "dataset_target": "array groups of datasets",
    "dataset": "datasets closed",
    "search_worker": "workers of searches",
    "search": "searches",
    "search_model": "trainings with the settings of searches",
    "search_scores": "scores of searches",
    "train": "trainings",
    "predict": "predictions",
    "ensemble": "means over seeds",
    "curve_train": "trainings of curves",
    "curve_predict": "predictions of curves",
    "curve": "curves",
    "published": "published predictions",
    "baseline": "baselines",
    "map": "maps",
    "map_files": "files of maps",
    "variants": "sets of variants",
    "measured": "comparisons with measured effects",
    "exports": "exports",
    "evaluate": "evaluations",
    "report": "reports",
}
SHOWN = 10  # names of one rule in the changelog; the JSON has all


def job_names(text: str) -> list[str]:
    """Jobs of ``snakemake --dry-run``, each as its rule and its wildcards, without rules that only collect.

    >>> job_names("rule track:\\n    output: x\\n    wildcards: track=ctcf\\n")
    ['track track=ctcf']
    """
    names = []
    for rule, block in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", text, flags=re.MULTILINE):
        if rule not in TARGETS:
            wildcards = re.search(r"^    wildcards: (.*)$", block, flags=re.MULTILINE)
            names.append(f"{rule} {wildcards[1]}" if wildcards else rule)
    return sorted(dict.fromkeys(names), key=_place)


def _place(name: str) -> tuple[int, str]:
    rule, known = name.partition(" ")[0], list(RULES)
    return known.index(rule) if rule in known else len(known), name


def refresh_cost(
    configfiles: list[Path],
    settings: dict[str, Any],
    lock: Path,
    download: Sequence[LockRow],
    repinned: Sequence[str] = (),
    snakefile: Path | None = None,
) -> dict[str, Any]:
    """What a run with ``lock`` in place of the one of the configuration would do beyond what is to be done anyway.

    Parameters
    ----------
    configfiles, settings, snakefile : as of `seqmill.planning.rerun.dry_run`.
    lock : the other lock. download : its rows whose bytes are not there yet. repinned : names with other files there.

    Returns
    -------
    ``files`` and ``bytes`` to download, ``jobs`` (names), ``pending`` (number of jobs that are to be run with the
    present lock too), ``left`` (names of ``repinned`` that were fetched without Snakemake, which then has no note of
    their pins and leaves them), ``problem`` in words if Snakemake could not be asked.
    """
    cost: dict[str, Any] = {"files": len(download), "bytes": sum(row.bytes for row in download)}
    other, problem = ask_snakemake(configfiles, merge(settings, {"sources": {"lock": str(lock)}}), snakefile)
    if problem:
        return {**cost, "jobs": [], "pending": 0, "left": [], "problem": problem}
    # with rows of the sheet that the present lock lacks there is no run to compare with: then all jobs count
    present, _ = ask_snakemake(configfiles, settings, snakefile)
    pending, planned = set(job_names(present)), job_names(other)
    fetched = [name for name in repinned if (fetched_folder(name) / MARKER).is_file()]
    left = [name for name in fetched if f"fetch source={slug(name)}" not in planned]
    jobs = [name for name in planned if name not in pending]
    return {**cost, "jobs": jobs, "pending": len(pending), "left": left, "problem": ""}


def cost_lines(cost: dict[str, Any]) -> list[str]:
    """The cost as Markdown lines."""
    lines = [f"- download: {many(cost['files'], 'file')}, {human_bytes(cost['bytes'])}"]
    if cost["problem"]:
        return [*lines, f"- the jobs are not known: {cost['problem']}"]
    by_rule: dict[str, list[str]] = {}
    for name in cost["jobs"]:
        rule, _, wildcards = name.partition(" ")
        by_rule.setdefault(rule, []).append(re.sub(r"\b\w+=", "", wildcards))
    for rule, names in by_rule.items():
        shown = ", ".join(f"`{name}`" for name in names[:SHOWN] if name)
        more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
        lines.append(f"- {RULES.get(rule, rule)}: {many(len(names), 'job')}{': ' + shown if shown else ''}{more}")
    if cost["left"]:
        made = ", ".join(f"`{name}`" for name in cost["left"][:SHOWN])
        lines.append(
            f"- {made} and what depends on it was made by the command, not by Snakemake, which would leave it as is:"
            " run the command again (`seqmill report`)"
        )
    elif not by_rule:
        lines.append("- no job runs because of it")
    if cost["pending"]:
        lines.append(f"- beside these, {many(cost['pending'], 'job')} would run with the present lock too")
    return lines
