"""Saved states of a training: bit for bit or not at all; a training goes on as if it had never stopped."""

import hashlib
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file
from tests.unit.test_training_loop import Planned, batches, run

from seqmill.config.models import Model, Prediction
from seqmill.runtime.errors import InputError, SeqmillError
from seqmill.training import checkpoint
from seqmill.training.checkpoint import Checkpoints, StoppedError, changes, resume_folder, stop_signal
from seqmill.training.saving import write_arrays
from seqmill.training.train import run_key

KEY = {"model": {"batch_size": 4, "rate": 0.1}, "dataset": "d1"}


class Two(NamedTuple):
    """The state of two players, each with its own optimiser."""

    params: dict
    rest: tuple
    optimizers: dict


def some_state(value: float = 1.0) -> Two:
    params = {"generator": {"w": jnp.full((2, 3), value)}, "judge": [jnp.arange(4.0) * value, jnp.float32(value)]}
    adam, sgd = optax.adam(0.1), optax.sgd(0.1, momentum=0.9)
    rest = (jnp.asarray([True, False]), jnp.asarray([1, 2], jnp.int8), jnp.zeros((0, 3)), jnp.ones(3, jnp.bfloat16))
    return Two(params, rest, {"g": adam.init(params["generator"]), "j": sgd.init(params["judge"])})


def bits(tree) -> list[tuple]:
    return [(np.asarray(x).dtype.name, np.shape(x), np.asarray(x).tobytes()) for x in jax.tree.leaves(tree)]


def checkpoints(folder: Path, key=KEY, every_s: float = 60.0) -> Checkpoints:
    return Checkpoints(folder, key, label="m/0.0", every_s=every_s)


def saved(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_state_of_any_structure_comes_back(tmp_path):
    state, counters = some_state(0.1), {"steps": 7, "losses": [0.1, 1e-300], "history": [{"epoch": 1}]}
    checkpoints(tmp_path / "r").save(7, state, counters, wait=True)
    found, again = checkpoints(tmp_path / "r").load(some_state(0.0))
    assert bits(found) == bits(state)
    assert jax.tree.structure(found) == jax.tree.structure(state)
    assert again == counters


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        hnp.arrays(
            st.sampled_from([np.float32, np.int32, np.uint8, np.bool_, np.float16]),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        min_size=1,
        max_size=4,
    ),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_round_trip_of_any_bits(tmp_path_factory, arrays, number):
    """Also of NaN with its payload, infinities and negative zero."""
    folder = tmp_path_factory.mktemp("round")
    tree = {"a": [jnp.asarray(x) for x in arrays]}
    checkpoints(folder).save(1, tree, {"x": number}, wait=True)
    found, counters = checkpoints(folder).load(jax.tree.map(jnp.zeros_like, tree))
    assert bits(found) == bits(tree)
    assert counters == {"x": number}


def test_the_newest_two_are_kept(tmp_path):
    keeper = checkpoints(tmp_path / "r")
    for step in (3, 20, 100):
        keeper.save(step, some_state(float(step)), {"steps": step}, wait=True)
    assert saved(tmp_path / "r") == ["000000020", "000000100"]
    assert keeper.load(some_state())[1] == {"steps": 100}
    keeper.delete()
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 0.999])
def test_a_flipped_bit_falls_back_to_the_state_before(tmp_path, caplog, name, place):
    keeper = checkpoints(tmp_path / "r")
    for step in (3, 4):
        keeper.save(step, some_state(float(step)), {"steps": step}, wait=True)
    path = tmp_path / "r" / "000000004" / name
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 16
    path.write_bytes(data)
    found, counters = checkpoints(tmp_path / "r").load(some_state())
    assert counters == {"steps": 3}
    assert bits(found) == bits(some_state(3.0))
    assert "m/0.0: a saved state is damaged and left out: " in caplog.text
    assert "000000004" in caplog.text


def test_cut_lost_and_half_written_states(tmp_path):
    keeper = checkpoints(tmp_path / "r")
    for step in (3, 4):
        keeper.save(step, some_state(float(step)), {"steps": step}, wait=True)
    path = tmp_path / "r" / "000000004" / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    (tmp_path / "r" / "000000003" / "state.json").unlink()
    half = tmp_path / "r" / ".000000005.part-12345678"
    half.mkdir()
    assert keeper.load(some_state()) is None
    assert saved(tmp_path / "r") == []


def test_a_network_of_another_shape_is_named(tmp_path, caplog):
    checkpoints(tmp_path / "r").save(3, {"w": jnp.zeros((2, 3))}, {}, wait=True)
    assert checkpoints(tmp_path / "r").load({"w": jnp.zeros((3, 3))}) is None
    assert "holds ['w'] float32 [2, 3] where the training has ['w'] float32 [3, 3]" in caplog.text


def test_a_changed_run_is_discarded_and_says_what_changed(tmp_path, caplog):
    checkpoints(tmp_path / "r").save(3, some_state(), {}, wait=True)
    other = {"model": {"batch_size": 8, "rate": 0.2}, "dataset": "d1"}
    assert checkpoints(tmp_path / "r", other).load(some_state()) is None
    assert (
        "m/0.0: the unfinished training (step 3) is of another run and is discarded: "
        "model.batch_size was 4, is 8; model.rate was 0.1, is 0.2"
    ) in caplog.text
    assert not (tmp_path / "r").exists()
    assert changes({"a": 1}, {"b": [1]}) == ["a was 1, is null", "b was null, is [1]"]


def test_a_changed_dataset_or_thread_count_is_refused(tmp_path):
    key = {"model": {"training": {"batch_size": 4, "xla_threads": 1}}, "dataset": "d1"}
    checkpoints(tmp_path / "r", key).save(3, some_state(), {"steps": 3}, wait=True)
    before = saved(tmp_path / "r")

    def refused(text: str, dataset: str = "d1", **training) -> None:
        other = {"model": {"training": key["model"]["training"] | training}, "dataset": dataset}
        with pytest.raises(InputError) as error:
            checkpoints(tmp_path / "r", other).load(some_state())
        assert str(error.value) == (
            f"{tmp_path / 'r'}: m/0.0 stopped after step 3 and cannot go on to the same result, because {text}; "
            "set it back as it was, or delete this folder to start the training over"
        )
        assert saved(tmp_path / "r") == before

    refused('its dataset changed (was "d1", is "d2")', dataset="d2")
    refused("training.xla_threads changed (was 1, is 2)", xla_threads=2, batch_size=8)
    refused(
        'its dataset changed (was "d1", is "d2") and training.xla_threads changed (was 1, is 2)', "d2", xla_threads=2
    )
    assert checkpoints(tmp_path / "r", key).load(some_state())[1] == {"steps": 3}


def test_the_copy_is_of_the_moment_of_saving(tmp_path, monkeypatch):
    """The next steps overwrite buffers and lists while the thread still waits to write them."""
    go, write = threading.Event(), checkpoint.write_arrays
    monkeypatch.setattr(checkpoint, "write_arrays", lambda *given: (go.wait(20), write(*given))[1])
    change = jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)
    tree = change({"w": jnp.zeros(100_000), "n": jnp.int32(6)})
    expected = bits(tree)
    counters = {"steps": 7, "losses": [0.5], "nested": {"recent": [1]}}
    with checkpoints(tmp_path / "r") as keeper:
        keeper.save(7, tree, counters)
        assert not (tmp_path / "r" / "000000007").exists()  # it is not waited for
        for _ in range(3):
            tree = change(tree)
        jax.block_until_ready(tree)
        counters["losses"].append(0.25)
        counters["nested"]["recent"].append(2)
        go.set()
    found, kept = checkpoints(tmp_path / "r").load(jax.tree.map(jnp.zeros_like, tree))
    assert bits(found) == expected
    assert kept == {"steps": 7, "losses": [0.5], "nested": {"recent": [1]}}


def test_one_state_is_written_at_a_time(tmp_path, monkeypatch):
    running, most, write = [], [], checkpoint.write_arrays

    def slow(*given):
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return write(*given)

    monkeypatch.setattr(checkpoint, "write_arrays", slow)
    with checkpoints(tmp_path / "r") as keeper:
        for step in range(4):
            keeper.save(step, some_state(float(step)), {"steps": step})
    assert most == [1, 1, 1, 1]
    assert saved(tmp_path / "r") == ["000000002", "000000003"]
    assert not [thread for thread in threading.enumerate() if thread.name == "seqmill-save"]


def test_a_second_state_of_a_step_keeps_the_first_until_it_is_whole(tmp_path, monkeypatch):
    """Of a step saved before and after a validation."""
    keeper = checkpoints(tmp_path / "r")
    for number in range(12):
        keeper.save(3, some_state(), {"number": number}, wait=True)
    assert saved(tmp_path / "r") == ["000000003.10", "000000003.11"]
    assert keeper.load(some_state())[1] == {"number": 11}
    keeper.save(4, some_state(), {"number": 12}, wait=True)
    assert saved(tmp_path / "r") == ["000000003.11", "000000004"]
    assert keeper.load(some_state())[1] == {"number": 12}


def test_a_state_that_cannot_be_written_is_told_and_tried_again(tmp_path, caplog, monkeypatch):
    full, write = [False], checkpoint.write_arrays

    def disk(path, arrays):
        if full[0]:
            raise OSError(28, "No space left on device", str(path))
        return write(path, arrays)

    monkeypatch.setattr(checkpoint, "write_arrays", disk)
    keeper = checkpoints(tmp_path / "r")
    keeper.save(3, some_state(), {"steps": 3}, wait=True)
    full[0] = True
    keeper.save(4, some_state(), {"steps": 4})
    with pytest.raises(
        SeqmillError,
        match=r"m/0\.0: stopped by a signal after step 5, and the state could not be saved "
        r"\(No space left on device: .*\); the newest is of step 3$",
    ) as stopped:
        keeper.save(5, some_state(), {"steps": 5}, wait=True)
    assert stopped.value.exit_code == 1
    assert caplog.text.count("m/0.0: the state could not be saved (No space left on device: ") == 1  # of step 4
    assert saved(tmp_path / "r") == ["000000003"]
    full[0] = False
    keeper.save(6, some_state(), {"steps": 6}, wait=True)
    assert keeper.load(some_state())[1] == {"steps": 6}


def test_why_a_run_has_no_result_is_remembered(tmp_path):
    keeper, path = checkpoints(tmp_path / "r"), tmp_path / "r" / "diverged.json"
    keeper.save(3, some_state(), {})
    assert keeper.given_up() is None
    keeper.give_up("the loss is nan")
    assert saved(tmp_path / "r") == ["diverged.json"]
    assert keeper.load(some_state()) is None
    again = f"the loss is nan (so it ended before, and would again; to try all the same delete {path})"
    assert checkpoints(tmp_path / "r").given_up() == again
    assert checkpoints(tmp_path / "r", {**KEY, "dataset": "d2"}).given_up() is None  # another try, no question
    assert not path.exists()
    keeper.give_up("the loss is nan")
    path.write_bytes(path.read_bytes().replace(b"nan", b"inf"))
    assert checkpoints(tmp_path / "r").given_up() is None


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        hnp.arrays(
            st.sampled_from([np.float32, np.int8, np.bool_, np.float16]),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
        ),
        max_size=12,
    )
)
def test_the_file_is_one_that_safetensors_reads(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("file") / "x.safetensors"
    assert write_arrays(path, arrays) == hashlib.sha256(path.read_bytes()).hexdigest()
    found = load_file(path)
    assert {name: array.tobytes() for name, array in found.items()} == {
        str(number): array.tobytes() for number, array in enumerate(arrays)
    }


def test_when_it_is_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("seqmill.training.checkpoint.time.monotonic", lambda: now[0])
    keeper = checkpoints(tmp_path / "r", every_s=60.0)
    found = []
    for at in (5.0, 6.0, 59.0, 60.0):
        now[0] = at
        found.append((keeper.due(pass_ended=False), keeper.due(pass_ended=True)))
    assert found == [(False, False), (False, True), (False, True), (True, True)]
    keeper.save(1, {}, {}, wait=True)
    assert not keeper.due(pass_ended=False)


class StopAt(Planned):
    """Asks this process to stop, as a batch system does, while a planned validation or step runs."""

    def __init__(self, valid, at: int):
        super().__init__(valid)
        self.at, self.calls = at, 0

    def combine(self, sums):
        self.calls += 1
        if self.calls == self.at:
            os.kill(os.getpid(), 15)
        return super().combine(sums)


def test_sigterm_saves_the_state_and_the_loop_goes_on_from_there(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="seqmill")
    valid = [5.0, 3.0, 4.0, 3.5, 9.0]
    plain = run(Planned(valid))
    keeper = checkpoints(tmp_path / "r")
    with pytest.raises(
        StoppedError, match=r"m/0\.0: stopped by a signal after step 6 of 30; the state is saved, the same command"
    ) as stopped:
        run(StopAt(valid, at=2), checkpoints=keeper)
    assert stopped.value.exit_code == 75
    again = run(Planned(valid[2:]), checkpoints=checkpoints(tmp_path / "r"))
    assert "m/0.0: goes on after step 6 of 30" in caplog.text
    assert bits((again.params, again.rest, again.state)) == bits((plain.params, plain.rest, plain.state))
    assert (again.history, again.best_epoch, again.steps) == (plain.history, plain.best_epoch, plain.steps)


def test_a_state_saved_before_its_validation_is_validated_first(tmp_path):
    """Every step is saved, and the process is lost at the first, inside, at the end and at the start of a pass."""
    valid = [5.0, 3.0, 4.0, 3.5]
    plain = run(Planned(valid))
    for lost_at in (0, 4, 5, 6, 11):
        keeper = checkpoints(tmp_path / str(lost_at), every_s=0.0)

        def lost(step=0, lost_at=lost_at):
            for number, batch in enumerate(batches(step), start=step):
                if number == lost_at:
                    raise KeyboardInterrupt
                yield batch

        with pytest.raises(KeyboardInterrupt):
            run(Planned(valid), checkpoints=keeper, source=lost)
        again = run(Planned(valid[lost_at // 3 :]), checkpoints=keeper)
        assert bits((again.params, again.rest, again.state)) == bits((plain.params, plain.rest, plain.state))
        assert again.history == plain.history


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_as_before_afterwards(number):
    before = signal.getsignal(number)
    with stop_signal() as stop:
        os.kill(os.getpid(), number)
        assert stop.wait(5)
    assert signal.getsignal(number) is before


def test_a_second_interruption_is_not_waited_for():
    def asked_twice():
        with stop_signal() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.wait(5)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            asked_twice()
    finally:
        signal.signal(signal.SIGINT, before)


def test_where_the_state_lies():
    assert resume_folder("results/models/m/0.1") == Path("results/models/m/.0.1.resume")


def test_what_makes_it_another_run():
    model = Model.model_validate({"architecture": "dense", "dataset": "d", "training": {"seeds": [0, 1]}})

    def key(**changes) -> dict:
        return run_key(model.model_copy(update=changes), "digest", None, "0", 1, "cpu")

    def training(**changes) -> dict:
        return {"training": model.training.model_copy(update=changes)}

    assert (
        key(folds=["0"], prediction=Prediction(shifts_bp=[0, 4]), **training(seeds=[1], checkpoint_seconds=5.0))
        == key()
    )
    assert changes(key(), key(**training(batch_size=7, xla_threads=2))) == [
        "model.training.batch_size was 128, is 7",
        "model.training.xla_threads was 1, is 2",
    ]
    assert changes(key(), run_key(model, "other", None, "0", 1, "cpu")) == ['dataset was "digest", is "other"']
