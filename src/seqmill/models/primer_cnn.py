"""The tutorial network of Zou et al., "A primer on deep learning in genomics", Nature Genetics 51:12 (2019).

As in the notebook that belongs to the paper: a convolution of 32 filters of 12 bp without an activation, max pooling
over 4, a dense layer of 16 units with ReLU, and the output. On its 50 bp and with the notebook's two softmax outputs
6,226 parameters were trained; one sigmoid output a binary track, as here, says the same with 6,209.
"""

from collections.abc import Mapping
from typing import Any

from flax import nnx
from jax import Array
from pydantic import Field

from seqmill.config.base import Section
from seqmill.models.blocks import conv, linear, max_pool
from seqmill.models.heads import Heads
from seqmill.models.registry import register, the_sequence
from seqmill.runtime.errors import InputError


class PrimerCNNSettings(Section):
    """Defaults are the published network."""

    filters: int = Field(32, ge=1)
    width: int = Field(12, ge=1)
    pool: int = Field(4, ge=1)
    hidden: int = Field(16, ge=1)


@register("primer_cnn")
class PrimerCNN(nnx.Module):
    """Outputs logits (or raw values), one array a target. Input: one sequence (example, bp, 4)."""

    Settings = PrimerCNNSettings

    def __init__(
        self, inputs: Mapping[str, Any], targets: Mapping[str, Any], settings: PrimerCNNSettings, rngs: nnx.Rngs
    ):
        self.sequence, length = the_sequence(inputs, "primer_cnn")
        self.pool = settings.pool
        positions = (length - settings.width + 1) // settings.pool
        if positions < 1:
            raise InputError("primer_cnn", f"a window of {length} bp is too short for width and pool of these settings")
        self.conv = conv(4, settings.filters, settings.width, rngs, padding="VALID")
        self.hidden = linear(settings.filters * positions, settings.hidden, rngs)
        self.heads = Heads(settings.hidden, targets, rngs)

    def __call__(self, inputs: Mapping[str, Array], *, train: bool, key: Array | None = None) -> dict[str, Array]:
        x = max_pool(self.conv(inputs[self.sequence]), self.pool)
        return self.heads(nnx.relu(self.hidden(x.reshape(x.shape[0], -1))))
