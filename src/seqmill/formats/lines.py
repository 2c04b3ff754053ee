"""Small text tables, read whole."""

from collections.abc import Iterator
from pathlib import Path

from seqmill.formats.text import line_blocks
from seqmill.runtime.errors import InputError


def text_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield ``(line number, 1-based; line without its end)`` of UTF-8 text, plain or gzip; a BOM is dropped."""
    for number, block in line_blocks(path):
        try:
            text = block.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            bad = number + block.count(b"\n", 0, error.start)
            raise InputError(path, "is not UTF-8 text", record=bad) from None
        for offset, line in enumerate(text.removesuffix("\n").split("\n")):
            yield number + offset, line.removesuffix("\r")
