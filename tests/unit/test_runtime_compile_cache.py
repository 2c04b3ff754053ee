"""Compiled programs are kept where only their user can write, and change no bit."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqmill.runtime import compile_cache as module
from seqmill.runtime.compile_cache import compile_cache

TRAIN = """
import hashlib, os, sys
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
sys.path.insert(0, {tests!r})
from seqmill.runtime.device import choose_device
choose_device("cpu", {threads})
import jax, numpy as np
import optax
from network_toys import plain_head, target
from seqmill.models.registry import build
from seqmill.stores.specs import ArraySpec
from seqmill.training.augment import View
from seqmill.training.jitter import Jitter
from seqmill.training.objectives import Supervised, split_module
inputs = {{"sequence": ArraySpec("input", "sequence", ("example", "bp"), "uint8", (80,), "sequence", bp_per_bin=1,
                                 rc="sequence", shift="moves")}}
targets = {{"peaks": target("peaks", 3)}}
settings = {{"filters": [16], "widths": [9], "pools": [4], "hidden": [16]}}
graph, params, rest = split_module(build("basset", settings, inputs, targets, 0))
objective = Supervised(graph, View(inputs, targets, Jitter(0, 1), True), {{"peaks": plain_head(targets["peaks"])}},
                       optax.adam(1e-2))
rng = np.random.default_rng(0)
batch = {{"inputs/sequence": rng.integers(0, 5, (32, 80), dtype=np.uint8),
          "targets/peaks": (rng.random((32, 3)) < 0.5).astype(np.uint8)}}
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event) if "cache_hits" in event else None)
step, state = jax.jit(objective.step, donate_argnums=0), objective.init(params, rest)
for number in range(5):
    loss, state, _ = step(state, batch, jax.random.key(number))
digest = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)))
print(len(hits), digest.hexdigest())
"""


def train(threads: int, cache: str) -> tuple[int, str, str]:
    """Programs found in the cache, digest of the trained state, messages."""
    code = TRAIN.format(tests=str(Path(__file__).parent), threads=threads)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("JAX", "NPROC", "PJRT", "XLA"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean | {"SEQMILL_COMPILE_CACHE": cache}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    hits, digest = done.stdout.split()
    return int(hits), digest, done.stderr


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv("SEQMILL_COMPILE_CACHE", raising=False)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the cache is on by default on Linux alone")
def test_bits_are_those_without_a_cache_and_a_torn_entry_is_compiled_anew(tmp_path):
    plain = train(1, "off")
    cold = train(1, str(tmp_path))
    warm = train(1, str(tmp_path))
    assert plain[0] == cold[0] == 0 and warm[0] > 3
    assert plain[1] == cold[1] == warm[1]
    (folder,) = (tmp_path / "seqmill-compiled").iterdir()
    (entry,) = folder.glob("jit_step-*")
    entry.write_bytes(entry.read_bytes()[:-200])  # as a writer that was killed leaves it
    torn = train(1, str(tmp_path))
    assert torn[:2] == (warm[0] - 1, plain[1])
    assert "Error reading persistent compilation cache entry for 'jit_step'" in torn[2]


def test_threads_and_devices_do_not_share_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQMILL_COMPILE_CACHE", str(tmp_path))
    folders = {compile_cache(device, threads) for device, threads in (("cpu", 1), ("cpu", 2), ("gpu", 1))}
    assert len(folders) == 3
    assert {folder.parent for folder in folders} == {tmp_path / "seqmill-compiled"}
    assert all(folder.stat().st_mode & 0o777 == 0o700 for folder in folders)
    assert compile_cache("cpu", 1) in folders
    before = compile_cache("cpu", 1)
    monkeypatch.setattr(module, "_processor", lambda: "another")
    assert compile_cache("cpu", 1) != before


def test_no_cache_where_others_write(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("SEQMILL_COMPILE_CACHE", str(tmp_path))
    top = tmp_path / "seqmill-compiled"
    top.mkdir()
    top.chmod(0o777)
    assert compile_cache("cpu", 1) is None
    assert list(top.iterdir()) == []
    top.rmdir()
    (tmp_path / "mine").mkdir(mode=0o700)
    top.symlink_to(tmp_path / "mine")
    assert compile_cache("cpu", 1) is None
    top.unlink()
    top.mkdir()
    monkeypatch.setattr(module.os, "getuid", lambda: 12345678)  # now it is another user's
    assert compile_cache("cpu", 1) is None
    text = f"{top} is not a folder that only you can write, so compiled programs are not kept"
    assert [message.startswith(text) for message in caplog.messages] == [True] * 3


def test_no_cache_where_none_is_wanted_or_can_be(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("SEQMILL_COMPILE_CACHE", "off")
    assert compile_cache("cpu", 1) is None
    monkeypatch.delenv("SEQMILL_COMPILE_CACHE")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    assert compile_cache("cpu", 1) is None  # the user's own
    assert caplog.messages == []
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEQMILL_COMPILE_CACHE", str(tmp_path / "file" / "cache"))
    assert compile_cache("cpu", 1) is None
    assert caplog.messages[0].startswith("compiled programs are not kept ([Errno")


def test_old_entries_and_the_oldest_of_too_many_go(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQMILL_COMPILE_CACHE", str(tmp_path))
    (tmp_path / "a file of the user").write_text("stays")
    os.utime(tmp_path / "a file of the user", (0, 0))
    folder = compile_cache("cpu", 1)
    now = time.time()
    for name, days in (("old", 31), ("fourth", 9), ("third", 8), ("second", 7), ("first", 6)):
        (folder / name).write_bytes(bytes(40))
        os.utime(folder / name, (now - days * 86400,) * 2)
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    assert compile_cache("gpu", 1) is not None
    assert sorted(path.name for path in folder.iterdir()) == ["first", "second"]
    assert (tmp_path / "a file of the user").exists()
