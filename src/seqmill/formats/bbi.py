"""What can be checked in a bigWig before any parser sees it: magic number, places, numbering of chromosomes.

Layout of the file: Kent et al. 2010, Bioinformatics 26:2204, supplementary tables 5 to 11.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from seqmill.formats.text import regular_file
from seqmill.runtime.errors import InputError

BIGWIG, BIGBED, TREE = 0x888FFC26, 0x8789F2EB, 0x78CA8C91
HEADER_BYTES, ZOOM_BYTES = 64, 24


def check_bigwig(path: str | Path) -> None:
    """Check the fixed parts of a bigWig.

    Raises
    ------
    InputError : another magic number; a header that points behind the end of the file (truncated); or ids of
        chromosomes that are not 0 to n - 1, from which some readers crash and others give no data without a word.
    """
    path = regular_file(path)
    size = path.stat().st_size
    with open(path, "rb") as handle:
        raw = handle.read(HEADER_BYTES)
        order = _byte_order(path, raw)
        if len(raw) < HEADER_BYTES:
            raise InputError(path, f"truncated: {size} bytes do not hold the header of a bigWig")
        n_zooms, tree, data, index = struct.unpack(order + "HQQQ", raw[6:32])
        zooms = handle.read(ZOOM_BYTES * n_zooms)
        if len(zooms) < ZOOM_BYTES * n_zooms:
            raise InputError(path, f"truncated: {size} bytes do not hold the header of a bigWig")
        places = [tree, data, index]
        for number in range(n_zooms):
            places += struct.unpack_from(order + "QQ", zooms, ZOOM_BYTES * number + 8)
        if max(places) >= size:
            raise InputError(path, f"truncated: the header points at byte {max(places):,} of a file of {size:,} bytes")
        try:
            ids, expected = _chromosome_ids(handle, tree, order)
        except (struct.error, OSError, ValueError, OverflowError) as error:
            raise InputError(path, f"damaged or truncated bigWig (table of chromosomes: {error})") from None
    if len(ids) != expected or sorted(ids) != list(range(len(ids))):
        raise InputError(path, f"damaged bigWig: the ids of its {expected} chromosome(s) are not 0 to {expected - 1}")


def _byte_order(path: Path, raw: bytes) -> str:
    little, big = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[:4], "big")
    if BIGBED in (little, big):
        raise InputError(path, "is a bigBed, expected a bigWig")
    if BIGWIG not in (little, big):
        shown = f"0x{little:08X}" if len(raw) >= 4 else "missing"
        raise InputError(path, f"not a bigWig (magic {shown}, expected 0x{BIGWIG:08X})")
    return "<" if little == BIGWIG else ">"


def _chromosome_ids(handle: BinaryIO, tree: int, order: str) -> tuple[list[int], int]:
    """Ids in the leaves of the chromosome tree, and how many its header announces."""
    handle.seek(tree)
    magic, _, key_bytes, _, expected, _ = struct.unpack(order + "IIIIQQ", handle.read(32))
    if magic != TREE:
        raise ValueError(f"magic 0x{magic:08X}, expected 0x{TREE:08X}")
    if key_bytes > 4096:
        raise ValueError(f"names of {key_bytes} bytes")
    ids: list[int] = []
    places, seen = [tree + 32], set()
    while places and len(ids) <= expected:
        place = places.pop()
        if place in seen:
            raise ValueError("a node is its own parent")
        seen.add(place)
        handle.seek(place)
        leaf, _, count = struct.unpack(order + "BBH", handle.read(4))
        items = handle.read(count * (key_bytes + 8))
        for number in range(count):
            value = (number + 1) * (key_bytes + 8) - 8
            if leaf:
                ids.append(struct.unpack_from(order + "I", items, value)[0])
            else:
                places.append(struct.unpack_from(order + "Q", items, value)[0])
    return ids, expected
