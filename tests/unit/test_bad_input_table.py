"""docs/bad-input.md names tests that exist, and has a line for every case it should."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "bad-input.md").read_text()


def test_every_named_test_exists():
    named = set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT))
    assert len(named) > 60
    found = set()
    for path in (ROOT / "tests").glob("*/test_*.py"):
        found |= {(path.name, test) for test in re.findall(r"^def (test_\w+)\(", path.read_text(), flags=re.MULTILINE)}
    assert named - found == set()


def test_every_case_has_a_line():
    cases = {int(number) for number in re.findall(r"^\| (\d+) ", TEXT, flags=re.MULTILINE)}
    remote = set(range(14, 33))
    assert cases == set(range(1, 14)) | remote | set(range(33, 91)) | set(range(91, 97))
