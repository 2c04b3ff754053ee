"""The isolated reader opens its file anew from time to time; that changes no value and leaves no file open."""

from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from seqmill.formats import bigwig


def opened(path: Path) -> int | None:
    """How many of this process's descriptors are ``path``; None where the system does not tell."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return None
    return sum(entry.exists() and entry.samefile(path) for entry in folder.iterdir())


@pytest.mark.parametrize("kept_bp", [0, 250, 1 << 24])
def test_values_do_not_depend_on_renewals(tmp_path, monkeypatch, kept_bp):
    monkeypatch.setattr(bigwig, "KEPT_BP", kept_bp)
    path = tmp_path / "a.bw"
    starts = list(range(0, 3000, 7))
    with pyBigWig.open(str(path), "w") as out:
        out.addHeader([("chr1", 4000)])
        out.addEntries(["chr1"] * len(starts), starts, ends=[s + 5 for s in starts], values=[float(s) for s in starts])
    worker = bigwig._Worker(str(path))
    assert opened(path) in (1, None)
    found = [worker.bins("chr1", s, s + 200, 100, "mean", "zero")[0] for s in range(0, 4000, 200)]
    expected = [
        sum(float(base // 7 * 7) for base in range(s, s + 100) if base < 3003 and base % 7 < 5) / 100
        for s in range(0, 4000, 100)
    ]
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-6)
    assert worker.bases("chr1", 7, 12).tolist() == [7.0] * 5
    worker.handle.close()
    assert opened(path) in (0, None)
