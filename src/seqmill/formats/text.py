"""Text files from strangers, plain, gzip or BGZF: opened safely and read in blocks of whole lines."""

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from seqmill.runtime.errors import InputError

BLOCK_BYTES = 8 << 20
GZIP_MAGIC = b"\x1f\x8b"
BGZF_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def regular_file(path: str | Path) -> Path:
    """``path`` if it is a readable, regular file, else an InputError."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(mode):
        raise InputError(path, "is not a regular file")
    if not os.access(path, os.R_OK):
        raise InputError(path, "cannot be read (permission denied)")
    return path


def magic_bytes(path: str | Path, count: int = 4) -> bytes:
    """First bytes of a file."""
    with open(path, "rb") as handle:
        return handle.read(count)


def lacks_bgzf_eof(path: str | Path) -> bool:
    """True if the file is BGZF (blocks that name their own size) and its empty last block is missing."""
    with open(path, "rb") as handle:
        head = handle.read(18)
        if head[:4] != b"\x1f\x8b\x08\x04" or head[12:14] != b"BC":
            return False
        handle.seek(0, os.SEEK_END)
        size = handle.tell()
        handle.seek(max(size - len(BGZF_EOF), 0))
        return handle.read() != BGZF_EOF


@contextmanager
def open_binary(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed by its content and not by its name.

    Damage that shows while the block reads (a cut or changed gzip stream) is raised as InputError.
    """
    path = regular_file(path)
    compressed = magic_bytes(path, 2) == GZIP_MAGIC
    if compressed and lacks_bgzf_eof(path):
        raise InputError(path, "truncated: the last block of a BGZF file is missing")
    try:
        with gzip.open(path, "rb") if compressed else open(path, "rb") as handle:
            yield handle  # type: ignore[misc]
    except EOFError:
        raise InputError(path, "truncated: the gzip stream ends before its end mark") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(path, f"damaged gzip file ({error})") from None


def line_blocks(path: str | Path, block_bytes: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield ``(number of the first line, 1-based; whole lines)``; the last block may lack its final newline."""
    number, carry = 1, b""
    with open_binary(path) as handle:
        while chunk := handle.read(block_bytes or BLOCK_BYTES):
            cut = chunk.rfind(b"\n") + 1
            if not cut:
                carry += chunk
                continue
            block, carry = carry + chunk[:cut], chunk[cut:]
            yield number, block
            number += block.count(b"\n")
        if carry:
            yield number, carry
