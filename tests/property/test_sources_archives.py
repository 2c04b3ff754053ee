"""Damaged archives: an error that names the file, or the very content; never anything else, and nothing left behind."""

import gzip
import io
import os
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqmill.runtime.errors import InputError
from seqmill.sources.archives import join_fasta, safe_name

FILES = {"chr1.fa": b">chr1\n" + b"ACGTTGCA\n" * 40, "more/chr2.fa": b">chr2\n" + b"GGATCC\n" * 30}
WHOLE = b"".join(FILES.values())


def tar_bytes() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def zip_bytes() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


GOOD = {"tar.gz": gzip.compress(tar_bytes(), mtime=0), "zip": zip_bytes()}


@pytest.mark.parametrize("kind", GOOD)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flips_cuts_and_insertions(tmp_path, kind, data):
    content = bytearray(GOOD[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "zero"])):
            case "flip":
                content[at] ^= data.draw(st.integers(1, 255))
            case "cut":
                del content[max(at, 1) :]
            case "insert":
                content[at:at] = data.draw(st.binary(min_size=1, max_size=20))
            case "zero":
                content[at : at + 20] = bytes(len(content[at : at + 20]))
    path = tmp_path / f"x.{kind}"
    path.write_bytes(content)
    target = tmp_path / "joined.fa"
    target.unlink(missing_ok=True)
    said = ""
    try:
        join_fasta(path, target)
    except InputError as error:
        said = str(error)
    if said:
        assert said.startswith(str(path))
        assert os.listdir(tmp_path) == [path.name]
    else:
        # A zip's names and dates have no checksum: renamed members may be left out, content is never changed.
        assert target.read_bytes() in (WHOLE, *FILES.values())


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=40) | st.from_regex(r"[./\\a-c ]{1,12}", fullmatch=True))
def test_a_name_that_passes_stays_inside(name):
    try:
        plain = safe_name(name, "x.tar")
    except InputError:
        return
    path = os.path.normpath(os.path.join("/folder", plain))
    assert path == "/folder" or path.startswith("/folder/")
    assert plain.isascii() and "\\" not in plain and not any(ord(letter) < 32 for letter in plain)
