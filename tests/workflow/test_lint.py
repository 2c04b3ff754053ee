"""The workflow's own form: lint, adapters that fit their rules, one path for each noun."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.workflow
# Rules whose programs come from an environment of --sdm conda: they start `seqmill.stages.reads_jobs`, not a script.
SHARED = {"curve_predict": "predict", "map_part": "map"}  # rules whose adapter is another rule's
RULES_OF_READS = ("aligner", "library", "experiment", "quality", "call_quality", "quality_table")
JOBS = {name: name.replace("_", "-") for name in RULES_OF_READS}


def snakemake(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments], cwd=cwd, capture_output=True, text=True, timeout=300
    )


def test_snakemake_lint_finds_nothing_but_the_shared_environment():
    """All Python rules share one locked environment, so no rule names a conda environment or container of its own."""
    report = snakemake("--lint").stderr
    titles = set(re.findall(r"^ {4}\* (.+?):?$", report, flags=re.MULTILINE))
    assert titles == {"Specify a conda environment or container for each rule."}, report


def rules() -> dict[str, str]:
    """Name to text of every rule."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    parts = re.split(r"^ *rule (\w+):", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def adapter(rule: str) -> str:
    """Text of the script of a rule; empty for a job of a program."""
    return "" if rule in JOBS else (ROOT / "workflow" / "scripts" / f"{SHARED.get(rule, rule)}.py").read_text()


def test_every_rule_has_log_benchmark_threads_resources_and_its_adapter():
    for name, text in rules().items():
        for key in ("log:", "benchmark:", "threads:", "mem_mb", "runtime", "format="):
            assert key in text, f"rule {name} lacks {key}"
        if name in JOBS:
            assert re.search(rf"-m seqmill.stages.reads_jobs {JOBS[name]} \{{output:q\}} \{{params.job\}}", text), name
            continue
        script = SHARED.get(name, name)
        assert f'"../workflow/scripts/{script}.py"' in text
        assert (ROOT / "workflow" / "scripts" / f"{script}.py").is_file()


def test_every_rule_that_trains_is_started_again_and_goes_on():
    """A job that is stopped ends with code 75, its state saved; Snakemake starts it again in the same run."""
    trains = {name for name in rules() if re.search(r"\b(train_here|work_on|choose_settings)\(", adapter(name))}
    assert trains == {"train", "search", "search_worker", "search_model", "curve_train"}
    assert trains == {name for name, text in rules().items() if "\n    retries: 3 " in text}


def test_jobs_of_reads_are_those_that_the_program_knows():
    from seqmill.stages.reads_jobs import KINDS

    assert set(JOBS.values()) == set(KINDS)


def test_adapters_use_only_what_their_rule_gives():
    for name, text in rules().items():
        for section in ("input", "params"):
            for key in re.findall(rf"snakemake\.{section}\.(\w+)", adapter(name)):
                assert re.search(rf"^\s+{key}=", text, flags=re.MULTILINE), f"{name}.py reads {section}.{key}"


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_dry_run_of_the_demo_plans_every_stage(snakefile):
    done = snakemake("--dry-run", "--forceall", "--snakefile", snakefile)
    assert done.returncode == 0, done.stderr
    stages = ("simulate_world", "genome", "track", "dataset_rows", "dataset_target", "train", "predict", "baseline")
    for stage in (*stages, "evaluate", "report"):
        assert re.search(rf"^{stage}\s+\d+", done.stdout + done.stderr, flags=re.MULTILINE), stage


def test_the_workflow_can_be_used_as_a_module(tmp_path):
    for name in ("config/config.yaml", "config/tracks.tsv", "src/seqmill/simulate/motifs.meme"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "Snakefile").write_text(
        'configfile: "config/config.yaml"\n\n\n'
        f'module seqmill:\n    snakefile: "{ROOT}/Snakefile"\n    config: config\n\n\nuse rule * from seqmill\n'
    )
    done = snakemake("--dry-run", "datasets", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "dataset_rows" in done.stdout + done.stderr


BAD = {
    "unknown key": ("modles: {}\n", "unknown key 'modles'; did you mean 'models'?"),
    "key twice": ("genomes: {}\ngenomes: {}\n", "key 'genomes' given twice (lines 1,2)"),
    "missing genome": (
        "datasets: {d: {genomes: [x], windows: {kind: tiles, window_bp: 9}, targets: {t: {kind: count}}, "
        "split: {kind: folds}}}\n",
        "genome 'x' is not configured",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_configuration_is_one_clear_message(case, tmp_path):
    text, message = BAD[case]
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    done = snakemake("--dry-run", "--configfile", str(path))
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert message in output
    assert "Traceback" not in output
