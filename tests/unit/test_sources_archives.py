"""Archives of strangers: what is unpacked, and what is refused before a byte is written."""

import gzip
import io
import os
import struct
import tarfile
import zipfile

import pytest
from tests.portal import Portal
from tests.portal.files import lock_row

from seqmill.runtime.errors import InputError
from seqmill.sources import archives
from seqmill.sources.archives import Member, join_fasta, members, safe_name
from seqmill.sources.fetch import fetch, local_files

CHR1, CHR2 = b">chr1\nACGT\n" * 50, b">chr2\nNNNN\n" * 50


def tar_of(path, *entries, mode="w:gz"):
    """A tar file of (name, content), or (name, None, type of member)."""
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as tar:
        for name, content, *type_ in entries:
            info = tarfile.TarInfo(name)
            if content is not None:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.type = type_[0]
                info.linkname = "/etc/passwd"
                tar.addfile(info)
    return path


def zip_of(path, *entries, **changes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in changes.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return path


@pytest.fixture
def assert_refused(tmp_path):
    """Check that an archive is refused with a message, and that nothing is left of it or outside."""
    before = sorted(os.listdir(tmp_path.parent))

    def check(path, said):
        for work in (lambda: members(path), lambda: join_fasta(path, tmp_path / "out")):
            with pytest.raises(InputError, match=said) as caught:
                work()
            assert str(caught.value).startswith(str(path))
        assert not (tmp_path / "out").exists()
        assert [name for name in os.listdir(tmp_path) if "part" in name or name == "evil"] == []
        assert sorted(os.listdir(tmp_path.parent)) == before

    return check


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_file(tmp_path, mode):
    path = tar_of(
        tmp_path / "x.tar", ("./", None, tarfile.DIRTYPE), ("./chr1.fa", CHR1), ("more/chr2.fa", CHR2), mode=mode
    )
    assert members(path) == [Member("chr1.fa", len(CHR1)), Member("more/chr2.fa", len(CHR2))]
    assert join_fasta(path, tmp_path / "out") == ["chr1.fa", "more/chr2.fa"]
    assert (tmp_path / "out").read_bytes() == CHR1 + CHR2


def test_a_zip_file(tmp_path):
    path = zip_of(tmp_path / "x.zip", ("chr1.fa", CHR1), ("more/", b""), ("more/chr2.fa", CHR2))
    assert join_fasta(path, tmp_path / "out") == ["chr1.fa", "more/chr2.fa"]
    assert (tmp_path / "out").read_bytes() == CHR1 + CHR2


def test_only_fasta_is_joined_and_lines_end(tmp_path):
    path = tar_of(
        tmp_path / "x.tar.gz", ("chr2.fa", b">chr2\nAC"), ("README.txt", b"words"), ("chr1.fa", b">chr1\nGT\n")
    )
    assert join_fasta(path, tmp_path / "out") == ["chr2.fa", "chr1.fa"]
    assert (tmp_path / "out").read_bytes() == b">chr2\nAC\n>chr1\nGT\n"
    with pytest.raises(InputError, match="holds no FASTA files"):
        join_fasta(tar_of(tmp_path / "y.tar.gz", ("README.txt", b"words")), tmp_path / "other")


NAMES = [
    "../evil", "a/../../evil", "/evil", "a/../evil", "..", "-rf", ".hidden", "a\nb", "a\\..\\evil", "C:evil", "a ",
    "a.", ".", "é.fa", "x" * 300, "\x1b[31m", "a//b", "~root/x",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_names_that_lead_elsewhere(tmp_path, assert_refused, name, kind):
    make = tar_of if kind == "tar" else zip_of
    assert_refused(
        make(tmp_path / f"x.{kind}", ("chr1.fa", CHR1), (name, b"evil")), "has no safe name; nothing was unpacked"
    )


@pytest.mark.parametrize(
    ("type_", "what"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.CHRTYPE, "device or special file"),
        (tarfile.BLKTYPE, "device or special file"),
        (tarfile.FIFOTYPE, "device or special file"),
    ],
)
def test_links_and_devices(tmp_path, assert_refused, type_, what):
    assert_refused(tar_of(tmp_path / "x.tar", ("chr1.fa", CHR1), ("evil", None, type_)), f"member 'evil' is a {what}")


def test_a_link_in_a_zip(tmp_path, assert_refused):
    path = zip_of(tmp_path / "x.zip", ("evil", b"/etc/passwd"), external_attr=0o120777 << 16, create_system=3)
    assert_refused(path, "member 'evil' is a link or device")


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("chr1.fa", "chr1.fa"), "member 'chr1.fa' comes twice"),
        (("chr1.fa", "./chr1.fa"), "member 'chr1.fa' comes twice"),
        (("chrX.fa", "chrx.fa"), "member 'chrx.fa' and 'chrX.fa' are one file on some disks"),
        (("a", "A/b"), "member 'a' is a file and a folder"),
        (("chr1.fa", "inner.zip"), "holds another archive, 'inner.zip'"),
        (("chr1.fa", "inner.tar.gz"), "holds another archive, 'inner.tar.gz'"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_must_not_be_together(tmp_path, assert_refused, kind, names, said):
    make = tar_of if kind == "tar" else zip_of
    assert_refused(make(tmp_path / f"x.{kind}", *((name, CHR1) for name in names)), said)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_bombs(tmp_path, assert_refused, kind):
    make = tar_of if kind == "tar" else zip_of
    assert_refused(
        make(tmp_path / f"x.{kind}", ("zeros.fa", bytes(1 << 24))), "unpacks to more than 200 times its size"
    )


def test_a_bomb_that_lies_about_its_size(tmp_path):
    path = zip_of(tmp_path / "x.zip", ("zeros.fa", bytes(1 << 24)))
    content = bytearray(path.read_bytes())
    for at in (content.find(b"PK\x03\x04") + 22, content.find(b"PK\x01\x02") + 24):
        content[at : at + 4] = struct.pack("<I", 100)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"zeros.fa: (is broken|holds)"):
        join_fasta(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tar_header_of_gigabytes(tmp_path, assert_refused):
    """An extended header is read into memory whole, before anything of it can be judged."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, (1 << 33) - 1
    with gzip.open(tmp_path / "x.tar.gz", "wb") as sink:
        sink.write(info.tobuf(tarfile.USTAR_FORMAT))
        sink.write(bytes(1 << 20))
    assert_refused(tmp_path / "x.tar.gz", "a header of")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_too_many_members(tmp_path, assert_refused, kind, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 20)
    make = tar_of if kind == "tar" else zip_of
    assert_refused(make(tmp_path / f"x.{kind}", *((f"{i}", b"a") for i in range(21))), "has more than 20 members")


def test_a_zip_directory_too_large_to_read(tmp_path, assert_refused, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 1)
    monkeypatch.setattr(archives.zipfile, "ZipFile", None)  # is not even opened
    path = tmp_path / "x.zip"
    path.write_bytes(b"PK\x03\x04" + bytes(1000) + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, 1000, 4, 0))
    assert_refused(path, "has more than 1 members")


def test_two_central_directories(tmp_path, assert_refused):
    one = zip_of(tmp_path / "one.zip", ("chr1.fa", CHR1)).read_bytes()
    two = zip_of(tmp_path / "two.zip", ("evil.fa", CHR2)).read_bytes()
    (tmp_path / "x.zip").write_bytes(one + two)
    assert_refused(tmp_path / "x.zip", "has more than one central directory")


def test_a_zip_hidden_behind_other_bytes(tmp_path, assert_refused):
    content = zip_of(tmp_path / "one.zip", ("chr1.fa", CHR1)).read_bytes()
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 something else" + content)
    assert_refused(tmp_path / "x.zip", "bytes around it that belong to none")


def test_a_zip_name_with_nul(tmp_path, assert_refused):
    content = zip_of(tmp_path / "x.zip", ("chr1.fa/evil", CHR1)).read_bytes()
    (tmp_path / "x.zip").write_bytes(content.replace(b"chr1.fa/evil", b"chr1.fa\0evil"))
    assert_refused(tmp_path / "x.zip", "has no safe name")


def test_encrypted(tmp_path, assert_refused):
    content = bytearray(zip_of(tmp_path / "x.zip", ("chr1.fa", CHR1)).read_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(content)
    assert_refused(tmp_path / "x.zip", "member 'chr1.fa' is encrypted")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("cut", ["member", "middle", "boundary"])
def test_cut_tar_files(tmp_path, assert_refused, mode, cut):
    whole = tar_of(tmp_path / "whole.tar", ("chr1.fa", CHR1), ("chr2.fa", CHR2), mode="w").read_bytes()
    # 1024: header and data of the first member; the boundary is where a reader sees no fault
    content = whole[: {"member": 512 + 300, "middle": 1024 + 512 + 100, "boundary": 1536}[cut]]
    (tmp_path / "x.tar").write_bytes(content if mode == "w" else gzip.compress(content))
    assert_refused(tmp_path / "x.tar", "is broken|its end is missing|unexpected end")


def test_a_gzip_cut_between_its_members(tmp_path, assert_refused):
    whole = tar_of(tmp_path / "whole.tar", ("chr1.fa", CHR1), ("chr2.fa", CHR2), mode="w").read_bytes()
    parts = [gzip.compress(whole[:1536]), gzip.compress(whole[1536:])]
    (tmp_path / "good.tar.gz").write_bytes(b"".join(parts))
    assert len(members(tmp_path / "good.tar.gz")) == 2
    (tmp_path / "x.tar.gz").write_bytes(parts[0])
    assert_refused(tmp_path / "x.tar.gz", "its end is missing")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no readable tar or zip file"),
        (b"<html>maintenance</html>" * 50, "is no readable tar or zip file"),
        (gzip.compress(b"not a tar" * 100), "is no readable tar or zip file"),
        (b"PK\x03\x04 cut", "is no whole zip file: its directory is missing"),
        (gzip.compress(bytes(10240)), "holds no files"),
    ],
    ids=["nothing", "a page", "a gzip of something", "a cut zip", "zeros"],  # the bytes hold the time
)
def test_no_archive(tmp_path, assert_refused, content, said):
    (tmp_path / "x.tar.gz").write_bytes(content)
    assert_refused(tmp_path / "x.tar.gz", said)


def test_flipped_bytes_of_a_zip_are_found(tmp_path):
    path = zip_of(tmp_path / "x.zip", ("chr1.fa", os.urandom(1000)))
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"chr1.fa: is broken"):
        join_fasta(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_that_are_fine():
    assert safe_name("./a/b_1.fa.gz", "x") == "a/b_1.fa.gz"
    assert safe_name("./", "x") == "."


def test_a_genome_that_comes_as_a_tar_file_is_one_fasta(tmp_path):
    packed = tar_of(tmp_path / "x.tar.gz", ("./chr1.fa", CHR1), ("./chr2.fa", CHR2)).read_bytes()
    with Portal() as portal:
        url = portal.add("/ucsc/goldenPath/x/bigZips/chromFa.tar.gz", packed)
        row = lock_row(packed, url, name="ucsc:x/chromFa", file="x.chromFa.fa", format="fasta-tar")
        fetch(tmp_path / "results/x", [row], portal.sources(tmp_path))
    (file,) = local_files(tmp_path / "results/x")
    assert (file.path.name, file.format, file.path.read_bytes()) == ("x.chromFa.fa", "fasta", CHR1 + CHR2)


def test_a_hostile_tar_file_is_named_by_its_address(tmp_path):
    packed = tar_of(tmp_path / "x.tar.gz", ("../evil.fa", CHR1)).read_bytes()
    with Portal() as portal:
        url = portal.add("/ucsc/goldenPath/x/bigZips/chromFa.tar.gz", packed)
        row = lock_row(packed, url, name="ucsc:x/chromFa", file="x.chromFa.fa", format="fasta-tar")
        with pytest.raises(
            InputError, match=r"^ucsc:x/chromFa: http://.*/chromFa.tar.gz: member '../evil.fa' has no safe"
        ):
            fetch(tmp_path / "results/x", [row], portal.sources(tmp_path))
    assert os.listdir(tmp_path / "results") == []
