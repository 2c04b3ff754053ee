"""Mutagenesis and variants on several devices of one process: all of them work, and the bits are those of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# jax fixes the number of devices when it is imported.
SCORES = """
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
from seqmill.runtime.device import choose_device
choose_device("cpu", 1)
import numpy as np
from tests.unit.local_worlds import World
from tests.unit.test_effects_local import sequence, substitutions
from seqmill.effects.local.pairs import LocalPairs
from seqmill.effects.local.scores import LocalScores
from seqmill.effects.measures import scores

world = World("basset")
reduce = scores(world.targets, list(world.targets))
local = LocalScores(world, reduce)
codes = sequence(world.extent_bp)
reference, changes = local.changes(0, codes, substitutions(codes))
used = {str(device) for _, device in local._references}

pairs = LocalPairs(world, reduce)
refs = np.random.default_rng(2).integers(0, 4, (150, world.extent_bp)).astype(np.uint8)
alts = refs.copy()
place = np.arange(150)
alts[place, 20 + place % 80] = (alts[place, 20 + place % 80] + 1) % 4
found = pairs.predict(0, np.concatenate([refs, alts]), place, 150 + place)
used_by_pairs = {str(key[-1]) for key in pairs.programs._weights}
assert local.usable and pairs.usable
digest = hashlib.sha256(b"".join(x["peaks"].tobytes() for x in (reference, changes, found))).hexdigest()
print(json.dumps([sorted(used), sorted(used_by_pairs), digest, float(abs(changes["peaks"]).max())]))
"""


def score(devices: int) -> list:
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-c", SCORES, root]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_devices_share_the_work_and_give_the_bits_of_one():
    one, two = score(1), score(2)
    assert [len(one[0]), len(one[1])] == [1, 1]
    assert [len(two[0]), len(two[1])] == [2, 2]
    assert two[2:] == one[2:] and one[3] > 0
