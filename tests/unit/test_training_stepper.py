"""Moving averages and skipped steps, against the rules in plain Python."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit import training_toys as toys

from seqmill.config.models import Model, Training
from seqmill.runtime.errors import InputError
from seqmill.stores.model import ModelReader
from seqmill.training.checkpoint import Checkpoints
from seqmill.training.loop import DivergedError, fit
from seqmill.training.stepper import LEAST, WINDOW, Stepper, spike_note, with_rules
from seqmill.training.train import train_model


class State(NamedTuple):
    params: dict
    rest: dict


class Told:
    """Adds x to its parameter; loss and gradient norm are told by the batch."""

    def init(self, params, rest):
        return State(params, rest)

    def step(self, state, batch, key):
        x, loss, norm = (batch[name][0] for name in ("x", "loss", "norm"))
        new = State({"w": state.params["w"] + x}, {"mean": x, "count": state.rest["count"] + 1})
        return loss, new, {"gradient_norm": norm}

    def evaluate(self, state, batch, rows):
        return state.params["w"]

    def combine(self, sums):
        return float(sums[0])


def start(**rules):
    stepper = Stepper(Told(), **({"ema_decay": None, "skip_spikes": None} | rules))
    return stepper, stepper.init({"w": jnp.float32(2)}, {"mean": jnp.float32(0), "count": jnp.int32(0)})


def walk(stepper, state, losses, norms, xs):
    step, skipped, states = jax.jit(stepper.step), [], []
    for loss, norm, x in zip(losses, norms, xs, strict=True):
        batch = {name: np.full(1, v, np.float32) for name, v in (("loss", loss), ("norm", norm), ("x", x))}
        _, state, aux = step(state, batch, jax.random.key(0))
        skipped.append(int(aux.get("skipped", -1)))
        states.append(state)
    assert step._cache_size() == 1
    return states, skipped


def test_averages_follow_their_rule():
    stepper, state = start(ema_decay=0.5)
    xs = np.random.default_rng(0).normal(size=30)
    states, skipped = walk(stepper, state, xs, xs, xs)
    w, average, mean = 2.0, 2.0, 0.0
    for t, x in enumerate(xs):
        w += x
        part = 1 - min(0.5, (1 + t) / (10 + t))
        average += part * (w - average)
        mean += part * (x - mean)
        assert float(states[t].inner.params["w"]) == pytest.approx(w, rel=1e-5)
        assert float(states[t].params["w"]) == pytest.approx(average, rel=1e-5)
        assert float(states[t].rest["mean"]) == pytest.approx(mean, rel=1e-4, abs=1e-6)
    assert int(states[-1].rest["count"]) == 30  # whole numbers are not averaged
    assert set(skipped) == {-1}
    assert float(stepper.evaluate(states[-1], {}, None)) == pytest.approx(average, rel=1e-5)


def slow_skips(losses, norms, factor):
    """Which steps are skipped, and how many in a row: medians of lists."""
    taken, rows, found = [], 0, []
    for pair in zip(losses, norms, strict=True):
        bad = not np.isfinite(pair).all()
        if len(taken) >= LEAST:
            for value, known in zip(pair, zip(*taken[-WINDOW:], strict=True), strict=True):
                median = np.median(np.float32(known))
                bad |= bool(median > 0 and value > factor * median)
        rows = rows + 1 if bad else 0
        found.append(rows)
        if not bad:
            taken.append(pair)
    return found


def test_spikes_are_those_above_the_running_median():
    rng = np.random.default_rng(1)
    losses, norms = rng.uniform(1, 2, 300), rng.uniform(0.5, 1, 300)
    losses[[3, 40, 41, 200]] = 50  # 3: nothing is known yet
    norms[[42, 150]] = 9
    norms[160] = np.inf
    losses[5] = np.nan
    stepper, state = start(skip_spikes=4.0, ema_decay=0.9)
    states, skipped = walk(stepper, state, losses, norms, np.ones(300))
    assert skipped == slow_skips(losses, norms, 4.0)
    assert np.flatnonzero(skipped).tolist() == [5, 40, 41, 42, 150, 160, 200]
    assert (skipped[40], skipped[41], skipped[42], skipped[43]) == (1, 2, 3, 0)
    for step in (5, 40, 150):
        for old, new in zip(jax.tree.leaves(states[step - 1][:3]), jax.tree.leaves(states[step][:3]), strict=True):
            assert np.array_equal(old, new)
    assert float(states[-1].inner.params["w"]) == 2 + 300 - 7


def test_losses_below_zero_are_left_to_the_gradient():
    losses = [-5.0] * 30 + [90.0, 90.0]
    _, skipped = walk(*start(skip_spikes=2.0), losses, [1.0] * 31 + [3.0], [1.0] * 32)
    assert skipped == [0] * 31 + [1]


def test_nothing_asked_for_is_the_objective_itself():
    told = Told()
    assert with_rules(told, Training()) is told
    assert isinstance(with_rules(told, Training(ema_decay=0.9)), Stepper)


class Bare:
    params = rest = None


def test_an_average_needs_a_state_that_it_can_be_put_into():
    told = Told()
    told.init = lambda params, rest: Bare()
    with pytest.raises(InputError, match=r"training\.ema_decay: the state of this objective is no NamedTuple"):
        Stepper(told, ema_decay=0.9, skip_spikes=None).init({}, {})


def batches(spikes, step=0):
    while True:
        norm = 100.0 if step in spikes else 1.0
        told = {"x": 1, "loss": 1 + step % 3, "norm": norm}
        yield {name: np.full(4, value, np.float32) for name, value in told.items()} | {"row": np.arange(4) + step}
        step += 1


def train(spikes, checkpoints=None, max_steps=None, **rules):
    stepper, state = start(**rules)
    return fit(
        stepper, state, lambda step: batches(spikes, step), lambda: iter([({"x": np.zeros(4)}, np.ones(4, bool))]),
        seed=0, steps_per_epoch=30, max_epochs=2, max_steps=max_steps, patience=5, batch_size=4, label="m/0.0",
        checkpoints=checkpoints,
    )  # fmt: skip


def test_skipped_steps_are_counted_in_the_history(caplog):
    run = train({20, 21, 45}, skip_spikes=3.0)
    assert [entry["skipped"] for entry in run.history] == [2, 1]
    kept = [1 + step % 3 for step in range(30) if step not in (20, 21)]
    assert run.history[0]["train_loss"] == pytest.approx(np.mean(kept))
    assert "m/0.0: step 45 was skipped: loss 1 (dataset rows 45, 46, 47, 48, ...)" in caplog.text
    assert float(run.state.inner.params["w"]) == 2 + 57


def test_the_average_is_validated_and_kept():
    run = train(set(), ema_decay=0.5)
    assert "skipped" not in run.history[0]
    w = average = 2.0
    for t in range(30):
        w += 1
        average += (1 - min(0.5, (1 + t) / (10 + t))) * (w - average)
    assert run.best_epoch == 1  # what is learned here only grows
    assert float(run.params["w"]) == pytest.approx(average, rel=1e-6)
    assert run.history[0]["valid_loss"] == float(run.params["w"])


def test_a_training_that_stopped_goes_on_with_its_averages_and_medians(tmp_path):
    rules = {"skip_spikes": 3.0, "ema_decay": 0.9}
    whole = train({20, 33}, **rules)

    def saved():
        return Checkpoints(tmp_path / "resume", {"a": 1}, label="m/0.0", every_s=0.0)

    train({20, 33}, saved(), max_steps=25, **rules)
    again = train({20, 33}, saved(), **rules)
    assert again.steps == 60
    for name in ("state", "params", "rest"):
        for a, b in zip(jax.tree.leaves(getattr(whole, name)), jax.tree.leaves(getattr(again, name)), strict=True):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_many_in_a_row_stop_it():
    with pytest.raises(DivergedError, match=r"the loss is 2\.0 at step 43, the 4th in a row to be skipped"):
        train({20, 40, 41, 42, 43}, skip_spikes=3.0)


def test_a_pass_without_any_step_is_said():
    stepper, state = start(skip_spikes=3.0)
    with pytest.raises(DivergedError, match=r"m/0\.0: all 2 steps of pass 1 were skipped \(training\.skip_spikes\)"):
        fit(
            stepper, state, lambda step: ({**b, "loss": np.full(4, np.nan, np.float32)} for b in batches(set(), step)),
            lambda: iter([({"x": np.zeros(4)}, np.ones(4, bool))]), seed=0, steps_per_epoch=2, max_epochs=2,
            max_steps=None, patience=5, batch_size=4, label="m/0.0",
        )  # fmt: skip


def test_a_note_where_many_are_skipped():
    assert spike_note([{"step": 100, "skipped": 0}, {"step": 1000, "skipped": 5}]) == []
    assert spike_note([{"step": 1000}]) == []
    assert spike_note([{"step": 500, "skipped": 4}, {"step": 1000, "skipped": 2}])[0].startswith(
        "6 of 1000 steps were skipped as spikes (0.6%): a lower learning_rate"
    )


def test_all_of_it_together_learns_a_motif(tmp_path):
    """bfloat16, two parts, averages and skipped spikes; ln 2 is the loss of not knowing."""
    training = {"batch_size": 64, "max_epochs": 6, "optimizer": {"learning_rate": 0.01}, "precision": "bfloat16"}
    training |= {"accumulate": 2, "ema_decay": 0.95, "skip_spikes": 10.0}
    settings = {"filters": [24], "widths": [8], "pools": [6], "hidden": [16], "dropout": 0.0}
    section = {"architecture": "basset", "dataset": "toy", "settings": settings, "training": training}
    dataset, model = toys.motif_dataset(tmp_path / "toy.zarr"), Model.model_validate(section)
    train_model(tmp_path / "m" / "0.0", name="m", model=model, dataset=dataset, fold="0", seed=0)
    reader = ModelReader(tmp_path / "m" / "0.0")
    assert reader.info["valid_loss"] < 0.5 < np.log(2)
    assert {x.dtype.name for x in reader.tensors().values()} == {"float32"}
    assert all(entry["skipped"] == 0 for entry in reader.history)
    assert reader.info["training"]["ema_decay"] == 0.95
