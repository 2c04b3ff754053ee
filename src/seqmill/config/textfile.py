"""Small text files of the configuration, read whole and strictly."""

import gzip
import zlib
from pathlib import Path

from seqmill.runtime.errors import InputError


def read_text(path: str | Path, what: str) -> str:
    """Text of a plain or gzip file in UTF-8, a byte-order mark dropped. ``what`` names the file in messages."""
    path = Path(path)
    if not path.is_file():
        raise InputError(path, f"{what} {'is not a regular readable file' if path.exists() else 'does not exist'}")
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(path, f"{what} cannot be read: {error}") from None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(path, "is UTF-16; save it as tab-separated UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(path, f"not UTF-8 (byte {error.start}); save it as tab-separated UTF-8") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(path, "holds NUL characters; save it as tab-separated UTF-8", record=line)
    return text


def numbered_lines(path: str | Path, what: str = "sheet") -> list[tuple[int, str]]:
    """``(line number, 1-based; line without its end)`` of `read_text`."""
    return [(number, line.removesuffix("\r")) for number, line in enumerate(read_text(path, what).split("\n"), 1)]
