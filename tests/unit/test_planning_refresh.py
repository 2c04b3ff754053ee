"""Jobs that another lock would run, told from two dry runs."""

from seqmill.config.lock import LockRow
from seqmill.planning import refresh as planning_refresh

PRESENT = """\
localrule all:
    input: results/report/index.html
    reason: Input files updated by another job

rule predict:
    output: results/predictions/net/0.0.zarr/marker.json
    wildcards: model=net, fold=0, seed=0
"""
NEXT = f"""\
rule train:
    output: results/models/net/0.0/marker.json
    wildcards: model=net, fold=0, seed=0

localrule fetch:
    output: results/sources/ctcf/marker.json
    wildcards: source=ctcf

rule later:
    output: results/later

{PRESENT}
rule report:
    output: results/report/index.html
"""


def test_names_in_the_order_of_the_run_unknown_rules_last():
    assert planning_refresh.job_names(NEXT) == [
        "fetch source=ctcf",
        "train model=net, fold=0, seed=0",
        "predict model=net, fold=0, seed=0",
        "report",
        "later",
    ]


def asked(monkeypatch, *answers):
    """Let Snakemake give these answers, one after another; returns what it was asked."""
    questions, left = [], list(answers)

    def ask(configfiles, settings, snakefile=None):
        questions.append((configfiles, settings, snakefile))
        return left.pop(0)

    monkeypatch.setattr(planning_refresh, "ask_snakemake", ask)
    return questions


def test_cost_is_what_the_other_lock_adds(monkeypatch, tmp_path):
    questions = asked(monkeypatch, (NEXT, ""), (PRESENT, ""))
    row = LockRow("ctcf", "x", "x.bw", "url", "", "https://host.invalid/x.bw", 1500, md5="a" * 32)
    settings = {"sources": {"audits": "ignore"}}
    cost = planning_refresh.refresh_cost([tmp_path], settings, tmp_path / "next.tsv", [row])
    assert cost == {
        "files": 1,
        "bytes": 1500,
        "jobs": ["fetch source=ctcf", "train model=net, fold=0, seed=0", "report", "later"],
        "pending": 1,
        "left": [],
        "problem": "",
    }
    assert questions[0][1] == {"sources": {"audits": "ignore", "lock": str(tmp_path / "next.tsv")}}
    assert questions[1][1] == settings
    assert planning_refresh.cost_lines(cost) == [
        "- download: 1 file, 1.5 kB",
        "- downloads: 1 job: `ctcf`",
        "- trainings: 1 job: `net, 0, 0`",
        "- reports: 1 job",
        "- later: 1 job",
        "- beside these, 1 job would run with the present lock too",
    ]


def test_a_dry_run_that_fails_is_said(monkeypatch, tmp_path):
    asked(monkeypatch, ("", "snakemake --dry-run failed: no genome"))
    cost = planning_refresh.refresh_cost([], {}, tmp_path / "next.tsv", [])
    assert planning_refresh.cost_lines(cost) == [
        "- download: 0 files, 0 B",
        "- the jobs are not known: snakemake --dry-run failed: no genome",
    ]


def test_many_names_are_shortened():
    names = [f"track track=t{number:02d}" for number in range(12)]
    cost = {"files": 0, "bytes": 0, "jobs": names, "pending": 0, "left": [], "problem": ""}
    shown = ", ".join(f"`t{number:02d}`" for number in range(10))
    assert planning_refresh.cost_lines(cost)[1] == f"- tracks: 12 jobs: {shown} and 2 more"
    assert planning_refresh.cost_lines({**cost, "jobs": []})[1] == "- no job runs because of it"


def test_what_the_command_fetched_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("ctcf", "max"):
        (tmp_path / "results/sources" / name).mkdir(parents=True)
        (tmp_path / "results/sources" / name / "marker.json").touch()
    asked(monkeypatch, (NEXT, ""), (PRESENT, ""))
    cost = planning_refresh.refresh_cost([], {}, tmp_path / "next.tsv", [], ["ctcf", "max", "not there"])
    assert cost["left"] == ["max"]  # Snakemake fetches ctcf again by itself
    assert planning_refresh.cost_lines(cost)[-2] == (
        "- `max` and what depends on it was made by the command, not by Snakemake, which would leave it as is: "
        "run the command again (`seqmill report`)"
    )
