"""Progress files: what they say of a training, sessions that go on, files that are cut or cannot be written."""

import json
import logging
from contextlib import suppress

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit import training_toys as toys
from tests.unit.test_training_loop import Planned, run

from seqmill.config.models import Model, Optimizer
from seqmill.runtime.gpu_use import gpu_use
from seqmill.runtime.owner import Owner
from seqmill.training import telemetry as module
from seqmill.training.checkpoint import StoppedError
from seqmill.training.devices import device_watch
from seqmill.training.loop import DivergedError
from seqmill.training.optimizers import rate_of
from seqmill.training.telemetry import Telemetry, progress_file, read_progress
from seqmill.training.train import train_model


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now + 5e8


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Slow:
    """Batches that take a while."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def __next__(self):
        self.clock.now += self.seconds
        return {}


class Result:
    def __init__(self, ready):
        self.ready = ready

    def is_ready(self):
        return self.ready


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_say_what_was_since_the_line_before(tmp_path, clock):
    path = tmp_path / "p.jsonl"
    made = Telemetry(
        path, label="m/0.0", steps=20, steps_per_epoch=4, batch_size=10,
        learning_rate=lambda step: step / 100, device=lambda: {"device_bytes": 7},
    )  # fmt: skip
    with made.session(0):
        clock.now += 60
        made.begin()  # compiled
        for number in range(6):
            made.next_batch(Slow(clock, 0.125), Result(number % 2 == 0))  # the device waits for every other batch
            clock.now += 0.375
            made.step(number, float(number))
        made.pause()
        made.passed({"epoch": 1, "step": 6, "train_loss": 2.5, "valid_loss": 3.0})
    header, first, second, third, valid, end = lines_of(path)
    assert header.pop("owner") == Owner.of().as_dict()
    assert header == {"run": "m/0.0", "steps": 20, "steps_per_epoch": 4, "batch_size": 10, "time": 5e8 + 1000}
    assert first == {
        "step": 2, "epoch": 1, "loss": 0.5, "examples_per_s": 20.0, "seconds": 61.0, "waiting": 0.125,
        "learning_rate": 0.01, "device_bytes": 7, "time": 5e8 + 1061,
    }  # fmt: skip
    assert [(line["step"], line["loss"], line["epoch"]) for line in (second, third)] == [(4, 2.5, 1), (6, 4.5, 2)]
    assert (valid["valid_loss"], valid["seconds"]) == (3.0, 63.0)
    assert end == {"ended": "finished", "why": "", "time": 5e8 + 1063}
    assert made.note() == "loss 4.5, validation 3, 12 % waiting for data"


def test_what_a_pass_left_is_written_and_its_validation_does_not_count(tmp_path, clock):
    path = tmp_path / "p.jsonl"
    made = Telemetry(path, steps_per_epoch=3, batch_size=8)
    with made.session(0):
        for number in range(6):
            clock.now += 0.25
            made.step(number, 1.0)
            if number == 2:
                made.pause()
                clock.now += 100
                made.passed({"epoch": 1, "step": 3, "train_loss": 1.0, "valid_loss": 1.0})
        made.pause()
    steps = read_progress(path).lines
    assert [(line["step"], line["examples_per_s"]) for line in steps] == [(3, 32.0), (6, 32.0)]


def test_long_trainings_get_few_lines(tmp_path, clock):
    path = tmp_path / "p.jsonl"
    made = Telemetry(path)
    with made.session(0):
        for number in range(4 * 3600):
            clock.now += 1
            made.step(number, 1.0)
    gaps = np.diff([line["seconds"] for line in read_progress(path).lines])
    assert gaps[0] == 1
    assert gaps[-1] == 15
    assert len(gaps) < 4000


def test_a_session_that_goes_on_makes_later_lines_void(tmp_path, clock):
    path = tmp_path / "p.jsonl"

    def go(first, last, loss):
        made = Telemetry(path, steps=20, steps_per_epoch=2)
        with suppress(StoppedError), made.session(first, seconds=10.0 * first):
            for number in range(first, last):
                clock.now += 1
                made.step(number, loss)
                if (number + 1) % 2 == 0:
                    made.passed({"epoch": 1, "step": number + 1, "valid_loss": loss})
            raise StoppedError("stopped by a signal")

    go(0, 7, 1.0)
    go(4, 6, 2.0)
    found = read_progress(path)
    assert [(line["step"], line["loss"]) for line in found.lines] == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2)]
    assert [(line["step"], line["valid_loss"]) for line in found.passes] == [(2, 1.0), (4, 1.0), (6, 2.0)]
    assert found.lines[-1]["seconds"] == 42.0
    assert (found.ended, found.why, found.header["from_step"]) == ("stopped", "stopped by a signal", 4)
    go(0, 1, 3.0)
    assert [line["loss"] for line in read_progress(path).lines] == [3.0]


def test_files_that_are_being_written_or_are_no_progress(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(
        '{"run": "m", "steps": 3, "time": 5}\n\xff\n[1]\n{"step": 1, "loss": 2.0, "time": 9}\n{"step": 2, "lo'
    )
    found = read_progress(path)
    assert found.lines == [{"step": 1, "loss": 2.0, "time": 9}]
    assert (found.updated, found.ended) == (9.0, "")


def test_a_full_disk_is_told_once_and_ends_no_training(tmp_path, clock, caplog):
    (tmp_path / "file").write_text("")
    made = Telemetry(tmp_path / "file" / "p.jsonl")
    with caplog.at_level(logging.WARNING, "seqmill"), made.session(0):
        for number in range(5):
            clock.now += 2
            made.step(number, 1.0)
    assert len(caplog.records) == 1
    assert "p.jsonl cannot be written" in caplog.text


def test_the_loop_tells_of_every_pass_and_of_its_end(tmp_path):
    path = tmp_path / "p.jsonl"
    result = run(Planned([5.0, 3.0, 4.0, 3.0]), telemetry=Telemetry(path, steps=30, steps_per_epoch=3, batch_size=4))
    found = read_progress(path)
    assert [
        {k: line[k] for k in ("epoch", "step", "train_loss", "valid_loss")} for line in found.passes
    ] == result.history
    assert [(line["step"], line["loss"]) for line in found.lines] == [(3, 1.0), (6, 4.0), (9, 7.0), (12, 10.0)]
    assert found.ended == "finished"
    with pytest.raises(DivergedError):
        run(Planned([1.0] * 9, nan_at=4), telemetry=Telemetry(path, steps_per_epoch=3))
    found = read_progress(path)
    assert found.ended == "failed"
    assert found.why.startswith("m/0.0: the loss is nan at step 4")


def test_telling_changes_no_bit(tmp_path):
    quiet, told = (
        run(Planned([5.0, 3.0]), max_epochs=2, **more) for more in ({}, {"telemetry": Telemetry(tmp_path / "p")})
    )
    assert float(quiet.rest) == float(told.rest)


@pytest.mark.slow
def test_a_trained_model_leaves_its_progress_beside_it(tmp_path):
    dataset = toys.motif_dataset(tmp_path / "toy.zarr")
    settings = {"filters": [8], "widths": [8], "pools": [6], "hidden": [8], "dropout": 0.0}
    optimizer = {"learning_rate": 0.01, "schedule": "linear"}
    training = {"batch_size": 300, "max_epochs": 2, "optimizer": optimizer}
    model = Model(architecture="basset", dataset="toy", settings=settings, training=training)
    out = tmp_path / "models" / "toy" / "0.1"
    train_model(out, name="toy", model=model, dataset=dataset, fold="0", seed=1)
    assert sorted(path.name for path in out.parent.iterdir()) == [".0.1.progress.jsonl", "0.1"]
    found = read_progress(progress_file(out))
    assert found.header["run"] == "toy/0.1"
    assert found.ended == "finished"
    assert [line["epoch"] for line in found.passes] == [1, 2]
    last, total = found.lines[-1], found.header["steps"]
    assert last["step"] == total
    assert last["learning_rate"] == pytest.approx(0.01 * (1 - (total - 1) / total), rel=1e-5)


def test_learning_rates_by_step():
    assert rate_of(Optimizer(learning_rate=0.5), 10)(7) == 0.5
    rate = rate_of(Optimizer(learning_rate=1.0, schedule="linear", warmup_steps=2), 6)
    assert [rate(step) for step in range(6)] == pytest.approx([1 / 3, 2 / 3, 1.0, 0.75, 0.5, 0.25])


def test_what_the_device_says():
    assert device_watch()() == {}  # the CPU says nothing
    assert jnp.zeros(1).devices() == {jax.devices()[0]}


class Library:
    """What is asked of NVIDIA's management library."""

    def __init__(self, code=0):
        self.code, self.asked = code, None

    def nvmlInit_v2(self):
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, card):
        self.asked = index.value
        return 0

    def nvmlDeviceGetHandleByUUID(self, name, card):
        self.asked = name
        return 0 if name == b"GPU-1" else 6

    def nvmlDeviceGetUtilizationRates(self, card, use):
        use._obj.gpu = 97
        return self.code


@pytest.mark.parametrize(
    ("visible", "asked", "use"),
    [(None, 0, 0.97), ("2,3", 2, 0.97), ("GPU-1", b"GPU-1", 0.97), ("MIG-7", b"MIG-7", None), ("", 0, 0.97)],
)
def test_how_busy_the_card_of_this_process_is(monkeypatch, visible, asked, use):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    library = Library()
    assert gpu_use(library)() == use
    assert library.asked == asked
    library.code = 3
    assert gpu_use(library)() is None
