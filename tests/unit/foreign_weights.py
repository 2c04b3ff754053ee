"""What tests of imported weights share: a small Basset as PyTorch lays it out, and what it computes in plain NumPy."""

from pathlib import Path

import numpy as np
import yaml

BP = 40
NETWORK = {
    "architecture": "basset",
    "settings": {"filters": [5, 6], "widths": [5, 3], "pools": [2, 2], "hidden": [7, 7]},
    "window_bp": BP,
    "targets": {"peaks": {"tracks": ["a", "b", "c"], "kind": "quantity"}},  # outputs as they are
}
# (40 - 5 + 1) // 2 = 18, (18 - 3 + 1) // 2 = 8 positions of 6 channels
CHANNELS, POSITIONS = 6, 8
LAYERS = {"convs.0": "c1", "convs.1": "c2", "conv_norms.0": "b1", "conv_norms.1": "b2", "denses.0": "f1",
          "denses.1": "f2", "dense_norms.0": "b3", "dense_norms.1": "b4", "heads.layers.peaks": "out"}  # fmt: skip


def torch_basset(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights as ``state_dict`` names and lays them out: (out, in, position), (out, in)."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}

    def layer(name: str, *shape: int) -> None:
        found[f"{name}.weight"] = rng.normal(0, 0.5, shape).astype(np.float32)
        found[f"{name}.bias"] = rng.normal(0, 0.5, shape[0]).astype(np.float32)

    def norm(name: str, n: int) -> None:
        for part, low in (("weight", 0.5), ("bias", -1), ("running_mean", -1), ("running_var", 0.2)):
            found[f"{name}.{part}"] = rng.uniform(low, 1.5, n).astype(np.float32)
        found[f"{name}.num_batches_tracked"] = np.array(7)

    layer("c1", 5, 4, 5)
    layer("c2", 6, 5, 3)
    layer("f1", 7, CHANNELS * POSITIONS)
    layer("f2", 7, 7)
    layer("out", 3, 7)
    for name, n in (("b1", 5), ("b2", 6), ("b3", 7), ("b4", 7)):
        norm(name, n)
    return found


def torch_outputs(w: dict[str, np.ndarray], x: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    """Logits (example, 3) of one-hot (example, 4, bp), as PyTorch computes them: channels first, float64 loops."""
    w = {name: array.astype(np.float64) for name, array in w.items()}

    def norm(v: np.ndarray, name: str) -> np.ndarray:
        """Along the first axis."""
        parts = [w[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")]
        mean, var, scale, bias = (part.reshape(-1, *[1] * (v.ndim - 1)) for part in parts)
        return (v - mean) / np.sqrt(var + epsilon) * scale + bias

    outputs = []
    for h in x.astype(np.float64):
        for number in "12":
            kernel, bias = w[f"c{number}.weight"], w[f"c{number}.bias"]
            width = kernel.shape[2]
            out = np.zeros((len(kernel), h.shape[1] - width + 1))
            for f in range(len(kernel)):
                for p in range(out.shape[1]):
                    out[f, p] = (h[:, p : p + width] * kernel[f]).sum() + bias[f]
            h = np.maximum(norm(out, f"b{number}"), 0)
            h = np.stack([h[:, p : p + 2].max(axis=1) for p in range(0, h.shape[1] - 1, 2)], axis=1)
        v = h.reshape(-1)  # channel by channel
        for dense, name in (("f1", "b3"), ("f2", "b4")):
            v = np.maximum(norm(w[f"{dense}.weight"] @ v + w[f"{dense}.bias"], name), 0)
        outputs.append(w["out.weight"] @ v + w["out.bias"])
    return np.array(outputs)


def codes_and_one_hot(n: int, bp: int, seed: int = 1, bases: str = "ACGT") -> tuple[np.ndarray, np.ndarray]:
    """Codes (n, bp) as ours, and one-hot (n, 4, bp) in an order of bases; one base is N."""
    codes = np.random.default_rng(seed).integers(0, 4, (n, bp)).astype(np.uint8)
    codes[0, 3] = 4
    x = np.stack([codes == "ACGT".index(base) for base in bases], axis=1).astype(np.float32)
    return codes, x


def write_yaml(path: Path, **content) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path
