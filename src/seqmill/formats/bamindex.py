"""How far a BAM index says its file reaches: the only trace of a file that was cut between two blocks."""

import gzip
import struct
import zlib
from pathlib import Path


def last_block(index: str | Path) -> int:
    """Largest file offset, of a block or of the end of the file, that a BAI or CSI index names.

    Source: SAM specification, section 5.2; CSI specification, version 1.

    Raises
    ------
    ValueError : not such an index, or a damaged one.
    """
    raw = Path(index).read_bytes()
    try:
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        if raw[:4] == b"BAI\x01":
            return _walk(raw, 4, depth=5, linear=True)
        if raw[:4] == b"CSI\x01":
            _, depth, extra = struct.unpack_from("<iii", raw, 4)
            return _walk(raw, 16 + extra, depth=depth, linear=False)
    except (struct.error, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"damaged index ({error})") from None
    raise ValueError("not a BAI or CSI index")


def _walk(raw: bytes, place: int, *, depth: int, linear: bool) -> int:
    """Pass over references and bins. ``linear``: each reference ends with a linear index, as in BAI."""
    largest = 0
    statistics = ((1 << 3 * (depth + 1)) - 1) // 7 + 1  # a bin that holds numbers of reads, not places
    (references,) = struct.unpack_from("<i", raw, place)
    place += 4
    for _ in range(references):
        (bins,) = struct.unpack_from("<i", raw, place)
        place += 4
        for _ in range(bins):
            (number,) = struct.unpack_from("<I", raw, place)
            place += 4 if linear else 12  # a CSI has an offset too
            (chunks,) = struct.unpack_from("<i", raw, place)
            place += 4 + 16 * chunks
            if number != statistics and chunks > 0:  # chunks are in order: the last one ends last
                largest = max(largest, struct.unpack_from("<Q", raw, place - 8)[0])
        if linear:
            place += 4 + 8 * struct.unpack_from("<i", raw, place)[0]
    return largest >> 16
