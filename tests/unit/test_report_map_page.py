"""Pages of a map: what the script reads, against the stores and files that it is from."""

import base64

import numpy as np
import pytest
from tests.unit import map_page_examples as example
from tests.unit.report_payloads import PAYLOADS

from seqmill.config.effects import Map
from seqmill.config.project import Project
from seqmill.report import map_page
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import read_marker
from seqmill.stores.maps import MapReader
from seqmill.stores.verify import verify


def unpacked(packed, rows):
    whole = np.frombuffer(base64.b64decode(packed["bytes"]), "<i2").astype(float)
    return np.where(whole == -32768, np.nan, whole * packed["scale"]).reshape(-1, rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    example.write_example(folder)
    example.write_pages(folder)
    return folder


def test_effects_are_those_of_the_map_the_strongest_region_first(folder):
    data, reader = example.data_of(folder / "maps/m.page/index.html"), MapReader(folder / "maps/m.zarr")
    assert data["tracks"] == ["level: mean of 2 tracks", "level: t0", "level: t1", "bound: t0"]
    assert data["space"] == ["value", "value", "value", "logit"]
    paths = [f"{edit}/{target}" for edit in reader.edits for target in reader.targets]
    largest = np.max([[np.nanmax(np.abs(reader.read(path, i, i + 1))) for i in range(7)] for path in paths], axis=0)
    order = [int(region["name"][1:]) for region in data["regions"]]
    assert order == np.argsort(-largest).tolist() != list(range(7))
    at = order[2]
    first = data["regions"][2]
    assert at < 6 and (first["contig"], first["start"]) == ("chr1", example.PLACES[at][1])
    for key, edit, rows in (("effects", "substitutions", 4), ("deletions", "deletions", 1), ("insertions",) * 2 + (4,)):
        stored = reader.read(f"{edit}/level", at, at + 1)[0].reshape(200, rows, 2)
        for column, expected in ((0, stored.mean(axis=-1)), (2, stored[..., 1])):
            found = unpacked(first[key][column], rows)
            np.testing.assert_allclose(found, expected, atol=np.abs(expected).max() / 32767)


def test_what_is_drawn_below(folder):
    regions = {r["name"]: r for r in example.data_of(folder / "maps/m.page/index.html")["regions"]}
    cover, peaks = regions["r0"]["signals"]
    assert (cover["name"], cover["first"], cover["bin"]) == ("cover", 1000, 10)
    values = unpacked(cover["values"], 1)[:, 0]
    np.testing.assert_allclose(values, [1 + at // 20 % 7 for at in range(1000, 1200, 10)], rtol=1e-3)
    assert peaks["spans"] == [[1050, 1120]] and regions["r6"]["signals"][1]["spans"] == [[5, 60]]
    (gene,) = regions["r0"]["genes"]
    assert (gene["name"], gene["strand"], gene["coding"]) == ("FIRST", -1, [1020, 1150])
    assert gene["exons"] == [[900, 1040], [1120, 1180]]
    assert [gene["name"] for gene in regions["r6"]["genes"]] == ["SECOND"] and regions["r2"]["genes"] == []
    (variant,) = regions["r0"]["variants"]
    assert (variant["set"], variant["id"], variant["start"]) == ("own.vcf", "rs1", 1060)
    assert [v["start"] for v in regions["r6"]["variants"]] == [49]  # contig "2" of the file


def test_many_regions_are_many_pages(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(map_page, "PAGE_BYTES", 60_000)
    out = example.write_pages(folder, regions=5)
    attrs = read_marker(out, noun="map-page").attrs
    pages = ["index.html", *(f"{number}.html" for number in range(2, attrs["pages"] + 1))]
    assert attrs["pages"] > 1 and sorted(path.name for path in out.glob("*.html")) == sorted(pages)
    names = [[region["name"] for region in example.data_of(out / page)["regions"]] for page in pages]
    assert sorted(name for some in names for name in some) == ["r2", "r3", "r4", "r5", "r6"]
    text = (out / pages[1]).read_text()
    for page, some in zip(pages, names):  # every page leads to every region
        for number, name in enumerate(some):
            assert f'<a href="{page if page != pages[1] else ""}#r{number}">{name}</a>' in text
    assert verify(folder / "maps") == []
    example.write_pages(folder)


def test_many_tracks_are_cut_and_the_page_says_so(tmp_path):
    example.write_example(tmp_path, tracks=30)
    page = example.write_pages(tmp_path) / "index.html"
    assert len(example.data_of(page)["tracks"]) == 1 + map_page.MAX_TRACKS
    assert "7 more tracks can be found in the store alone" in page.read_text()


def test_hostile_names_are_text(tmp_path):
    names = " ".join(PAYLOADS).encode("utf-8", "ignore").decode()  # a table of regions holds no half characters
    example.write_example(tmp_path, names=names)
    text = (example.write_pages(tmp_path) / "index.html").read_bytes().decode("utf-8", "replace")
    assert text.count("<script") == 2 and "<img" not in text and "default-src 'none'" in text


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ({"tracks": ["none"]}, "page.tracks: 'none' is not in the track sheet"),
        ({"variants": ["none"]}, "page.variants: 'none' is not configured; known: none"),
        ({"regions": 0}, "page.regions"),
    ],
)
def test_pages_that_cannot_be_made(tmp_path, monkeypatch, page, message):
    from tests.unit.cli_world import config, write_world

    monkeypatch.chdir(write_world(tmp_path / "work"))
    values = config(maps={"m": {"model": "small", "windows": 2, "page": page}})
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        Project.of(values, "config.yaml")
    maps = {"m": {"model": "small", "windows": 2, "edits": ["deletions"], "page": {}}}
    with pytest.raises(InputError, match="page: needs substitutions among the edits, found deletions"):
        Project.of(config(maps=maps), "config.yaml")
    assert Map(model="net", windows=1).page is None
