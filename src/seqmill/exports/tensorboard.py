"""Histories of trainings as event files of TensorBoard, one folder a run. Trainings themselves know nothing of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seqmill.config.names import slug
from seqmill.runtime.errors import InputError
from seqmill.stores.layout import noun_folder
from seqmill.training.telemetry import Followed

# Our names of numbers to TensorBoard's, which are grouped by what stands before the slash.
TAGS = {
    "loss": "loss/training",
    "train_loss": "loss/training, mean of the pass",
    "valid_loss": "loss/validation",
    "learning_rate": "training/learning rate",
    "examples_per_s": "training/examples per second",
    "waiting": "training/share of time waiting for data",
    "device_bytes": "device/bytes in use",
    "device_busy": "device/share of time busy",
}
_NO_NUMBERS = ("step", "time", "seconds", "epoch")


def write_tensorboard(out: Path, runs: Mapping[str, Followed]) -> list[Path]:
    """Write a log folder of TensorBoard, whole or not at all.

    Parameters
    ----------
    runs : label ("model/fold.seed") to what is known of a training.

    Returns
    -------
    The event files. Raises InputError if there is no run, and if ``out`` holds other things.
    """
    if not runs:
        raise InputError(out, "there is nothing to export: no training has begun")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "marker.json").is_file()):
        raise InputError(out, "is there and no export of seqmill; name a new folder")
    written = []
    with noun_folder(out, noun="exports", label=out.name, packages=("tensorboardX",)) as (part, attrs, _):
        for label, found in runs.items():
            file = _folder(label) / f"events.out.tfevents.{int(_begin(found)):010d}.seqmill"
            (part / file).parent.mkdir(parents=True)
            _write(part / file, found)
            written.append(file)
        attrs["runs"] = list(runs)
    return [out / file for file in written]


def _folder(label: str) -> Path:
    """Names of folders from a label that stands in a file."""
    names = [slug(part) for part in label.split("/") if part]
    return Path(*("=2E" + name[1:] if name.startswith(".") else name for name in names))


def _begin(found: Followed) -> float:
    lines = [*found.lines, *found.passes]
    return float(min((line["time"] for line in lines if "time" in line), default=0.0))


def _write(path: Path, found: Followed) -> None:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter

    writer = RecordWriter(str(path))
    writer.write(Event(wall_time=_begin(found), file_version="brain.Event:2").SerializeToString())
    for step, time, numbers in _numbers(found):
        values = [{"tag": tag, "simple_value": value} for tag, value in numbers.items()]
        writer.write(Event(wall_time=time, step=step, summary={"value": values}).SerializeToString())
    writer.close()


def _numbers(found: Followed) -> Iterator[tuple[int, float, dict[str, float]]]:
    """Step, Unix time (0 if unknown) and numbers by tag, in the order of steps."""
    for line in sorted([*found.lines, *found.passes], key=lambda line: line["step"]):
        numbers = {name: value for name, value in line.items() if name not in _NO_NUMBERS and _is_number(value)}
        yield (
            line["step"],
            float(line.get("time", 0.0)),
            {TAGS.get(name, f"pass/{name}"): float(v) for name, v in numbers.items()},
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
