"""Losses against formulas in plain Python; gaps; label checks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from tests.unit.network_toys import plain_head

from seqmill.config.models import Optimizer
from seqmill.models.registry import build
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import ArraySpec, TargetSpec
from seqmill.training.augment import View
from seqmill.training.jitter import Jitter
from seqmill.training.kinds import Statistics, check_labels, fit_scaling
from seqmill.training.losses import loss_of
from seqmill.training.objectives import Supervised, split_module
from seqmill.training.optimizers import make_optimizer


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def statistics_of(values, mask=None, tracks=None) -> Statistics:
    values = np.asarray(values, np.float32)
    statistics = Statistics(tracks or values.shape[-1])
    for first in range(0, len(values), 2):
        statistics.add(values[first : first + 2], None if mask is None else np.asarray(mask)[first : first + 2])
    return statistics


def test_statistics_leave_gaps_out():
    values = [[1, np.nan], [2, 5], [6, 9]]
    statistics = statistics_of(values)
    scaling = fit_scaling(loss_of("quantity"), statistics)
    assert scaling.centre.tolist() == [3, 7]
    np.testing.assert_allclose(scaling.scale, [np.std([1, 2, 6]), 2], rtol=1e-6)
    masked = statistics_of([[1, 99], [2, 5], [6, 9]], [[1, 0], [1, 1], [1, 1]])
    assert masked.count.tolist() == [3, 2]
    assert masked.high.tolist() == [6, 9]
    assert fit_scaling(loss_of("count"), statistics).scale.tolist() == [3, 7]
    assert fit_scaling(loss_of("quantity"), statistics_of([[4.0], [4.0]])).scale.tolist() == [1]
    assert fit_scaling(loss_of("quantity"), statistics_of([1.0, 3.0], tracks=1)).centre.tolist() == [2]


def target(kind: str, tracks: tuple[str, ...] = ("a", "b")) -> TargetSpec:
    return TargetSpec("y", kind, "float32", ("example", "tracks"), (len(tracks),), tracks)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("binary", [[0, 1], [2, 1]], r"target 'y' \(binary\) has values from 0 to 2, expected 0 to 1"),
        ("fraction", [[0, 80]], r"has values from 0 to 80, expected 0 to 1"),
        ("profile", [[-1, 2], [0, 1]], r"expected at least 0; for signal below zero set loss: mse for it"),
        ("quantity", [[1, np.inf], [2, 1]], r"target 'y' holds infinite values in track\(s\) b"),
        (
            "quantity",
            [[3, 3], [3, 3]],
            r"labels of each track are the same \(3\); there is nothing to learn",
        ),
        ("binary", [[np.nan, np.nan]], r"target 'y' has no label in the training rows"),
    ],
)
def test_labels_that_cannot_be_learned(kind, values, message):
    with pytest.raises(InputError, match=message):
        check_labels("y", target(kind), loss_of(kind), statistics_of(values), "data.zarr")


def test_a_constant_track_beside_others_is_named():
    assert check_labels("y", target("binary"), loss_of("binary"), statistics_of([[0, 1], [1, 1]]), "d") == ["b"]


def supervised(targets, weights, optimizer=None):
    features = ArraySpec("input", "x", ("example", "n"), "float32", (3,), "features")
    view = View({"x": features}, targets, Jitter(0, 1), False)
    module = build("dense", {"hidden": []}, {"x": features}, targets, 0)
    graph, params, rest = split_module(module)
    heads = {name: plain_head(spec, weight=weights[name]) for name, spec in targets.items()}
    objective = Supervised(graph, view, heads, optimizer or optax.sgd(0.1))
    return objective, objective.init(params, rest), module


def batch_of(n=8, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "inputs/x": rng.normal(size=(n, 3)).astype(np.float32),
        "targets/y": rng.integers(0, 2, (n, 2)).astype(np.uint8),
        "mask/y": rng.random((n, 2)) < 0.7,
        "targets/z": np.where(rng.random((n, 2)) < 0.3, np.nan, rng.normal(size=(n, 2))).astype(np.float32),
    }


TARGETS = {"y": target("binary"), "z": target("quantity")}


@pytest.mark.slow
def test_a_step_is_weighted_means_over_present_labels_and_sgd():
    objective, state, module = supervised(TARGETS, {"y": 2.0, "z": 0.5})
    batch = batch_of()
    loss, after, _ = objective.step(state, batch, jax.random.key(0))
    expected = 0.0
    for name, weight in (("y", 2.0), ("z", 0.5)):
        head = module.heads.layers[name]
        raw = batch["inputs/x"] @ np.asarray(head.kernel[...]) + np.asarray(head.bias[...])
        losses = []
        for r, t in np.ndindex(8, 2):
            truth = float(batch[f"targets/{name}"][r, t])
            if name == "y" and batch["mask/y"][r, t]:
                losses.append(softplus(raw[r, t]) - truth * raw[r, t])
            if name == "z" and not math.isnan(truth):
                losses.append((raw[r, t] - truth) ** 2)
        expected += weight * sum(losses) / len(losses)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    lower, _, _ = objective.step(after, batch, jax.random.key(0))
    assert float(lower) < float(loss)


def test_missing_labels_change_nothing():
    objective, state, _ = supervised(TARGETS, {"y": 1.0, "z": 1.0})
    batch = batch_of()
    other = {key: x.copy() for key, x in batch.items()}
    other["targets/y"][~batch["mask/y"]] = 1 - other["targets/y"][~batch["mask/y"]]
    a, b = (objective.step(state, x, jax.random.key(0)) for x in (batch, other))
    assert jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), a, b))
    nothing = {**batch, "targets/z": np.full((8, 2), np.nan, np.float32), "mask/y": np.zeros((8, 2), bool)}
    loss, after, _ = objective.step(state, nothing, jax.random.key(0))
    assert float(loss) == 0
    assert jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), state.params, after.params))


def test_padded_rows_do_not_count_in_validation():
    objective, state, _ = supervised(TARGETS, {"y": 1.0, "z": 1.0})
    batch = batch_of(8)
    whole = objective.combine([objective.evaluate(state, batch, np.ones(8, bool))])
    first = {key: x.copy() for key, x in batch.items()}
    for x in first.values():
        x[5:] = x[4]
    second = {key: np.concatenate([x[5:], x[:5]]) for key, x in batch.items()}
    parts = [
        objective.evaluate(state, first, np.arange(8) < 5),
        objective.evaluate(state, second, np.arange(8) < 3),
    ]
    assert objective.combine(parts) == pytest.approx(whole, rel=1e-6)


def test_optimisers_and_schedules():
    section = Optimizer(name="rmsprop", learning_rate=0.002, settings={"decay": 0.98}, global_clipnorm=1.0)
    assert isinstance(make_optimizer(section, 10), optax.GradientTransformation)
    with pytest.raises(InputError, match="'adamm' is no optimiser of optax"):
        make_optimizer(Optimizer(name="adamm"), 10)
    with pytest.raises(InputError, match=r"settings \{'decai': 0\.9\} do not fit optax\.rmsprop"):
        make_optimizer(Optimizer(name="rmsprop", settings={"decai": 0.9}), 10)
    sgd = make_optimizer(Optimizer(name="sgd", learning_rate=1.0, schedule="linear", warmup_steps=2), 6)
    state, sizes = sgd.init(jnp.zeros(())), []
    for _ in range(6):
        update, state = sgd.update(jnp.ones(()), state)
        sizes.append(-float(update))
    np.testing.assert_allclose(sizes, [1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25], rtol=1e-5)


def test_merge_inside_the_step_leaves_the_module_alone():
    objective, state, module = supervised(TARGETS, {"y": 1.0, "z": 1.0})
    before = jax.tree.map(np.asarray, nnx.state(module))
    jax.jit(objective.step)(state, batch_of(), jax.random.key(0))
    assert jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), before, nnx.state(module)))
