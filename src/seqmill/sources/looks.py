"""What a file is, told from its first bytes: portals in trouble answer 200 with a page instead of the file.

This makes the message clear and the refusal early; whether bytes are right is decided by size and checksum.
"""

import re

# Bytes of the head that are looked at.
HEAD = 512
_GZIP, _HDF5 = (b"\x1f\x8b",), (b"\x89HDF\r\n\x1a\n",)
# First bytes by ending. bigWig and bigBed: bbiFile.h of UCSC, either byte order; HiC: "HIC"; SRA: "NCBI.sra".
_MAGIC = {
    "bw": (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26"),
    "bb": (b"\xeb\xf2\x89\x87", b"\x87\x89\xf2\xeb"),
    "bam": _GZIP,
    "bcf": _GZIP,
    "bgz": _GZIP,
    "cram": (b"CRAM",),
    "gz": _GZIP,
    "tgz": _GZIP,
    "hic": (b"HIC",),
    "h5": _HDF5,
    "sra": (b"NCBI.sra",),
    "parquet": (b"PAR1",),
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "2bit": (b"\x43\x27\x41\x1a", b"\x1a\x41\x27\x43"),
}
_SAME = {"bigwig": "bw", "bigbed": "bb", "hdf5": "h5", "cool": "h5", "mcool": "h5", "h5ad": "h5", "npz": "zip"}
_PAGES = (
    ("an HTML page", re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE), ("html", "htm", "svg")),
    ("an XML answer", re.compile(rb"<(?:\?xml|error)\b", re.IGNORECASE), ("xml", "html", "svg", "xlsx")),
    ("a JSON answer", re.compile(rb"[{\[]\s*(?:[\"{\[\]}]|-?\d)"), ("json", "jsonl", "ipynb")),
)


def _kind(file: str, format: str) -> str:
    """Ending of the file, or its format where the ending says nothing."""
    ending = file.lower().rpartition(".")[2]
    for word in (_SAME.get(ending, ending), _SAME.get(format.lower(), format.lower())):
        if word in _MAGIC:
            return word
    return ending


def page(head: bytes, file: str, format: str = "") -> str:
    """What ``head`` is instead of the file ("an HTML page"), '' if it is no page.

    >>> page(b"<!DOCTYPE html><title>Maintenance", "ENCFF000AAA.bigWig")
    'an HTML page'
    """
    kind = _kind(file, format)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for name, pattern, kinds in _PAGES:
        # text may well begin like JSON, so only files that must begin otherwise are judged by it
        if pattern.match(start) and kind not in kinds and (kind in _MAGIC or name != "a JSON answer"):
            return name
    return ""


def other(head: bytes, file: str, format: str = "") -> str:
    """What is wrong with the first bytes of a file of which no checksum is known, '' if nothing is.

    >>> other(b"chr1 0 10", "a.bigWig")
    'is no bigwig file: it begins with b\\'chr1 0 10\\''
    """
    if found := page(head, file, format):
        return f"is {found}, not the file"
    kind = _kind(file, format)
    if kind in _MAGIC and not head.startswith(_MAGIC[kind]):
        name = file.lower().rpartition(".")[2] if "." in file else kind
        return f"is no {name} file: it begins with {head[:12]!r}"
    return ""
