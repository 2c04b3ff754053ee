"""The Captum side of bench_attribution.py: the same networks, explained by DeepLift and DeepLiftShap.

Reads one JSON command a line and answers with one JSON line. Needs torch and captum (requirements-attribution.txt
beside this file). Weights, sequences and references come in ``network.npz``, in the layout of seqmill: kernels
(width, in, out), features (position, channel). Captum sees activations only as modules, each used once; and where one
follows another at once (ReLU, then pooling), captum 0.9.0 with torch 2.13 loses the multiplier of one of them, and its
sums are off by more than half. A product with 1 between them helps.
"""

import time
import warnings
from pathlib import Path

import captum
import numpy as np
import torch
from answers import serve
from captum.attr import DeepLift, DeepLiftShap
from torch import nn

warnings.filterwarnings("ignore")  # that it sets hooks


class Convolutional(nn.Module):
    """Basset (with normalisation) and DeepSEA: convolution, ReLU, pooling; dense layers; one output."""

    def __init__(self, tensors: dict, pools: list[int], normed: bool):
        super().__init__()
        prefix = "denses." if normed else "hidden"
        kernels = [tensors[f"params.convs.{n}.kernel"] for n in range(len(pools))]
        self.convs = nn.ModuleList([convolution(tensors, f"convs.{n}") for n in range(len(pools))])
        self.norms = nn.ModuleList(
            [norm(tensors, f"conv_norms.{n}") if normed else nn.Identity() for n in range(len(pools))]
        )
        self.relus = nn.ModuleList([nn.ReLU() for _ in kernels])
        self.pools = nn.ModuleList([nn.MaxPool1d(pool) if pool > 1 else nn.Identity() for pool in pools])
        names = sorted({".".join(k.split(".")[1:-1]) for k in tensors if k.startswith(f"params.{prefix}")})
        self.denses = nn.ModuleList([dense(tensors, name) for name in names])
        self.dense_norms = nn.ModuleList(
            [norm(tensors, name.replace("denses", "dense_norms")) if normed else nn.Identity() for name in names]
        )
        self.dense_relus = nn.ModuleList([nn.ReLU() for _ in names])
        self.head = dense(tensors, "heads.layers.out")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv, batch_norm, relu, pool in zip(self.convs, self.norms, self.relus, self.pools):
            x = pool(relu(batch_norm(conv(x))) * 1.0)
        x = x.transpose(1, 2).flatten(1)
        for layer, batch_norm, relu in zip(self.denses, self.dense_norms, self.dense_relus):
            x = relu(batch_norm(layer(x)))
        return self.head(x)


class BPNet(nn.Module):
    """The count of BPNet: dilated residual convolutions, mean over positions, one output."""

    def __init__(self, tensors: dict, layers: int):
        super().__init__()
        self.stem, self.relu = convolution(tensors, "stem"), nn.ReLU()
        self.dilated = nn.ModuleList([convolution(tensors, f"dilated.{n}", 2 ** (n + 1)) for n in range(layers)])
        self.relus = nn.ModuleList([nn.ReLU() for _ in range(layers)])
        self.head = dense(tensors, "heads.layers.out")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.stem(x))
        for layer, relu in zip(self.dilated, self.relus):
            y = relu(layer(x))
            cut = (x.shape[2] - y.shape[2]) // 2
            x = x[:, :, cut : cut + y.shape[2]] + y
        return self.head(x.mean(dim=2))


def _filled(layer: nn.Module, **values: np.ndarray) -> nn.Module:
    with torch.no_grad():
        for name, value in values.items():
            getattr(layer, name).copy_(torch.tensor(np.ascontiguousarray(value)))
    return layer


def convolution(tensors: dict, name: str, dilation: int = 1) -> nn.Module:
    kernel = tensors[f"params.{name}.kernel"]
    width, inputs, outputs = kernel.shape
    layer = nn.Conv1d(inputs, outputs, width, dilation=dilation)
    return _filled(layer, weight=kernel.transpose(2, 1, 0), bias=tensors[f"params.{name}.bias"])


def dense(tensors: dict, name: str) -> nn.Module:
    kernel = tensors[f"params.{name}.kernel"]
    return _filled(nn.Linear(*kernel.shape), weight=kernel.T, bias=tensors[f"params.{name}.bias"])


def norm(tensors: dict, name: str) -> nn.Module:
    parts = {"weight": "params.{}.scale", "bias": "params.{}.bias"}
    parts |= {"running_mean": "state.{}.mean", "running_var": "state.{}.var"}
    values = {mine: tensors[theirs.format(name)] for mine, theirs in parts.items()}
    return _filled(nn.BatchNorm1d(len(values["bias"])), **values)


class Side:
    def __init__(self, folder: str, network: str, shape: dict, threads: int):
        torch.set_num_threads(threads)
        self.facts = {"torch": torch.__version__, "captum": captum.__version__}
        self.folder = Path(folder)
        tensors = dict(np.load(self.folder / "network.npz"))
        if network == "bpnet":
            self.module = BPNet(tensors, shape["dilated_layers"])
        else:
            self.module = Convolutional(tensors, shape["pools"], normed=network == "basset")
        self.module.eval()
        eye = torch.eye(4)
        self.inputs, self.references = (
            eye[torch.tensor(tensors[key].astype(np.int64))] for key in ("codes", "references")
        )

    def explain(self, together: bool) -> dict:
        """Contributions (sequence, position) in float64 into ``captum.npz``, and how far sums are from differences.

        ``together``: DeepLiftShap with all references at once, else DeepLift with one after another.
        """
        module = self.module.double()
        found, worst = [], 0.0
        for x, refs in zip(self.inputs.double(), self.references.double()):
            x, refs = x.T[None], refs.transpose(1, 2)
            with torch.no_grad():
                scores = module(refs)[:, 0]
                difference = module(x)[0, 0] - scores
            if together:
                rows = DeepLiftShap(module).attribute(x, refs, target=0)
                added, wanted = rows.sum()[None], difference.mean()[None]
            else:
                each = [DeepLift(module).attribute(x, ref[None], target=0) for ref in refs]
                rows = torch.stack(each).mean(dim=0)
                added, wanted = torch.stack(each).sum(dim=(1, 2, 3)), difference
            least = 1e-3 * (
                torch.cat([scores, scores + difference]).max() - torch.cat([scores, scores + difference]).min()
            )
            worst = max(worst, float(((added - wanted).abs() / torch.maximum(wanted.abs(), least)).max()))
            found.append(rows[0].sum(dim=0).detach().numpy())
        np.savez(self.folder / "captum.npz", out=np.stack(found))
        self.module.float()
        return {"error": worst}

    def run(self, n: int) -> dict:
        explain = DeepLiftShap(self.module)
        start = time.perf_counter()
        for number in range(n):
            place = number % len(self.inputs)
            explain.attribute(self.inputs[place].T[None], self.references[place].transpose(1, 2), target=0)
        return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    serve(Side)
