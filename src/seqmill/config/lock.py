"""The lock: one row a remote file, with its address, size and checksum, so that a run reads what was pinned.

Tab-separated text beside the sheet (``tracks.tsv`` -> ``tracks.lock.tsv``), sorted, so that a change of one file is
a change of one line. `seqmill.sources` writes it; everything else only reads it.
"""

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from seqmill.config.textfile import numbered_lines
from seqmill.runtime.errors import InputError
from seqmill.runtime.files import atomic_write

_MD5 = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")


@dataclass(frozen=True)
class LockRow:
    """One remote file. Text fields are '' where nothing is known; lists are joined by ','.

    Attributes
    ----------
    name : track of the sheet, or the location itself for files that the configuration names (``ucsc:hg38``).
    asked : what the sheet asked for (location and what chooses among its files); another wish makes the row stale.
    file : name of the file on disk, unique within ``name``.
    role : what it is within ``name``: '' for the only file, 'R1', 'R2' or 'single' for reads.
    source : portal: encode, sra, geo, url, ucsc, ... accession : of the file or run.
    url : where the bytes are; mirrors : other addresses of the same bytes.
    bytes : size. md5, sha256 : lower-case hex; one of them is always there.
    status : the portal's word (released, archived, ...), '' where it has none.
    date : of the file at the portal; retrieved : when this row was asked for (both YYYY-MM-DD).
    experiment, run, replicates, donors, biosample, assay, target, output_type, assembly, format, licence : metadata.
    reads, bases : expected of FASTQ files of a run, 0 if unknown.
    etag : the server's, where a file without published checksum was pinned by reading it.
    """

    name: str
    asked: str
    file: str
    source: str
    accession: str
    url: str
    bytes: int
    md5: str = ""
    sha256: str = ""
    role: str = ""
    status: str = ""
    assembly: str = ""
    output_type: str = ""
    format: str = ""
    assay: str = ""
    target: str = ""
    biosample: str = ""
    experiment: str = ""
    run: str = ""
    replicates: str = ""
    donors: str = ""
    reads: int = 0
    bases: int = 0
    date: str = ""
    retrieved: str = ""
    licence: str = ""
    etag: str = ""
    mirrors: str = ""

    @property
    def digest(self) -> str:
        """What identifies the bytes: 'sha256:…' where known, else 'md5:…'."""
        return f"sha256:{self.sha256}" if self.sha256 else f"md5:{self.md5}"


COLUMNS = [field.name for field in fields(LockRow)]
_NUMBERS = ("bytes", "reads", "bases")


def lock_beside(sheet: str | Path) -> Path:
    """Where the lock of a sheet lies if the configuration does not say.

    >>> lock_beside("config/tracks.tsv").as_posix()
    'config/tracks.lock.tsv'
    """
    sheet = Path(sheet)
    return sheet.with_name(f"{sheet.stem}.lock.tsv")


def write_lock(path: str | Path, rows: list[LockRow]) -> None:
    """Write the lock, sorted by name and file. Raises ValueError for a row that `read_lock` would refuse."""
    lines = ["\t".join(COLUMNS)]
    for row in sorted(rows, key=lambda row: (row.name, row.role, row.file)):
        cells = [str(value) for value in asdict(row).values()]
        if any("\t" in cell or "\n" in cell or "\r" in cell for cell in cells):
            raise ValueError(f"tab or line break in the lock row of {row.name}")
        _check(row, str(path), row.name)
        lines.append("\t".join(cells))
    atomic_write(path, "\n".join(lines) + "\n")


def read_lock(path: str | Path) -> list[LockRow]:
    """All rows of a lock, in file order. Raises InputError that names the line."""
    path = Path(path)
    lines = [(number, line.split("\t")) for number, line in numbered_lines(path, "lock") if line]
    if not lines or lines[0][1] != COLUMNS:
        found = ", ".join(lines[0][1])[:100] if lines else "nothing"
        raise InputError(path, f"is no lock of this version (found: {found}); write it again with 'seqmill lock'")
    rows, seen = [], set()
    for number, cells in lines[1:]:
        if len(cells) != len(COLUMNS):
            raise InputError(path, f"{len(cells)} columns, expected {len(COLUMNS)}", record=number)
        values = dict(zip(COLUMNS, cells))
        for column in _NUMBERS:
            if not values[column].isdecimal():
                raise InputError(
                    path, f"column '{column}': expected a whole number, found {values[column]!r}", record=number
                )
        numbers: dict[str, Any] = {column: int(values[column]) for column in _NUMBERS}
        row = LockRow(**{**values, **numbers})
        _check(row, path, number)
        if (row.name, row.file) in seen:
            raise InputError(path, f"{row.name}: file {row.file} is there twice", record=number)
        seen.add((row.name, row.file))
        rows.append(row)
    return rows


def _check(row: LockRow, path: str | Path, record: int | str) -> None:
    """Raise InputError for what must not be trusted: names that leave their folder, files that nothing identifies."""
    if not _FILE.fullmatch(row.file):
        raise InputError(path, f"{row.name}: {row.file!r} is no safe file name", record=record)
    if not (_MD5.fullmatch(row.md5) or _SHA256.fullmatch(row.sha256)):
        raise InputError(path, f"{row.name}: {row.file} has neither md5 nor sha256", record=record)
    for column, form in (("md5", _MD5), ("sha256", _SHA256)):
        if getattr(row, column) and not form.fullmatch(getattr(row, column)):
            raise InputError(path, f"{row.name}: column '{column}' holds {getattr(row, column)!r}", record=record)
