"""What a hostile answer, name server or environment cannot make the client do, and what it never writes down."""

import base64
import logging
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import traceback

import pytest
from tests.portal import Fault, Portal, Reply

from seqmill.config.portals import Network, Portals, Sources
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.credentials import Credentials
from seqmill.sources.hosts import redacted
from seqmill.sources.transport import Transport
from seqmill.sources.web import MAX_REDIRECTS, Web

SECRET = "hunter2"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    for name in (*PROXIES, *(name.upper() for name in PROXIES)):
        monkeypatch.delenv(name, raising=False)
    for name in ("ENCODE_ACCESS_KEY", "ENCODE_SECRET_KEY", "NCBI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def portal():
    with Portal() as portal:
        yield portal


@pytest.fixture
def web(portal, tmp_path):
    with Web(portal.sources(tmp_path)) as web:
        yield web


def moved(portal: Portal, path: str, target: str, status: int = 302) -> str:
    return portal.add(path, lambda request: Reply(status, {"Location": target}))


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/?x=hunter2",
        "https://[::ffff:169.254.169.254]/",
        "https://2130706433/",
        "https://evil.org/x",
        "//evil.org/x",
        "file:///etc/passwd",
        "ftp://ftp.ebi.ac.uk/x",
        "javascript:alert(1)",
        "https://[::1",
        "http://evil.org\\@127.0.0.1/",
        "http://127.0.0.1:1/",
        "http://localhost/",
    ],
)
def test_redirects_to_elsewhere_are_not_followed(portal, web, target):
    moved(portal, "/encode/x", target)
    with pytest.raises(RemoteError, match=r"redirect to .* not allowed|no readable address") as error:
        web.get(f"{portal.url}/encode/x")
    assert SECRET not in str(error.value)
    assert len(portal.log) == 1


def test_no_redirect_to_another_server_of_this_machine(portal, web):
    with Portal() as other:
        other.add("/encode/x", b"internal")
        moved(portal, "/encode/x", f"{other.url}/encode/x")
        with pytest.raises(RemoteError) as error:
            web.get(f"{portal.url}/encode/x")
        assert str(error.value) == f"{portal.url}/encode/x: redirect to {other.url}/encode/x not allowed"
        assert other.log == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_within_an_address_keep_the_headers(portal, web, status):
    moved(portal, "/encode/x", "/signed/x?sig=hunter2", status)
    portal.add("/signed/x", b"0123456789")
    with web.stream(f"{portal.url}/encode/x", {"Range": "bytes=5-", "If-Range": "other"}) as reply:
        assert (b"".join(reply.chunks()), reply.url) == (b"0123456789", f"{portal.url}/signed/x?sig=hunter2")
    assert portal.log[-1].headers["range"] == "bytes=5-"
    assert portal.log[-1].headers["if-range"] == "other"


def test_redirects_end(portal, web):
    for step in range(MAX_REDIRECTS + 1):
        moved(portal, f"/encode/{step}", f"/encode/{step + 1}")
    portal.add(f"/encode/{MAX_REDIRECTS + 1}", b"end")
    assert web.get(f"{portal.url}/encode/1").content == b"end"
    portal.clear()
    with pytest.raises(RemoteError, match="more than 5 redirects"):
        web.get(f"{portal.url}/encode/0")
    assert len(portal.log) == 6


def names(monkeypatch, *answers: list[str]) -> list[str]:
    """Make the name server give these addresses, one list a question; gives the names that were asked for."""
    asked, left = [], list(answers)

    def getaddrinfo(host, port, *args, **more):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in left.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def connections(monkeypatch) -> list[tuple[str, int]]:
    """Where connections are tried; none is made."""
    tried = []

    def create_connection(address, *args, **more):
        tried.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", create_connection)
    return tried


def test_a_name_that_resolves_to_this_machine_is_not_connected_to(monkeypatch, tmp_path):
    tried = connections(monkeypatch)
    for answer in (["127.0.0.1"], ["::ffff:169.254.169.254"], ["128.32.1.1", "10.0.0.1"]):
        names(monkeypatch, answer)
        with Web(Sources(cache=tmp_path)) as web, pytest.raises(RemoteError, match="which is no public address"):
            web.get("https://www.encodeproject.org/files/")
    assert tried == []


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch, tmp_path):
    asked, tried = names(monkeypatch, ["128.32.1.1", "128.32.1.2"], ["127.0.0.1"]), connections(monkeypatch)
    with Web(Sources(cache=tmp_path, network=Network(attempts=1))) as web, pytest.raises(RemoteError):
        web.get("https://www.encodeproject.org/files/")
    # One question; both numbers of its answer are tried, the name never.
    assert asked == ["www.encodeproject.org"]
    assert tried == [("128.32.1.1", 443), ("128.32.1.2", 443)]


def test_a_name_that_changes_between_attempts_is_checked_again(monkeypatch, tmp_path):
    asked, tried = names(monkeypatch, ["128.32.1.1"], ["127.0.0.1"]), connections(monkeypatch)
    sources = Sources(cache=tmp_path, network=Network(attempts=3, backoff_s=0))
    with Web(sources) as web, pytest.raises(RemoteError, match=r"it resolves to 127\.0\.0\.1"):
        web.get("https://www.encodeproject.org/files/")
    assert (len(asked), tried) == (2, [("128.32.1.1", 443)])


@pytest.mark.parametrize(("code", "attempts"), [(socket.EAI_NONAME, 1), (socket.EAI_AGAIN, 3)])
def test_names_that_are_not_found(monkeypatch, tmp_path, code, attempts):
    asked = []

    def getaddrinfo(host, *args, **more):
        asked.append(host)
        raise socket.gaierror(code, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    sources = Sources(cache=tmp_path, network=Network(attempts=3, backoff_s=0))
    with Web(sources) as web, pytest.raises(RemoteError, match="host name not found"):
        web.get("https://www.encodeproject.org/files/")
    assert len(asked) == attempts


def test_certificates_are_checked(tmp_path):
    transport = Transport(None, Network())
    assert transport._tls.verify_mode == ssl.CERT_REQUIRED and transport._tls.check_hostname
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout"]
    subprocess.run([*made, key, "-out", cert, "-subj", "/CN=localhost", "-days", "2"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        base = f"https://127.0.0.1:{server.getsockname()[1]}"
        sources = Sources(cache=tmp_path, portals=Portals(encode=base))
        with Web(sources) as web, pytest.raises(RemoteError, match=r"TLS certificate not accepted: self.signed"):
            web.get(f"{base}/x")


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_credentials_go_to_their_own_host_only(portal, tmp_path, monkeypatch):
    monkeypatch.setenv("ENCODE_ACCESS_KEY", "key")
    monkeypatch.setenv("ENCODE_SECRET_KEY", SECRET)
    monkeypatch.setenv("NCBI_API_KEY", SECRET)
    with Portal() as other:
        for server in (portal, other):
            server.add("/encode/x", {"ok": 1})
            server.add("/eutils/x", {"ok": 1})
        base = portal.sources(tmp_path)
        moved_portals = base.portals.model_copy(update={"eutils": f"{other.url}/eutils"})
        with Web(base.model_copy(update={"portals": moved_portals})) as web:
            web.json(f"{portal.url}/encode/x")
            answer = web.get(f"{other.url}/eutils/x", params={"db": "sra"})
    assert portal.log[0].headers["authorization"] == basic("key", SECRET)
    assert "authorization" not in other.log[0].headers
    assert SECRET not in portal.log[0].target
    assert other.log[0].target == f"/eutils/x?db=sra&api_key={SECRET}"
    assert SECRET not in answer.url


def test_credentials_do_not_follow_a_redirect(tmp_path, monkeypatch):
    monkeypatch.setenv("ENCODE_ACCESS_KEY", "key")
    monkeypatch.setenv("ENCODE_SECRET_KEY", SECRET)
    credentials = Credentials(Portals())
    assert credentials.headers("https://www.encodeproject.org/x") == {"authorization": basic("key", SECRET)}
    for url in ("https://encode-public.s3.amazonaws.com/x", "http://www.encodeproject.org/x", "https://evil.org/x"):
        assert credentials.headers(url) == {}
    # Never in clear over a network.
    assert Credentials(Portals(encode="http://mirror.lab")).headers("http://mirror.lab/x") == {}


def test_netrc_is_used_only_if_nobody_else_reads_it(tmp_path):
    file = tmp_path / "netrc"
    file.write_text(f"machine www.encodeproject.org login key password {SECRET}\n")
    file.chmod(0o600)
    sent = {"authorization": basic("key", SECRET)}
    assert Credentials(Portals()).headers("https://www.encodeproject.org/x") == sent
    file.chmod(0o644)
    with pytest.warns(UserWarning, match="readable by others and was not used; chmod 600 it"):
        assert Credentials(Portals()).headers("https://www.encodeproject.org/x") == {}
    file.write_text("machine")
    assert Credentials(Portals()).headers("https://www.encodeproject.org/x") == {}


def test_no_secret_in_logs_errors_or_tracebacks(portal, tmp_path, monkeypatch, caplog, capfd):
    monkeypatch.setenv("ENCODE_ACCESS_KEY", "key")
    monkeypatch.setenv("ENCODE_SECRET_KEY", SECRET)
    monkeypatch.setenv("NCBI_API_KEY", SECRET)
    hidden = [SECRET, base64.b64encode(f"key:{SECRET}".encode()).decode(), "X-Amz-Signature", "sig=", "api_key"]
    query = f"?X-Amz-Signature={SECRET}&sig={SECRET}&api_key={SECRET}#{SECRET}"
    for name in ("", "httpx", "httpcore", "httpcore.http11", "httpcore.connection", "httpcore.proxy"):
        caplog.set_level(logging.DEBUG, logger=name)
    portal.add("/encode/a", {"ok": 1})
    moved(portal, "/encode/signed", f"/encode/a{query}")
    moved(portal, "/encode/evil", f"https://user:{SECRET}@evil.org/x{query}")
    faults = [
        Fault(status=403), Fault(status=500), Fault(cut=0.5), Fault(cut=0.5, end="reset"), Fault(cut=0.5, end="stall"),
        Fault(body=b"<html>"), Fault(headers={"Content-Encoding": "gzip"}), Fault(headers={"Bad Header": "x"}),
    ]  # fmt: skip
    written = []
    with Web(portal.sources(tmp_path, attempts=1)) as web:
        web.json(f"{portal.url}/encode/signed{query}")
        written.append(repr(web.get(f"{portal.url}/encode/signed{query}")))
        urls = [f"{portal.url}/encode/a{query}"] * len(faults)
        urls += [f"{portal.url}/encode/evil{query}", f"https://me:{SECRET}@a.org/{query}", f"https://a.org/\n{query}"]
        for number, url in enumerate(urls):
            if number < len(faults):
                portal.fault("/encode/a$", faults[number], times=1)
            try:
                web.json(url, headers={"x-token": f"{SECRET}"})
            except RemoteError as error:
                written.append("".join(traceback.format_exception(error)) + repr(error))
        try:
            web.json(f"{portal.url}/encode/a", headers={"x-token": f"{SECRET}\r\nbad"})
        except RemoteError as error:
            written.append("".join(traceback.format_exception(error)))
    # The text of this test's own lines is in no traceback: they hold the word SECRET, not its value.
    assert len(written) == 1 + len(urls) + 1
    text = "\n".join([*written, caplog.text, *capfd.readouterr()])
    for word in hidden[:2]:
        assert word not in text
    shown = "\n".join(line for line in text.splitlines() if "portal.url" not in line)
    for word in hidden[2:]:
        assert word not in shown


def test_the_environments_proxy_is_used_but_not_for_this_machine(portal, tmp_path, monkeypatch):
    with Portal() as proxy:
        proxy.add("/x", {"from": "proxy"})
        portal.add("/encode/x", {"from": "portal"})
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", f"//me:{SECRET}@"))
        asked = names_untouched(monkeypatch)
        sources = portal.sources(tmp_path).model_copy(update={"hosts": ["http://mirror.test", "http://near.test"]})
        with Web(sources) as web:
            assert web.json("http://mirror.test/x") == {"from": "proxy"}
            assert web.json(f"{portal.url}/encode/x") == {"from": "portal"}
            assert proxy.log[0].target == "http://mirror.test/x"
            assert proxy.log[0].headers["proxy-authorization"] == basic("me", SECRET)
            assert "mirror.test" not in asked
            monkeypatch.setenv("no_proxy", "near.test")
            with pytest.raises(RemoteError, match=r"host name not found|it resolves to"):
                web.json("http://near.test/x")
            with pytest.raises(RemoteError, match="host not allowed"):
                web.json("http://evil.test/x")
        assert len(proxy.log) == 1


def names_untouched(monkeypatch) -> list[str]:
    """Names that this machine asks its name server for; .test is never found."""
    asked, real = [], socket.getaddrinfo

    def getaddrinfo(host, *args, **more):
        asked.append(host)
        if str(host).endswith(".test"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_proxy_of_another_kind(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", f"socks5://me:{SECRET}@proxy.lab:1080")
    with Web(Sources(cache=tmp_path)) as web, pytest.raises(InputError) as error:
        web.get("https://www.encodeproject.org/x")
    assert (
        str(error.value) == "socks5://proxy.lab:1080: the environment names a proxy of another kind than http or https"
    )


WAIT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
from seqmill.config.portals import Network, Portals, Sources
from seqmill.sources.web import Web
sources = Sources(cache=sys.argv[2], portals=Portals(encode=sys.argv[1]), network=Network())
try:
    with Web(sources) as web, web.rates.body("portal.test"):
        print("asking", flush=True)
        web.json(sys.argv[1] + "/encode/slow")
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_an_interrupt_ends_it_at_once(portal, tmp_path):
    portal.add("/encode/slow", {"ok": 1})
    portal.fault("slow", Fault(before_s=30))
    environment = {key: value for key, value in os.environ.items() if key.lower() not in PROXIES}
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT, portal.url, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    with process:
        assert process.stdout.readline() == "asking\n"
        while not portal.log:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10)[0] == "interrupted\n"
    assert process.returncode == 0


def test_redacted_never_fails():
    for text in ("", "x", "http://", "http://[", "::", "http://a:b@c:d@e?f", "\ud800", "http://a\0b/c?d"):
        assert SECRET not in redacted(text + f"?{SECRET}")
