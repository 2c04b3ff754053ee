"""Stand-in bytes: files that are made up, say so, and have a size and checksums of their own.

A stand-in of a portal's file is never that file: its row says 'stand-in' and its checksum is that of the bytes made
here. Nothing of this may enter a lock that is shipped.
"""

import gzip
import hashlib
import random
import struct
from dataclasses import replace

# First bytes of formats that are told apart by them (little-endian magic of UCSC's bbiFile.h, hic's by its name).
MAGIC = {
    "bigwig": struct.pack("<I", 0x888FFC26),
    "bigbed": struct.pack("<I", 0x8789F2EB),
    "hic": b"HIC\0",
    "hdf5": b"\x89HDF\r\n\x1a\n",
    "bam": b"\x1f\x8b\x08\x04",
}


def stand_in(seed: int | str, size: int, format: str = "bigwig") -> bytes:
    """``size`` bytes that begin as a file of this format and go on at random, the same ones for the same arguments.

    Text formats (bed, fastq, tsv, ...) are a gzip of lines instead, of about ``size`` bytes.
    """
    rng = random.Random(f"{seed} {size} {format}")
    if format in MAGIC:
        start = MAGIC[format] + b" stand-in "
        return (start + rng.randbytes(max(size - len(start), 0)))[:size]
    if format == "fastq":
        lines = (f"@stand-in.{i}\n{''.join(rng.choices('ACGT', k=50))}\n+\n{'I' * 50}\n" for i in range(size // 40 + 1))
    else:
        lines = (f"chr1\t{i * 100}\t{i * 100 + rng.randrange(1, 100)}\tstand-in\n" for i in range(size // 8 + 1))
    return gzip.compress("".join(lines).encode(), mtime=0)


def sums(content: bytes) -> dict[str, str | int]:
    """Size and checksums of bytes, as a row of the lock has them."""
    return {
        "bytes": len(content),
        "md5": hashlib.md5(content).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def lock_row(content: bytes, url: str, *, name: str = "t", file: str = "t.bigWig", sha256: bool = False, **cells):
    """Row of the lock for stand-in bytes; by md5 alone, as the portals give it, unless ``sha256``."""
    from seqmill.config.lock import LockRow

    found = sums(content)
    if not sha256:
        found["sha256"] = ""
    row = LockRow(name=name, asked=name, file=file, source="url", accession="", url=url, status="stand-in", **found)
    return replace(row, **cells)
