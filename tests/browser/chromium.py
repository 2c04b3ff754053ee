"""Headless Chromium: what a page holds when it has been shown, and what steps taken in it return."""

import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_S = 120


def command(profile, address, *options):
    """The command that opens ``address`` in a browser with the empty ``profile``; skips where there is none."""
    if not BROWSER:
        pytest.skip("no Chromium on this machine")
    profile.mkdir()
    return [BROWSER, *QUIET, f"--user-data-dir={profile}", *options, address]


def browse(profile, page, *options):
    """Standard output of headless Chromium on ``page``, with an empty profile."""
    return subprocess.run(
        command(profile, page.as_uri(), *options), capture_output=True, text=True, timeout=PATIENCE_S, check=True
    ).stdout


def driven(folder, page, steps, width=390):
    """What the JavaScript ``steps``, run beside the page in a frame of ``width`` px, return: JSON.

    In them ``frame`` is the page's window and ``find(name)`` its first element of a class. The steps send their
    answer themselves: with `--dump-dom` the browser's virtual time may end before what another process of it does.
    """
    frame = (
        "<!DOCTYPE html><meta charset=utf-8>"
        f"<iframe id=f src=page.html style='width:{width}px;height:800px;border:0'></iframe>"
        "<script>f.onload = async () => { const frame = f.contentWindow, page = f.contentDocument;"
        "const find = name => page.querySelector('.' + name); const press = key => find('picture').dispatchEvent("
        "new frame.KeyboardEvent('keydown', {key, bubbles: true, cancelable: true})); let answer;"
        f"try {{ answer = await (async () => {{ {steps} }})(); }} catch (error) {{ answer = String(error); }}"
        "fetch('answer', {method: 'POST', body: JSON.stringify(answer)}); }</script>"
    )
    pages = {"/frame.html": frame.encode(), "/page.html": page.encode("utf-8", "replace")}
    with Pages(pages) as served:
        run = command(folder / "profile", f"http://127.0.0.1:{served.server_port}/frame.html")
        with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            try:
                assert served.answered.wait(PATIENCE_S), f"no answer of the page within {PATIENCE_S} s"
            finally:
                browser.kill()
    return json.loads(served.answer)


class Pages(ThreadingHTTPServer):
    """Serves ``pages`` (path to bytes) to this machine and keeps the first thing that is sent back."""

    daemon_threads = True

    def __init__(self, pages):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages, self.answered, self.answer = pages, threading.Event(), b""

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.server.pages.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body or b"")

    def do_POST(self):
        self.server.answer = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answered.set()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words):
        """Say nothing."""
