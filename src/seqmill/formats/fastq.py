"""FASTQ from strangers: every read is checked, and pairs against each other, before anything is made of them.

Four lines a read, qualities as Phred+33. Blocks of whole records are checked by column; when a block breaks a rule,
it is gone through again read by read, to name the first bad one and what is wrong with it.
"""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from seqmill.formats.text import open_binary
from seqmill.runtime.errors import InputError

_LOG = logging.getLogger("seqmill")
BLOCK_BYTES = 4 << 20
LINE_BYTES = 64 << 20
NAME_BYTES = 254  # longest name that SAM allows
QUALITIES = (33, 126)
# No quality below ';' but some above 'K' (Phred+33: all 26 or better, some 43 or better): Phred+64 or Solexa+64.
PHRED64 = (59, 76, 106)
WARN_UNKNOWN = 0.05
_BASES, _UNKNOWN, _AMBIGUOUS = b"ACGTacgt", b"Nn.", b"RYSWKMBDHVryswkmbdhv"
_PRINTABLE = bytes(range(32, 127)) + b"\t"
_CASAVA = re.compile(rb"([123]):[YN]:")
_SUFFIX = re.compile(rb"/([123])")
# First bytes of what a FASTQ may be mistaken for; before and after decompression.
_OTHERS = (
    (b"PK\x03\x04", "is a zip archive"),
    (b"BZh", "is compressed with bzip2"),
    (b"\xfd7zXZ", "is compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd"),
    (b"\x1f\x8b", "is gzip inside gzip"),
    (b"BAM\x01", "is a BAM file (set format = bam in the sheet)"),
    (b"CRAM", "is a CRAM file (set format = bam in the sheet)"),
    (b"NCBI.sra", "is an SRA file (give its accession as the location)"),
    (b"\xef\xbb\xbf", "begins with a byte-order mark"),
    (b"<", "is HTML or XML, a page instead of the file?"),
    (b"{", "is JSON, an answer instead of the file?"),
    (b">", "is FASTA, which has no qualities"),
)
_SAM = (b"@HD\t", b"@SQ\t", b"@RG\t", b"@PG\t", b"@CO\t")
_EXPECTED = "expected FASTQ, plain or gzip"


class FastqFacts(NamedTuple):
    """What a FASTQ, or a pair of them, holds.

    Attributes
    ----------
    reads : of all files: a pair counts 2. bases : in all reads. shortest, longest : lengths of reads, in bases.
    unknown : bases that are N or a dot. ambiguous : IUPAC letters for two or three bases; aligners take them as N.
    suffix : separator before the 1 and 2 that names of mates end with ('/' or one of ``._:``), '' if they are equal.
    """

    reads: int
    bases: int
    shortest: int
    longest: int
    unknown: int
    ambiguous: int
    suffix: str


def check_fastq(reads1: str | Path, reads2: str | Path | None = None, *, expected: int | None = None) -> FastqFacts:
    """Read a FASTQ, or those of both mates, to the end and check every read.

    Parameters
    ----------
    reads1 : FASTQ of single reads or of read 1; plain or gzip (told by content), of one or many members.
    reads2 : FASTQ of read 2, in the same order.
    expected : number of reads that each file must hold, None if that is not known.

    Raises
    ------
    InputError : with the line, the number of the read (both from 1) and what was expected. Refused are: files that
        are something else, cut or damaged; reads that are not four lines, are empty, have letters that are no bases or
        other characters than those of Phred+33 qualities; files that look like Phred+64; Windows newlines; both mates
        in one file; mates whose names or numbers differ, or which are swapped.
    """
    one = _Reader(reads1)
    if reads2 is None:
        for _ in one.blocks():
            pass
        readers, suffix = [one], ""
    else:
        two = _Reader(reads2)
        if os.path.realpath(reads1) == os.path.realpath(reads2):
            raise InputError(reads2, "is given for both mates")
        readers, suffix = [one, two], _check_pairs(one, two)
    for reader in readers:
        reader.check_whole(expected)
    return FastqFacts(
        sum(reader.reads for reader in readers),
        sum(reader.bases for reader in readers),
        min(reader.shortest for reader in readers),
        max(reader.longest for reader in readers),
        sum(reader.unknown for reader in readers),
        sum(reader.ambiguous for reader in readers),
        suffix,
    )


def sequences(path: str | Path, limit: int) -> Iterator[bytes]:
    """The first ``limit`` sequences of a FASTQ that has been checked."""
    with open_binary(path) as handle:
        for number, line in enumerate(handle):
            if number >= 4 * limit:
                return
            if number % 4 == 1:
                yield line.rstrip(b"\n")


def _check_pairs(one: "_Reader", two: "_Reader") -> str:
    """Read both to the end, name beside name; the separator before the mate's number, '' if names are equal."""
    blocks = one.blocks(), two.blocks()
    names: list[list[bytes]] = [[], []]
    done, suffix = 0, None
    while True:
        names = [left or next(more, []) for left, more in zip(names, blocks)]
        count = min(map(len, names))
        if not count:
            break
        names1, names2 = (left[:count] for left in names)
        if suffix is None:
            suffix = _suffix(names1[0], names2[0])
        if one.mate and two.mate and one.mate >= two.mate:
            raise InputError(
                two.path,
                f"holds read {two.mate} of the pairs, and {one.path} holds read {one.mate}: "
                "swapped, or one mate given twice",
            )
        if not _agree(names1, names2, suffix):
            place = next(
                row for row in range(count) if not _agree(names1[row : row + 1], names2[row : row + 1], suffix)
            )
            two.refuse(
                done + place,
                0,
                f"named {_shown(names2[place])}, that of {one.path} is {_shown(names1[place])}: "
                "a read is missing in one of them, they are sorted differently, or are of two runs",
            )
        names = [left[count:] for left in names]
        done += count
    for more in blocks:
        for _ in more:
            pass
    if one.reads != two.reads:
        raise InputError(
            two.path, f"{two.reads:,} reads, {one.path} has {one.reads:,}: one of them is cut, or reads were left out"
        )
    return suffix or ""


def _suffix(name1: bytes, name2: bytes) -> str:
    """Separator before the 1 and 2 that the names of two mates end with, '' if they end otherwise."""
    mates = name1[-1:] == b"1" and name2[-1:] == b"2" and name1[:-1] == name2[:-1]
    return name1[-2:-1].decode() if mates and name1[-2:-1] in (b"/", b".", b"_", b":") else ""


def _agree(names1: list[bytes], names2: list[bytes], suffix: str) -> bool:
    if not suffix:
        return names1 == names2
    ends = [{name[-2:] for name in names} for names in (names1, names2)]
    return ends == [{f"{suffix}1".encode()}, {f"{suffix}2".encode()}] and all(
        name1[:-1] == name2[:-1] for name1, name2 in zip(names1, names2)
    )


def _mate(end_of_name: bytes, comment: bytes, end_of_comment: bytes) -> int:
    """1, 2 or 3 where a read says which of its fragment it is (``/1``, or Casava 1.8 ``1:N:0:ACGT``), else 0."""
    found = _SUFFIX.fullmatch(end_of_name) or _CASAVA.match(comment) or _SUFFIX.fullmatch(end_of_comment)
    return int(found.group(1)) if found else 0


def _shown(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", errors="replace"))


class _Reader:
    """One file on its way: what was found so far."""

    def __init__(self, path: str | Path):
        self.path = path
        self.reads = self.bases = self.longest = self.unknown = self.ambiguous = self.mate = 0
        self.shortest = 1 << 62
        self.lowest, self.highest = 255, 0

    def refuse(self, read: int, line: int, message: str) -> NoReturn:
        """Raise for line 0 to 3 of a read (numbered from 0)."""
        raise InputError(self.path, f"read {read + 1:,}: {message}", record=4 * read + line + 1)

    def blocks(self) -> Iterator[list[bytes]]:
        """Names of a run of reads, which have been checked."""
        for lines in self._records():
            heads, bases, plus, qualities = (lines[place::4] for place in range(4))
            names, keys = self._names(heads)
            if not self._rules_hold(heads, names, bases, plus, qualities):
                for row in range(len(heads)):
                    self._check_read(self.reads + row, heads[row], bases[row], plus[row], qualities[row])
            self._check_mates(names, keys, heads)
            self._add(bases, qualities)
            yield names

    def check_whole(self, expected: int | None) -> None:
        """What can only be said at the end."""
        if not self.reads:
            raise InputError(self.path, "0 reads: the file is empty")
        if expected is not None and self.reads != expected:
            raise InputError(self.path, f"{self.reads:,} reads, expected {expected:,}: is it cut?")
        least, some, most = PHRED64
        if self.lowest >= least and some <= self.highest <= most:
            raise InputError(
                self.path,
                f"qualities from {chr(self.lowest)!r} to {chr(self.highest)!r} look like Phred+64; expected Phred+33 "
                "(convert with seqtk seq -Q64 -V)",
            )
        unclear = (self.unknown + self.ambiguous) / self.bases
        if unclear > WARN_UNKNOWN:
            _LOG.warning(
                "%s: %.1f %% of the bases are N or other letters that stand for several", self.path, 100 * unclear
            )

    def _records(self) -> Iterator[list[bytes]]:
        """Lines of whole records, four for each."""
        first, carry = True, b""
        with open_binary(self.path) as handle:
            while chunk := handle.read(BLOCK_BYTES):
                text = carry + chunk
                if first:
                    self._check_kind(text)
                    first = False
                lines = text.split(b"\n")
                whole = (len(lines) - 1) // 4 * 4
                carry = b"\n".join(lines[whole:])
                if len(carry) > LINE_BYTES:
                    raise InputError(self.path, f"no read ends within {LINE_BYTES:,} bytes; {_EXPECTED}")
                if whole:
                    yield lines[:whole]
        if not carry:
            return
        lines = carry.removesuffix(b"\n").split(b"\n")
        if len(lines) != 4:
            place = f"ends after {len(lines)} of its 4 lines: the file is cut" if lines[0] else "an empty line"
            self.refuse(self.reads, len(lines) - 1 if lines[0] else 0, f"{place}; expected 4 lines a read")
        yield lines

    def _check_kind(self, text: bytes) -> None:
        """Raise if the first bytes are those of something else."""
        for magic, what in _OTHERS:
            if text.lstrip(b" \r\n\t").startswith(magic):
                raise InputError(self.path, f"{what}; {_EXPECTED}")
        line = text.split(b"\n", 1)[0]
        if text.startswith(_SAM) or (line.count(b"\t") >= 10 and line.split(b"\t")[1].isdigit()):
            raise InputError(self.path, f"is SAM (make it BAM and set format = bam in the sheet); {_EXPECTED}")
        if text[257:262] == b"ustar":
            raise InputError(self.path, f"is a tar archive; {_EXPECTED}")
        if b"\0" in text[:4096]:
            raise InputError(self.path, f"is a binary file; {_EXPECTED}")

    @staticmethod
    def _names(heads: list[bytes]) -> tuple[list[bytes], list[tuple[bytes, bytes, bytes]]]:
        """Names of reads, and of each what may tell the mate: the end of the name, begin and end of the comment."""
        if b"\t" in b"".join(heads):
            parts = [(*re.split(rb"[ \t]", head, maxsplit=1), b"")[:2] for head in heads]
        else:
            parts = [head.partition(b" ")[::2] for head in heads]
        names = [name[1:] for name, _ in parts]
        return names, [(name[-2:], comment[:4], comment[-2:]) for name, comment in parts]

    def _rules_hold(
        self, heads: list[bytes], names: list[bytes], bases: list[bytes], plus: list[bytes], qualities: list[bytes]
    ) -> bool:
        """The rules of `_check_read`, for all reads of a block at once."""
        lengths = list(map(len, bases))
        letters = b"".join(bases).translate(None, _BASES + _UNKNOWN + _AMBIGUOUS)
        marks = np.frombuffer(b"".join(qualities), np.uint8)
        same_names = set(plus) == {b"+"} or all(
            line == b"+" or (line[:1] == b"+" and line[1:] == head[1:]) for line, head in zip(plus, heads)
        )
        widths = set(map(len, names))
        return (
            {head[:1] for head in heads} == {b"@"}
            and min(widths) > 0
            and max(widths) <= NAME_BYTES
            and b"@" not in {name[:1] for name in names}
            and not b"".join(heads).translate(None, _PRINTABLE)
            and same_names
            and min(lengths) > 0
            and lengths == list(map(len, qualities))
            and not letters
            and QUALITIES[0] <= int(marks.min())
            and int(marks.max()) <= QUALITIES[1]
        )

    def _check_read(self, read: int, head: bytes, bases: bytes, plus: bytes, qualities: bytes) -> None:
        """Raise if a read breaks a rule."""
        if head.endswith(b"\r"):
            self.refuse(read, 0, "Windows newlines (\\r\\n); expected \\n alone (convert with dos2unix)")
        if not head.startswith(b"@"):
            found = f"found {_shown(head)}" if head else "found an empty line"
            self.refuse(read, 0, f"{found}, expected a name that begins with @ (4 lines a read)")
        name = re.split(rb"[ \t]", head[1:], maxsplit=1)[0]
        if not name:
            self.refuse(read, 0, "has no name behind the @")
        if name.startswith(b"@"):
            self.refuse(read, 0, f"name {_shown(name)} begins with a second @")
        if len(name) > NAME_BYTES:
            self.refuse(read, 0, f"name of {len(name):,} characters; alignments can hold {NAME_BYTES}")
        if head.translate(None, _PRINTABLE):
            self.refuse(read, 0, f"name {_shown(head)} holds characters that are not printable ASCII")
        if not bases:
            self.refuse(read, 1, "is empty; leave such reads out (cutadapt -m 1)")
        if not plus.startswith(b"+"):
            self.refuse(
                read,
                2,
                f"found {_shown(plus)}, expected a line that begins with + (4 lines a read, no wrapped sequences)",
            )
        if plus != b"+" and plus[1:] != head[1:]:
            self.refuse(read, 2, f"the line of the + names {_shown(plus[1:])}, the read is {_shown(head[1:])}")
        if len(bases) != len(qualities):
            self.refuse(read, 3, f"{len(bases):,} bases, {len(qualities):,} qualities; expected as many")
        letters = bases.translate(None, _BASES + _UNKNOWN + _AMBIGUOUS)
        if letters:
            self.refuse(read, 1, f"{_shown(letters[:1])} is not a base (A, C, G, T, N or IUPAC){_hint(letters)}")
        low, high = QUALITIES
        bad = next((mark for mark in qualities if not low <= mark <= high), None)
        if bad is not None:
            self.refuse(read, 3, f"quality {chr(bad)!r} (code {bad}) is not Phred+33 (codes {low} to {high})")

    def _check_mates(self, names: list[bytes], keys: list[tuple[bytes, bytes, bytes]], heads: list[bytes]) -> None:
        """Raise if both mates are in this file."""
        mates = {key: _mate(*key) for key in set(keys)}
        known = set(mates.values()) - {0}
        if known - {self.mate}:
            for row, key in enumerate(keys):
                self.mate = self.mate or mates[key]
                if mates[key] not in (0, self.mate):
                    self.refuse(
                        self.reads + row,
                        0,
                        f"{_shown(heads[row])} is read {mates[key]} of its pair, those before are read {self.mate}; "
                        "expected one file a mate (interleaved or joined?)",
                    )
        pairs = len(names) // 2 * 2
        if not self.reads and pairs and names[0:pairs:2] == names[1:pairs:2]:
            self.refuse(
                1, 0, f"has the name of read 1, {_shown(names[0])}, and so on; expected one file a mate (interleaved?)"
            )

    def _add(self, bases: list[bytes], qualities: list[bytes]) -> None:
        lengths = list(map(len, bases))
        rare = b"".join(bases).translate(None, _BASES)
        ambiguous = len(rare.translate(None, _UNKNOWN))
        marks = np.frombuffer(b"".join(qualities), np.uint8)
        self.reads += len(bases)
        self.bases += sum(lengths)
        self.shortest, self.longest = min(self.shortest, *lengths), max(self.longest, *lengths)
        self.unknown += len(rare) - ambiguous
        self.ambiguous += ambiguous
        self.lowest, self.highest = min(self.lowest, int(marks.min())), max(self.highest, int(marks.max()))


def _hint(letters: bytes) -> str:
    if letters[:1] in b"0123":
        return "; colour-space (SOLiD) reads?"
    if letters[:1] in b"Uu":
        return "; RNA? Write T"
    return "; a gap" if letters[:1] == b"-" else ""
