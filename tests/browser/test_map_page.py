"""Pages of a map in a browser: zoom, cursor, lanes, saved files; nothing is asked for, phones will do."""

import pytest
from tests.browser.chromium import browse, driven
from tests.browser.test_report import Listener, Tags
from tests.unit import map_page_examples as example
from tests.unit.report_payloads import PAYLOADS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    example.write_example(folder)
    example.write_pages(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "maps/m.page/index.html").read_text()


def test_regions_scores_and_what_lies_below(folder, page, tmp_path):
    found = driven(
        tmp_path,
        page,
        """
        const seen = () => find('readout').textContent, out = {regions: find('region').options.length};
        const span = () => Number(/(\\d+)–(\\d+) of/.exec(seen())[2]) - Number(/(\\d+)–(\\d+) of/.exec(seen())[1]) + 1;
        const count = what => page.querySelectorAll(what).length;
        find('region').value = [...find('region').options].findIndex(o => o.textContent.endsWith('. r0'));
        find('region').dispatchEvent(new frame.Event('change'));
        find('whole').click(); out.whole = span();
        out.lanes = [count('.variant'), count('.gene'), count('.signal')];
        const times = (n, key) => { for (let i = 0; i < n; i++) press(key); return seen(); };
        press('Home'); out.base = times(6, 'ArrowRight'); out.del = times(4, 'ArrowDown');
        out.put = times(1, 'ArrowDown'); out.last = times(4, 'ArrowDown');
        const box = find('picture').getBoundingClientRect();
        const turn = more => { const wheel = new frame.WheelEvent('wheel', {cancelable: true, clientX: box.left + 200,
          clientY: 10, ...more}); find('picture').dispatchEvent(wheel); return [span(), wheel.defaultPrevented]; };
        out.wheel = [turn({deltaY: 1}), turn({deltaY: -1}), turn({deltaY: 1, shiftKey: true}), turn({deltaY: 1})];
        press('Home'); press('0'); out.variant = times(60, 'ArrowRight');
        find('track').value = 3; find('track').dispatchEvent(new frame.Event('change')); out.other = seen();
        frame.location.hash = '#r2'; await new Promise(done => setTimeout(done, 50)); out.jumped = find('region').value;
        return out;
        """,
        width=900,
    )
    data = example.data_of(folder / "maps/m.page/index.html")
    assert found["regions"] == 7 and found["whole"] == 200
    assert found["lanes"] == [1, 1, 1]
    region = next(region for region in data["regions"] if region["name"] == "r0")
    base = region["sequence"][6]
    assert found["base"].startswith("chr1:1,007 (counted from 1)") and "cover 2" in found["base"]
    assert f"{base} removed: " in found["del"] and "FIRST" in found["del"]
    assert f"A put in before {base}: " in found["put"] and f"T put in before {base}: " in found["last"]
    (still, kept), (closer, taken), (moved, _), (wider, _) = found["wheel"]
    assert (still, kept) == (200, False)  # nothing left to zoom out of: the page scrolls
    assert closer < 200 and taken and moved == closer < wider
    variant = region["variants"][0]
    assert f"own.vcf rs1 {variant['ref']}→{variant['alt']} effect " in found["variant"]
    assert "bound: t0" in found["other"] and found["jumped"] == "2"


def test_what_is_seen_is_saved(page, tmp_path):
    found = driven(
        tmp_path,
        page,
        """
        const blobs = [], names = [];
        frame.URL.createObjectURL = blob => { blobs.push(blob); return 'blob:none'; };
        frame.HTMLAnchorElement.prototype.click = function () { names.push(this.download); };
        press('0'); find('closer').click();
        find('as-tsv').click(); find('as-svg').click(); find('as-png').click();
        for (let i = 0; i < 40 && blobs.length < 3; i++) await new Promise(done => setTimeout(done, 50));
        const texts = await Promise.all(blobs.slice(0, 2).map(blob => blob.text()));
        const svg = new DOMParser().parseFromString(texts[1], 'image/svg+xml');
        const head = new Uint8Array(await blobs[2].slice(0, 24).arrayBuffer());
        return {names, tsv: texts[0], root: svg.documentElement.tagName, head: [...head],
          width: svg.documentElement.getAttribute('width')};
        """,
        width=900,
    )
    assert [name.rpartition(".")[2] for name in found["names"]] == ["tsv", "svg", "png"]
    assert found["root"] == "svg" and bytes(found["head"][:4]) == b"\x89PNG"
    assert int.from_bytes(bytes(found["head"][16:20]), "big") == 2 * int(found["width"])
    lines = [line.split("\t") for line in found["tsv"].splitlines()]
    assert lines[0] == ["#contig", "start", "end", "ref", "alt", "effect", "track"]
    kinds = {(line[3] == "-", line[4] == "-") for line in lines[1:]}
    assert kinds == {(False, False), (False, True), (True, False)}
    assert len(lines) == 1 + (3 + 1 + 4) * 100  # half of a region
    assert all((int(line[2]) - int(line[1])) == (line[3] != "-") for line in lines[1:])


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits(page, tmp_path, width):
    steps = "return [page.documentElement.scrollWidth, frame.getComputedStyle(page.body).marginLeft]"
    found = driven(tmp_path, page, steps, width=width)
    assert found[0] <= width and found[1] == "0px"  # the browser's own is 8px: the style was accepted by its digest


def test_hostile_names_do_nothing(tmp_path):
    names = " ".join(PAYLOADS).encode("utf-8", "ignore").decode()
    example.write_example(tmp_path, names=names)
    page = example.write_pages(tmp_path) / "index.html"
    with Listener() as listener:
        dom = browse(tmp_path / "profile", page, *listener.options)
        assert listener.asked == []
    assert "<title>Map m</title>" in dom and '<html lang="en" class="live">' in dom
    assert Tags(dom).count["script"] == 2
