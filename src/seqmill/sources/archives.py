"""Members of tar and zip files from strangers: nothing is written by a name of theirs, nothing grows without bound.

Archives hold plain files only; a link, a device, a name that is no name on every disk, or two names that are one file
there, refuse the whole archive before anything is written.
"""

import bz2
import gzip
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from seqmill.runtime.errors import InputError
from seqmill.runtime.files import atomic_path
from seqmill.runtime.progress import human_bytes

FASTA_TAR = "fasta-tar"  # format of a lock row whose file is what `join_fasta` makes of the bytes
MAX_MEMBERS = 100_000
MAX_RATIO = 200  # of unpacked to packed bytes; text of genomes packs to a quarter, all zeros to a thousandth
MAX_BYTES = 1 << 38
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._+()=,@-]{0,199}")
_PACKED = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_BLOCK = 1 << 20
_EOCD = b"PK\x05\x06"
_OPENERS: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
)


@dataclass(frozen=True)
class Member:
    """One file of an archive: its name in it ('/' between parts) and its size as the archive tells."""

    name: str
    bytes: int


def members(path: str | Path) -> list[Member]:
    """Files of a tar or zip file, after all checks that need no unpacking, in the archive's order.

    Raises InputError for what must not be unpacked; it names the archive and the member.
    """
    with _open(path) as archive:
        return [member for member, _ in archive.checked()]


def join_fasta(path: str | Path, target: str | Path) -> list[str]:
    """Write the FASTA files of a tar or zip file one behind the other, in the archive's order; their names.

    ``target`` is there whole afterwards, or not at all.

    Raises
    ------
    InputError : the archive must not be unpacked, is broken, or holds no file that ends in .fa or .fasta.
    """
    with _open(path) as archive:
        wanted = [one for one in archive.checked() if one[0].name.lower().endswith((".fa", ".fasta"))]
        if not wanted:
            raise InputError(path, "holds no FASTA files (.fa, .fasta)")
        left = _limit(path)
        with atomic_path(target) as part, open(part, "wb") as sink:
            for member, read in wanted:
                left -= _copy(path, member, read, sink, left)
    return [member.name for member, _ in wanted]


def _copy(path: str | Path, member: Member, read: Callable[[], IO[bytes]], sink: IO[bytes], left: int) -> int:
    written, last = 0, b"\n"
    try:
        with read() as source:
            while block := source.read(_BLOCK):
                written, last = written + len(block), block[-1:]
                if written > left:
                    raise _bomb(path)
                sink.write(block)
    except _BROKEN as error:
        raise InputError(path, f"is broken ({error})", record=member.name) from None
    if written != member.bytes:
        raise InputError(path, f"holds {written:,} bytes, its header says {member.bytes:,}", record=member.name)
    if last != b"\n":
        sink.write(b"\n")
    return written


def _limit(path: str | Path) -> int:
    return min(MAX_BYTES, MAX_RATIO * Path(path).stat().st_size + _BLOCK)


def _bomb(path: str | Path) -> InputError:
    return InputError(path, f"unpacks to more than {MAX_RATIO} times its size, or above {human_bytes(MAX_BYTES)}")


def _open(path: str | Path) -> "_Tar | _Zip":
    with open(path, "rb") as handle:
        head = handle.read(4)
    try:
        return _Zip(path) if head[:2] == b"PK" else _Tar(path)
    except _BROKEN as error:
        raise InputError(path, f"is no readable tar or zip file ({error})") from None


class _Checked:
    """What both kinds of archive have in common: names and totals."""

    path: str | Path

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        raise TypeError

    def entries(self) -> Iterator[tuple[str, int, Callable[[], IO[bytes]] | None]]:
        """Name, size, how to read it (None: a folder)."""
        raise TypeError

    def checked(self) -> list[tuple[Member, Callable[[], IO[bytes]]]]:
        """All files, once everything about them is right. Raises InputError."""
        found: list[tuple[Member, Callable[[], IO[bytes]]]] = []
        seen: dict[str, str] = {}
        folders: set[str] = set()
        total, limit = 0, _limit(self.path)
        try:
            for number, (name, size, read) in enumerate(self.entries(), 1):
                if number > MAX_MEMBERS:
                    raise InputError(self.path, f"has more than {MAX_MEMBERS:,} members")
                plain = safe_name(name, self.path)
                if read is None:
                    continue
                if plain == ".":
                    raise _unsafe(name, self.path)
                total += size
                if total > limit:
                    raise _bomb(self.path)
                key = plain.casefold()
                if key in seen:
                    how = "comes twice" if seen[key] == plain else f"and {seen[key]!r} are one file on some disks"
                    raise InputError(self.path, f"member {plain!r} {how}")
                seen[key] = plain
                folders.update(str(parent) for parent in PurePosixPath(key).parents)
                if key.endswith(_PACKED):
                    raise InputError(self.path, f"holds another archive, {plain!r}; unpack it yourself if you trust it")
                found.append((Member(plain, size), read))
        except _BROKEN as error:
            raise InputError(self.path, f"is broken ({error})") from None
        both = folders & seen.keys()
        if both:
            raise InputError(self.path, f"member {seen[min(both)]!r} is a file and a folder")
        if not found:
            raise InputError(self.path, "holds no files")
        return found


def safe_name(name: str, path: str | Path) -> str:
    """Name of a member without './', if every disk can have it. Raises InputError."""
    parts = [part for part in name.removesuffix("/").split("/") if part != "."]
    bad = [part for part in parts if not _PART.fullmatch(part) or part.rstrip(" .") != part]
    if name.startswith("/") or bad or len(name) > 1000:
        raise _unsafe(name, path)
    return "/".join(parts) or "."


def _unsafe(name: str, path: str | Path) -> InputError:
    return InputError(path, f"member {name[:100]!r} has no safe name; nothing was unpacked")


class _Plain:
    """A file that is never read in large pieces: an extended header of a tar file may claim any size."""

    def __init__(self, file: IO[bytes]):
        self._file, self.seek, self.tell, self.close = file, file.seek, file.tell, file.close

    def read(self, size: int) -> bytes:
        if not 0 <= size <= 16 * _BLOCK:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)


class _Tar(_Checked):
    def __init__(self, path: str | Path):
        self.path = path
        with open(path, "rb") as handle:
            opener = _OPENERS.get(handle.read(2), lambda path: open(path, "rb"))  # noqa: SIM115 - closed below
        self._plain = _Plain(opener(path))
        try:
            self._file = tarfile.open(fileobj=self._plain, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115
        except BaseException:
            self._plain.close()
            raise

    def close(self) -> None:
        self._file.close()
        self._plain.close()

    def entries(self):
        for info in self._file:
            if info.isdir():
                yield info.name, 0, None
            elif info.isreg() and not info.issparse():
                yield info.name, info.size, lambda info=info: self._file.extractfile(info)
            else:
                kind = "link" if info.islnk() or info.issym() else "device or special file"
                raise InputError(self.path, f"member {info.name[:100]!r} is a {kind}; nothing was unpacked")
        self._plain.seek(self._file.offset)
        if self._plain.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end is missing")
        rest, limit = 0, _limit(self.path)  # to the end, where the checksum of the compression is
        while block := self._plain.read(_BLOCK):
            rest += len(block)
            if rest > limit:
                raise _bomb(self.path)


class _Zip(_Checked):
    def __init__(self, path: str | Path):
        self.path = path
        _check_directories(path)
        self._file = zipfile.ZipFile(path)

    def close(self) -> None:
        self._file.close()

    def entries(self):
        for info in self._file.infolist():
            if info.orig_filename != info.filename and "\0" in info.orig_filename:
                raise _unsafe(info.orig_filename, self.path)
            mode = info.external_attr >> 16
            if mode and mode & 0o170000 not in (0, 0o100000, 0o040000):
                raise InputError(self.path, f"member {info.filename[:100]!r} is a link or device; nothing was unpacked")
            if info.flag_bits & 1:
                raise InputError(self.path, f"member {info.filename[:100]!r} is encrypted")
            read = None if info.is_dir() else (lambda info=info: self._file.open(info))
            yield info.filename, info.file_size, read


def _check_directories(path: str | Path) -> None:
    """Refuse a zip with two central directories: programs differ in which of them they believe."""
    size = Path(path).stat().st_size
    with open(path, "rb") as handle:
        handle.seek(max(0, size - (1 << 16) - 22))
        tail = handle.read()
    ends = [found.start() for found in re.finditer(re.escape(_EOCD), tail)]
    if not ends:
        raise InputError(path, "is no whole zip file: its directory is missing")
    last = tail[ends[-1] :]
    if len(ends) > 1 or len(last) < 22:
        raise InputError(path, "has more than one central directory, or a broken one")
    directory, offset, comment = (int.from_bytes(last[a:b], "little") for a, b in ((12, 16), (16, 20), (20, 22)))
    if 0xFFFFFFFF in (directory, offset):
        raise InputError(path, "is a zip file above 4 GB; unpack it yourself if you trust it")
    if directory > 512 * MAX_MEMBERS:
        raise InputError(path, f"has more than {MAX_MEMBERS:,} members")
    if len(last) != 22 + comment or offset + directory != size - len(last):
        raise InputError(path, "has more than one central directory, or bytes around it that belong to none")
