"""fastISM's side of bench_ism.py: Basset in Keras 2 with the same weights, all positions set to each base in turn.

Reads one JSON command a line and answers with one JSON line. Needs requirements-fastism.txt.
"""

import os
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from answers import serve
from fastism import FastISM
from tensorflow import keras
from tensorflow.keras import layers

POSITIONS = 24


def basset(shape: dict, weights: dict) -> keras.Model:
    def norm(name: str) -> layers.Layer:
        return layers.BatchNormalization(epsilon=1e-5, name=name.replace(".", "_"))

    x = inputs = keras.Input((shape["bp"], 4))
    named: list[tuple[str, layers.Layer]] = []

    def add(name: str, layer: layers.Layer, x):
        named.append((name, layer))
        return layer(x)

    for n, (filters, width, pool) in enumerate(zip(shape["filters"], shape["widths"], shape["pools"])):
        x = add(f"convs.{n}", layers.Conv1D(filters, width), x)
        x = layers.ReLU()(add(f"conv_norms.{n}", norm(f"conv_norms.{n}"), x))
        x = layers.MaxPooling1D(pool)(x)
    x = layers.Flatten()(x)
    for n, units in enumerate(shape["hidden"]):
        x = add(f"denses.{n}", layers.Dense(units), x)
        x = layers.ReLU()(add(f"dense_norms.{n}", norm(f"dense_norms.{n}"), x))
    x = add("heads.layers.peaks", layers.Dense(shape["tasks"]), x)
    model = keras.Model(inputs, x)
    for name, layer in named:
        parts = ("scale", "bias") if "norm" in name else ("kernel", "bias")
        values = [weights[f"params.{name}.{part}"] for part in parts]
        values += [weights[f"state.{name}.{part}"] for part in ("mean", "var")] if "norm" in name else []
        layer.set_weights(values)
    return model


class Side:
    def __init__(self, folder: str, kind: str, shape: dict, threads: int):
        if kind != "basset":
            raise ValueError("written for Basset")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.folder = Path(folder)
        self.model = basset(shape, dict(np.load(self.folder / "weights.npz")))
        self.codes = np.load(self.folder / "codes.npy")
        self.places = np.linspace(0, len(self.codes) - 1, POSITIONS).astype(int)
        self.fast: FastISM | None = None
        self.facts = {"tensorflow": tf.__version__, "fastism": version("fastism"), "threads": threads}
        self.facts["fastism_positions"] = POSITIONS

    def run(self, batch: int, keep: bool = False, most: int | None = None) -> dict:
        """All substitutions of ``batch`` sequences, side by side; ``most`` is for other sides.

        Each base is set to A, C, G and T; where it is there, nothing is computed. fastISM goes position by position at
        one pace: of `POSITIONS` of them the seconds are taken times their share, and the layers of the unchanged
        sequences, once for all positions, are added as they are. Seconds are those of one sequence.
        """
        length = len(self.codes)
        if self.fast is None:
            self.fast = FastISM(self.model, change_ranges=[(at, at + 1) for at in self.places], test_correctness=False)
            self.prepare, self.fast.pre_change_range_loop_prep = self.fast.pre_change_range_loop_prep, self._prepared
        others = np.random.default_rng(3).integers(0, 4, (batch - 1, length))
        codes = np.concatenate([self.codes[None], others])
        x = tf.constant(np.eye(4, dtype=np.float32)[codes])
        self.preparing = 0.0
        start = time.perf_counter()
        found = [np.asarray(self.fast(x, replace_with=base)) for base in np.eye(4, dtype=np.float32).tolist()]
        seconds = time.perf_counter() - start - self.preparing
        if keep:
            before = np.asarray(self.model(x[:1]))
            change = np.full((length, 4, before.shape[1]), np.nan, np.float32)
            change[self.places] = np.stack([y[0].reshape(len(self.places), -1) - before for y in found], axis=1)
            np.save(self.folder / "fastism.npy", change[np.arange(4)[None, :] != self.codes[:, None]])
        share = len(self.places) / length
        return {"seconds": (seconds / share + self.preparing) / batch, "substitutions": 3 * length}

    def _prepared(self, *args):
        start = time.perf_counter()
        found = self.prepare(*args)
        self.preparing += time.perf_counter() - start
        return found


if __name__ == "__main__":
    serve(Side)
