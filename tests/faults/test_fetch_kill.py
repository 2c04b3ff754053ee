"""Fetches that are killed at random moments: the same call again makes the same folder, without a manual step."""

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from seqmill.sources.cache import Cache
from seqmill.sources.fetch import fetch
from seqmill.stores.verify import verify

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from portal import Fault, Portal, stand_in
from portal.files import lock_row

pytestmark = pytest.mark.faults
KILLS = 12
CHILD = """
import json, sys
from seqmill.config.lock import LockRow
from seqmill.config.portals import Sources
from seqmill.sources.fetch import fetch
values = json.loads(sys.argv[1])
print("ready", flush=True)
fetch(values["folder"], [LockRow(**row) for row in values["rows"]], Sources(**values["sources"]))
"""


def test_killed_fetches_end_in_the_same_folder(tmp_path):
    rng = random.Random(5)
    contents = {"R1": stand_in("R1", 3_000_000, "bam"), "R2": stand_in("R2", 900_000, "bam")}
    kills = 0
    with Portal() as portal:
        rows = [
            lock_row(content, portal.add(f"/ena_files/{role}.bam", content), file=f"{role}.bam", role=role)
            for role, content in contents.items()
        ]
        expected = fetch(tmp_path / "reference/t", rows, portal.sources(tmp_path / "reference"))
        portal.fault("bam", Fault(bytes_per_s=3_000_000))
        for trial in range(KILLS):
            # every few trials from the start, else from where the one before was killed
            place = tmp_path / f"{trial // 4}"
            sources, folder = portal.sources(place), place / "results/sources/t"
            values = {
                "folder": str(folder),
                "rows": list(map(asdict, rows)),
                "sources": sources.model_dump(mode="json"),
            }
            child = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(values)], stdout=subprocess.PIPE)
            child.stdout.readline()
            time.sleep(rng.uniform(0.01, 0.4))
            child.send_signal(signal.SIGKILL)
            kills += child.wait() == -signal.SIGKILL
            child.stdout.close()
            if trial % 4 == 3:
                assert fetch(folder, rows, sources).digest == expected.digest
                assert verify(place / "results") == []
                assert Cache(sources.cache_folder()).check() == []
                assert sorted(path.name for path in folder.parent.iterdir()) == ["t"]
    assert kills >= KILLS / 2
