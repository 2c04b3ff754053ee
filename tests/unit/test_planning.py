"""The plan: arithmetic against hand-made numbers and against what is then really built."""

import gzip
import json
from pathlib import Path

import pytest
from tests.unit.cli_world import SIZE, config, write_world

from seqmill.cli import main
from seqmill.config.project import Project
from seqmill.config.sheet import Track
from seqmill.planning import plan as planning
from seqmill.planning import rerun as planning_rerun
from seqmill.planning.effects import effect_amounts
from seqmill.runtime.marker import write_marker
from seqmill.stores.dataset import DatasetReader


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(write_world(tmp_path / "work"))
    return tmp_path / "work"


def load():
    return Project.load(["config/config.yaml"])


def entry(plan, noun, name):
    return next(e for e in plan["nouns"] if (e["noun"], e["name"]) == (noun, name))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_counts_lengths_and_examples(folder):
    plan = planning.make_plan(load(), Path("results"))
    assert [(e["noun"], e["name"]) for e in plan["nouns"]] == [
        ("genome", "toy"),
        ("track", "ctcf"),
        ("track", "atac"),
        ("dataset", "peaks"),
        ("model", "small 0.0"),
        ("predictions", "small 0.0"),
        ("model", "small 0.1"),
        ("predictions", "small 0.1"),
        ("predictions", "small 0.mean"),
    ]
    assert entry(plan, "genome", "toy")["bp"] == 3 * SIZE
    assert entry(plan, "dataset", "peaks")["examples"] == 3 * SIZE // 100
    assert plan["to_build"] == 9
    assert plan["enough"]
    assert not (folder / "results").exists()


def test_genome_length_from_the_index_the_contigs_or_the_file(folder):
    project = load()
    genome = project.config.genomes["toy"]
    for sizes, contigs, wanted in (
        (genome.sizes, ["chr2"], SIZE),
        (None, None, (folder / "data/toy.fa").stat().st_size),
    ):
        changed = genome.model_copy(update={"sizes": sizes, "contigs": contigs})
        config = project.config.model_copy(update={"genomes": {"toy": changed}})
        assert planning._genome_bp(Project(config, "x"), "toy") == wanted
    (folder / "data/toy.fa.fai").write_text("chr1\t7\t6\t60\t61\nchr2\t5\t6\t60\t61\n")
    config = project.config.model_copy(update={"genomes": {"toy": genome.model_copy(update={"sizes": None})}})
    assert planning._genome_bp(Project(config, "x"), "toy") == 12


def test_estimates_are_near_what_is_built(folder):
    before = planning.make_plan(load(), Path("results"))
    assert main(["dataset", "peaks"]) == 0
    assert main(["tracks"]) == 0
    after = planning.make_plan(load(), Path("results"))
    examples = DatasetReader("results/datasets/peaks.zarr").n
    assert entry(after, "dataset", "peaks")["examples"] == examples
    assert examples <= entry(before, "dataset", "peaks")["examples"] <= 1.1 * examples
    # small stores are mostly headers and records, so only the arrays are compared
    for noun, name, arrays in (
        ("genome", "toy", ["genome/toy.zarr"]),
        ("track", "atac", ["tracks/atac.zarr/bins"]),
        ("dataset", "peaks", ["datasets/peaks.zarr/inputs", "datasets/peaks.zarr/targets"]),
    ):
        real = sum(size_of(path) for place in arrays for path in Path("results", place).rglob("c"))
        estimate = entry(before, noun, name)["bytes"] - planning.NOUN_BYTES
        assert real / 3 < estimate < 3 * real, (noun, real)
    assert [e["name"] for e in after["nouns"] if e["built"]] == ["toy", "ctcf", "atac", "peaks"]
    assert after["bytes"] < before["bytes"]


def test_contact_maps_take_the_band_or_less():
    near = Track(track="c", location="c.hic", format="hic", bin_bp=1000, max_distance_bp=10_000)
    size, seconds = planning._track(near, 1_000_000, 10**9)
    assert size == pytest.approx(0.35 * 8 * 1000 * 11) and seconds > 0  # 1,000 rows of the diagonal and ten more
    assert planning._track(near, 1_000_000, 5_000)[0] == 5_000  # a small file holds no more


def test_too_little_disk_is_a_warning(folder, monkeypatch):
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 45_000_000}))
    plan = planning.make_plan(load(), Path("results"))
    assert 40_000_000 < plan["bytes"] < 45_000_000  # it would fit, but without a fifth to spare
    assert not plan["enough"]
    assert any(line.startswith("WARNING too little disk") for line in planning.plan_lines(plan))


DRY_RUN = """
[Fri Nov 20 11:13:30 2026]
rule track:
    input: a, b
    output: results/tracks/x.zarr/marker.json
    reason: Params have changed since last execution: Union of exclusive params before and now
    wildcards: track=x
[Fri Nov 20 11:13:30 2026]
rule track:
    output: results/tracks/y.zarr/marker.json
    reason: Missing output files: results/tracks/y.zarr/marker.json; Input files updated by another job: a
[Fri Nov 20 11:13:30 2026]
rule dataset_target:
    reason: Input files updated by another job: results/tracks/x.zarr/marker.json
[Fri Nov 20 11:13:30 2026]
localrule all:
    reason: Input files updated by another job: results/report/index.html
"""


def test_dry_run_in_words():
    assert planning_rerun.parse_dry_run(DRY_RUN) == [
        {"rule": "track", "reason": "its settings changed", "jobs": 1},
        {"rule": "track", "reason": "is not there yet", "jobs": 1},
        {"rule": "dataset_target", "reason": "something before it runs again", "jobs": 1},
    ]


def test_plan_command_without_a_workflow(folder, capsys, monkeypatch):
    monkeypatch.setattr(planning_rerun, "find_snakefile", lambda: None)
    assert main(["plan"]) == 0
    out = capsys.readouterr().out
    assert "dataset peaks: at most about 1,200 examples" in out
    assert "what snakemake would run is not known: no Snakefile here or beside the installed seqmill" in out
    assert "to build: 9 things, about" in out
    assert main(["plan", "--json", "--no-dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["to_build"] == 9


def test_plan_command_with_a_source_that_is_not_there(folder, capsys):
    source = next(iter(load().tracks.values())).path
    source.rename(folder / "elsewhere")
    assert main(["plan"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("what snakemake would run is not known: ")
    assert last.endswith(f"track ctcf: {source} does not exist (looked in {folder})")


@pytest.mark.slow
def test_plan_command_asks_snakemake(folder, capsys):
    """A workflow of one rule whose setting is changed: the answer is Snakemake's own, in words."""
    (folder / "Snakefile").write_text(
        'configfile: "config/config.yaml"\nrule one:\n output: "x.txt"\n params: bins=config["tracks"]["bin_bp"]\n'
        ' shell: "echo {params.bins} > {output}"\n'
    )
    assert main(["plan", "--json"]) == 0
    jobs = json.loads(capsys.readouterr().out)["rerun"]["jobs"]
    assert jobs == [{"rule": "one", "reason": "is not there yet", "jobs": 1}]
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "snakemake", "--cores", "1", "--quiet"], check=True, capture_output=True)
    assert main(["plan"]) == 0
    assert "nothing: everything is up to date" in capsys.readouterr().out
    assert main(["plan", "--json", "--config", "tracks.bin_bp=40"]) == 0
    jobs = json.loads(capsys.readouterr().out)["rerun"]["jobs"]
    assert jobs == [{"rule": "one", "reason": "its settings changed", "jobs": 1}]
    assert main(["plan", "--config", "tracks.bin_bp=40"]) == 0
    again = "1 job would run again although its outputs are there; its time is not in the total"
    assert capsys.readouterr().out.endswith(again + "\n")
    (folder / "Snakefile").rename(folder / "other.smk")
    assert main(["plan", "--json", "--snakefile", "other.smk"]) == 0
    assert json.loads(capsys.readouterr().out)["rerun"] == {"jobs": [], "problem": ""}
    assert main(["plan", "--snakefile", "gone.smk"]) == 2
    assert (folder / "x.txt").read_text() == "20\n"


def test_the_workflow_of_the_installation_is_used_where_the_folder_has_none(folder):
    root = Path(__file__).parents[2]
    assert planning_rerun.find_snakefile() == root / "Snakefile"
    (folder / "workflow").mkdir()
    (folder / "workflow/Snakefile").write_text("")
    assert planning_rerun.find_snakefile() == Path("workflow/Snakefile")


def test_an_empty_configuration_says_so(folder):
    plan = planning.make_plan(Project.of({}, "none.yaml"), Path("results"))
    assert planning.plan_lines(plan) == ["nothing to build: no genomes, tracks or datasets are configured"]


def test_peaks_on_a_piece_of_a_genome_may_lie_outside(folder):
    values = config()
    values["datasets"]["peaks"]["windows"] = {"kind": "peaks", "window_bp": 100, "tracks": ["ctcf"]}
    for partial, said in ((True, True), (False, False)):
        values["genomes"]["toy"]["partial"] = partial
        text = "\n".join(planning.plan_lines(planning.make_plan(Project.of(values, "x"), Path("results"))))
        assert ("examples before dropping records outside the piece of the genome" in text) == said


def test_summary_names_the_report_or_its_absence(folder, capsys):
    main(["tracks"])
    capsys.readouterr()
    assert main(["summary"]) == 0
    out = capsys.readouterr().out
    assert "tracks       2" in out
    assert "report: not written yet" in out
    assert main(["summary", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    empty: dict = {"variants": [], "truth": [], "comparisons": [], "report": None}
    assert found == {"nouns": {"genome": 1, "tracks": 2}, **empty}
    (folder / "results/report").mkdir()
    (folder / "results/report/index.html").write_text("x")
    assert main(["summary"]) == 0
    assert f"report: {folder}/results/report/index.html" in capsys.readouterr().out


def test_summary_tells_of_maps_variants_and_planted_motifs(tmp_path, capsys):
    for place, noun, attrs in (
        ("searches/wide/0", "search", {}),
        ("searches/wide/1", "search", {}),
        ("curves/size", "curve", {}),
        ("maps/a.zarr", "map", {}),
        ("maps/a.files", "map-files", {}),
        ("variants/v", "variants", {"set": "v", "records": 9, "scored": 1200, "dropped": {"seen": 7}}),
    ):
        (tmp_path / place).mkdir(parents=True)
        write_marker(tmp_path / place, noun=noun, name=place.split("/")[1], format=1, attrs=attrs)
    (tmp_path / "report").mkdir()
    (tmp_path / "report/truth.tsv").write_text(
        "map\ttarget\tmotif\tagainst\tauroc\na\tbound\tall motifs\tall other bases\t0.9751\na\tbound\tCTCF\tx\t0.5\n"
        "a\tbound\tall motifs\tdecoys\t\n"
    )
    assert main(["summary", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "searches     2",
        "curves       1",
        "maps         1",
        "variants     1",
        "map a: bound: AUROC 0.975 of planted motif bases against all other bases",
        "variants v: 1,200 scored, 7 left out (seen)",
    ]


def test_maps_and_variants_are_counted_in_sequences_to_predict(folder):
    (folder / "regions.bed").write_text("chr3\t100\t150\tregion_name_of_thirty\n" * 10)
    (folder / "v.vcf").write_text("x" * 4000)
    values = config(
        maps={
            "first": {"model": "small", "windows": 5, "edits": ["substitutions", "insertions"]},
            "file": {"model": "small", "regions": "regions.bed", "runs": "all"},
        },
        variants={"v": {"model": "small", "file": "v.vcf"}},
    )
    project = Project.of(values, "config.yaml")
    first, file, variants = effect_amounts(project)
    assert (first.noun, first.place, first.places) == ("map", "maps/first.zarr", 5)
    assert first.sequences == 5 * (1 + 100 * (3 + 4))  # windows of 100 bp; three substitutions, four insertions a base
    assert (first.runs, first.values) == (2, 2 * 5 * 100 * 8)  # two seeds: means and their spread
    assert file.places == (folder / "regions.bed").stat().st_size // 30
    assert (variants.places, variants.sequences, variants.values) == (100, 200, 200)
    plan = planning.make_plan(project, Path("results"))
    rate = planning.RATES["prediction"][0]
    assert entry(plan, "map", "first")["seconds"] == pytest.approx(15 + 2 * first.sequences * 100 / rate, abs=0.1)
    assert [e["noun"] for e in plan["nouns"]][-3:] == ["map", "map", "variants"]


def search_values(**split):
    values = config(
        searches={
            "wide": {
                "model": "small",
                "trials": 10,
                "workers": 3,
                "space": {"settings.hidden": {"choices": [[4], [8]]}},
            }
        },
        curves={"size": {"model": "small", "fractions": [0.25, 1.0], "seeds": [5]}},
    )
    values["datasets"]["peaks"]["split"] |= split
    return values


def test_searches_and_curves_are_counted_in_passes_over_training_rows(folder):
    project = Project.of(search_values(), "config.yaml")
    plan = planning.make_plan(project, Path("results"))
    one_pass = 0.8 * 1200 * 100 / planning.RATES["training"][0]  # rows of 100 bp
    search = entry(plan, "search", "wide 0")
    assert (search["trials"], search["trainings"], search["jobs"]) == (10, 10, 4)
    assert search["seconds"] == pytest.approx(8 + 10 * (planning.TRIAL_SECONDS + one_pass), abs=0.1)
    assert entry(plan, "model", "wide@best 0.0")["seconds"] == entry(plan, "model", "small 0.0")["seconds"]
    quarter, whole = (entry(plan, "model", f"size@{name} 0.5")["seconds"] for name in ("0p25", "1"))
    assert (quarter, whole) == (pytest.approx(20 + one_pass / 4, abs=0.1), pytest.approx(20 + one_pass, abs=0.1))
    assert entry(plan, "predictions", "size@1 0.5")["bytes"] == entry(plan, "predictions", "small 0.0")["bytes"]
    said = "search wide: 1 fold of 10 trials each, at most 10 trainings in 4 jobs"
    assert said in planning.plan_lines(plan)
    for place in ("searches/wide/0", "search_scores/wide", "models/wide@best/0.0", "models/size@0p25/0.5"):
        Path("results", place).mkdir(parents=True)
        write_marker(Path("results", place), noun="x", name="x", format=1)
    after = planning.make_plan(project, Path("results"))
    there = {(e["noun"], e["name"]) for e in after["nouns"] if e["built"]}
    assert there == {("search", "wide 0"), ("scores", "wide"), ("model", "wide@best 0.0"), ("model", "size@0p25 0.5")}
    assert said not in planning.plan_lines(after)
    assert after["to_build"] == plan["to_build"] - 4


def test_a_search_over_inner_folds_trains_once_for_each_and_at_most_as_long_as_it_may(folder):
    values = search_values(kind="folds", k=5, test=None, valid=None)
    values["searches"]["wide"] |= {"inner": "folds", "folds": ["1", "3"]}
    values["searches"]["wide"]["space"]["training.max_epochs"] = {"low": 2, "high": 7}
    plan = planning.make_plan(Project.of(values, "config.yaml"), Path("results"))
    found = [e for e in plan["nouns"] if e["noun"] == "search"]
    assert [(e["name"], e["trainings"]) for e in found] == [("wide 1", 40), ("wide 3", 40)]  # of four training folds
    one_pass = 0.8 * 1200 * 100 / planning.RATES["training"][0]
    passes = 40 * 7 * 3 / 4  # one of the four is left out
    assert found[0]["seconds"] == pytest.approx(8 + 40 * planning.TRIAL_SECONDS + passes * one_pass, abs=0.1)
    assert "search wide: 2 folds of 10 trials each, at most 80 trainings in 8 jobs" in planning.plan_lines(plan)


def test_sequences_of_tables_are_counted_by_the_beginning_of_the_file(tmp_path):
    lines = ["name\tsequence\n", *(f"s{i:05d}\t{'ACGT' * 12}\n" for i in range(5000))]
    (tmp_path / "few.tsv").write_text("".join(lines[:101]))
    (tmp_path / "many.tsv").write_text("".join(lines))
    (tmp_path / "many.tsv.gz").write_bytes(gzip.compress("".join(lines).encode()))
    (tmp_path / "few.fa.gz").write_bytes(gzip.compress(b">a\nACGT\nACGT\n>b\nAC\n"))
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8b" + b"x" * 998)
    assert planning._records(tmp_path / "few.tsv", False) == 101
    assert planning._records(tmp_path / "many.tsv", False) == pytest.approx(5001, rel=0.01)
    assert planning._records(tmp_path / "many.tsv.gz", False) == pytest.approx(5001, rel=0.1)
    assert planning._records(tmp_path / "few.fa.gz", True) == 2
    assert planning._records(tmp_path / "bad.gz", False) == 10
    assert planning._records(tmp_path / "none.tsv", False) == 0


def test_tiles_and_parts_of_maps_are_counted(folder):
    (folder / "data/long.bed").write_text("chr1\t0\t1001\nchr2\t5\t55\tx\n# no region\n")
    maps = {
        "cut": {"model": "small", "regions": "data/long.bed", "tile_bp": 50, "parts": 4},
        "all": {"model": "small", "contigs": ["chr1", "chr3"], "tile_bp": 99, "edits": ["deletions"]},
    }
    project = Project.of(config(maps=maps), "x")
    cut, whole = effect_amounts(project)
    assert (cut.places, cut.jobs, cut.sequences) == (22, 5, 22 * 151)
    assert (whole.places, whole.jobs, whole.sequences) == (2 * -(-SIZE // 99), 1, 2 * -(-SIZE // 99) * 100)
    plan = planning.make_plan(project, Path("results"))
    assert "map cut: 22 regions by 5 jobs" in planning.plan_lines(plan)
    assert entry(plan, "map", "cut")["jobs"] == 5 and "jobs" not in entry(plan, "map", "all")
