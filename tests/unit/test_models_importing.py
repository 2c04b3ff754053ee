"""Weights of PyTorch and Keras in networks of ours: the same numbers, or a message."""

import subprocess
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.unit.foreign_weights import (
    BP,
    CHANNELS,
    LAYERS,
    NETWORK,
    POSITIONS,
    codes_and_one_hot,
    torch_basset,
    torch_outputs,
)

from seqmill.config.imported import Imported
from seqmill.models.importing import layers_of
from seqmill.models.tensor_layouts import flattenings
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import file_digest
from seqmill.stores.model import ModelReader
from seqmill.training.artefact import load_network
from seqmill.training.imported import compared, import_weights, network_of
from seqmill.training.predict import predictor

ROOT = Path(__file__).parents[2]


def outputs(folder: Path, codes: np.ndarray, name: str = "peaks") -> np.ndarray:
    """What a model of quantities predicts: its outputs as they are."""
    return np.asarray(predictor(load_network(folder), strands=False)({"inputs/sequence": codes})[name])


def bring(tmp_path: Path, weights: dict, **changes) -> Path:
    save_file(
        {name: np.ascontiguousarray(x).reshape(x.shape) for name, x in weights.items()}, tmp_path / "w.safetensors"
    )
    file = Imported(**(NETWORK | changes))
    import_weights(tmp_path / "model", file, tmp_path / "w.safetensors", "import.yaml")
    return tmp_path / "model"


def assert_same(found: np.ndarray, expected: np.ndarray, share: float = 1e-5) -> None:
    """Within a share of the range of the outputs."""
    span = expected.max() - expected.min()
    assert span > 0.1
    assert np.abs(found - expected).max() < share * span


@pytest.mark.slow
@pytest.mark.parametrize("how", ["by kinds and shapes", "by layers", "by tensors"])
def test_a_basset_of_pytorch_gives_the_same_numbers(tmp_path, how, caplog):
    weights = torch_basset()
    codes, x = codes_and_one_hot(6, BP)
    changes = {"by layers": {"layers": LAYERS}}.get(how, {})
    if how == "by tensors":
        first = {"params.convs.0.kernel": {"tensor": "c1.weight", "transpose": [2, 1, 0]}}
        first["params.denses.0.kernel"] = {"tensor": "f1.weight", "flatten": [CHANNELS, POSITIONS]}
        changes = {"tensors": first | {"params.convs.0.bias": "c1.bias", "params.denses.0.bias": "f1.bias"}}
    model = bring(tmp_path, weights, **changes)
    expected = torch_outputs(weights, x)
    assert_same(outputs(model, codes), expected)
    # Two batch normalisations of 7 units look alike; which is which was said, or taken from their order.
    said = "only the order tells these layers apart, check them: dense_norms.0 from b3, dense_norms.1 from b4"
    assert (said in caplog.text) == (how != "by layers")


def test_what_was_done_is_kept(tmp_path):
    model = bring(tmp_path, torch_basset())
    info = ModelReader(model).info
    kept = info["imported"]
    assert (kept["file"], kept["framework"]) == ("w.safetensors", "pytorch")
    assert kept["sha256"] == file_digest(tmp_path / "w.safetensors")
    assert kept["mapping"]["params.convs.0.kernel"] == "c1.weight [5, 4, 5] to [5, 4, 5]"
    assert kept["mapping"]["params.denses.0.kernel"] == "f1.weight [7, 48] to [48, 7], 6 channels x 8 positions turned"
    assert kept["mapping"]["state.conv_norms.0.mean"] == "b1.running_mean"
    assert kept["ignored"] == [f"b{number}.num_batches_tracked" for number in (1, 2, 3, 4)]
    assert (info["dataset"], info["dataset_digest"], info["initial"]) == ("unknown", "", None)
    assert "what they were trained on is unknown" in info["note"]


def test_another_order_of_bases(tmp_path):
    weights = torch_basset()
    codes, x = codes_and_one_hot(4, BP, bases="TGCA")
    assert_same(outputs(bring(tmp_path, weights, bases="TGCA"), codes), torch_outputs(weights, x))


def test_another_epsilon_is_put_into_the_variance(tmp_path):
    weights = torch_basset()
    codes, x = codes_and_one_hot(4, BP)
    expected = torch_outputs(weights, x, epsilon=0.1)
    assert np.abs(expected - torch_outputs(weights, x)).max() > 0.05
    assert_same(outputs(bring(tmp_path, weights, epsilon=0.1), codes), expected)


@pytest.mark.parametrize("kind", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_other_types_are_converted_and_it_is_said(tmp_path, kind, caplog):
    weights = {name: x.astype(kind) if x.dtype.kind == "f" else x for name, x in torch_basset().items()}
    codes, x = codes_and_one_hot(4, BP)
    model = bring(tmp_path, weights)
    assert_same(outputs(model, codes), torch_outputs(weights, x))
    assert {dtype for dtype, _ in ModelReader(model).info["tensors"].values()} == {"float32"}
    assert f"26 tensors are {np.dtype(kind).name}; they are converted to float32" in caplog.text


def test_convolutions_of_images_of_height_one(tmp_path):
    weights = torch_basset()
    codes, x = codes_and_one_hot(4, BP)
    wide = {name: array[:, :, :, None] if array.ndim == 3 else array for name, array in weights.items()}
    assert_same(outputs(bring(tmp_path, wide), codes), torch_outputs(weights, x))


def test_a_number_stands_for_what_the_other_program_leaves_out(tmp_path):
    weights = torch_basset()
    weights["c1.bias"][:] = 0
    codes, x = codes_and_one_hot(4, BP)
    expected = torch_outputs(weights, x)
    del weights["c1.bias"]
    with pytest.raises(InputError, match=r"params\.convs\.0\.kernel, params\.convs\.0\.bias of the network"):
        bring(tmp_path, weights)
    model = bring(tmp_path, weights, layers={"convs.0": "c1"}, tensors={"params.convs.0.bias": {"value": 0}})
    assert_same(outputs(model, codes), expected)
    assert ModelReader(model).info["imported"]["mapping"]["params.convs.0.bias"] == "0"


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"c2.weight": np.zeros((6, 5, 4))}, {"layers": LAYERS}, r"w\.safetensors:c2\.weight: has shape \(6, 5, 4\), "
         r"params\.convs\.1\.kernel needs \(3, 5, 6\)"),
        ({"extra.weight": np.zeros((2, 2))}, {}, r"has tensors that the network has no place for: extra\.weight; list "
         r"them in 'ignore'"),
        ({"c1.bias": np.full(5, np.nan)}, {}, r"c1\.bias: holds 5 values that are not finite"),
        ({"c1.bias": np.full(5, 1e300)}, {}, r"c1\.bias: holds values that are not finite, or too large for float32"),
        ({"c1.bias": np.zeros(5, np.int32)}, {}, r"c1\.bias: is of type int32, expected floating point numbers"),
        ({}, {"layers": {"convs.0": "c11"}}, r"import\.yaml:layers: 'c11' is no layer of the weights; did you mean "
         r"'c1'\?"),
        ({}, {"layers": {"conv.0": "c1"}}, r"'conv\.0' is no layer of the network; did you mean 'convs\.0'\?"),
        ({}, {"tensors": {"params.convs.0.kernel": "c9.weight"}}, r"'c9\.weight' is no tensor of the weights"),
        ({}, {"layers": {"dense_norms.0": "b3", "dense_norms.1": "b3"}, "ignore": ["b4.*"]},
         r"b3\.\w+: is given to more than one tensor"),
        ({}, {"tensors": {"params.denses.0.kernel": {"tensor": "f1.weight", "flatten": [6, 9]},
                          "params.denses.0.bias": "f1.bias"}}, r"flatten 6 x 9 does not fit \(48, 7\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, change, settings, message):
    with pytest.raises(InputError, match=message):
        bring(tmp_path, torch_basset() | change, **settings)
    assert not (tmp_path / "model").exists()


def test_a_flattening_that_may_be_meant_or_not_has_to_be_said(tmp_path):
    """Both dense layers read 48 numbers, one of them behind the flattening."""
    settings = NETWORK["settings"] | {"hidden": [48, 7]}
    module, view = network_of(Imported(**(NETWORK | {"settings": settings})), "import.yaml")
    assert flattenings(module, view.network_inputs()) == {48: None}
    weights = torch_basset() | {
        "f1.weight": np.zeros((48, 48)),
        "f1.bias": np.zeros(48),
        "f2.weight": np.zeros((7, 48)),
    }
    for part in ("weight", "bias", "running_mean", "running_var"):
        weights[f"b3.{part}"] = np.ones(48)
    with pytest.raises(InputError, match=r"f1\.weight: may come behind a flattening or not; say for params\.denses\.0"):
        bring(tmp_path, weights, settings=settings)


def test_both_sides_are_shown(tmp_path):
    weights = torch_basset()
    weights["c3.weight"] = weights.pop("c2.weight")
    save_file(weights, tmp_path / "w.safetensors")
    lines = compared(Imported(**NETWORK), tmp_path / "w.safetensors", "import.yaml")
    text = [" ".join(line.split()) for line in lines]
    assert text[0] == "params.convs.0.kernel [5, 4, 5] c1.weight [5, 4, 5]"
    assert "params.convs.1.kernel [3, 5, 6] (none)" in text
    assert "(left over) c3.weight [6, 5, 3]" in text
    assert "(ignored) b1.num_batches_tracked []" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest of a zip", r"is a pickle of PyTorch or a zip file; .* safetensors\.torch\.save_file"),
        (b"\x80\x02}q\x00.", "is a pickle of PyTorch"),
        (b"12345678 no weights", "is neither safetensors nor HDF5 of Keras, or it is damaged"),
        (b"\x89HDF\r\n\x1a\nbroken", "cannot be read as HDF5 of Keras"),
        (None, "cannot be read: No such file"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        import_weights(tmp_path / "model", Imported(**NETWORK), path, "import.yaml")


def keras_h5(path: Path, layout: str) -> dict[str, np.ndarray]:
    """A small network of Keras: convolution, batch normalisation, dense layer. Returns its tensors by "layer/part"."""
    rng = np.random.default_rng(3)
    w = {
        "conv1d/kernel": rng.normal(size=(5, 4, 3)), "conv1d/bias": rng.normal(size=3),
        "bn/gamma": rng.uniform(0.5, 1.5, 3), "bn/beta": rng.normal(size=3),
        "bn/moving_mean": rng.normal(size=3), "bn/moving_variance": rng.uniform(0.2, 1.5, 3),
        "dense/kernel": rng.normal(size=(3 * 8, 2)), "dense/bias": rng.normal(size=2),
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        if layout == "keras 2":
            file.attrs["model_config"] = (
                '{"config": {"layers": [{"config": {"name": "bn", "epsilon": 0.01}}, {"config": {"name": "dense"}}]}}'
            )
            root = file.create_group("model_weights")
            root.attrs["layer_names"] = [b"conv1d", b"bn", b"flatten", b"dense"]
            root.create_group("flatten")
            for name, array in w.items():
                layer, part = name.split("/")
                root[f"{layer}/{layer}_1/{part}:0"] = array.astype(np.float32)
            file["optimizer_weights/Adam/conv1d/kernel:0"] = np.zeros(3)
        else:
            numbers: dict[str, int] = {}
            for name, array in w.items():
                layer = name.split("/")[0]
                number = numbers[layer] = numbers.get(layer, -1) + 1
                file[f"layers/{layer}/vars/{number}"] = array.astype(np.float32)
            file["optimizer/vars/0"] = np.zeros(3)
    return w


@pytest.mark.parametrize("layout", ["keras 2", "keras 3"])
def test_keras_files_give_the_numbers_that_are_computed_from_them(tmp_path, layout):
    w = keras_h5(tmp_path / "w.h5", layout)
    file = {
        "architecture": "basset",
        "settings": {"filters": [3], "widths": [5], "pools": [2], "hidden": []},
        "window_bp": 20,
        "targets": {"y": {"tracks": 2, "kind": "quantity"}},
    }
    import_weights(tmp_path / "model", Imported(**file), tmp_path / "w.h5", "import.yaml")
    codes, x = codes_and_one_hot(5, 20)
    epsilon, expected = 0.01 if layout == "keras 2" else 0.001, []
    for row in x.transpose(0, 2, 1):
        conv = np.array([np.einsum("wc,wcf->f", row[p : p + 5], w["conv1d/kernel"]) for p in range(16)])
        h = (conv + w["conv1d/bias"] - w["bn/moving_mean"]) / np.sqrt(w["bn/moving_variance"] + epsilon)
        h = np.maximum(h * w["bn/gamma"] + w["bn/beta"], 0).reshape(8, 2, 3).max(axis=1)
        expected.append(h.reshape(-1) @ w["dense/kernel"] + w["dense/bias"])
    assert_same(outputs(tmp_path / "model", codes, "y"), np.array(expected), share=2e-5)


def test_a_tensor_that_lies_in_another_file_is_refused(tmp_path):
    keras_h5(tmp_path / "w.h5", "keras 3")
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars"].create_dataset("1", (2,), "f4", external=[(str(tmp_path / "secret"), 0, 8)])
    with pytest.raises(InputError, match=r"tensor layers/dense/vars/1 lies in another file"):
        import_weights(tmp_path / "model", Imported(**NETWORK), tmp_path / "w.h5", "import.yaml")


def test_a_layer_that_is_a_link_is_refused(tmp_path):
    keras_h5(tmp_path / "w.h5", "keras 2")
    (tmp_path / "w.h5").rename(tmp_path / "other.h5")
    keras_h5(tmp_path / "w.h5", "keras 2")
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file["model_weights/bn"]
        file["model_weights/bn"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/model_weights/bn")
    with pytest.raises(InputError, match=r"cannot be read as HDF5 of Keras \('bn is missing, or a link'\)"):
        import_weights(tmp_path / "model", Imported(**NETWORK), tmp_path / "w.h5", "import.yaml")


def test_layers_are_found_by_the_names_of_their_parts(tmp_path):
    save_file(torch_basset(), tmp_path / "w.safetensors")
    from seqmill.formats.weights import read_weights

    found = layers_of(read_weights(tmp_path / "w.safetensors"))
    assert found["b1"] == {"scale": "b1.weight", "bias": "b1.bias", "mean": "b1.running_mean", "var": "b1.running_var"}
    assert found["c1"] == {"kernel": "c1.weight", "bias": "c1.bias"}


TORCH = """
import sys
import torch
import numpy as np
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(1)

class Basset(nn.Module):
    def __init__(self):
        super().__init__()
        parts, channels = [], 4
        for filters, width, pool in zip((300, 200, 200), (19, 11, 7), (3, 4, 4)):
            parts += [nn.Conv1d(channels, filters, width), nn.BatchNorm1d(filters), nn.ReLU(), nn.MaxPool1d(pool)]
            channels = filters
        self.body = nn.Sequential(*parts, nn.Flatten())
        self.top = nn.Sequential(
            nn.Linear(2000, 1000), nn.BatchNorm1d(1000), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(1000, 1000), nn.BatchNorm1d(1000), nn.ReLU(), nn.Dropout(0.3), nn.Linear(1000, 164))

    def forward(self, x):
        return self.top(self.body(x))

model = Basset()
for module in model.modules():
    if isinstance(module, nn.BatchNorm1d):
        for tensor, low, high in ((module.running_mean, -0.5, 0.5), (module.running_var, 0.3, 2.0),
                                  (module.weight.data, 0.5, 1.5), (module.bias.data, -0.5, 0.5)):
            tensor.uniform_(low, high)
model.eval()
codes = torch.randint(0, 4, (8, 600))
x = nn.functional.one_hot(codes, 4).permute(0, 2, 1).float()
with torch.no_grad():
    np.savez(sys.argv[2], codes=codes.numpy(), logits=model(x).numpy())
np.savez(sys.argv[1], **{name: tensor.numpy() for name, tensor in model.state_dict().items()})
"""


def test_the_published_basset_as_pytorch_computes_it(tmp_path):
    python = ROOT / ".venv-peers" / "bin" / "python"
    if not python.exists():
        pytest.skip("PyTorch is not here: its environment .venv-peers is made by the benchmarks")
    command = [python, "-c", TORCH, tmp_path / "w.npz", tmp_path / "known.npz"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    save_file(dict(np.load(tmp_path / "w.npz")), tmp_path / "w.safetensors")
    file = Imported(architecture="basset", window_bp=600, targets={"peaks": {"tracks": 164, "kind": "quantity"}})
    import_weights(tmp_path / "model", file, tmp_path / "w.safetensors", "import.yaml")
    known = np.load(tmp_path / "known.npz")
    found = outputs(tmp_path / "model", known["codes"].astype(np.uint8))
    assert ModelReader(tmp_path / "model").info["parameters"] == 4_135_064
    assert_same(found, known["logits"])


def test_a_keras_archive_is_to_be_unpacked(tmp_path):
    (tmp_path / "w.keras").write_bytes(b"PK\x03\x04rest of a zip")
    with pytest.raises(InputError, match=r"is a zip file of Keras 3; unpack it and give the model\.weights\.h5"):
        import_weights(tmp_path / "model", Imported(**NETWORK), tmp_path / "w.keras", "import.yaml")
