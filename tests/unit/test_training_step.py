"""bfloat16 compute and accumulated gradients, against plain steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from tests.unit.network_toys import plain_head, target

from seqmill.config.models import Training
from seqmill.models.registry import build
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import ArraySpec
from seqmill.training.augment import View
from seqmill.training.jitter import Jitter
from seqmill.training.objectives import Supervised, split_module
from seqmill.training.step import in_parts, set_step

BASES = ArraySpec("input", "x", ("example", "bp"), "uint8", (40,), "sequence", bp_per_bin=1, rc="sequence")
TARGETS = {"y": target("y", 2), "z": target("z", 1, kind="quantity")}
BASSET = {"filters": [8], "widths": [5], "pools": [4], "hidden": [6], "dropout": 0.0}
DENSE = {"hidden": [7], "dropout": 0.0}
NUMBERS = ArraySpec("input", "x", ("example", "n"), "float32", (5,), "features")


def objective_of(architecture, settings, inputs, optimizer=None, **changes):
    """Objective and state of a small network."""
    graph, params, rest = split_module(build(architecture, settings, inputs, TARGETS, 3))
    heads = {name: plain_head(spec) for name, spec in TARGETS.items()}
    view = View(inputs, TARGETS, Jitter(0, 1), strands="x" in inputs and inputs["x"].kind == "sequence")
    objective = Supervised(graph, view, heads, optimizer or optax.sgd(0.1))
    set_step(objective, Training.model_validate({"batch_size": 24, **changes}), "supervised")
    return objective, objective.init(params, rest)


def labels(rng, n=24):
    z = np.where(rng.random((n, 1)) < 0.4, np.nan, rng.normal(size=(n, 1))).astype(np.float32)
    return {"targets/y": (rng.random((n, 2)) < 0.5).astype(np.float32), "targets/z": z}


def bases(seed=0, n=24):
    rng = np.random.default_rng(seed)
    return {"inputs/x": rng.integers(0, 5, (n, 40)).astype(np.uint8), **labels(rng, n)}


def numbers(seed=0, n=24):
    rng = np.random.default_rng(seed)
    return {"inputs/x": rng.normal(size=(n, 5)).astype(np.float32), **labels(rng, n)}


def leaves(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


def test_parts_take_every_nth_row():
    parts = np.asarray(in_parts(jnp.arange(6), 2))
    assert parts.tolist() == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.slow
@pytest.mark.parametrize("parts", [8])
def test_accumulated_steps_are_those_of_the_whole_batch(parts):
    """Without batch normalisation and dropout; labels of "z" are missing unevenly in the parts."""
    one, start = objective_of("dense", DENSE, {"x": NUMBERS})
    many, _ = objective_of("dense", DENSE, {"x": NUMBERS}, accumulate=parts)
    state, other = start, start
    for number in range(3):
        key = jax.random.key(number)
        loss, state, aux = jax.jit(one.step)(state, numbers(number), key)
        summed, other, found = jax.jit(many.step)(other, numbers(number), key)
        np.testing.assert_allclose(summed, loss, rtol=1e-5)
        np.testing.assert_allclose(found["gradient_norm"], aux["gradient_norm"], rtol=1e-5)
    for a, b in zip(leaves(state), leaves(other), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-7)


def test_augmentation_draws_are_those_of_the_whole_batch():
    """The strand of each row is drawn once for the batch: a network without normalisation sees the same rows."""
    settings = {"motifs": 4, "width": 5, "hidden": 0, "dropout": 0.0, "both_strands": False}
    one, start = objective_of("deepbind", settings, {"x": BASES})
    many, _ = objective_of("deepbind", settings, {"x": BASES}, accumulate=4)
    plain, parts = jax.jit(one.step), jax.jit(many.step)
    losses = [float(step(start, bases(), jax.random.key(5))[0]) for step in (plain, parts)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert abs(float(plain(start, bases(), jax.random.key(6))[0]) - losses[0]) > 1e-4


@pytest.mark.slow
def test_batch_statistics_are_those_of_the_parts_in_order():
    """Running mean of the first normalisation, step by step in numpy: 0.9 old + 0.1 of the part, once a part."""
    objective, state = objective_of("basset", BASSET, {"x": BASES}, accumulate=3)
    objective.view = View({"x": BASES}, TARGETS, Jitter(0, 1), strands=False)
    batch = bases()
    _, after, _ = jax.jit(objective.step)(state, batch, jax.random.key(0))
    flat = {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(state.params)}
    kernel, bias = flat["convs.0.kernel"], flat["convs.0.bias"]
    one_hot = (batch["inputs/x"][..., None] == np.arange(4)).astype(np.float64)
    x = np.stack([np.einsum("nwc,wcf->nf", one_hot[:, p : p + 5], kernel) for p in range(36)], axis=1) + bias
    mean = np.zeros(8)
    for part in range(3):
        mean = 0.9 * mean + 0.1 * x[part::3].mean(axis=(0, 1))
    found = {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(after.rest)}
    np.testing.assert_allclose(found["conv_norms.0.mean"], mean, rtol=1e-4, atol=1e-6)


def dtypes_of_products(function, *arguments) -> set[str]:
    """Types of what convolutions and matrix products read, anywhere in a function."""
    found: set[str] = set()

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in ("dot_general", "conv_general_dilated"):
                found.update(str(v.aval.dtype) for v in equation.invars)
            for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
                if hasattr(value, "eqns"):
                    walk(value)
                elif hasattr(getattr(value, "jaxpr", None), "eqns"):
                    walk(value.jaxpr)

    walk(jax.make_jaxpr(function)(*arguments).jaxpr)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "parts"), [("basset", 1), ("basset", 2), ("danq", 1)])
def test_bfloat16_computes_every_product_and_keeps_the_state_float32(architecture, parts):
    settings = BASSET if architecture == "basset" else {"filters": 6, "width": 5, "pool": 4, "lstm": 4, "hidden": 5}
    batch, key = bases(), jax.random.key(0)
    full, state = objective_of(architecture, settings, {"x": BASES})
    assert dtypes_of_products(full.step, state, batch, key) == {"float32"}
    half, _ = objective_of(architecture, settings, {"x": BASES}, precision="bfloat16", accumulate=parts)
    assert dtypes_of_products(half.step, state, batch, key) == {"bfloat16"}
    loss, after, aux = jax.eval_shape(half.step, state, batch, key)
    assert {x.dtype.name for x in jax.tree.leaves(after) if jnp.issubdtype(x.dtype, jnp.floating)} == {"float32"}
    assert (loss.dtype, aux["gradient_norm"].dtype) == (jnp.float32, jnp.float32)


@pytest.mark.slow
def test_bfloat16_is_near_float32():
    steps = []
    for precision in ("float32", "bfloat16"):
        objective, state = objective_of("basset", BASSET, {"x": BASES}, precision=precision)
        steps.append(jax.jit(objective.step)(state, bases(), jax.random.key(0)))
    (exact, plain, _), (loss, after, _) = steps
    assert 0 < abs(float(loss) - float(exact)) < 0.02 * float(exact)
    for a, b in zip(leaves(plain.rest), leaves(after.rest), strict=True):
        np.testing.assert_allclose(b, a, rtol=0.02, atol=0.002)


def test_validation_is_float32():
    half, state = objective_of("basset", BASSET, {"x": BASES}, precision="bfloat16")
    full, _ = objective_of("basset", BASSET, {"x": BASES})
    a, b = (jax.jit(o.evaluate)(state, bases(), np.ones(24, bool)) for o in (half, full))
    assert jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), a, b))


def test_the_defaults_leave_the_compiled_step_alone():
    """The step of an objective that nothing was set on, and of one that the defaults were set on."""
    graph, _, _ = split_module(build("basset", BASSET, {"x": BASES}, TARGETS, 3))
    heads = {name: plain_head(spec) for name, spec in TARGETS.items()}
    untouched = Supervised(graph, View({"x": BASES}, TARGETS, Jitter(0, 1), True), heads, optax.sgd(0.1))
    default, state = objective_of("basset", BASSET, {"x": BASES})
    texts = [jax.jit(o.step).lower(state, bases(), jax.random.key(0)).as_text() for o in (untouched, default)]
    assert texts[0] == texts[1]
    assert "bf16" not in texts[0]
    assert vars(default).keys() == vars(untouched).keys()


class Own(Supervised):
    def step(self, state, batch, key):
        return super().step(state, batch, key)


@pytest.mark.parametrize(("setting", "value"), [("precision", "bfloat16"), ("accumulate", 2)])
def test_an_objective_with_its_own_step_must_say_what_it_follows(setting, value):
    own = Own(None, None, {}, None)
    with pytest.raises(InputError, match=rf"training\.{setting}: objective 'mine' has a step of its own, .* leave"):
        set_step(own, Training.model_validate({setting: value}), "mine")
    set_step(own, Training(), "mine")


def test_parts_must_divide_the_batch():
    with pytest.raises(ValueError, match="accumulate 3 does not divide batch_size 128"):
        Training(accumulate=3)


def test_the_step_of_an_accelerator_can_be_lowered():
    half, state = objective_of("basset", BASSET, {"x": BASES}, precision="bfloat16", accumulate=2)
    exported = jax.export.export(jax.jit(half.step), platforms=["cuda", "tpu"])(state, bases(), jax.random.key(0))
    assert exported.platforms == ("cuda", "tpu")
    assert "bf16" in exported.mlir_module()
