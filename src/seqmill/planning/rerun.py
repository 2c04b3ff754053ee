"""What Snakemake would run, and why: its dry run in words."""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

TARGETS = ("all", "sources", "datasets", "tracks", "browser")
NOT_THERE, CUT_OFF = "is not there yet", "an earlier run was cut off"
_REASONS = (
    ("Missing output files", NOT_THERE),
    ("Params have changed", "its settings changed"),
    ("Set of input files has changed", "its list of inputs changed"),
    ("Updated input files", "an input changed"),
    ("Code has changed", "the workflow's code changed"),
    ("Software environment", "the environment changed"),
    ("Forced execution", "it was asked for"),
    ("Input files updated by another job", "something before it runs again"),
    ("Incomplete", CUT_OFF),
)
_NEW = (NOT_THERE, CUT_OFF)  # reasons of jobs whose nouns the plan counts as missing


def reason_in_words(reason: str) -> str:
    """Snakemake's reason for a job, the first that holds.

    >>> reason_in_words("Missing output files: results/x; Input files updated by another job: y")
    'is not there yet'
    """
    for start, words in _REASONS:
        if start.lower() in reason.lower():
            return words
    return reason.partition(":")[0].strip() or "other reasons"


def parse_dry_run(text: str) -> list[dict[str, Any]]:
    """Jobs of ``snakemake --dry-run`` by rule and reason, in the order of the run, without rules that only collect."""
    counts: Counter[tuple[str, str]] = Counter()
    rule = None
    for line in text.splitlines():
        if match := re.match(r"(?:local)?(?:rule|checkpoint) (\w+):$", line):
            rule = match[1]
        elif rule and (match := re.match(r"    reason: (.*)", line)):
            counts[rule, reason_in_words(match[1])] += 1
            rule = None
    return [
        {"rule": rule, "reason": reason, "jobs": jobs} for (rule, reason), jobs in counts.items() if rule not in TARGETS
    ]


def find_snakefile() -> Path | None:
    """The workflow of this folder, else of the checkout that seqmill is installed from, else None."""
    import seqmill

    checkout = Path(seqmill.__file__).parents[2]
    places = [Path("Snakefile"), Path("workflow/Snakefile"), checkout / "Snakefile"]
    return next((path for path in places if path.is_file()), None)


def dry_run(configfiles: list[Path], settings: dict[str, Any], snakefile: Path | None = None) -> dict[str, Any]:
    """What Snakemake would run in this folder, and why.

    Parameters
    ----------
    settings : laid on top of the configuration files.
    snakefile : the workflow; see `find_snakefile` if not given.

    Returns
    -------
    ``jobs`` as in `parse_dry_run`, or ``problem`` in words.
    """
    text, problem = ask_snakemake(configfiles, settings, snakefile)
    return {"jobs": parse_dry_run(text), "problem": problem}


def ask_snakemake(configfiles: list[Path], settings: dict[str, Any], snakefile: Path | None = None) -> tuple[str, str]:
    """What ``snakemake --dry-run`` says in this folder, and what went wrong in words; arguments as of `dry_run`."""
    snakefile = snakefile or find_snakefile()
    if snakefile is None:
        return "", "no Snakefile here or beside the installed seqmill; name one with --snakefile"
    with tempfile.TemporaryDirectory() as folder:
        # a file, because Snakemake takes nested values of --config for text
        last = Path(folder) / "settings.yaml"
        last.write_text(json.dumps(settings))
        files = [str(path) for path in (*configfiles, last)]
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--snakefile", str(snakefile)]
        command += ["--configfile", *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        return "", "snakemake --dry-run failed: " + " ".join(lines[-3:])[:400]
    return done.stdout + done.stderr, ""


def many(count: int, what: str) -> str:
    """'1 job', '2 jobs'."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def rerun_lines(plan: dict[str, Any]) -> list[str]:
    """Lines of a plan about what would run."""
    rerun = plan.get("rerun")
    if not rerun:
        return []
    if rerun["problem"]:
        return ["", f"what snakemake would run is not known: {rerun['problem']}"]
    jobs = [f"  {job['jobs']:>5} × {job['rule']:<16} {job['reason']}" for job in rerun["jobs"]]
    lines = ["", "snakemake would run:", *(jobs or ["  nothing: everything is up to date"])]
    if again := sum(job["jobs"] for job in rerun["jobs"] if job["reason"] not in _NEW):
        it = "their" if again > 1 else "its"
        lines.append(
            f"{many(again, 'job')} would run again although {it} outputs are there; {it} time is not in the total"
        )
    return lines
