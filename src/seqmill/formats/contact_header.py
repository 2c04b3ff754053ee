"""What can be checked in a contact map before any parser sees it: magic number, version, and that nothing is cut off.

Layouts: github.com/aidenlab/hic-format (.hic, versions 8 and 9); HDF5 File Format Specification 3.0, section II.A
(superblock), for .mcool and .cool.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from seqmill.formats.text import regular_file
from seqmill.runtime.errors import InputError

HDF5 = b"\x89HDF\r\n\x1a\n"
HIC = b"HIC\0"
HIC_VERSIONS = (8, 9)
MAX_NAME = 4096
# Superblock version -> where the address of the end of the file stands.
_HDF5_END = {0: 40, 1: 44, 2: 28, 3: 28}


def check_contact_file(path: str | Path) -> None:
    """Check the fixed parts of a contact map.

    Raises
    ------
    InputError : neither .hic nor HDF5, a .hic of another version, or cut off. Parsers read a cut .hic without a word
        as long as they need nothing from the part that is gone.
    """
    path = regular_file(path)
    size = path.stat().st_size
    with open(path, "rb") as handle:
        head = handle.read(64)
        if head[:4] == HIC and len(head) >= 16:
            version, footer = struct.unpack_from("<iq", head, 4)
            if version not in HIC_VERSIONS:
                raise InputError(path, f".hic of version {version}; versions 8 and 9 can be read")
            try:
                end = _hic_end(handle, version, footer)
            except (EOFError, OverflowError, OSError):
                end = size + 1
            if not 0 < end <= size:
                raise InputError(path, f"truncated or damaged .hic: its tables reach beyond its {size:,} bytes")
        elif head[:8] == HDF5 and len(head) == 64:
            place = _HDF5_END.get(head[8])
            end = struct.unpack_from("<Q", head, place)[0] if place else size
            if end > size:
                raise InputError(path, f"truncated: {size:,} of {end:,} bytes")
        else:
            raise InputError(path, f"is neither .hic nor .mcool or .cool (first bytes 0x{head[:4].hex().upper()})")


def _hic_end(handle: BinaryIO, version: int, footer: int) -> int:
    """Last byte that the tables behind the maps take or point at; 0 for a place that cannot be. EOFError if cut."""
    long, real = ("<q", 4) if version == 9 else ("<i", 8)
    if footer <= 0:
        return 0
    handle.seek(footer)
    end = footer + struct.calcsize(long) + _number(handle, long)  # master index and expected values
    if end <= footer:
        return 0
    handle.seek(end)
    if not handle.read(1):
        return end  # no normalisation
    handle.seek(end)
    for _ in range(_count(handle)):  # expected values of normalised maps
        _pass_texts(handle, 2)
        _number(handle, "<i")
        values = _number(handle, long)
        handle.seek(max(values, 0) * real, 1)
        handle.seek(_count(handle) * (4 + real), 1)
    vectors = _count(handle)
    for _ in range(vectors):
        _pass_texts(handle, 1)
        _number(handle, "<i")
        _pass_texts(handle, 1)
        _number(handle, "<i")
        place = _number(handle, "<q")
        end = max(end, place + _number(handle, long))
    return max(end, handle.tell())


def _number(handle: BinaryIO, form: str) -> int:
    raw = handle.read(struct.calcsize(form))
    if len(raw) < struct.calcsize(form):
        raise EOFError
    return struct.unpack(form, raw)[0]


def _count(handle: BinaryIO) -> int:
    """A count of entries; each takes bytes, so that a forged one soon meets the end of the file."""
    return max(_number(handle, "<i"), 0)


def _pass_texts(handle: BinaryIO, count: int) -> None:
    """Pass over texts that end with a zero byte."""
    for _ in range(count):
        if not any(_number(handle, "<B") == 0 for _ in range(MAX_NAME)):
            raise EOFError
