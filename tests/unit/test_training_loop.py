"""The loop with an objective whose losses are planned."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqmill.training.loop import DivergedError, fit


class State(NamedTuple):
    params: jax.Array
    rest: jax.Array


class Planned:
    """Counts steps in ``params``; the training loss is NaN at one step, validation losses are given."""

    def __init__(self, valid, nan_at=-1):
        self.valid, self.nan_at, self.keys = iter(valid), nan_at, []

    def step(self, state, batch, key):
        loss = jnp.where(state.params == self.nan_at, jnp.nan, batch["x"].mean())
        return loss, State(state.params + 1, state.rest + jax.random.uniform(key)), {}

    def evaluate(self, state, batch, rows):
        return state.params

    def combine(self, sums):
        return next(self.valid)


def batches(step=0):
    while True:
        yield {"x": np.full(4, float(step), np.float32), "row": np.arange(4) + 10 * step}
        step += 1


def run(objective, source=batches, **changes):
    settings = {"seed": 0, "steps_per_epoch": 3, "max_epochs": 10, "max_steps": None, "patience": 2}
    state = State(jnp.zeros(()), jnp.zeros(()))
    return fit(
        objective, state, source, lambda: iter([({"x": np.zeros(4)}, np.ones(4, bool))]),
        batch_size=4, label="m/0.0", **(settings | changes),
    )  # fmt: skip


def test_stops_after_patience_and_returns_the_best():
    found = run(Planned([5.0, 3.0, 4.0, 3.0, 1.0]))
    assert (found.best_epoch, found.valid_loss, found.steps) == (2, 3.0, 12)
    assert float(found.params) == 6
    assert [entry["valid_loss"] for entry in found.history] == [5.0, 3.0, 4.0, 3.0]
    assert [entry["train_loss"] for entry in found.history] == [1.0, 4.0, 7.0, 10.0]
    assert [entry["step"] for entry in found.history] == [3, 6, 9, 12]


def test_steps_and_passes_end_it():
    assert run(Planned([3.0, 2.0, 1.0]), max_epochs=3).steps == 9
    found = run(Planned([3.0, 2.0]), max_steps=4)
    assert (found.steps, float(found.params), found.best_epoch) == (4, 4, 2)
    assert found.history[-1] == {"epoch": 2, "step": 4, "train_loss": 3.0, "valid_loss": 2.0}


def test_each_step_has_its_own_key():
    key = jax.random.key(7)
    expected = sum(float(jax.random.uniform(jax.random.fold_in(key, step))) for step in range(6))
    assert float(run(Planned([2.0, 1.0]), seed=7, max_epochs=2).rest) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("step", [0, 2, 4])
def test_a_loss_that_is_no_number_is_found_at_its_step(step):
    with pytest.raises(DivergedError, match=rf"m/0\.0: the loss is nan at step {step}.*dataset rows {10 * step}, "):
        run(Planned([1.0] * 9, nan_at=step))


def test_a_validation_loss_that_is_no_number():
    with pytest.raises(DivergedError, match=r"the validation loss is inf after step 5 \(pass 2\)"):
        run(Planned([1.0, float("inf")]))
