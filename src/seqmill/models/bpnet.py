"""BPNet: Avsec et al., Nature Genetics 53:354 (2021), in the form that ChromBPNet made common.

A convolution of 64 filters of 21 bp, then eight residual convolutions of 3 positions, dilated by 2, 4, … 256, each with
ReLU. A convolution of 75 bp makes each profile; the mean over the positions that the profiles see, through a dense
layer, each count. Nothing is padded: 2,114 bp give 1,000 bp. With one profile and one count 109,122 parameters.
``width: 25`` and ``dilated_layers: 9`` are the tower of BPNet itself, ``filters: 512`` is ChromBPNet.

The profile is cut where the target lies (its ``offset_bp``, its bins: logits are averaged over a bin). What the
profile sees beyond the window's ends is read as N. A control, an input of kind "profile" named "control", is added to
the profile heads through a dense layer at every bin and to the others as log(1 + sum of the control in the window).
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array
from pydantic import Field

from seqmill.config.base import Section
from seqmill.models.blocks import conv
from seqmill.models.heads import BinHeads, Heads
from seqmill.models.registry import register, the_sequence
from seqmill.runtime.errors import InputError


class BPNetSettings(Section):
    """Defaults are the network of ChromBPNet with 64 filters."""

    filters: int = Field(64, ge=1)
    width: int = Field(21, ge=1)
    dilated_layers: int = Field(8, ge=0)
    profile_width: int = Field(75, ge=1)


@register("bpnet")
class BPNet(nnx.Module):
    """Outputs raw values (example, bin, track) for targets with bins, (example, track) for others.

    Inputs: one sequence (example, bp, 4) and, where the dataset has it, "control" (example, bin, track).
    """

    Settings = BPNetSettings

    def __init__(self, inputs: Mapping[str, Any], targets: Mapping[str, Any], settings: BPNetSettings, rngs: nnx.Rngs):
        self.sequence, _ = the_sequence(inputs, "bpnet")
        profiles = {name: spec for name, spec in targets.items() if len(spec.shape_per_example) == 2}
        if not profiles:
            raise InputError("bpnet", f"needs a target of kind 'profile', the dataset has {', '.join(targets)}")
        if settings.width % 2 == 0 or settings.profile_width % 2 == 0:
            raise InputError(
                "bpnet", "width and profile_width must be odd, so that a profile lies centred on its bases"
            )
        # First base, bins and bp a bin of each profile.
        self.places = {n: (s.offset_bp, s.shape_per_example[0], s.bp_per_bin) for n, s in profiles.items()}
        self.start = min(start for start, _, _ in self.places.values())
        self.stop = max(start + bins * bin_bp for start, bins, bin_bp in self.places.values())
        dilations = [2**layer for layer in range(1, settings.dilated_layers + 1)]
        self.reach = settings.width // 2 + sum(dilations) + settings.profile_width // 2
        n = settings.filters
        self.stem = conv(4, n, settings.width, rngs, padding="VALID")
        self.dilated = nnx.List([conv(n, n, 3, rngs, padding="VALID", dilation=d) for d in dilations])
        self.profiles = nnx.Dict(
            {
                name: conv(n, len(spec.tracks), settings.profile_width, rngs, padding="VALID")
                for name, spec in profiles.items()
            }
        )
        self.control = "control" in inputs and inputs["control"].kind == "profile"
        if self.control:
            control = inputs["control"]
            self.control_starts = {name: _place_in(control, spec, name) for name, spec in profiles.items()}
            self.control_heads = BinHeads(control.shape_per_example[1], profiles, rngs)
        self.heads = Heads(n + int(self.control), {k: s for k, s in targets.items() if k not in profiles}, rngs)

    def _seen(self, x: Array) -> Array:
        """The bases (example, bp, 4) that the profiles see, N beyond the ends of the window."""
        first, last = self.start - self.reach, self.stop + self.reach
        x = x[:, max(0, first) : last]
        return jnp.pad(x, ((0, 0), (max(0, -first), last - max(0, first) - x.shape[1]), (0, 0)))

    def __call__(self, inputs: Mapping[str, Array], *, train: bool, key: Array | None = None) -> dict[str, Array]:
        x = nnx.relu(self.stem(self._seen(inputs[self.sequence])))
        for layer in self.dilated:
            y = nnx.relu(layer(x))
            cut = (x.shape[1] - y.shape[1]) // 2
            x = x[:, cut : cut + y.shape[1]] + y
        outputs = {}
        for name, (start, bins, bin_bp) in self.places.items():
            first = start - self.start
            y = self.profiles[name](x)[:, first : first + bins * bin_bp]
            outputs[name] = y.reshape(y.shape[0], bins, bin_bp, y.shape[2]).mean(axis=2)
        features = x.mean(axis=1)
        if self.control:
            control = jnp.nan_to_num(inputs["control"].astype(jnp.float32))
            cuts = {n: control[:, s : s + self.places[n][1]] for n, s in self.control_starts.items()}
            outputs = {name: outputs[name] + y for name, y in self.control_heads(cuts).items()}
            total = jnp.log1p(jnp.maximum(control.sum(axis=(1, 2)), 0))[:, None]
            features = jnp.concatenate([features, total], axis=1)
        return {**outputs, **self.heads(features)}


def _place_in(control: Any, spec: Any, name: str) -> int:
    """First bin of the control that lies under a profile target."""
    first, rest = divmod(spec.offset_bp - control.offset_bp, spec.bp_per_bin)
    bins = control.shape_per_example[0]
    if control.bp_per_bin != spec.bp_per_bin or rest or first < 0 or first + spec.shape_per_example[0] > bins:
        raise InputError(
            "bpnet",
            f"control ({bins} bins of {control.bp_per_bin} bp from {control.offset_bp} bp on) does not cover target "
            f"{name!r} ({spec.shape_per_example[0]} bins of {spec.bp_per_bin} bp from {spec.offset_bp} bp on)",
        )
    return first
