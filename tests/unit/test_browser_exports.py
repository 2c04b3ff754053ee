"""bigWigs, track hubs and sessions: read back by others, checked against what the browsers ask for."""

import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from seqmill.exports.browser import Signal, write_bigwigs, write_hub, write_igv
from seqmill.runtime.errors import InputError
from seqmill.stages.browser import _Columns
from seqmill.stores.specs import TargetSpec
from seqmill.stores.verify import verify

pyBigWig = pytest.importorskip("pyBigWig")
SIZES = {"chr1": 1000, "chr2": 400}


def runs(value):
    return lambda: iter([("chr1", np.array([10]), np.array([20]), np.array([value]))])


def signal(kind="predicted", parts=("net", "bound", "CTCF"), genome="hg38", value=1.0, **more):
    text = f"{parts[-1]}: {kind}"
    return Signal(genome, kind, parts, text, SIZES, runs(value), **more)


def stanzas(path):
    """Settings of each stanza, as UCSC reads them: the first word is the key."""
    blocks = re.split(r"\n\s*\n", path.read_text().strip())
    return [dict(line.split(" ", 1) for line in block.splitlines()) for block in blocks]


def hub(folder):
    """A hub as a browser follows it: assembly -> [(settings, values on chr1)]; fails where a required field lacks."""
    (top,) = stanzas(folder / "hub.txt")
    assert set(top) >= {"hub", "shortLabel", "longLabel", "genomesFile", "email"}
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", top["hub"])
    found = {}
    for genome in stanzas(folder / top["genomesFile"]):
        assert set(genome) >= {"genome", "trackDb"}
        database, names = folder / genome["trackDb"], []
        for track in stanzas(database):
            assert set(track) >= {"track", "type", "bigDataUrl", "shortLabel", "longLabel"}
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", track["track"])
            assert len(track["shortLabel"]) <= 17 and len(track["longLabel"]) <= 76
            assert track["type"] == "bigWig" and ".." not in track["bigDataUrl"].split("/")
            names.append(track["track"])
            with pyBigWig.open(str(database.parent / track["bigDataUrl"])) as file:
                found.setdefault(genome["genome"], []).append((track, file.intervals("chr1")))
        assert len(set(names)) == len(names)
    return found


def test_a_hub_is_what_ucsc_asks_for(tmp_path):
    import shutil

    write_bigwigs(tmp_path / "given", [signal(value=7.0)])
    given = tmp_path / "given/hg38/predicted/net/bound/CTCF.bw"
    signals = [
        signal(value=2.0),
        signal(genome="mm10", value=3.0),
        Signal("hg38", "measured", ("K562 x",), "K562 x: measured", SIZES, given),
    ]
    assert write_hub(tmp_path / "hub", signals, title="My labs' hub", email="me@lab.org") == tmp_path / "hub/hub.txt"
    shutil.rmtree(tmp_path / "given")  # the hub is whole by itself
    found = hub(tmp_path / "hub")
    assert {genome: [(t["track"], values) for t, values in tracks] for genome, tracks in found.items()} == {
        "hg38": [("measured_K562_x", ((10, 20, 7.0),)), ("predicted_net_bound_CTCF", ((10, 20, 2.0),))],
        "mm10": [("predicted_net_bound_CTCF", ((10, 20, 3.0),))],
    }
    assert verify(tmp_path / "hub") == []


PAYLOADS = [
    "a\nbigDataUrl http://evil/x.bw",
    "../../etc",
    '"><script>',
    "x&amp;y",
    "α β",
    "-",
    "..",
    "a_b",
    "a b",
    "t\x00z",
]


def test_labels_of_strangers_stay_labels(tmp_path):
    signals = [signal(parts=("net", "bound", text), value=float(n)) for n, text in enumerate(PAYLOADS, 1)]
    write_hub(tmp_path / "hub", signals, title="x\nemail you@evil.org", email="me@lab.org")
    (top,) = stanzas(tmp_path / "hub/hub.txt")
    assert top["email"] == "me@lab.org"
    tracks = hub(tmp_path / "hub")["hg38"]
    assert [values for _, values in tracks] == [((10, 20, float(n)),) for n in range(1, len(PAYLOADS) + 1)]
    write_igv(tmp_path / "igv", signals)
    root = ET.parse(tmp_path / "igv/igv_session.xml").getroot()
    paths = [item.get("path") for item in root.iter("Resource")]
    assert len(paths) == len(PAYLOADS) == len(list(root.iter("Track")))
    assert all((tmp_path / "igv" / path).is_file() and ".." not in path.split("/") for path in paths)
    assert [item.get("id") for item in root.iter("Track")] == paths
    outside = [path for path in tmp_path.rglob("*.bw") if path.relative_to(tmp_path).parts[0] not in ("hub", "igv")]
    assert outside == []


def test_a_session_is_of_one_assembly_and_opens_where_values_are(tmp_path):
    signals = [signal(locus_1based="chr1:11-20"), signal(genome="mm10")]
    with pytest.raises(InputError, match="an IGV session is of one assembly; name one of hg38, mm10"):
        write_igv(tmp_path / "igv", signals)
    with pytest.raises(InputError, match="nothing to show on 'dm6'; there are signals on hg38, mm10"):
        write_igv(tmp_path / "igv", signals, genome="dm6")
    write_igv(tmp_path / "igv", signals, genome="hg38")
    root = ET.parse(tmp_path / "igv/igv_session.xml").getroot()
    assert (root.get("genome"), root.get("locus")) == ("hg38", "chr1:11-20")
    assert [item.get("path") for item in root.iter("Resource")] == ["hg38/predicted/net/bound/CTCF.bw"]


def test_what_is_there_is_replaced_only_if_it_is_an_export(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("precious")
    with pytest.raises(InputError, match="is there and no export of seqmill; name a new folder"):
        write_bigwigs(tmp_path / "mine", [signal()])
    assert (tmp_path / "mine/notes.txt").read_text() == "precious"
    write_bigwigs(tmp_path / "out", [signal(), signal(genome="mm10")])
    (path,) = write_bigwigs(tmp_path / "out", [signal(value=4.0)])
    with pyBigWig.open(str(path)) as file:
        assert file.intervals("chr1") == ((10, 20, 4.0),)
    assert [str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*.bw")] == [
        "hg38/predicted/net/bound/CTCF.bw"
    ]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda out: write_bigwigs(out, []), "there is nothing to export"),
        (
            lambda out: write_bigwigs(out, [Signal("g", "measured", ("t",), "t", SIZES, out / "gone.bw")]),
            "gone.bw: does not exist or is not a file; t is copied from it",
        ),
        (
            lambda out: write_hub(out, [signal()], title="t", email="nobody"),
            "expected an address such as me@example.org",
        ),
        (lambda out: write_hub(out, [signal()], title="t", email="a@b\nx y"), "expected an address"),
    ],
)
def test_refusals_leave_nothing(tmp_path, write, message):
    with pytest.raises(InputError, match=message):
        write(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def toy_reader(rows, values):
    """What `_Columns` asks of a store of predictions."""
    table = pd.DataFrame(rows, columns=["genome", "contig", "start", "end"])
    return SimpleNamespace(n=len(table), rows=lambda: table, predicted=lambda _, start, stop: values[start:stop])


def dense(pieces):
    """Values of every base; NaN where there are none."""
    found = {name: np.full(size, np.nan) for name, size in SIZES.items()}
    for contig, starts, ends, values in pieces:
        for start, end, value in zip(starts, ends, values):
            found[contig][start:end] = value
    return found


def test_bins_of_overlapping_windows_of_several_stores_are_averaged():
    rng = np.random.default_rng(3)
    spec = TargetSpec(
        "t", "profile", "float32", ("example", "bins", "tracks"), (4, 3), tracks=("a", "b", "c"), bp_per_bin=5,
        offset_bp=10,
    )  # fmt: skip
    places = [[("g", "chr1", 100, 140), ("g", "chr1", 110, 150), ("h", "chr1", 0, 40)], [("g", "chr2", 370, 410)]]
    values = [rng.normal(size=(3, 4, 3)).astype(np.float32), rng.normal(size=(1, 4, 3)).astype(np.float32)]
    columns = _Columns([toy_reader(p, v) for p, v in zip(places, values)], "t", spec, None)
    columns.width = columns.step = 2
    assert columns.first_place("g") == "chr1:101-140"
    for track in (2, 0, 1):
        sums, counts = ({name: np.zeros(size + 50) for name, size in SIZES.items()} for _ in range(2))
        for place, value in zip(places, values):
            for (genome, contig, start, _), example in zip(place, value):
                for number in range(4 if genome == "g" else 0):
                    low = start + 10 + 5 * number
                    sums[contig][low : low + 5] += example[number, track]
                    counts[contig][low : low + 5] += 1
        found = dense(columns.pieces(track, "g", SIZES))
        for name, size in SIZES.items():
            expected = np.where(counts[name] > 0, sums[name] / np.maximum(counts[name], 1), np.nan)[:size]
            np.testing.assert_allclose(found[name], expected, atol=1e-6)


def test_a_label_covers_the_middle_of_its_window():
    spec = TargetSpec("t", "binary", "uint8", ("example", "tracks"), (1,), tracks=("a",))
    reader = toy_reader([("g", "chr1", 100, 200)], np.full((1, 1), 0.25, np.float32))
    found = dense(_Columns([reader], "t", spec, 20).pieces(0, "g", SIZES))["chr1"]
    assert np.flatnonzero(~np.isnan(found)).tolist() == list(range(140, 160))
    whole = dense(_Columns([reader], "t", spec, None).pieces(0, "g", SIZES))["chr1"]
    assert np.flatnonzero(whole == 0.25).tolist() == list(range(100, 200))
