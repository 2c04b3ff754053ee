"""Random stops of trainings: a small part of the campaign of `make faults-training`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.faults, pytest.mark.slow]

CAMPAIGN = """
import json
import faults_training
faults_training.prepare()
print(json.dumps(faults_training.campaign(3, 1, seed=5)))
"""


def test_stopped_trainings_end_with_the_same_bits_and_every_row_once():
    done = subprocess.run(
        [sys.executable, "-c", CAMPAIGN], cwd=ROOT / "benchmarks", capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads(done.stdout.splitlines()[-1])
    assert all(row["passed"] for row in rows), rows
    stops = [attempt for row in rows for attempt in row["attempts"] if attempt["stop"]]
    assert {"worker", "driver", "save", "restore", "term"} == {stop["stop"] for stop in stops}
    assert sum(stop["exit_code"] in (-9, 137) for stop in stops) >= 2


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("begin 0 0 0.0|step 0 7 0.1|step 1 8 0.2|begin 1 0 0.3|step 1 8 0.4|step 2 9 0.5", None),
        ("begin 0 0 0.0|step 0 7 0.1|step 2 9 0.2", "step 2 where 1 was due"),
        ("begin 0 0 0.0|step 0 7 0.1|step 0 7 0.2", "step 0 where 1 was due"),
        ("begin 0 0 0.0|step 0 7 0.1|begin 2 0 0.2|step 2 9 0.3", "went on at step 2 after 1 steps"),
        ("begin 0 0 0.0|step 0 7 0.1|step 1 5 0.2|step 2 9 0.3", "the rows of the steps are not those"),
    ],
)
def test_the_judge_of_logs_sees_gaps_and_repeats(tmp_path, monkeypatch, lines, fault):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import faults_training

    log = tmp_path / "log"
    log.write_text(lines.replace("|", "\n"))
    found = faults_training.judged(log, [7, 8, 9])
    if fault is None:
        assert (found["faults"], found["rows"], found["lost_steps"]) == ([], [7, 8, 9], [1])
    else:
        assert fault in " ".join(found["faults"])
