"""The report in a real browser: hostile names do nothing, maps can be looked through, and the page fits a phone."""

import re
import socket
import threading
from collections import Counter
from html.parser import HTMLParser

import pytest
from tests.browser.chromium import browse, driven
from tests.unit.report_examples import gather_example, write_results
from tests.unit.report_payloads import PAYLOADS, poisoned

from seqmill.report.page import render

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser") / "results"
    return gather_example(folder, write_results(folder))


class Tags(HTMLParser):
    """How often each tag occurs, the scripts, and the addresses."""

    def __init__(self, page):
        super().__init__()
        self.count, self.addresses = Counter(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.count[tag] += 1
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "srcdoc")]
        assert not any(name.startswith("on") for name, _ in attrs)


class Listener:
    """A proxy that answers nothing and counts who asks for something of ``example.org``."""

    def __enter__(self):
        self.asked = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.listen, daemon=True).start()
        return self

    def listen(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    first = connection.recv(4096).split(b"\r\n")[0]
                except OSError:
                    first = b""
                if b"example.org" in first:
                    self.asked.append(first)

    def __exit__(self, *error):
        self.server.close()

    @property
    def options(self):
        return ["--dump-dom", f"--proxy-server=127.0.0.1:{self.port}", "--virtual-time-budget=3000"]


def test_the_check_itself_sees_a_script_run_and_a_request(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<!DOCTYPE html><title>calm</title><body><img src=http://example.org/x><script>document.title='pwned'</script>"
    )
    with Listener() as listener:
        assert "<title>pwned</title>" in browse(tmp_path / "profile", page, *listener.options)
        assert listener.asked


def test_hostile_names_do_nothing(context, tmp_path):
    """All payloads in every place: no script of theirs runs, no request leaves, the page has the same elements."""
    pages = {"harmless": "harmless", "hostile": " ".join(PAYLOADS)}
    tags = {}
    for name, text in pages.items():
        page = tmp_path / f"{name}.html"
        page.write_bytes(render(poisoned(context, text)).encode("utf-8", "replace"))
        with Listener() as listener:
            dom = browse(tmp_path / name, page, *listener.options)
            assert listener.asked == []
        assert not re.search("<title>(pwned|calm)", dom)
        tags[name] = Tags(dom)
        assert '<html lang="en" class="live">' in dom  # our own script did run
    assert tags["hostile"].count == tags["harmless"].count
    assert tags["hostile"].count["script"] == 2
    assert not {"iframe", "base", "form", "link", "object", "embed"} & set(tags["hostile"].count)
    # the context's image addresses were drawn by the report; all others lead to places of the page
    assert {address.split(":")[0] for address in tags["hostile"].addresses if address[0] != "#"} == {"data"}


def test_a_map_is_looked_through_by_keys_and_buttons(context, tmp_path):
    found = driven(
        tmp_path,
        render(context),
        """
        const seen = () => find('readout').textContent, out = {regions: find('region').options.length, first: seen()};
        const span = () => Number(/(\\d+)–(\\d+) of/.exec(seen())[2]) - Number(/(\\d+)–(\\d+) of/.exec(seen())[1]) + 1;
        out.span = span(); out.letters = page.querySelectorAll('.picture')[0].querySelectorAll('path').length;
        press('ArrowRight'); out.right = seen(); press('ArrowDown'); out.down = seen();
        find('closer').click(); out.closer = span(); find('whole').click(); out.whole = span();
        press('Home'); out.home = seen(); press('End'); out.end = seen();
        find('region').value = 2; find('region').dispatchEvent(new frame.Event('change')); out.third = seen();
        out.stills = frame.getComputedStyle(find('stills')).display;
        const box = find('picture').getBoundingClientRect();
        const place = {clientX: box.left + 200, clientY: 10};
        const wheel = new frame.WheelEvent('wheel', {ctrlKey: true, deltaY: -1, cancelable: true, ...place});
        const before = span(); find('picture').dispatchEvent(wheel);
        out.wheel = [before, span(), wheel.defaultPrevented];
        return out;
        """,
    )
    regions = context["maps"][0]["data"]["regions"]
    assert found["regions"] == len(regions) == 12
    assert found["closer"] == round(found["span"] / 2)
    assert found["whole"] == len(regions[0]["sequence"])
    assert found["letters"] > 10
    assert found["stills"] == "none"
    assert found["wheel"][1] < found["wheel"][0] and found["wheel"][2] is True
    # the strongest base comes first, and the cursor moves by one
    places = [
        int(found[key].split(" ")[0].split(":")[1].replace(",", "")) for key in ("first", "right", "down", "home")
    ]
    assert places[1] == places[0] + 1 == places[2]
    assert places[3] == regions[0]["start"] + 1
    sequence = regions[0]["sequence"]
    index = places[1] - 1 - regions[0]["start"]
    rows = {key: "ACGT"[row] for key, row in (("right", 0), ("down", 1))}
    for key, base in rows.items():
        change = f"{sequence[index]}→{base}: " if base != sequence[index] else f"{base}, the base that is there"
        assert change in found[key]
    assert found["third"].startswith(f"{regions[2]['contig']}:")


def test_a_map_is_saved_as_numbers_and_as_a_picture(context, tmp_path):
    found = driven(
        tmp_path,
        render(context),
        """
        const blobs = [], names = [];
        frame.URL.createObjectURL = blob => { blobs.push(blob); return 'blob:none'; };
        frame.HTMLAnchorElement.prototype.click = function () { names.push(this.download); };
        find('as-tsv').click(); find('as-svg').click();
        const texts = await Promise.all(blobs.map(blob => blob.text()));
        const svg = new DOMParser().parseFromString(texts[1], 'image/svg+xml');
        return {names, tsv: texts[0], root: svg.documentElement.tagName, rects: svg.querySelectorAll('rect').length};
        """,
        width=900,
    )
    assert [name.rpartition(".")[2] for name in found["names"]] == ["tsv", "svg"]
    assert (found["root"], found["rects"] > 100) == ("svg", True)
    lines = [line.split("\t") for line in found["tsv"].splitlines()]
    assert lines[0] == ["#contig", "start", "end", "ref", "alt", "effect", "track"]
    region = context["maps"][0]["data"]["regions"][0]
    known = sum(base != "N" for base in region["sequence"])
    assert len(lines) == 1 + 3 * known
    for line in lines[1:]:
        at = int(line[1]) - region["start"]
        assert region["sequence"][at] == line[3] != line[4]
    largest = max(abs(float(line[5])) for line in lines[1:])
    assert largest == pytest.approx(context["maps"][0]["regions"][0]["largest"], rel=1e-3)


@pytest.mark.parametrize("name", ["", "W" * 120])
def test_styles_survive_the_policy_and_a_phone_sees_no_sideways_scroll(context, tmp_path, name):
    """Measured from outside: the page must not be wider than the window; only tables scroll inside."""
    found = driven(
        tmp_path,
        render(poisoned(context, name) if name else context),
        "return [page.documentElement.scrollWidth, frame.getComputedStyle(page.body).marginLeft]",
    )
    assert found[0] <= 390
    assert found[1] == "0px"  # the browser's own is 8px: the style was accepted by its digest
