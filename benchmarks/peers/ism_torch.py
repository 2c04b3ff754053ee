"""tangermeme's side of bench_ism.py: its `saturation_mutagenesis` on the same weights and sequence.

With ``fast`` it follows edits through the layers as fastISM does. By itself it only tries that where the whole job
would take half a minute; here it always does, and the time for capturing and checking the network, which a long job
does not notice, is told apart.

Reads one JSON command a line and answers with one JSON line. Needs requirements-tangermeme.txt, and the networks of
step_torch.py beside this file.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import tangermeme
import tangermeme.saturation_mutagenesis as mutagenesis
import torch
from answers import serve
from step_torch import NETWORKS, conv, own_name, pool, to_torch
from torch import nn
from torch.nn import functional as F

# It decides by these whether to follow edits.
mutagenesis._FAST_MIN_SECONDS, mutagenesis._FAST_MAX_RELATIVE_TIME = 0.0, float("inf")
FAST_PATH = mutagenesis._fast_path


class FactorizedBasset(nn.Module):
    """As seqmill's: padded convolutions in stacks, each stack pooled."""

    def __init__(self, shape: dict, flat: bool):
        super().__init__()
        filters, widths = [[48, 64, 100, 150, 300], [200, 200, 200], [200]], [[3, 3, 3, 7, 7], [7, 3, 3], [7]]
        self.pools, channels, positions, stacks, norms = [3, 4, 4], 4, shape["bp"], [], []
        for sizes, reaches, by in zip(filters, widths, self.pools):
            stack = []
            for outputs, width in zip(sizes, reaches):
                stack.append(conv(channels, outputs, width, flat, same=True))
                channels = outputs
            stacks.append(nn.ModuleList(stack))
            norms.append(nn.ModuleList([nn.BatchNorm1d(n) for n in sizes]))
            positions //= by
        self.stacks, self.norms = nn.ModuleList(stacks), nn.ModuleList(norms)
        self.denses = nn.ModuleList([nn.Linear(channels * positions, 1000), nn.Linear(1000, 1000)])
        self.dense_norms = nn.ModuleList([nn.BatchNorm1d(1000), nn.BatchNorm1d(1000)])
        self.head = nn.Linear(1000, shape["tasks"])

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        for stack, norms, by in zip(self.stacks, self.norms, self.pools):
            for layer, norm in zip(stack, norms):
                x = F.relu(norm(layer(x)))
            x = pool(x, by)
        x = x.flatten(1)
        for dense, norm in zip(self.denses, self.dense_norms):
            x = F.relu(norm(dense(x)))
        return {"peaks": self.head(x)}


class Scores(nn.Module):
    """Logits of tasks; of a profile the log of its total and the count, before their functions."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.network(x)
        if "peaks" in found:
            return found["peaks"]
        return torch.cat([found["profile"].flatten(1).logsumexp(1, keepdim=True), found["count"]], dim=1)


class Side:
    def __init__(self, folder: str, kind: str, shape: dict, threads: int, device: str = "cpu"):
        torch.set_num_threads(threads)
        self.folder, self.device = Path(folder), device
        model = FactorizedBasset(shape, True) if kind == "factorized_basset" else NETWORKS[kind](shape, True)
        own = dict(model.state_dict())
        flattened = {"basset": "denses.0.kernel", "factorized_basset": "denses.0.kernel", "deepsea": "hidden.kernel"}
        last = {"basset": 200, "factorized_basset": 200, "deepsea": 960}
        with torch.no_grad():
            for key, value in np.load(self.folder / "weights.npz").items():
                part, _, name = key.partition(".")
                if part == "state":
                    own[name.replace("mean", "running_mean").replace("var", "running_var")].copy_(
                        torch.from_numpy(value)
                    )
                else:
                    target = own[own_name(name)]
                    target.copy_(to_torch(name, value, target, last[kind] if name == flattened.get(kind) else None))
        self.model = Scores(model.eval()).to(device)
        codes = torch.from_numpy(np.load(self.folder / "codes.npy"))
        self.codes, self.x = codes, (codes[None, None, :] == torch.arange(4, dtype=torch.uint8)[:, None]).float()
        self.facts = {
            "tangermeme": tangermeme.__version__,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }

    def run(self, batch: int, fast: bool, keep: bool = False, most: int | None = None) -> dict:
        """All substitutions, or those of the first ``most`` / 3 bases."""
        preparing = 0.0

        def prepared(*args: Any) -> tuple[Any, None, int]:
            nonlocal preparing
            start = time.perf_counter()
            found, _, _ = FAST_PATH(*args)
            preparing = time.perf_counter() - start
            if found is None:
                raise RuntimeError("tangermeme did not follow the edits")
            return found, None, 0  # the first edits, predicted on trial, are computed as the others

        mutagenesis._fast_path = prepared
        stop = self.x.shape[2] if most is None else most // 3
        start = time.perf_counter()
        with torch.no_grad():
            before, after = mutagenesis.saturation_mutagenesis(
                self.model, self.x, start=0, end=stop, batch_size=batch, device=self.device, raw_outputs=True, fast=fast
            )
        seconds = time.perf_counter() - start - preparing
        if keep:  # (1, base, position, track), the base that is there among them
            change = (after - before[:, None, None])[0].permute(1, 0, 2)
            others = torch.arange(4)[None, :] != self.codes[:stop, None]
            np.save(self.folder / f"tangermeme{'-fast' * fast}.npy", change[others].cpu().numpy())
        return {"seconds": seconds, "substitutions": 3 * stop, "preparing_s": preparing}


if __name__ == "__main__":
    serve(Side)
