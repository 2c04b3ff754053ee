"""What an array of a dataset is: its geometry, and the rules by which windows may be moved or turned round."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from seqmill.runtime.errors import InputError

ROLES = ("input", "target", "mask")
RC_RULES = ("sequence", "reverse", "swap", "reverse_swap", "none", "forbidden")
SHIFT_RULES = ("moves", "fixed", "forbidden")
TARGET_KINDS = (
    "binary",
    "quantity",
    "fraction",
    "count",
    "profile",
    "class",
    "distribution",
    "beta_binomial",
    "contact",
    "none",
)


@dataclass(frozen=True)
class ArraySpec:
    """Declared geometry of one array.

    Attributes
    ----------
    role : "input", "target" or "mask".
    name, group : of the input or target; ``group`` is "" for inputs.
    axes : names of all axes, "example" first, "tracks" last where there are tracks.
    dtype : NumPy name, e.g. "uint8".
    shape_per_example : shape without the example axis, in the order of ``axes``.
    kind : target kind (one of `TARGET_KINDS`) or input kind (sequence, features, states, distances, length, genotype).
    bp_per_bin : bp of a bin, 1 for bases, 0 where no axis runs along the genome.
    offset_bp : start of the first bin against the start of the window, margin excluded.
    margin_bp : bp that the array holds on each side beyond its declared extent.
    rc : what reverse complement does: "sequence" (complement and reverse), "reverse" bins, "swap" strand pairs,
        "reverse_swap", "none" (unchanged), "forbidden".
    shift : what a shift of the window does: the array "moves", stays "fixed", or it is "forbidden".
    tracks : names along the last axis. strand_pairs : for each the partner's name, or its own.
    units, missing : of the values; what a gap of the source means ("zero" or "nan").
    """

    role: str
    name: str
    axes: tuple[str, ...]
    dtype: str
    shape_per_example: tuple[int, ...]
    kind: str
    group: str = ""
    bp_per_bin: int = 0
    offset_bp: int = 0
    margin_bp: int = 0
    rc: str = "none"
    shift: str = "fixed"
    tracks: tuple[str, ...] = ()
    strand_pairs: tuple[str, ...] = ()
    units: str = ""
    missing: str = ""

    def __post_init__(self) -> None:
        for name in ("axes", "shape_per_example", "tracks", "strand_pairs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.tracks and not self.strand_pairs:
            object.__setattr__(self, "strand_pairs", self.tracks)
        where = f"array {self.name}"
        for key, known in (("role", ROLES), ("rc", RC_RULES), ("shift", SHIFT_RULES)):
            if getattr(self, key) not in known:
                raise InputError(where, f"{key} {getattr(self, key)!r}; expected one of {', '.join(known)}")
        if self.role != "input" and self.kind not in TARGET_KINDS:
            raise InputError(where, f"target kind {self.kind!r}; expected one of {', '.join(TARGET_KINDS)}")
        if self.axes[:1] != ("example",) or len(self.axes) != len(self.shape_per_example) + 1:
            raise InputError(where, f"axes {self.axes} do not fit the shape {self.shape_per_example} of an example")
        if self.tracks and (self.axes[-1] != "tracks" or self.shape_per_example[-1] != len(self.tracks)):
            raise InputError(where, f"{len(self.tracks)} tracks for axes {self.axes} of {self.shape_per_example}")
        if len(self.strand_pairs) != len(self.tracks):
            raise InputError(where, f"{len(self.strand_pairs)} strand pairs for {len(self.tracks)} tracks")
        np.dtype(self.dtype)

    @property
    def bytes_per_example(self) -> int:
        return int(np.prod(self.shape_per_example, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def to_json(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ArraySpec":
        known = {item.name for item in fields(cls)}
        return cls(**{key: item for key, item in value.items() if key in known})


@dataclass(frozen=True)
class TargetSpec:
    """A target with the tracks of all its groups, in the dataset's order.

    Attributes
    ----------
    shape_per_example : with the joined tracks last.
    strand_pairs : index of the partner of each track; a track without one has its own.
    groups : names of the groups. track_groups : group of each track.
    masked : whether some value is missing; else every mask is all True.
    Others as in `ArraySpec`.
    """

    name: str
    kind: str
    dtype: str
    axes: tuple[str, ...]
    shape_per_example: tuple[int, ...]
    tracks: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    strand_pairs: tuple[int, ...] = ()
    masked: bool = False
    bp_per_bin: int = 0
    offset_bp: int = 0
    margin_bp: int = 0
    rc: str = "none"
    shift: str = "fixed"
    units: tuple[str, ...] = field(default=())
    track_groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("axes", "shape_per_example", "tracks", "groups", "strand_pairs", "units", "track_groups"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "TargetSpec":
        known = {item.name for item in fields(cls)}
        return cls(**{key: item for key, item in value.items() if key in known})


def track_names(spec: Any) -> list[str]:
    """Names along the last axis of a target: its tracks or classes; one without names has its own, or numbers."""
    width = spec.shape_per_example[-1] if spec.shape_per_example else 1
    return list(spec.tracks) or ([spec.name] if width == 1 else [f"{spec.name} {i}" for i in range(width)])


def join_groups(specs: Sequence[ArraySpec], *, masked: bool, where: str) -> TargetSpec:
    """The target that groups of tracks make together. Raises InputError where their geometry differs."""
    first = specs[0]
    for spec in specs[1:]:
        for key in ("kind", "axes", "bp_per_bin", "offset_bp", "margin_bp", "shift"):
            mine, other = getattr(first, key), getattr(spec, key)
            if mine != other:
                message = f"target {first.name}: {key} of group {spec.group} is {other}, of group {first.group} {mine}"
                raise InputError(where, message)
        if spec.shape_per_example[:-1] != first.shape_per_example[:-1]:
            raise InputError(
                where,
                f"target {first.name}: an example of group {spec.group} has shape {spec.shape_per_example}, "
                f"of group {first.group} {first.shape_per_example}",
            )
    tracks = [track for spec in specs for track in spec.tracks]
    index = {track: i for i, track in enumerate(tracks)}
    if len(index) != len(tracks):
        double = next(track for track in tracks if tracks.count(track) > 1)
        raise InputError(where, f"target {first.name}: track {double} is in it twice")
    pairs = []
    for track, partner in ((t, p) for spec in specs for t, p in zip(spec.tracks, spec.strand_pairs)):
        if partner not in index:
            raise InputError(where, f"target {first.name}: {partner}, strand pair of {track}, is not in the target")
        pairs.append(index[partner])
    width = sum(spec.shape_per_example[-1] for spec in specs) if first.shape_per_example else 0
    return TargetSpec(
        name=first.name,
        kind=first.kind,
        dtype=np.result_type(*(spec.dtype for spec in specs)).name,
        axes=first.axes,
        shape_per_example=(*first.shape_per_example[:-1], width) if first.shape_per_example else (),
        tracks=tuple(tracks),
        groups=tuple(spec.group for spec in specs),
        strand_pairs=tuple(pairs),
        masked=masked,
        bp_per_bin=first.bp_per_bin,
        offset_bp=first.offset_bp,
        margin_bp=first.margin_bp,
        rc=_joined_rc(specs, where),
        shift=first.shift,
        units=tuple(spec.units for spec in specs for _ in spec.tracks),
        track_groups=tuple(spec.group for spec in specs for _ in spec.tracks),
    )


def _joined_rc(specs: Sequence[ArraySpec], where: str) -> str:
    """A group without pairs does not hinder another's: its tracks are their own partners."""
    rules = {spec.rc for spec in specs}
    for plain, swapped in (("none", "swap"), ("reverse", "reverse_swap")):
        if rules == {plain, swapped}:
            return swapped
    if len(rules) > 1:
        raise InputError(
            where, f"target {specs[0].name}: groups have different reverse-complement rules {sorted(rules)}"
        )
    return rules.pop()
