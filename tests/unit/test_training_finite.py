"""The layer, the step and the rows at which numbers stopped being finite, where they were planted."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from seqmill.training.checkpoint import Checkpoints
from seqmill.training.finite import bad_arrays, bad_rows, watched_layers
from seqmill.training.loop import DivergedError, fit
from seqmill.training.objectives import split_module


class Layer(nnx.Module):
    """x + w; from a planted step on, row 2 of its output or its gradient is not finite."""

    def __init__(self, fail: str = ""):
        self.w, self.fail = nnx.Param(jnp.ones(3)), fail

    def __call__(self, x, now):
        y = x + self.w[...]
        if self.fail == "output":
            y = y.at[2].set(jnp.where(now, jnp.inf, y[2]))
        if self.fail == "gradient":
            y = y + jnp.sqrt((y - y) ** 2 + jnp.where(now, 0.0, 1.0))  # the derivative of the root of 0 is 0 / 0
        return y


class Net(nnx.Module):
    def __init__(self, fails):
        self.layers = nnx.List([Layer(fail) for fail in fails])

    def __call__(self, x, now):
        for layer in self.layers:
            x = layer(x, now)
        return x


class State(NamedTuple):
    params: object
    rest: object
    optimizer: object


class Mean:
    """Mean of the outputs of a network that fails at one step; at another the loss itself may."""

    def __init__(self, fails, at, loss_too=False):
        self.graph, self.params, self.rest = split_module(Net(fails))
        self.at, self.loss_too, self.optimizer = at, loss_too, optax.sgd(1e-3)

    def init(self, params, rest):
        return State(params, rest, self.optimizer.init(params))

    def step(self, state, batch, key):
        now = batch["number"][0] == self.at

        def mean(params):
            loss = nnx.merge(self.graph, params, state.rest, copy=True)(batch["inputs/x"], now).mean()
            return jnp.where(now & self.loss_too, jnp.nan, loss)

        loss, gradient = jax.value_and_grad(mean)(state.params)
        updates, optimizer = self.optimizer.update(gradient, state.optimizer, state.params)
        return loss, State(optax.apply_updates(state.params, updates), state.rest, optimizer), {}

    def evaluate(self, state, batch, rows):
        return jnp.float32(1)

    def combine(self, sums):
        return 1.0


def batches(step=0):
    while True:
        yield {
            "inputs/x": np.full((4, 3), step, np.float32),
            "number": np.full(4, step),
            "row": 10 * step + np.arange(4),
        }
        step += 1


def message(fails, at, checkpoints=None, loss_too=False, steps_per_epoch=4):
    objective = Mean(fails, at, loss_too)
    call = Layer.__call__
    with pytest.raises(DivergedError) as caught:
        fit(
            objective, objective.init(objective.params, objective.rest), batches,
            lambda: iter([({"x": np.zeros(4)}, np.ones(4, bool))]), seed=0, steps_per_epoch=steps_per_epoch,
            max_epochs=9, max_steps=None, patience=9, batch_size=4, label="m/0.0", checkpoints=checkpoints,
        )  # fmt: skip
    assert Layer.__call__ is call
    return str(caught.value)


@pytest.mark.parametrize("at", [0, 6])
def test_the_first_layer_and_its_rows_are_named(at):
    text = message(["", "output", "", "output"], at)
    assert f"the loss is inf at step {at}" in text
    assert text.endswith(f"; first not finite: the output of layer layers.1 (Layer), dataset rows {10 * at + 2}")


def test_it_is_found_from_the_last_saved_state(tmp_path):
    class Counted(Checkpoints):
        loads = 0

        def load(self, like):
            self.loads += 1
            return super().load(like)

    checkpoints = Counted(tmp_path / "resume", {"a": 1}, label="m/0.0", every_s=0.0)
    text = message(["", "output"], 6, checkpoints)
    assert checkpoints.loads == 2
    assert text.endswith("; first not finite: the output of layer layers.1 (Layer), dataset rows 62")


def test_a_gradient_that_is_lost_is_found_a_step_later():
    """The loss of step 5 is finite, its gradient is not; the parameters that it leaves make the loss of step 6."""
    text = message(["", "", "gradient", ""], 5)
    assert "the loss is nan at step 6" in text
    assert "; parameters layers.0.w, layers.1.w and 1 more are not finite before this step; in the one before, " in text
    assert text.endswith(
        "first not finite: the gradient at the output of layer layers.1 (Layer), dataset rows 50, 51, 52, 53"
    )


def test_a_loss_that_fails_by_itself():
    text = message(["", ""], 3, loss_too=True)
    assert text.endswith("; every layer's output is finite, the loss of the labels is not")


def test_a_validation_loss_names_the_parameters():
    """The last step of a pass loses its gradient: the next that is looked at is the validation loss."""
    objective = Mean(["", "gradient"], 3)
    objective.combine = lambda sums: float("nan")
    with pytest.raises(DivergedError, match=r"after step 3 \(pass 1\).*; not finite: params\.layers\.0\.w"):
        fit(
            objective, objective.init(objective.params, objective.rest), batches,
            lambda: iter([({"x": np.zeros(4)}, np.ones(4, bool))]), seed=0, steps_per_epoch=4, max_epochs=9,
            max_steps=None, patience=9, batch_size=4, label="m/0.0",
        )  # fmt: skip


def test_names_of_arrays():
    assert bad_arrays({"a": {"b": jnp.array([1.0, jnp.nan])}, "c": jnp.arange(3), "d": jnp.ones(2)}) == ["a.b"]


def test_classes_are_left_as_they_were_also_after_an_error():
    before = nnx.Linear.__call__

    def fail():
        with watched_layers(None):
            assert nnx.Linear.__call__ is not before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert nnx.Linear.__call__ is before


class Piece(NamedTuple):
    index: tuple
    data: np.ndarray


class Shared:
    """An array of 8 examples of which this process holds 4 to 8, in pieces of 2 examples and 3 positions."""

    is_fully_addressable = False

    def __init__(self, mine):
        self.dtype, rows, columns = mine.dtype, (slice(4, 6), slice(6, 8)), (slice(0, 3), slice(3, 6))
        self.addressable_shards = [
            Piece((row, column), mine[row.start - 4 : row.stop - 4, column]) for row in rows[::-1] for column in columns
        ]


def test_rows_of_a_shared_batch_are_those_of_this_process():
    x = np.zeros((4, 6), np.float32)
    x[3, 4], x[1, 0] = np.inf, np.nan
    row = np.array([7, 5, 3, 1])
    assert bad_rows({"inputs/x": Shared(x), "row": row}).tolist() == [False, True, False, True]
    assert bad_rows({"targets/y": Shared(x), "row": row}).tolist() == [False, False, False, True]
    assert bad_rows({"inputs/x": x, "row": row}).tolist() == [False, True, False, True]
