"""The command: what it builds, what it leaves as it is, its messages and exit codes."""

import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool

import pytest
from tests.unit.cli_world import config, write_world

from seqmill.cli import main, overrides
from seqmill.runtime.errors import InputError
from seqmill.runtime.locks import acquire
from seqmill.runtime.marker import read_marker
from seqmill.stores.dataset import DatasetReader


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(write_world(tmp_path / "work"))
    return tmp_path / "work"


def built(capsys):
    """What the last command said it did: (built, up to date)."""
    line = capsys.readouterr().err.strip().splitlines()[-1]
    first, second = line.split(", ")
    return int(first.split()[0]), int(second.split()[0])


def test_tracks_builds_the_genome_too_and_then_nothing(folder, capsys):
    assert main(["tracks"]) == 0
    assert built(capsys) == (3, 0)
    assert main(["tracks"]) == 0
    assert built(capsys) == (0, 3)
    assert main(["tracks", "--configfile", "config/config.yaml", "ctcf"]) == 0
    assert built(capsys) == (0, 2)
    assert read_marker(folder / "results/tracks/ctcf.zarr").attrs["intervals"] == 120


def test_a_changed_file_rebuilds_what_was_made_of_it_and_no_more(folder, capsys):
    assert main(["dataset", "peaks"]) == 0
    assert built(capsys) == (6, 0)  # genome, track, rows, input, target, dataset
    before = DatasetReader(folder / "results/datasets/peaks.zarr").digest
    with open(folder / "data/ctcf.bed", "a") as handle:
        handle.write("chr1\t39600\t39800\tp\t7\t.\n")
    assert main(["dataset", "peaks"]) == 0
    assert built(capsys) == (3, 3)  # track, target, dataset
    assert DatasetReader(folder / "results/datasets/peaks.zarr").digest != before


def test_a_touched_file_gives_the_same_bytes_and_stops_there(folder, capsys):
    main(["dataset", "peaks"])
    capsys.readouterr()
    os.utime(folder / "data/ctcf.bed")
    assert main(["dataset", "peaks"]) == 0
    assert built(capsys) == (1, 5)  # the track has the same digest again, so the target stays


def test_a_changed_setting_rebuilds_and_the_old_one_comes_back(folder, capsys):
    main(["dataset", "peaks"])
    first = DatasetReader(folder / "results/datasets/peaks.zarr")
    capsys.readouterr()
    assert main(["dataset", "peaks", "--config", "datasets.peaks.windows.window_bp=200"]) == 0
    assert built(capsys) == (4, 2)
    second = DatasetReader(folder / "results/datasets/peaks.zarr")
    assert (first.window_bp, second.window_bp) == (100, 200)
    assert main(["dataset", "peaks"]) == 0
    assert DatasetReader(folder / "results/datasets/peaks.zarr").digest == first.digest


def test_nouns_without_a_note_are_taken_unless_something_is_newer(folder, capsys):
    main(["dataset", "peaks"])
    for note in (folder / "results/.notes").rglob("*.json"):
        note.unlink()
    capsys.readouterr()
    assert main(["dataset", "peaks"]) == 0
    assert built(capsys) == (0, 6)
    later = time.time() + 5
    os.utime(folder / "config/config.yaml", (later, later))
    assert main(["dataset", "peaks"]) == 0
    assert built(capsys) == (6, 0)


def test_a_damaged_noun_is_found_and_built_again(folder, capsys):
    main(["tracks", "atac"])
    shard = next(path for path in (folder / "results/tracks/atac.zarr/bins/chr1/c").rglob("*") if path.is_file())
    shard.write_bytes(shard.read_bytes()[:-1])
    capsys.readouterr()
    assert main(["verify", "results"]) == 4
    out = capsys.readouterr()
    assert str(shard.relative_to(folder)) in out.out
    assert out.err.startswith("ERROR 1 finding. Repair: delete the folders that are named and damaged, then run")
    assert main(["verify", "--json", "results"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert (found["whole"], found["findings"]) == (False, out.out.splitlines())
    assert main(["tracks", "atac"]) == 0
    assert built(capsys) == (1, 1)
    assert main(["verify", "results"]) == 0


@pytest.mark.slow
def test_train_in_its_own_process(folder, capsys):
    assert main(["train", "small", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    assert out == "results/models/small/0.1\n"
    assert read_marker(folder / "results/models/small/0.1", noun="model").attrs["name"] == "small"
    assert not (folder / "results/models/small/0.0").exists()
    assert main(["train", "small", "--seed", "1"]) == 0
    assert built(capsys) == (0, 7)


@pytest.mark.slow
def test_an_error_of_the_training_process_is_the_command_s_own(folder, capsys, monkeypatch):
    monkeypatch.delenv("SEQMILL_DRIVER", raising=False)
    assert main(["train", "small", "--seed", "0", "--config", "models.small.architecture=transformer9"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("ERROR ")
    assert "transformer9" in line
    assert not (folder / "results/models/small/0.0").exists()


def test_a_killed_training_process_is_told(folder, capsys, monkeypatch):
    monkeypatch.delenv("SEQMILL_DRIVER", raising=False)
    monkeypatch.setattr("seqmill.runtime.child.ProcessPoolExecutor", Killed)
    assert main(["train", "small", "--seed", "0"]) == 5
    assert "training of small 0.0 was killed; it may need more memory" in capsys.readouterr().err


class Killed:
    """A pool whose process is gone."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def submit(self, *_):
        raise BrokenProcessPool


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tracks", "nope"], "track 'nope' is not in the sheet; known: ctcf, atac"),
        (["dataset", "nope"], "dataset 'nope' is not configured; known: peaks"),
        (["train", "nope"], "model 'nope' is not configured; known: small"),
        (["train", "small", "--fold", "7"], "small: fold '7' is none of 0"),
        (
            ["tracks", "--configfile", "gone.yaml"],
            "gone.yaml: configuration does not exist; name one with --configfile",
        ),
        (["tracks", "--config", "report.titel=x"], "unknown key 'titel'; did you mean 'title'?"),
        (["tracks", "--config", "nonsense"], "--config: expected KEY=VALUE, found 'nonsense'"),
        (["verify", "nowhere"], "nowhere: does not exist"),
        (["summary", "nowhere"], "nowhere: does not exist"),
    ],
)
def test_input_errors_are_one_line_with_exit_code_2(folder, capsys, arguments, message):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("ERROR ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (folder / "results/datasets").exists()


def test_missing_source_file_is_named(folder, capsys):
    (folder / "data/toy.fa").unlink()
    assert main(["tracks"]) == 2
    assert "data/toy.fa: does not exist or is not a file; genome toy needs it" in capsys.readouterr().err


def test_a_bad_track_leaves_nothing_behind(folder, capsys):
    (folder / "data/ctcf.bed").write_text("chr1\t10\t5\n")
    assert main(["tracks", "ctcf"]) == 2
    assert "data/ctcf.bed:1" in capsys.readouterr().err
    left = [path.name for path in (folder / "results/tracks").iterdir() if not path.name.endswith(".lock")]
    assert left == []


def test_a_second_run_is_refused_with_exit_code_3(folder, capsys, monkeypatch):
    monkeypatch.setenv("SEQMILL_LOCK_WAIT_S", "0")
    lock = acquire("results/.run.lock", "the test", wait_s=0)
    try:
        assert main(["tracks"]) == 3
    finally:
        lock.release()
    err = capsys.readouterr().err
    assert f"process {os.getpid()}" in err
    assert not (folder / "results/tracks").exists()


def test_traceback_only_when_asked_for(folder, capsys, monkeypatch):
    def boom(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr("seqmill.stages.steps.Steps.run", boom)
    assert main(["tracks"]) == 1
    err = capsys.readouterr().err
    assert err.strip() == "ERROR unexpected RuntimeError: a bug (--traceback shows where)"
    assert main(["tracks", "--traceback"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_overrides_are_nested_and_typed():
    found = overrides(["a.b=1", "a.c=[x, y]", "d=no", "e=", "f=1e-3"])
    assert found == {"a": {"b": 1, "c": ["x", "y"]}, "d": False, "e": None, "f": "1e-3"}
    with pytest.raises(InputError, match="value of a is not YAML"):
        overrides(["a=[1"])


def test_configfiles_are_laid_on_each_other(folder, capsys):
    (folder / "more.yaml").write_text(json.dumps({"tracks": {"bin_bp": 40}}))
    assert main(["tracks", "--configfile", "config/config.yaml", "--configfile", "more.yaml", "atac"]) == 0
    assert read_marker(folder / "results/tracks/atac.zarr").attrs["bin_bp"] == 40


def test_help_states_verbs_and_exit_codes_and_imports_little():
    code = "import sys, seqmill.cli as c\ntry:\n c.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print(sorted(m for m in ('jax', 'numpy', 'pandas', 'zarr', 'pydantic') if m in sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for word in ("plan", "tracks", "dataset", "train", "verify", "summary", "exit codes", "damaged"):
        assert word in out
    assert out.strip().endswith("[]")


def test_without_a_verb_the_help_is_shown(capsys):
    assert main([]) == 2
    err = capsys.readouterr().err
    assert err.startswith("usage: seqmill")
    assert "exit codes" in err


def test_without_a_sheet(folder, capsys):
    (folder / "config/config.yaml").write_text(json.dumps(config(tracks=None, datasets={}, models={})))
    assert main(["tracks"]) == 2
    assert "has no track sheet: set tracks.sheet" in capsys.readouterr().err


def test_a_dataset_of_tables_needs_no_genome(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    lines = [f"{''.join(rng.choices('ACGT', k=30))}\t{i % 2}\n" for i in range(40)]
    (tmp_path / "set.tsv").write_text("sequence\tbound\n" + "".join(lines))
    values = {
        "datasets": {
            "set": {
                "windows": {"kind": "table", "files": [{"path": "set.tsv", "format": "tsv"}], "length_bp": 30},
                "targets": {"bound": {"kind": "binary", "column": "bound"}},
                "split": {"kind": "folds", "k": 2, "by": "row"},
            }
        }
    }
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(json.dumps(values))
    assert main(["dataset", "set"]) == 0
    assert built(capsys) == (4, 0)
    assert DatasetReader("results/datasets/set.zarr").n == 40
    assert main(["dataset", "set"]) == 0
    assert built(capsys) == (0, 4)
