"""Any window of any sparse map is what a dense matrix says."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.contact_files import write_hic

from seqmill.config.sheet import Track
from seqmill.stores.contacts import COLUMNS, ContactArrays, write_contacts

BP = 10


class Held:
    """An array of a store, in memory."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def read(self, start, stop):
        return self.values[max(start, 0) : stop]


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_windows_of_any_map(data):
    n = data.draw(st.integers(1, 12), "bins")
    band = data.draw(st.integers(0, 14), "band")
    cells = data.draw(st.dictionaries(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), st.integers(1, 9)))
    upper = np.zeros((n, n))
    for (i, j), value in cells.items():
        if 0 <= abs(j - i) <= band:
            upper[min(i, j), max(i, j)] = value
    weight = np.array(data.draw(st.lists(st.sampled_from([0.5, 1.0, 2.0, np.nan]), min_size=n, max_size=n)))
    rows, columns = np.nonzero(upper)
    first = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    arrays = {
        "first": Held(first),
        "bin2": Held(columns.astype(np.int32)),
        "value": Held(upper[rows, columns].astype(np.float32)),
        "weight": Held(weight),
    }
    start, size = data.draw(st.integers(-4, n + 2), "start"), data.draw(st.integers(1, n + 6), "size")
    balanced = data.draw(st.booleans(), "balanced")
    expected = np.full((size, size), np.nan)
    for a in range(size):
        for b in range(size):
            i, j = sorted((start + a, start + b))
            if i >= 0 and j < n and j - i <= band:
                factor = weight[i] * weight[j]
                expected[a, b] = upper[i, j] * (factor if balanced else 0 * factor + 1)
    found = ContactArrays(arrays, BP, band * BP + BP - 1).window(start, size, balanced)
    np.testing.assert_array_equal(found, expected.astype(np.float32))


@pytest.mark.slow
@given(
    st.dictionaries(st.tuples(st.integers(0, 29), st.integers(0, 29)), st.integers(1, 70_000), min_size=1),
    st.sampled_from([8, 9]),
)
@settings(deadline=None, max_examples=5)
def test_what_is_written_is_what_the_file_holds(cells, version):
    import zarr

    pixels = {(min(place), max(place)): value for place, value in cells.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.hic"
        write_hic(
            path, {"chr1": 295}, BP, {"chr1": [(*place, value) for place, value in pixels.items()]}, version=version
        )
        track = Track(track="x", location=str(path), format="hic", bin_bp=BP)
        said = write_contacts(Path(folder) / "out", track, {"chr1": 295}, False)
        held = {name: zarr.open_array(Path(folder) / f"out/contacts/chr1/{name}", mode="r")[:] for name in COLUMNS}
    rows = np.repeat(np.arange(30), np.diff(held["first"]))
    found = dict(zip(zip(rows.tolist(), held["bin2"].tolist()), held["value"].tolist()))
    assert found == pixels and said["contacts"] == len(pixels)
    assert held["weight"].tolist() == [1.0] * 30
