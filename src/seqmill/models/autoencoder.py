"""A small convolutional autoencoder of sequences: a window to a few numbers, and back to a base at every position.

Three convolutions with pooling and a dense layer make the code; dense layers make ``channels`` numbers for each stretch
of ``pool`` ** 3 bp, and three upsampling convolutions turn them into four logits a base. The shape is our own; it is
trained by the objective ``autoencoder`` (`seqmill.training.autoencoder`). With the defaults, 500 bp become 10 numbers.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array
from pydantic import Field

from seqmill.config.base import Section
from seqmill.models.blocks import conv, linear, max_pool
from seqmill.models.registry import register, the_sequence

EMBEDDING, RECONSTRUCTION = "embedding", "reconstruction"
_LAYERS = 3


class AutoencoderSettings(Section):
    """Size of the network."""

    numbers: int = Field(10, ge=1, description="Numbers that a window becomes.")
    channels: int = Field(32, ge=1)
    width: int = Field(9, ge=1)
    pool: int = Field(4, ge=1)


@register("autoencoder")
class Autoencoder(nnx.Module):
    """Outputs "embedding" (example, numbers) and "reconstruction" (example, bp, 4), logits in the order ACGT."""

    Settings = AutoencoderSettings

    def __init__(
        self, inputs: Mapping[str, Any], targets: Mapping[str, Any], settings: AutoencoderSettings, rngs: nnx.Rngs
    ):
        self.sequence, self.length = the_sequence(inputs, "autoencoder")
        n, self.pool = settings.channels, settings.pool
        self.stretches = -(-self.length // self.pool**_LAYERS)
        self.down = nnx.List([conv(4 if i == 0 else n, n, settings.width, rngs) for i in range(_LAYERS)])
        self.code = linear(self.stretches * n, settings.numbers, rngs)
        self.decode = linear(settings.numbers, self.stretches * n, rngs)
        self.up = nnx.List([conv(n, n, settings.width, rngs) for _ in range(_LAYERS)])
        self.base = conv(n, 4, 1, rngs)

    def __call__(self, inputs: Mapping[str, Array], *, train: bool, key: Array | None = None) -> dict[str, Array]:
        x = inputs[self.sequence]
        padding = self.stretches * self.pool**_LAYERS - self.length
        x = jnp.pad(x, ((0, 0), (0, padding), (0, 0)))  # as N
        for layer in self.down:
            x = max_pool(nnx.relu(layer(x)), self.pool)
        embedding = self.code(x.reshape(x.shape[0], -1))
        y = nnx.relu(self.decode(embedding)).reshape(x.shape)
        for layer in self.up:
            y = nnx.relu(layer(jnp.repeat(y, self.pool, axis=1)))
        return {EMBEDDING: embedding, RECONSTRUCTION: self.base(y)[:, : self.length]}
