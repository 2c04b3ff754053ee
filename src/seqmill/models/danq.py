"""DanQ: Quang and Xie, Nucleic Acids Research 44:e107 (2016).

One convolution of 320 filters of 26 bp with ReLU, max pooling over 13, dropout 0.2, a bidirectional LSTM of 320 units
in each direction, dropout 0.5, a dense layer of 925 units with ReLU and one sigmoid output a feature. The convolution
is not padded: 1,000 bp become 75 positions. With 919 outputs 46,926,479 parameters.
The layers are those on which open implementations agree.

The gates are logistic functions; weights start as torch's do, the bias of the forget gate at 1.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from pydantic import Field

from seqmill.config.base import Section
from seqmill.models.blocks import conv, dropout, linear, max_pool
from seqmill.models.heads import Heads
from seqmill.models.registry import register, the_sequence
from seqmill.runtime.errors import InputError


class DanQSettings(Section):
    """Defaults are the published network. ``lstm`` is the number of units in each direction."""

    filters: int = Field(320, ge=1)
    width: int = Field(26, ge=1)
    pool: int = Field(13, ge=1)
    pool_dropout: float = Field(0.2, ge=0, lt=1)
    lstm: int = Field(320, ge=1)
    lstm_dropout: float = Field(0.5, ge=0, lt=1)
    hidden: int = Field(925, ge=1)


class BidirectionalLSTM(nnx.Module):
    """Long short-term memory over positions, forwards and backwards: (example, position, n) to (…, 2 × units).

    Both directions run in one `jax.lax.scan`, so that the step is compiled once, each with its own small products: one
    batched product would transpose all gates before and after.
    Gates lie along the last axis in the order input, forget, cell, output; the first axis of the parameters is the
    direction.
    """

    def __init__(self, features: int, units: int, rngs: nnx.Rngs):
        bound = 1 / math.sqrt(units)

        def uniform(*shape: int) -> Array:
            return jax.random.uniform(rngs.params(), shape, jnp.float32, -bound, bound)

        self.units = units
        self.kernel = nnx.Param(uniform(2, features, 4 * units))
        self.recurrent = nnx.Param(uniform(2, units, 4 * units))
        self.bias = nnx.Param(jnp.zeros((2, 4 * units)).at[:, units : 2 * units].set(1.0))

    def __call__(self, x: Array) -> Array:
        x = x.transpose(1, 0, 2)
        kernel, recurrent, bias = self.kernel[...], self.recurrent[...], self.bias[...]
        # All that does not depend on the moment before is one product over all positions.
        driven = (x @ kernel[0] + bias[0], x[::-1] @ kernel[1] + bias[1])

        def moment(carry: list[tuple[Array, Array]], drives: tuple[Array, Array]):
            states = [_cell(drive + h @ w, cell) for (h, cell), drive, w in zip(carry, drives, recurrent)]
            return states, [hidden for hidden, _ in states]

        start = jnp.zeros((x.shape[1], self.units), x.dtype)
        _, (forwards, backwards) = jax.lax.scan(moment, [(start, start), (start, start)], driven)
        return jnp.concatenate([forwards, backwards[::-1]], axis=-1).transpose(1, 0, 2)


def _cell(gates: Array, cell: Array) -> tuple[Array, Array]:
    """Hidden state and cell (example, units) after a moment, from the gates before their functions."""
    take, keep, new, show = jnp.split(gates, 4, axis=-1)
    cell = nnx.sigmoid(keep) * cell + nnx.sigmoid(take) * jnp.tanh(new)
    return nnx.sigmoid(show) * jnp.tanh(cell), cell


@register("danq")
class DanQ(nnx.Module):
    """Outputs logits (or raw values), one array a target. Input: one sequence (example, bp, 4)."""

    Settings = DanQSettings

    def __init__(self, inputs: Mapping[str, Any], targets: Mapping[str, Any], settings: DanQSettings, rngs: nnx.Rngs):
        self.sequence, length = the_sequence(inputs, "danq")
        self.settings = settings
        positions = (length - settings.width + 1) // settings.pool
        if positions < 1:
            raise InputError("danq", f"a window of {length} bp is too short for width and pool of these settings")
        self.conv = conv(4, settings.filters, settings.width, rngs, padding="VALID")
        self.lstm = BidirectionalLSTM(settings.filters, settings.lstm, rngs)
        self.hidden = linear(2 * settings.lstm * positions, settings.hidden, rngs)
        self.heads = Heads(settings.hidden, targets, rngs)

    def __call__(self, inputs: Mapping[str, Array], *, train: bool, key: Array | None = None) -> dict[str, Array]:
        keys = (None, None) if key is None else jax.random.split(key)
        x = max_pool(nnx.relu(self.conv(inputs[self.sequence])), self.settings.pool)
        x = dropout(x, self.settings.pool_dropout, keys[0], train)
        x = dropout(self.lstm(x), self.settings.lstm_dropout, keys[1], train)
        return self.heads(nnx.relu(self.hidden(x.reshape(x.shape[0], -1))))
