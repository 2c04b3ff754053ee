"""Atomic files and folders, markers and records: whole or not there, and every change is seen."""

import hashlib
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqmill.runtime.errors import DamageError, InputError, LockedError, SeqmillError, WorkerError
from seqmill.runtime.files import atomic_path, atomic_write, staged_folder, sweep
from seqmill.runtime.marker import (
    canonical,
    check_sizes,
    file_digest,
    named,
    read_marker,
    seal,
    unseal,
    verify_folder,
    write_marker,
)
from seqmill.runtime.record import recorded


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_atomic_write_replaces(tmp_path):
    target = tmp_path / "new" / "x.json"
    atomic_write(target, "one")
    atomic_write(target, b"two")
    assert target.read_bytes() == b"two"
    assert names(target.parent) == ["x.json"]


def fail_while_writing(target: Path) -> None:
    with atomic_path(target) as part:
        part.write_text("half")
        raise RuntimeError("disk")


def test_a_failed_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "x"
    atomic_write(target, "old")
    with pytest.raises(RuntimeError):
        fail_while_writing(target)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_staged_folder_replaces_and_sweeps(tmp_path):
    target = tmp_path / "x.zarr"
    for leftover in (".x.zarr.part-00000000", ".x.zarr.trash-00000000", ".y.zarr.part-00000000"):
        (tmp_path / leftover).mkdir()
    for content in ("old", "new"):
        with staged_folder(target) as part:
            (part / content).write_text(content)
            assert part != target
    assert names(target) == ["new"]
    assert names(tmp_path) == [".y.zarr.part-00000000", "x.zarr"]


def fail_while_staging(target: Path) -> None:
    with staged_folder(target) as part:
        (part / "half").write_text("half")
        raise RuntimeError("disk")


def test_a_failed_folder_keeps_the_old_one(tmp_path):
    target = tmp_path / "x"
    with staged_folder(target) as part:
        (part / "old").write_text("old")
    with pytest.raises(RuntimeError):
        fail_while_staging(target)
    assert names(target) == ["old"]
    assert names(tmp_path) == ["x"]


KILLED = """
import os, signal, sys
from seqmill.runtime.files import staged_folder
with staged_folder(sys.argv[1]) as part:
    (part / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_only_what_the_next_one_sweeps(tmp_path):
    target = tmp_path / "a[1]*"
    subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    assert len(names(tmp_path)) == 1
    assert not target.exists()
    sweep(target)
    assert names(tmp_path) == []


@pytest.fixture
def noun(tmp_path):
    """A noun with two files, a record and one part."""
    folder = tmp_path / "results" / "demo.zarr"
    part = folder / "inputs" / "sequence"
    part.mkdir(parents=True)
    (part / "zarr.json").write_text("{}")
    write_marker(part, noun="dataset-array", name="demo.zarr/inputs/sequence", format=1)
    (folder / "c").mkdir()
    (folder / "c" / "0").write_bytes(b"abc")
    (folder / "empty").write_bytes(b"")
    with recorded(folder, inputs={"a": "b"}, parameters={"k": 1}) as more:
        more["device"] = "cpu"
    attrs = {"n": 3, "recorded": True}
    write_marker(folder, noun="dataset", name="demo.zarr", format=2, attrs=attrs, parts=["inputs/sequence"])
    return folder


def test_marker_lists_files_and_parts(noun):
    marker = read_marker(noun, noun="dataset", format=2)
    assert marker.files == {
        "c/0": (3, hashlib.sha256(b"abc").hexdigest()),
        "empty": (0, hashlib.sha256(b"").hexdigest()),
    }
    assert marker.parts == {"inputs/sequence": read_marker(noun / "inputs/sequence").digest}
    assert marker.attrs["n"] == 3
    assert verify_folder(noun) == []
    check_sizes(noun, marker)


def test_marker_is_its_own_digest(noun):
    value = json.loads((noun / "marker.json").read_text())
    body = {key: item for key, item in value.items() if key != "seal"}
    text = json.dumps(body, sort_keys=True, indent=1) + "\n"
    assert value["seal"] == hashlib.sha256(text.encode()).hexdigest()


def test_any_changed_byte_of_a_sealed_file_is_seen(noun):
    path = noun / "marker.json"
    raw = path.read_bytes()
    rng = random.Random(0)
    for place in range(len(raw)):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(DamageError, match=r"marker.json"):
            read_marker(noun)
    for damaged in (b"", raw[:-1], raw + b"\n", raw.replace(b'"n": 3', b'"n":3'), b"[]", b"\xff", b"[" * 100_000):
        path.write_bytes(damaged)
        with pytest.raises(DamageError, match=r"marker.json"):
            read_marker(noun)


def test_another_kind_or_format_is_refused(noun):
    with pytest.raises(DamageError, match=r"marker.json: is the marker of a dataset, expected a track"):
        read_marker(noun, noun="track")
    with pytest.raises(DamageError, match=r"format 2 of dataset, this version reads 1: rebuild it"):
        read_marker(noun, format=1)
    with pytest.raises(DamageError, match=r"marker.json: missing; the folder was not finished"):
        read_marker(noun / "c")
    atomic_write(noun / "marker.json", seal({"noun": "dataset"}))
    with pytest.raises(DamageError, match="not a seqmill marker"):
        read_marker(noun)


def test_sizes_are_checked(noun):
    marker = read_marker(noun)
    (noun / "c/0").write_bytes(b"ab")
    with pytest.raises(DamageError, match=r"c/0: 2 bytes, 3 expected by marker.json"):
        check_sizes(noun, marker)
    (noun / "c/0").unlink()
    with pytest.raises(DamageError, match=r"c/0: missing, 3 bytes expected"):
        check_sizes(noun, marker)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "c/0").write_bytes(b"abd"), "c/0: content changed (SHA-256 differs from marker.json)"),
        (lambda f: (f / "c/0").write_bytes(b"ab"), "c/0: 2 bytes, 3 expected"),
        (lambda f: (f / "empty").unlink(), "empty: missing, listed in marker.json"),
        (lambda f: (f / "c/1").write_bytes(b""), "c/1: not listed in marker.json"),
        (lambda f: (f / "c/run.json").write_bytes(b"{}"), "c/run.json: not listed in marker.json"),
        (lambda f: (f / "run.json").unlink(), "run.json: missing"),
        (
            lambda f: (f / "run.json").write_bytes((f / "run.json").read_bytes() + b" "),
            "run.json: its content does not match its own seal; it was changed after it was written",
        ),
        (
            lambda f: atomic_write(f / "run.json", seal({"marker": "0"})),
            "run.json: is the record of another marker.json",
        ),
        (
            lambda f: (f / "inputs/sequence/zarr.json").write_text("[]"),
            "inputs/sequence/zarr.json: content changed (SHA-256 differs from marker.json)",
        ),
        (
            lambda f: (f / "inputs/sequence/marker.json").unlink(),
            "inputs/sequence/marker.json: missing; the folder was not finished or the file was deleted",
        ),
    ],
)
def test_verify_names_the_damage(noun, damage, message):
    damage(noun)
    assert verify_folder(noun) == [f"{noun}/{message}"]


def test_verify_sees_renamed_and_replaced_folders(noun):
    other = noun.with_name("other.zarr")
    shutil.copytree(noun, other)
    found = verify_folder(other)
    swapped = "marker.json: is that of 'demo.zarr{}': files or folders were swapped or renamed"
    assert found == [f"{other}/{swapped.format('')}", f"{other}/inputs/sequence/{swapped.format('/inputs/sequence')}"]
    write_marker(noun / "inputs/sequence", noun="dataset-array", name="demo.zarr/inputs/sequence", format=2)
    assert verify_folder(noun) == [f"{noun}/inputs/sequence: is not the part that {noun}/marker.json was written for"]


def test_locks_and_unfinished_parts_are_not_content(noun):
    (noun / "inputs/.sequence.part-0a1b2c3d").mkdir()
    (noun / "inputs/.sequence.part-0a1b2c3d/x").write_text("half")
    (noun / "inputs/.sequence.lock").write_text("")
    (noun / ".zarr.json.part-0a1b2c3d").write_text("")
    assert verify_folder(noun) == []
    (noun / ".hidden").write_text("")
    assert verify_folder(noun) == [f"{noun}/.hidden: not listed in marker.json"]


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("/r/K562.zarr", "K562.zarr", True),
        ("/r/basset/0.0", "basset/0.0", True),
        ("/r/other/0.0", "basset/0.0", False),
        ("/r/xK562.zarr", "K562.zarr", False),
        ("0.0", "a/b/c/d/e/f/g/0.0", False),
        ("/r/x", "", False),
    ],
)
def test_names_are_last_components(path, name, expected):
    assert named(path, name) is expected


def test_a_relative_path_has_a_name_too(noun, monkeypatch):
    monkeypatch.chdir(noun)
    assert verify_folder(".") == []


def test_the_record_tells_how(noun):
    record = unseal(noun / "run.json")
    assert record["inputs"] == {"a": "b"}
    assert record["parameters"] == {"k": 1}
    assert record["device"] == "cpu"
    assert record["marker"] == read_marker(noun).digest
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["seconds"] >= 0
    assert record["peak_memory_bytes"] > 5_000_000
    assert record["machine"]["cores"] >= 1


def fail_while_recording(folder: Path) -> None:
    with recorded(folder, inputs={}, parameters={}):
        raise RuntimeError("stop")


def test_no_record_of_a_failure(tmp_path):
    with pytest.raises(RuntimeError):
        fail_while_recording(tmp_path)
    assert names(tmp_path) == []


def test_the_record_is_no_part_of_the_digest(noun):
    digest = read_marker(noun).digest
    with recorded(noun, inputs={}, parameters={"k": 2}):
        pass
    attrs = {"n": 3, "recorded": True}
    again = write_marker(noun, noun="dataset", name="demo.zarr", format=2, attrs=attrs, parts=["inputs/sequence"])
    assert again.digest == digest
    assert verify_folder(noun) == []


def test_not_a_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        canonical({"loss": float("nan")})
    (tmp_path / "x").write_bytes(b"a" * 10)
    assert file_digest(tmp_path / "x") == hashlib.sha256(b"a" * 10).hexdigest()


def test_errors_have_codes_and_survive_pickling():
    error = InputError("a.bed", "start 9 > end 3", record=7)
    assert str(pickle.loads(pickle.dumps(error))) == "a.bed:7: start 9 > end 3"
    assert str(InputError(Path("a.bed"), "empty")) == "a.bed: empty"
    kinds = (SeqmillError, InputError, LockedError, DamageError, WorkerError)
    assert [kind.exit_code for kind in kinds] == [1, 2, 3, 4, 5]


def test_umask_is_respected(tmp_path):
    old = os.umask(0o077)
    try:
        with staged_folder(tmp_path / "x") as part:
            (part / "y").write_text("")
    finally:
        os.umask(old)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o700
