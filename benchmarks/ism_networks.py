"""The networks of bench_ism.py: name -> architecture of the registry and its shape."""

from typing import Any

from seqmill.stores.specs import ArraySpec, TargetSpec

BASSET = {
    "filters": [300, 200, 200], "widths": [19, 11, 7], "pools": [3, 4, 4], "hidden": [1000, 1000], "dropout": 0.3
}  # fmt: skip
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "basset 600": ("basset", {"bp": 600, "tasks": 164, **BASSET}),
    "basset 1000": ("basset", {"bp": 1000, "tasks": 164, **BASSET}),
    "factorized basset 600": ("factorized_basset", {"bp": 600, "tasks": 164}),
    "deepsea 1000": (
        "deepsea",
        {"bp": 1000, "tasks": 919, "filters": [320, 480, 960], "width": 8, "pools": [4, 4, 1]}
        | {"dropout": [0.2, 0.2, 0.5], "hidden": 925},
    ),
    "bpnet 2114": (
        "bpnet",
        {"bp": 2114, "offset_bp": 557, "filters": 64, "width": 21, "dilated_layers": 8, "profile_width": 75},
    ),
}

# Architecture -> factor of its random weights. As drawn, their outputs differ between sequences by .04 and rounding
# would be judged; with it by 1.4 and 1.8.
GAINS = {"bpnet": 2.0, "deepsea": 2.2}


def specs(kind: str, shape: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Inputs, targets and settings of a network."""
    geometry: dict[str, Any] = {"bp_per_bin": 1, "rc": "sequence", "shift": "moves"}
    inputs = {
        "sequence": ArraySpec("input", "sequence", ("example", "bp"), "uint8", (shape["bp"],), "sequence", **geometry)
    }
    settings = {key: value for key, value in shape.items() if key not in ("bp", "tasks", "offset_bp")}
    if kind != "bpnet":
        tasks = tuple(f"t{number}" for number in range(shape["tasks"]))
        return (
            inputs,
            {"peaks": TargetSpec("peaks", "binary", "float32", ("example", "tracks"), (len(tasks),), tasks)},
            settings,
        )
    axes, place = ("example", "bins", "tracks"), {"bp_per_bin": 1, "offset_bp": shape["offset_bp"]}
    profile = TargetSpec("profile", "profile", "float32", axes, (1000, 1), ("t0",), **place)
    count = TargetSpec("count", "count", "float32", ("example", "tracks"), (1,), ("t0",))
    return inputs, {"profile": profile, "count": count}, settings
