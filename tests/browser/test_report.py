"""The report in a real browser: hostile names do nothing, and the page fits a phone."""

import re
import shutil
import subprocess

import pytest
from tests.unit.report_examples import gather_example
from tests.unit.report_payloads import PAYLOADS, poisoned

from seqmill.report.page import render

pytestmark = pytest.mark.browser
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    return gather_example(tmp_path_factory.mktemp("browser") / "results")


def browse(profile, page, *options):
    """Standard output of headless Chromium on ``page``, with an empty profile."""
    if not BROWSER:
        pytest.skip("no Chromium on this machine")
    profile.mkdir()
    command = [BROWSER, *QUIET, f"--user-data-dir={profile}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_the_check_itself_sees_a_script_run(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<!DOCTYPE html><title>calm</title><body><script>document.title='pwned'</script>")
    assert "<title>pwned</title>" in browse(tmp_path / "profile", page, "--dump-dom")


def test_hostile_names_do_nothing(context, tmp_path):
    """All payloads on one page: no title changes, no element appears."""
    page = tmp_path / "page.html"
    everything = " ".join(PAYLOADS)
    page.write_bytes(render(poisoned(context, everything)).encode("utf-8", "replace"))
    dom = browse(tmp_path / "profile", page, "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1]
    assert title.startswith("&lt;script&gt;")
    body = dom.partition("<body>")[2]
    assert not re.search(r"<(script|iframe|svg|base|form|link|object)\b", body)
    assert len(re.findall(r"<img ", body)) == 19  # as in test_report_page.py


def test_styles_survive_the_policy_and_a_phone_sees_no_sideways_scroll(context, tmp_path):
    """Measured from outside: the page must not be wider than the window; only tables scroll inside."""
    page, frame = tmp_path / "page.html", tmp_path / "frame.html"
    page.write_text(render(context))
    frame.write_text(
        "<!DOCTYPE html><title>wait</title>"
        "<iframe id=f src=page.html style='width:390px;height:800px;border:0'></iframe>"
        "<script>f.onload = () => { const d = f.contentDocument, b = d.body; document.title = "
        "[d.documentElement.scrollWidth, f.contentWindow.getComputedStyle(b).marginLeft].join(' ') }</script>"
    )
    dom = browse(
        tmp_path / "profile", frame, "--dump-dom", "--allow-file-access-from-files", "--virtual-time-budget=5000"
    )
    width, margin = re.search(r"<title>(.*?)</title>", dom)[1].split()
    assert int(width) <= 390
    assert margin == "0px"  # the browser's own is 8px: the style was accepted by its digest
