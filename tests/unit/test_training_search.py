"""Searches: a planted optimum is found, kills change nothing, the test part is not read, nested scores are honest."""

import math
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from optuna.trial import TrialState
from tests.unit import training_toys as toys

from seqmill.config.models import Model
from seqmill.config.search import Search, lay
from seqmill.runtime.errors import InputError
from seqmill.stages.searches import choose_settings, score_search, with_best
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.model import write_model
from seqmill.stores.part_reader import PartReader, inner_parts
from seqmill.stores.search import read_best
from seqmill.stores.specs import ArraySpec
from seqmill.training import search as searching
from seqmill.training.study import Study, cut_unfinished_line
from seqmill.training.train import train_model

RATE, HIDDEN = "training.optimizer.learning_rate", "settings.hidden"
SPACE = {RATE: {"low": 1e-5, "high": 1.0, "log": True}, HIDDEN: {"choices": [[4], [8], [16]]}}
MODEL = Model.model_validate(
    {
        "architecture": "dense",
        "dataset": "toy",
        "settings": {"hidden": [8]},
        "training": {"batch_size": 32, "max_epochs": 2, "reverse_complement": False},
    }
)
PARTS = [("all", "train", 104), ("all", "valid", 16), ("all", "test", 200)]


def section(**changes) -> Search:
    return Search.model_validate({"model": "net", "space": SPACE, "trials": 30, "startup_trials": 6} | changes)


def dataset(folder: Path, *, poisoned: bool = False) -> Path:
    """Numbers and labels that have nothing to do with each other; test rows may be NaN, which any loss would show."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(320, 4)).astype(np.float32)
    y = (rng.random((320, 2)) < 0.5).astype(np.uint8)
    if poisoned:
        x[120:] = np.nan
    arrays = {
        "inputs/features": (ArraySpec("input", "features", ("example", "n"), "float32", (4,), "features"), x),
        "targets/calls/main": (toys.label_spec("calls", ["a", "b"]), y),
    }
    return toys.write_dataset(folder, PARTS, arrays, reverse_complement=False)


def planted(model: Model) -> float:
    """Smallest, 0.1, at a rate of 0.01 and 8 hidden units."""
    rate, hidden = model.training.optimizer.learning_rate, model.settings["hidden"]
    return 0.1 + (math.log10(rate) + 2) ** 2 + (0.0 if hidden == [8] else 0.7)


class Trainer:
    """Stands for a training of three passes, whose loss is `planted`; notes what it is asked for."""

    def __init__(self, pause_s: float = 0.0, stop_at: int | None = None):
        self.pause_s, self.stop_at, self.calls = pause_s, stop_at, 0

    def __call__(self, out, *, name, model, parts, after_pass, **_) -> None:
        self.calls += 1
        loss = planted(model)
        for number in (1, 2, 3):
            time.sleep(self.pause_s)
            if self.calls == self.stop_at:
                raise KeyboardInterrupt
            if after_pass:
                after_pass(number, loss + 1 / number - 1 / 3)
        write_model(out, name, {"x": np.zeros(1)}, {"valid_loss": loss}, [])


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return dataset(tmp_path_factory.mktemp("toy") / "toy.zarr")


@pytest.fixture
def trainer(monkeypatch):
    made = Trainer()
    monkeypatch.setattr(searching, "train_model", made)
    return made


def work(folder: Path, toy: Path, search: Search) -> Study:
    return searching.work_on(folder, name="wide", model=MODEL, search=search, dataset=toy, fold="0", seed=0)


def outcome(study: Study) -> list[tuple]:
    return [(t.number, t.state, t.value, t.params, t.intermediate_values) for t in study.trials()]


def test_a_planted_optimum_is_found_and_what_mattered(tmp_path, toy, trainer):
    study = work(tmp_path / "work", toy, section(trials=25, pruner="none"))
    best = study.best()
    assert len(study.trials()) == 25 == trainer.calls
    assert best.params[HIDDEN] == "[8]" and abs(math.log10(best.params[RATE]) + 2) < 0.15
    assert best.value == min(trial.value for trial in study.trials()) < 0.13
    shares = study.importance()
    assert list(shares) == [RATE, HIDDEN] and shares[RATE] > 0.6 > shares[HIDDEN] and sum(shares.values()) < 1.01


def test_trials_that_do_not_promise_are_stopped(tmp_path, toy, trainer):
    study = work(tmp_path / "median", toy, section())
    pruned = [trial for trial in study.trials() if trial.state == TrialState.PRUNED]
    whole = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    assert pruned and all(len(trial.intermediate_values) < 3 for trial in pruned)
    assert all(trial.number >= 6 for trial in pruned)  # the first ones are never stopped
    assert study.best() in whole and study.best().value < 0.3


def test_a_stopped_search_ends_like_one_that_was_left_alone(tmp_path, toy, monkeypatch):
    monkeypatch.setattr(searching, "train_model", Trainer())
    plain = outcome(work(tmp_path / "plain", toy, section(trials=14)))
    monkeypatch.setattr(searching, "train_model", Trainer(stop_at=9))
    with pytest.raises(KeyboardInterrupt):
        work(tmp_path / "stopped", toy, section(trials=14))
    (journal,) = (tmp_path / "stopped").glob("*/journal.log")
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"wor')  # what a killed writer may leave
    again = Trainer()
    monkeypatch.setattr(searching, "train_model", again)
    assert outcome(work(tmp_path / "stopped", toy, section(trials=14))) == plain
    assert again.calls == 14 - 8  # the stopped one and those that were left


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit import test_training_search as test
from seqmill.training import search as searching

toy, folder = Path(sys.argv[1]), Path(sys.argv[2])

def run(out, kill_at):
    child = os.fork()
    if not child:
        plain = test.Trainer()
        def train(*args, after_pass, **more):
            def follow(number, loss):
                after_pass(number, loss)
                if plain.calls == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            plain(*args, after_pass=follow, **more)
        searching.train_model = train
        test.work(out, toy, test.section(trials=9, startup_trials=3))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

print([run(folder / "plain", None), run(folder / "killed", 2), run(folder / "killed", 4), run(folder / "killed", None)])
"""


@pytest.mark.slow
def test_a_killed_search_ends_like_one_that_was_left_alone(tmp_path, toy):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(toy), str(tmp_path)],
        capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["[0, -9, -9, 0]"], done.stderr
    found = [outcome(Study(next(iter((tmp_path / run).iterdir())), section(trials=9))) for run in ("plain", "killed")]
    assert len(found[0]) == 9 and found[0] == found[1]


def test_a_journal_is_only_cut_behind_its_last_line(tmp_path):
    journal = tmp_path / "journal.log"
    for text, left in ((b"", b""), (b"a\nb\n", b"a\nb\n"), (b"a\nb", b"a\n"), (b"a", b"")):
        journal.write_bytes(text)
        cut_unfinished_line(journal)
        assert journal.read_bytes() == left


def test_workers_share_the_trials(tmp_path, toy, monkeypatch):
    trainer = Trainer(pause_s=0.02)
    monkeypatch.setattr(searching, "train_model", trainer)
    search = section(trials=12, pruner="none")
    threads = [threading.Thread(target=work, args=(tmp_path / "work", toy, search)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    study = work(tmp_path / "work", toy, search)
    assert trainer.calls == 12 == len(study.trials())
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials())
    assert len({trial.params[RATE] for trial in study.trials()}) == 12


def test_a_longer_search_goes_on_and_other_data_start_anew(tmp_path, toy, trainer):
    first = outcome(work(tmp_path / "work", toy, section(trials=5)))
    longer = work(tmp_path / "work", toy, section(trials=8))
    assert trainer.calls == 8 and outcome(longer)[:5] == first
    other = work(tmp_path / "work", toy, section(trials=5, seed=1))
    assert trainer.calls == 13 and other.folder != longer.folder
    searching.forget_others(other)
    assert [path for path in (tmp_path / "work").iterdir() if path.is_dir()] == [other.folder]


def test_settings_that_cannot_be_trained_are_told(tmp_path, toy, monkeypatch):
    def refuse(*_, model, **__):
        raise InputError("net", f"no memory for {model.settings['hidden']}")

    monkeypatch.setattr(searching, "train_model", refuse)
    arguments = {"name": "wide", "model": MODEL, "search": section(trials=2), "dataset": toy, "fold": "0", "seed": 0}
    with pytest.raises(InputError) as error:
        choose_settings(tmp_path / "searches/wide/0", tmp_path / "work", **arguments)
    start = "searches.wide: none of 2 trials in fold 0 has a value; the first: net: no memory for ["
    assert str(error.value).startswith(start)
    assert not (tmp_path / "searches").exists()


def test_only_the_given_folds_can_be_read(toy):
    reader = PartReader(toy, "0", {"train": ["train"], "valid": ["valid"]})
    whole = DatasetReader(toy)
    np.testing.assert_array_equal(reader.read("inputs/features", 90, 120), whole.read("inputs/features", 90, 120))
    for key, start, stop in (("inputs/features", 119, 121), ("targets/calls", 120, 130), ("mask/calls", 0, 320)):
        with pytest.raises(PermissionError, match=f"rows {start} to {stop} of {key} are not all in the folds"):
            reader.read(key, start, stop)
    assert reader.runs == {"0": {"train": ["train"], "valid": ["valid"], "test": []}}


def test_inner_parts_never_hold_a_fold_of_the_test_part(toy):
    reader = DatasetReader(toy)
    reader.runs = {"1": {"train": ["0", "2"], "valid": ["0.valid", "2.valid"], "test": ["1", "1.valid"]}}
    assert inner_parts(reader, "1", "valid") == [{"train": ["0", "2"], "valid": ["0.valid", "2.valid"]}]
    assert inner_parts(reader, "1", "folds") == [
        {"train": ["2"], "valid": ["0", "0.valid"]},
        {"train": ["0"], "valid": ["2", "2.valid"]},
    ]


def test_every_inner_fold_counts(tmp_path, toy, monkeypatch):
    runs = {"0": {"train": ["train", "valid"], "valid": [], "test": ["test"]}}
    monkeypatch.setattr(searching, "inner_parts", lambda reader, fold, inner: _with(reader, runs, fold, inner))
    asked = []

    def train(out, *, name, model, parts, after_pass, **_):
        asked.append(parts)
        write_model(out, name, {"x": np.zeros(1)}, {"valid_loss": float(len(parts["train"][0]))}, [])

    monkeypatch.setattr(searching, "train_model", train)
    study = work(tmp_path / "work", toy, section(trials=1, inner="folds"))
    assert asked == [{"train": ["valid"], "valid": ["train"]}, {"train": ["train"], "valid": ["valid"]}]
    assert study.best().value == 5.0 and study.best().intermediate_values == {1: 5.0, 2: 5.0}


def _with(reader, runs, fold, inner):
    reader.runs = runs
    return inner_parts(reader, fold, inner)


def test_a_search_reads_no_row_of_the_test_part(tmp_path, monkeypatch):
    folder = dataset(tmp_path / "poisoned.zarr", poisoned=True)
    read, plain = [], DatasetReader.read_async

    def note(self, key, start, stop):
        read.append((start, stop))
        return plain(self, key, start, stop)

    monkeypatch.setattr(DatasetReader, "read_async", note)
    arguments = {"model": MODEL, "search": section(trials=2), "dataset": folder, "fold": "0", "seed": 0}
    choose_settings(tmp_path / "searches/wide/0", tmp_path / "work", name="wide", **arguments)
    assert read and max(stop for _, stop in read) == 120
    table = pd.read_csv(tmp_path / "searches/wide/0/trials.tsv", sep="\t")
    assert table["state"].tolist() == ["complete", "complete"] and np.isfinite(table["value"]).all()
    # a network that is trained and judged where it may not would be seen: its rows are NaN
    best = with_best(MODEL, tmp_path / "searches/wide/0", "net")
    train_model(tmp_path / "models/wide/0.0", name="wide", model=best, dataset=folder, fold="0", seed=0)
    loss, mean = searching.part_loss(tmp_path / "models/wide/0.0", folder, ["test"], best.objective)
    assert math.isnan(loss) and math.isfinite(mean)


def noise(folder: Path) -> Path:
    """Three runs of little data, each with its own rows: half of the labels of each part are 1, by chance."""
    rng = np.random.default_rng(0)
    parts = [
        ("all", f"{part}{run}", n) for run in range(3) for part, n in (("train", 32), ("valid", 16), ("test", 200))
    ]
    labels = [rng.permuted(np.repeat([[0], [1]], n // 2, axis=0).repeat(2, axis=1), axis=0) for *_, n in parts]
    y = np.concatenate(labels).astype(np.uint8)
    x = rng.normal(size=(len(y), 4)).astype(np.float32)
    arrays = {
        "inputs/features": (ArraySpec("input", "features", ("example", "n"), "float32", (4,), "features"), x),
        "targets/calls/main": (toys.label_spec("calls", ["a", "b"]), y),
    }
    runs = {str(run): {part: [f"{part}{run}"] for part in ("train", "valid", "test")} for run in range(3)}
    return toys.write_dataset(folder, parts, arrays, reverse_complement=False, runs=runs)


@pytest.mark.slow
def test_nested_scores_lie_below_the_optimistic_ones(tmp_path):
    folder = noise(tmp_path / "noise.zarr")
    space = {RATE: {"low": 0.02, "high": 0.5, "log": True}}
    model = lay(MODEL, {"training.batch_size": 16}, "net")
    arguments = {
        "name": "wide",
        "model": model,
        "search": section(trials=2, pruner="none", space=space),
        "dataset": folder,
    }
    chosen = [tmp_path / f"searches/wide/{fold}" for fold in range(3)]
    trained = [tmp_path / f"models/wide@best/{fold}.0" for fold in range(3)]
    for best, network in zip(chosen, trained):
        choose_settings(best, tmp_path / "work" / best.name, fold=best.name, seed=0, **arguments)
        section_ = with_best(model, best, "net")
        assert section_.training.optimizer.learning_rate == read_best(best)["settings"][RATE]
        train_model(network, name="wide", model=section_, dataset=folder, fold=best.name, seed=0)
    score_search(tmp_path / "search_scores/wide", chosen=chosen, trained=trained, **arguments)
    table = pd.read_csv(tmp_path / "search_scores/wide/scores.tsv", sep="\t")
    assert table["fold"].tolist() == [0, 1, 2] and table["trials"].tolist() == [2, 2, 2]
    # the labels are noise: what the best trials seem to know is luck
    assert table["nested_score"].mean() < table["optimistic_score"].mean()
    assert table["nested_loss"].mean() > table["optimistic_loss"].mean()
    np.testing.assert_allclose(table["nested_mean_loss"], math.log(2), rtol=1e-5)
    np.testing.assert_allclose(table["nested_score"], 1 - table["nested_loss"] / table["nested_mean_loss"], rtol=1e-6)
    for best, network, (_, row) in zip(chosen, trained, table.iterrows()):
        assert row["optimistic_loss"] == pytest.approx(read_best(best)["value"], rel=1e-8)
        loss, _ = searching.part_loss(network, folder, [f"valid{row['fold']}"], model.objective)
        assert loss == pytest.approx(
            row["optimistic_loss"], rel=1e-6
        )  # trial and network are one and the same training
    assert (tmp_path / "search_scores/wide/scores.svg").read_text().startswith("<?xml")
