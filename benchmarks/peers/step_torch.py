"""The PyTorch side of bench_step.py: the same networks and the same step, in a process of its own.

Reads one JSON command a line and answers with one JSON line. Needs torch alone (requirements.txt beside this file).
Weights and batch come as NumPy files in the layout of seqmill: kernels (width, in, out), features (position, channel).
gpu_torch.py takes it to a GPU.
"""

import math
import time
from pathlib import Path

import numpy as np
import torch
from answers import serve
from torch import nn
from torch.nn import functional as F

_ONE = math.log(math.e - 1)  # as in seqmill's Poisson loss: softplus of it is 1


def conv(inputs: int, outputs: int, width: int, flat: bool, dilation: int = 1, same: bool = False) -> nn.Module:
    """1-D convolution, or one over (channel, 1, position), which may lie channels last; ``same``: padded, odd width."""
    pad = dilation * (width // 2) if same else 0
    if flat:
        return nn.Conv1d(inputs, outputs, width, dilation=dilation, padding=pad)
    return nn.Conv2d(inputs, outputs, (1, width), dilation=(1, dilation), padding=(0, pad))


def pool(x: torch.Tensor, width: int) -> torch.Tensor:
    if width == 1:
        return x
    return F.max_pool1d(x, width) if x.dim() == 3 else F.max_pool2d(x, (1, width))


def batch_norm(channels: int, flat: bool) -> nn.Module:
    return nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)


class Basset(nn.Module):
    def __init__(self, shape: dict, flat: bool):
        super().__init__()
        self.pools, self.dropout = shape["pools"], shape["dropout"]
        convs, norms, channels, positions = [], [], 4, shape["bp"]
        for filters, width, by in zip(shape["filters"], shape["widths"], shape["pools"]):
            convs.append(conv(channels, filters, width, flat))
            norms.append(batch_norm(filters, flat))
            channels, positions = filters, (positions - width + 1) // by
        denses, dense_norms, features = [], [], channels * positions
        for units in shape["hidden"]:
            denses.append(nn.Linear(features, units))
            dense_norms.append(nn.BatchNorm1d(units))
            features = units
        self.convs, self.conv_norms = nn.ModuleList(convs), nn.ModuleList(norms)
        self.denses, self.dense_norms = nn.ModuleList(denses), nn.ModuleList(dense_norms)
        self.head = nn.Linear(features, shape["tasks"])

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        for layer, norm, by in zip(self.convs, self.conv_norms, self.pools):
            x = pool(F.relu(norm(layer(x))), by)
        x = x.flatten(1)
        for dense, norm in zip(self.denses, self.dense_norms):
            x = F.dropout(F.relu(norm(dense(x))), self.dropout, self.training)
        return {"peaks": self.head(x)}


class DeepSEA(nn.Module):
    def __init__(self, shape: dict, flat: bool):
        super().__init__()
        self.pools, self.dropout = shape["pools"], shape["dropout"]
        convs, channels, positions = [], 4, shape["bp"]
        for filters, by in zip(shape["filters"], shape["pools"]):
            convs.append(conv(channels, filters, shape["width"], flat))
            channels, positions = filters, (positions - shape["width"] + 1) // by
        self.convs = nn.ModuleList(convs)
        self.hidden = nn.Linear(channels * positions, shape["hidden"])
        self.head = nn.Linear(shape["hidden"], shape["tasks"])

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        for layer, by, rate in zip(self.convs, self.pools, self.dropout):
            x = F.dropout(pool(F.relu(layer(x)), by), rate, self.training)
        return {"peaks": self.head(F.relu(self.hidden(x.flatten(1))))}


class DanQ(nn.Module):
    def __init__(self, shape: dict, flat: bool):
        super().__init__()
        self.shape = shape
        positions = (shape["bp"] - shape["width"] + 1) // shape["pool"]
        self.conv = conv(4, shape["filters"], shape["width"], flat)
        self.lstm = nn.LSTM(shape["filters"], shape["lstm"], batch_first=True, bidirectional=True)
        self.hidden = nn.Linear(2 * shape["lstm"] * positions, shape["hidden"])
        self.head = nn.Linear(shape["hidden"], shape["tasks"])

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = F.dropout(pool(F.relu(self.conv(x)), self.shape["pool"]), self.shape["pool_dropout"], self.training)
        x, _ = self.lstm(x.reshape(x.shape[0], x.shape[1], -1).transpose(1, 2))
        x = F.dropout(x, self.shape["lstm_dropout"], self.training)
        return {"peaks": self.head(F.relu(self.hidden(x.flatten(1))))}


class BPNet(nn.Module):
    def __init__(self, shape: dict, flat: bool):
        super().__init__()
        n = shape["filters"]
        self.stem = conv(4, n, shape["width"], flat)
        dilations = [2**layer for layer in range(1, shape["dilated_layers"] + 1)]
        self.dilated = nn.ModuleList([conv(n, n, 3, flat, dilation) for dilation in dilations])
        self.profile = conv(n, 1, shape["profile_width"], flat)
        self.count = nn.Linear(n, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = F.relu(self.stem(x))
        for layer in self.dilated:
            y = F.relu(layer(x))
            cut = (x.shape[-1] - y.shape[-1]) // 2
            x = x[..., cut : cut + y.shape[-1]] + y
        profile = self.profile(x)
        return {
            "profile": profile.reshape(x.shape[0], -1, 1),
            "count": self.count(x.reshape(*x.shape[:2], -1).mean(-1)),
        }


class ProfileCNN(nn.Module):
    def __init__(self, shape: dict, flat: bool):
        super().__init__()
        n, self.dropout = shape["channels"], shape["dropout"]
        halvings = shape["bin_bp"].bit_length() - 1  # bins are powers of two here
        self.stem, self.stem_norm = conv(4, n, shape["stem_width"], flat, same=True), batch_norm(n, flat)
        tower = range(halvings - 1)
        self.tower = nn.ModuleList([conv(n, n, shape["tower_width"], flat, same=True) for _ in tower])
        self.tower_norms = nn.ModuleList([batch_norm(n, flat) for _ in tower])
        dilations = [2**layer for layer in range(shape["dilated_layers"])]
        self.dilated = nn.ModuleList([conv(n, n, 3, flat, dilation, same=True) for dilation in dilations])
        self.dilated_norms = nn.ModuleList([batch_norm(n, flat) for _ in dilations])
        self.head = nn.Linear(n, shape["tracks"])

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = pool(F.relu(self.stem_norm(self.stem(x))), 2)
        for layer, norm in zip(self.tower, self.tower_norms):
            x = pool(F.relu(norm(layer(x))), 2)
        for layer, norm in zip(self.dilated, self.dilated_norms):
            x = x + F.dropout(F.relu(norm(layer(x))), self.dropout, self.training)
        return {"profile": self.head(x.reshape(*x.shape[:2], -1).transpose(1, 2))}


NETWORKS = {"basset": Basset, "deepsea": DeepSEA, "danq": DanQ, "bpnet": BPNet, "profile_cnn": ProfileCNN}


def loss_of(outputs: dict[str, torch.Tensor], batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Sum over targets of the mean loss: cross-entropy of peaks, Poisson of profile and count."""
    total = torch.zeros((), device=next(iter(outputs.values())).device)
    for name, raw in outputs.items():
        truth = batch[f"targets/{name}"].float()
        if name == "peaks":
            total = total + F.binary_cross_entropy_with_logits(raw, truth)
        else:
            rate = F.softplus(raw + _ONE)
            total = total + (rate - truth * torch.log(rate + 1e-6)).mean()
    return total


def one_hot(codes: torch.Tensor, flat: bool) -> torch.Tensor:
    """Codes (example, bp) to (example, 4, bp), or to (example, 4, 1, bp) with channels last."""
    bases = torch.arange(4, dtype=codes.dtype, device=codes.device)
    if flat:
        return (codes[:, None, :] == bases[:, None]).float()
    hot = (codes[:, :, None] == bases).float()
    return hot[:, None].permute(0, 3, 1, 2)


def own_name(name: str) -> str:
    """Name of a parameter of seqmill in the modules above."""
    name = name.replace("scale", "weight").replace("kernel", "weight")
    pairs = {"bin_heads.layers.profile": "head", "heads.layers.peaks": "head", "heads.layers.count": "count"}
    for ours, theirs in {**pairs, "profiles.": ""}.items():
        name = name.replace(ours, theirs)
    return name


def to_torch(name: str, value: np.ndarray, parameter: torch.Tensor, channels: int | None) -> torch.Tensor:
    """A parameter of seqmill in torch's layout; ``channels`` if its features are (position, channel)."""
    if name.endswith("kernel") and value.ndim == 3:
        value = value.transpose(2, 1, 0)
    elif name.endswith("kernel"):
        if channels:
            value = value.reshape(-1, channels, value.shape[1]).transpose(1, 0, 2).reshape(value.shape)
        value = value.T
    return torch.from_numpy(np.ascontiguousarray(value)).reshape(parameter.shape)


def to_seqmill(name: str, value: np.ndarray, like: np.ndarray, channels: int | None) -> np.ndarray:
    """The inverse of `to_torch`, for gradients."""
    if name.endswith("kernel") and like.ndim == 3:
        return value.reshape(like.shape[::-1]).transpose(2, 1, 0)
    if name.endswith("kernel"):
        value = value.T
        if channels:
            value = value.reshape(channels, -1, value.shape[1]).transpose(1, 0, 2).reshape(value.shape)
    return value


# The LSTM of seqmill has one array for both directions: (parameter, torch's name).
LSTM = {"lstm.kernel": "weight_ih_l0", "lstm.recurrent": "weight_hh_l0", "lstm.bias": "bias_ih_l0"}


class Side:
    """One network at a time, in one variant."""

    device = "cpu"

    def __init__(self, folder: str, network: str, shape: dict, threads: int):
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        capability = torch.backends.cpu.get_cpu_capability()
        self.facts = {"torch": torch.__version__, "threads": torch.get_num_threads(), "cpu": capability}
        self.folder, self.network, self.shape = Path(folder), network, shape
        self.batch = {
            key: torch.from_numpy(value).to(self.device) for key, value in np.load(self.folder / "batch.npz").items()
        }
        # Channels of what the first dense layer flattens; the outputs of an LSTM lie as ours do.
        self.flattened = {"basset": "denses.0.kernel", "deepsea": "hidden.kernel"}.get(network)
        self.channels = shape["filters"][-1] if self.flattened else None

    def load(self) -> None:
        """Take the weights that the other side has written."""
        self.weights = dict(np.load(self.folder / "weights.npz"))

    def build(self, variant: str, dropout: bool) -> None:
        self.flat = "channels last" not in variant
        shape = dict(self.shape)
        if not dropout:
            zero = {key: 0.0 if np.isscalar(v) else [0.0] * len(v) for key, v in shape.items() if "dropout" in key}
            shape.update(zero)
        self.model = NETWORKS[self.network](shape, self.flat).to(self.device)
        self._load()
        if not self.flat:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)
        self.loss = torch.compile(self._loss) if "compiled" in variant else self._loss

    def _parameters(self):
        """Each parameter of seqmill with its name and index of direction (None but in the LSTM) and torch's tensor."""
        own = dict(self.model.named_parameters())
        for name in self.weights:
            if name in LSTM:
                for direction, suffix in enumerate(("", "_reverse")):
                    yield name, direction, own[f"lstm.{LSTM[name]}{suffix}"]
            else:
                yield name, None, own[own_name(name)]

    def _load(self) -> None:
        with torch.no_grad():
            for name, direction, parameter in self._parameters():
                value = self.weights[name]
                if direction is not None:
                    parameter.copy_(torch.from_numpy(np.ascontiguousarray(value[direction].T)))
                else:
                    channels = self.channels if name == self.flattened else None
                    parameter.copy_(to_torch(name, value, parameter, channels))
            for name, parameter in self.model.named_parameters():
                if "bias_hh" in name:  # torch has two biases where one does
                    parameter.zero_()

    def _loss(self) -> torch.Tensor:
        return loss_of(self.model(one_hot(self.batch["inputs/sequence"], self.flat)), self.batch)

    def check(self, variant: str) -> dict:
        """Loss and gradients without dropout, written in the layout of seqmill."""
        self.build(variant, dropout=False)
        loss = self._loss()
        loss.backward()
        gradients: dict[str, np.ndarray] = {}
        for name, direction, parameter in self._parameters():
            value = parameter.grad.contiguous().cpu().numpy()
            if direction is not None:
                gradients.setdefault(name, np.zeros_like(self.weights[name]))[direction] = value.T
            else:
                channels = self.channels if name == self.flattened else None
                gradients[name] = to_seqmill(name, value, self.weights[name], channels)
        np.savez(self.folder / "gradients_torch.npz", **gradients)
        return {"loss": float(loss.detach()), "parameters": sum(p.numel() for p in self.model.parameters())}

    def steps(self, n: int) -> dict:
        start, cpu = time.perf_counter(), time.process_time()
        for _ in range(n):
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss()
            loss.backward()
            self.optimizer.step()
        value = float(loss.detach())
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "cpu_seconds": time.process_time() - cpu, "loss": value}


if __name__ == "__main__":
    serve(Side)
