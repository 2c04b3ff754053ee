"""Cell tables: which group (cluster, cell type) each barcode of a single-cell library is in."""

from collections import Counter
from pathlib import Path

from seqmill.formats.lines import text_lines
from seqmill.runtime.errors import InputError


def read_cells(path: str | Path) -> dict[str, str]:
    """Barcode -> group.

    Parameters
    ----------
    path : tab-separated text, plain or gzip, with a header that names at least ``barcode`` and ``group``; other
        columns are not looked at. Lines that start with ``# `` before the header, and blank lines, are skipped.

    Raises
    ------
    InputError : with the line number; a column is missing, a barcode or group is empty, a barcode comes twice.
    """
    header: list[str] = []
    groups: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in text_lines(path):
        cells = [cell.strip() for cell in line.split("\t")]
        if not any(cells) or (not header and line.startswith("# ")):
            continue
        if not header:
            header = _header(path, cells, number)
            continue
        if len(cells) != len(header):
            raise InputError(path, f"{len(cells)} columns, the header has {len(header)}; use tabs", record=number)
        barcode, group = cells[header.index("barcode")], cells[header.index("group")]
        if not barcode or not group:
            raise InputError(path, f"{'group' if barcode else 'barcode'} is empty", record=number)
        if barcode in groups:
            raise InputError(path, f"barcode {barcode!r} is on line {lines[barcode]} too", record=number)
        groups[barcode], lines[barcode] = group, number
    if not groups:
        raise InputError(path, "0 cells; expected a header with 'barcode' and 'group', and one line a cell")
    return groups


def group_barcodes(path: str | Path, group: str) -> set[str]:
    """Barcodes of one group of a cell table. Raises InputError that lists the groups if there is no such one."""
    groups = read_cells(path)
    found = {barcode for barcode, name in groups.items() if name == group}
    if not found:
        sizes = Counter(groups.values()).most_common()
        listed = ", ".join(f"{name} ({number:,})" for name, number in sizes[:10])
        more = f", ... ({len(sizes)} groups)" if len(sizes) > 10 else ""
        raise InputError(path, f"no group {group!r}; it has (cells): {listed}{more}")
    return found


def _header(path: str | Path, cells: list[str], number: int) -> list[str]:
    for column in ("barcode", "group"):
        if cells.count(column) != 1:
            problem = "given twice" if column in cells else f"missing; found: {', '.join(cells)[:120]}"
            raise InputError(path, f"column '{column}' {problem}; is it tab-separated?", record=number)
    return cells
