"""`seqmill export tensorboard`: event files, read back by their own rules (TFRecord, CRC-32C) and by tensorboardX's."""

import json
import struct
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event
from tests.unit.test_cli_watch import passed, step, write

from seqmill.cli.command import main
from seqmill.runtime.marker import verify_folder
from seqmill.stores.model import write_model


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC bit by bit (RFC 3720, appendix B.4), masked as of TFRecord."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(path: Path) -> list[Event]:
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12]) == (crc32c(data[:8]),)
        body = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length]) == (crc32c(body),)
        found.append(Event.FromString(body))
        data = data[16 + length :]
    return found


def test_curves_of_all_runs(tmp_path, capsys):
    models, out = tmp_path / "results" / "models", tmp_path / "board"
    line = step(50, 0.5, learning_rate=0.001, device_busy=0.97)
    write(models / "basset" / "0.0", step(20, 0.75), line, passed(1, 0.4) | {"skipped": 2})
    write(models / "odd" / "0.0", run="../../odd")
    history = [{"epoch": 1, "step": 5, "train_loss": 0.5, "valid_loss": 0.25}]
    write_model(models / "old" / "0.0", "old", {}, {"steps": 5}, history)
    assert main(["export", "tensorboard", str(out), str(tmp_path / "results"), "--json"]) == 0
    files = [Path(path) for path in json.loads(capsys.readouterr().out)["written"]]
    assert [str(path.parent.relative_to(out)) for path in files] == ["basset/0.0", "=2E./=2E./odd", "old/0.0"]
    assert verify_folder(out) == []
    first, *rest = events(files[0])
    assert first.file_version == "brain.Event:2"
    assert [(event.step, event.wall_time) for event in rest] == [(20, 120.0), (50, 150.0), (50, 100.0)]
    shown = [{value.tag: round(value.simple_value, 6) for value in event.summary.value} for event in rest]
    speed = {"training/examples per second": 20.0, "training/share of time waiting for data": 0.02}
    assert shown[0] == {"loss/training": 0.75} | speed
    device = {"training/learning rate": 0.001, "device/share of time busy": 0.97}
    assert shown[1] == {"loss/training": 0.5} | speed | device
    assert shown[2] == {"loss/training, mean of the pass": 0.5, "loss/validation": 0.4, "pass/skipped": 2.0}
    assert len(events(files[1])) == 1
    assert [event.step for event in events(files[2])] == [0, 5]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("file", "board: is there and no export of seqmill; name a new folder"),
        ("twins", "another run is called m/0.0 too; export them apart"),
        ("none", "board: there is nothing to export: no training has begun"),
    ],
)
def test_exports_that_are_refused(tmp_path, capsys, made, message):
    models, out = tmp_path / "models", tmp_path / "board"
    if made == "file":
        write(models / "m" / "0.0", step(20))
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
    if made == "twins":
        write(models / "m" / "0.0", step(20))
        write(models / "n" / "0.0", step(20), run="m/0.0")
    models.mkdir(exist_ok=True)
    assert main(["export", "tensorboard", str(out), str(models)]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in out.glob("*")] == (["thesis.txt"] if made == "file" else [])
