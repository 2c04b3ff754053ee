"""Contact maps written byte by byte, as the format's description says (github.com/aidenlab/hic-format), v8 and v9.

hictkpy writes version 9 without normalisation vectors only; public maps are of version 8 and 9 and have them.
"""

import struct
import zlib

import numpy as np


def write_hic(path, sizes, resolution, pixels, *, version=8, norms=None):
    """A .hic of one resolution with one block for each contig's map with itself.

    Parameters
    ----------
    sizes : contig -> bp. pixels : contig -> list of (bin1, bin2, count) with bin1 <= bin2.
    norms : name -> {contig: divisive factors of its bins}.
    """
    nine = version == 9
    long, real = ("<q", "<f4") if nine else ("<i", "<f8")

    def text(word):
        return word.encode() + b"\0"

    body = bytearray()
    body += text("HIC") + struct.pack("<iq", version, 0) + text("toy")
    if nine:
        body += struct.pack("<qq", 0, 0)
    body += struct.pack("<i", 0)  # attributes
    contigs = {"All": sum(sizes.values()) // 1000 + 1, **sizes}
    body += struct.pack("<i", len(contigs))
    for name, size in contigs.items():
        body += text(name) + struct.pack(long, size)
    body += struct.pack("<iii", 1, resolution, 0)  # resolutions in bp; none in fragments
    places = {}
    for index, name in enumerate(contigs):
        rows = sorted((b, a, value) for a, b, value in pixels.get(name, []))  # y is the later bin
        if rows:
            places[index] = (len(body), _matrix(body, index, rows, sizes[name], resolution, nine))
    footer = len(body)
    master = struct.pack("<i", len(places))
    for index, (place, size) in places.items():
        master += text(f"{index}_{index}") + struct.pack("<qi", place, size)
    longest = -(-max(sizes.values()) // resolution)
    master += struct.pack("<i", 1) + text("BP") + struct.pack("<i", resolution) + struct.pack(long, longest)
    master += np.ones(longest, real).tobytes() + struct.pack("<i", len(sizes))
    for index in range(1, len(contigs)):
        master += struct.pack("<i", index) + np.ones(1, real).tobytes()
    body += struct.pack("<q" if nine else "<i", len(master)) + master
    body += struct.pack("<i", 0)  # expected values of normalised maps
    vectors = [
        (kind, list(contigs).index(name), np.asarray(values))
        for kind, by_contig in (norms or {}).items()
        for name, values in by_contig.items()
    ]
    index_place = len(body)

    def index_of(at):
        out, size = struct.pack("<i", len(vectors)), 0
        for kind, contig, values in vectors:
            size = struct.calcsize(long) + values.size * np.dtype(real).itemsize
            out += text(kind) + struct.pack("<i", contig) + text("BP") + struct.pack("<iq", resolution, at)
            out += struct.pack("<q" if nine else "<i", size)
            at += size
        return out

    index_bytes = index_of(0)
    body += index_of(index_place + len(index_bytes))
    for _, _, values in vectors:
        body += struct.pack(long, values.size) + values.astype(real).tobytes()
    struct.pack_into("<q", body, 8, footer)
    if nine:
        struct.pack_into("<qq", body, 8 + 8 + len(text("toy")), index_place, len(index_bytes))
    path.write_bytes(body)


def _matrix(body, index, rows, size, resolution, nine):
    """Append one map; returns its size in bytes."""
    start = len(body)
    bins = -(-size // resolution)
    total = float(sum(value for *_, value in rows))
    head = struct.pack("<iii", index, index, 1) + b"BP\0"
    head += struct.pack("<iffffiii", 0, total, 0, 0, 0, resolution, bins + 1, 1) + struct.pack("<i", 1)
    block = struct.pack("<iii", len(rows), 0, 0) + b"\1"  # float values
    ys = sorted({y for y, *_ in rows})
    block += b"\1\1\1" + struct.pack("<i", len(ys)) if nine else b"\1" + struct.pack("<h", len(ys))
    short = "<i" if nine else "<h"
    for y in ys:
        cells = [(x, value) for y_, x, value in rows if y_ == y]
        block += struct.pack(short, y) + struct.pack(short, len(cells))
        for x, value in cells:
            block += struct.pack(short, x) + struct.pack("<f", value)
    packed = zlib.compress(block)
    place = start + len(head) + 16
    body += head + struct.pack("<iqi", 0, place, len(packed)) + packed
    return place - start
