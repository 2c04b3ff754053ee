"""What a step may do beside the plain one: bfloat16 compute and accumulated gradients.

All of it is off by default; then nothing of this file is in the compiled step.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from seqmill.config.models import Training
from seqmill.runtime.errors import InputError


def halved(tree: Any) -> Any:
    """The tree with its floating-point arrays in bfloat16."""
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def halve_norms(module: nnx.Module) -> None:
    """Let batch normalisation give bfloat16 on.

    Its statistics stay float32: flax takes them in float32 whatever the dtype. Without this they would turn all that
    follows into float32.
    """
    for _, part in nnx.iter_modules(module):
        if isinstance(part, nnx.BatchNorm):
            part.dtype = jnp.bfloat16


def whole(tree: Any) -> Any:
    """The tree with its floating-point arrays in float32."""
    return jax.tree.map(lambda x: x.astype(jnp.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def in_parts(x: Array, parts: int) -> Array:
    """(example, ...) to (part, example of it, ...). Part i has rows i, i + parts, ...: all pools in their ratios."""
    return jnp.swapaxes(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 0, 1)


def summed_gradient(
    parts: int,
    params: Any,
    rest: Any,
    shown: Mapping[str, Array],
    key: Array,
    *,
    apply: Callable[[Any, Any, Mapping[str, Array], Array], tuple[Any, Any]],
    losses: Callable[[Any, Mapping[str, Array]], Mapping[str, Any]],
    weight: Callable[[str], float],
) -> tuple[Array, Any, Any]:
    """Loss, other state and gradient of a batch, computed in parts one after the other.

    Each part's losses are divided by the number of labels of the whole batch, so that the sums are those of the whole
    batch, up to rounding, whatever labels are missing. Batch normalisation takes the statistics of each part, and its
    running ones move once a part; dropout draws anew in each part.

    Parameters
    ----------
    shown : cropped and augmented arrays (example, ...), a multiple of ``parts`` examples.
    apply : (params, rest, shown, key) to (outputs, rest). losses : (outputs, shown) to a `TargetLoss` a target.
    weight : of a target.
    """

    def outputs_of(params: Any, rest: Any) -> Any:
        return apply(params, rest, shown, key)[0]

    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(outputs_of, params, rest))
    # What is counted does not depend on the outputs; XLA drops the losses of the zeros.
    labels = {name: jnp.maximum(loss.labels, 1).astype(jnp.float32) for name, loss in losses(nothing, shown).items()}

    def part_loss(params: Any, rest: Any, part: Mapping[str, Array], key: Array) -> tuple[Array, Any]:
        outputs, rest = apply(params, rest, part, key)
        means = [weight(name) * loss.total / labels[name] for name, loss in losses(outputs, part).items()]
        return jnp.sum(jnp.stack(means)), rest

    def add(carry: tuple[Any, Array, Any], item: tuple[Mapping[str, Array], Array]) -> tuple[Any, None]:
        gradient, total, rest = carry
        part, number = item
        value = jax.value_and_grad(part_loss, has_aux=True)
        (loss, rest), more = value(params, rest, part, jax.random.fold_in(key, number))
        return (jax.tree.map(jnp.add, gradient, more), total + loss, rest), None

    start = jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.float32), rest
    items = {name: in_parts(x, parts) for name, x in shown.items()}, jnp.arange(parts, dtype=jnp.uint32)
    (gradient, total, rest), _ = jax.lax.scan(add, start, items)
    return total, rest, gradient


def set_step(objective: Any, training: Training, name: str) -> None:
    """Tell an objective how its step computes.

    Raises
    ------
    InputError
        Its class has a step of its own and does not say, in ``step_settings``, that it follows the setting.
    """
    owner = next(cls for cls in type(objective).__mro__ if "step" in vars(cls))
    known = vars(owner).get("step_settings", ())
    for setting, plain in (("precision", "float32"), ("accumulate", 1)):
        value = getattr(training, setting)
        if value == plain:
            continue
        if setting not in known:
            raise InputError(
                f"training.{setting}",
                f"objective {name!r} has a step of its own, which does not follow it; leave {setting} at {plain}",
            )
        setattr(objective, setting, value)
