"""`seqmill import-weights`: what it prints, what it writes, what it refuses."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import save_file
from tests.unit.foreign_weights import NETWORK, torch_basset, write_yaml

from seqmill.cli.command import main
from seqmill.stores.model import ModelReader


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    save_file(torch_basset(), tmp_path / "w.safetensors")
    write_yaml(tmp_path / "basset.yaml", **NETWORK)
    return [str(tmp_path / "basset.yaml"), str(tmp_path / "w.safetensors")]


def test_a_model_is_written(files, tmp_path, capsys):
    out = tmp_path / "basset"
    assert main(["import-weights", *files, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    info = ModelReader(out).info
    assert (info["name"], info["architecture"], info["parameters"]) == ("basset", "basset", 674)


def test_json_tells_the_mapping(files, tmp_path, capsys):
    assert main(["import-weights", *files, "--out", str(tmp_path / "m"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["written"] == [str(tmp_path / "m")]
    assert found["mapping"]["params.heads.layers.peaks.bias"] == "out.bias"


def test_show_writes_nothing(files, tmp_path, capsys):
    before = sorted(tmp_path.iterdir())
    assert main(["import-weights", *files, "--show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["params.convs.0.kernel", "[5,", "4,", "5]", "c1.weight", "[5,", "4,", "5]"]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({}, [], "--out: name the folder to write, or --show to write nothing"),
        ({"window": 40}, ["--show"], "basset.yaml: unknown key 'window'; did you mean 'window_bp'?"),
        ({"targets": {"y": {"kind": "profile", "tracks": 1}}}, ["--show"], "a profile has 'bins'"),
        ({"targets": {"y": {"kind": "profile", "tracks": 1, "bins": 3, "bin_bp": 16}}}, ["--show"],
         "targets.y: 3 bins of 16 bp do not lie in the middle of 40 bp"),
        ({"bases": "ACGU"}, ["--show"], "'ACGU' is no order of the bases A, C, G and T"),
        ({"tensors": {"params.convs.0.bias": {"tensor": "c1.bias", "value": 0}}}, ["--show"],
         "give either 'tensor' or 'value'"),
        ({"architecture": "baset"}, ["--show"], "'baset' is unknown"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_said(files, tmp_path, capsys, change, arguments, message):
    write_yaml(tmp_path / "basset.yaml", **(NETWORK | change))
    assert main(["import-weights", *files, *arguments]) == 2
    assert message in capsys.readouterr().err
