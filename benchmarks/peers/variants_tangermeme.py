"""tangermeme's side of the rates of variants: ``variant_effect.substitution_effect`` on the same windows and weights.

Reads one JSON command a line and answers with one JSON line. Needs requirements-tangermeme.txt, and the networks of
step_torch.py beside this file. Windows lie in memory as one-hot float32, a part at a time.
"""

import math
import time
from pathlib import Path

import numpy as np
import tangermeme
import torch
from answers import serve
from step_torch import NETWORKS, own_name, to_torch
from tangermeme.variant_effect import substitution_effect
from torch import nn
from torch.nn import functional as F

PART = 2048
_ONE = math.log(math.e - 1)  # as in seqmill: softplus of it is 1


class Predictions(nn.Module):
    """Predictions as one number a track: probabilities of peaks, or expected totals of count and profile."""

    def __init__(self, network: nn.Module, scales: dict[str, list[float]]):
        super().__init__()
        self.network, self.scales = network, scales

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.network(x)
        if "peaks" in found:
            return torch.sigmoid(found["peaks"])
        rates = {name: F.softplus(raw + _ONE) * self.scales[name][0] for name, raw in found.items()}
        return torch.cat([rates["count"], rates["profile"].sum(dim=1)], dim=1)


class Side:
    def __init__(self, folder: str, network: str, shape: dict, scales: dict, threads: int):
        torch.set_num_threads(threads)
        self.folder, self.network = Path(folder), network
        model = NETWORKS[network](shape, True)
        weights = dict(np.load(self.folder / f"{network}.weights.npz"))
        own = dict(model.state_dict())
        with torch.no_grad():
            for key, value in weights.items():
                kind, _, name = key.partition(".")
                if kind == "state":
                    name = name.replace("mean", "running_mean").replace("var", "running_var")
                    own[name].copy_(torch.from_numpy(value))
                else:
                    channels = shape["filters"][-1] if name == "denses.0.kernel" else None
                    target = own[own_name(name)]
                    target.copy_(to_torch(name, value, target, channels))
        self.model = Predictions(model.eval(), scales)
        with np.load(self.folder / f"{network}.windows.npz") as file:
            self.ref, self.alt = file["ref"], file["alt"]
        self.facts = {
            "tangermeme": tangermeme.__version__,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }

    def _part(self, first: int, batch: int) -> np.ndarray:
        codes = torch.from_numpy(self.ref[first : first + PART])
        n, length = codes.shape
        x = (codes[:, None, :] == torch.arange(4, dtype=torch.uint8)[:, None]).float()
        edits = np.stack([np.arange(n), np.full(n, length // 2), self.alt[first : first + PART]], axis=1)
        start = time.perf_counter()
        before, after = substitution_effect(
            self.model, x, torch.from_numpy(edits.astype(np.int64)), batch_size=batch, device="cpu"
        )
        self.seconds += time.perf_counter() - start  # coding the windows is not counted
        self.largest = max(self.largest, float(before.abs().max()))
        return (after - before).numpy()

    def effects(self, batch: int, parts: int | None = None, keep: bool = False) -> dict:
        self.seconds = self.largest = 0.0
        firsts = range(0, len(self.ref), PART)[:parts]
        found = [self._part(first, batch) for first in firsts]
        if keep:
            np.save(self.folder / f"{self.network}.tangermeme.npy", np.concatenate(found))
            np.save(self.folder / f"{self.network}.largest.npy", self.largest)
        return {"seconds": self.seconds, "variants": sum(map(len, found))}


if __name__ == "__main__":
    serve(Side)
