"""A small dilated convolutional network for binned profiles.

The shape is Basenji's (Kelley et al., Genome Research 28:739, 2018, "Model architecture") made small: a stem of
convolutions that pool down to the bin, residual dilated convolutions whose dilation doubles, and a dense layer at
every bin. Targets without positions get the mean over bins.
"""

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from jax import Array
from pydantic import Field

from seqmill.config.base import Section
from seqmill.models.blocks import batch_norm, conv, dropout, max_pool
from seqmill.models.heads import BinHeads, Heads
from seqmill.models.registry import register, the_sequence
from seqmill.runtime.errors import InputError


class ProfileCNNSettings(Section):
    """Size of the network."""

    channels: int = Field(64, ge=1)
    stem_width: int = Field(15, ge=1)
    tower_width: int = Field(5, ge=1)
    dilated_layers: int = Field(5, ge=0)
    dropout: float = Field(0.1, ge=0, lt=1)


def prime_factors(n: int) -> list[int]:
    """Prime factors, ascending.

    >>> prime_factors(96)
    [2, 2, 2, 2, 2, 3]
    """
    factors, divisor = [], 2
    while n > 1:
        while n % divisor == 0:
            factors.append(divisor)
            n //= divisor
        divisor += 1
    return factors


@register("profile_cnn")
class ProfileCNN(nnx.Module):
    """Outputs raw values (example, bin, track) for targets with bins, (example, track) for others."""

    Settings = ProfileCNNSettings

    def __init__(
        self, inputs: Mapping[str, Any], targets: Mapping[str, Any], settings: ProfileCNNSettings, rngs: nnx.Rngs
    ):
        self.sequence, length = the_sequence(inputs, "profile_cnn")
        self.settings = settings
        binned = {name: spec for name, spec in targets.items() if len(spec.shape_per_example) == 2}
        plain = {name: spec for name, spec in targets.items() if name not in binned}
        self.spans = _spans(binned, length)
        bin_bp = min((spec.bp_per_bin for spec in binned.values()), default=32)
        channels = settings.channels
        self.pools = prime_factors(bin_bp)
        self.stem = conv(4, channels, settings.stem_width, rngs)
        self.stem_norm = batch_norm(channels, rngs)
        self.tower = nnx.List([conv(channels, channels, settings.tower_width, rngs) for _ in self.pools[1:]])
        self.tower_norms = nnx.List([batch_norm(channels, rngs) for _ in self.pools[1:]])
        dilations = [2**n for n in range(settings.dilated_layers)]
        self.dilated = nnx.List([conv(channels, channels, 3, rngs, dilation=d) for d in dilations])
        self.dilated_norms = nnx.List([batch_norm(channels, rngs) for _ in dilations])
        self.bin_heads = BinHeads(channels, binned, rngs)
        self.heads = Heads(channels, plain, rngs)

    def __call__(self, inputs: Mapping[str, Array], *, train: bool, key: Array | None = None) -> dict[str, Array]:
        pools = self.pools or [1]
        x = nnx.relu(self.stem_norm(self.stem(inputs[self.sequence]), use_running_average=not train))
        x = max_pool(x, pools[0])
        for layer, norm, pool in zip(self.tower, self.tower_norms, pools[1:]):
            x = max_pool(nnx.relu(norm(layer(x), use_running_average=not train)), pool)
        for number, (layer, norm) in enumerate(zip(self.dilated, self.dilated_norms)):
            y = nnx.relu(norm(layer(x), use_running_average=not train))
            x = x + dropout(y, self.settings.dropout, None if key is None else jax.random.fold_in(key, number), train)
        binned = self.bin_heads({name: x[:, first : first + n] for name, (first, n) in self.spans.items()})
        return {**binned, **self.heads(x.mean(axis=1))}


def _spans(binned: Mapping[str, Any], length: int) -> dict[str, tuple[int, int]]:
    """First bin of the trunk and number of bins of each binned target."""
    sizes = {spec.bp_per_bin for spec in binned.values()}
    if len(sizes) > 1:
        raise InputError("profile_cnn", f"profiles must share one bin_bp, found {sorted(sizes)}")
    spans = {}
    for name, spec in binned.items():
        bins, bin_bp, offset = spec.shape_per_example[0], spec.bp_per_bin, spec.offset_bp
        if length % bin_bp or offset % bin_bp or offset + bins * bin_bp > length:
            raise InputError(
                "profile_cnn",
                f"target {name!r} ({bins} bins of {bin_bp} bp from {offset} bp on) does not lie on the bins of a "
                f"window of {length} bp",
            )
        spans[name] = (offset // bin_bp, bins)
    return spans
