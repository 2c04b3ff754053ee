"""The variants that a set is compared with: those of a file, or drawn from the genome to be like those of the set.

Draws are by keys: an allele's key is a hash of its place, its bases and the seed, so what is chosen does not depend on
the order of a file, nor on how it is read. Alleles of the set itself are left out of its background.
"""

import hashlib
import heapq
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from seqmill.config.variants import Background
from seqmill.effects.variants.alleles import Examiner, by_contig
from seqmill.effects.variants.ranks import draw_places
from seqmill.effects.variants.survey import contig_names, survey
from seqmill.formats.variant_info import frequencies
from seqmill.formats.variant_records import Records, records_of
from seqmill.formats.variants import OK, VariantFile, open_variants
from seqmill.genome.sequence import decode, gc_fraction
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import file_digest

BLOCK = 8192
LEAST = 20
"""Background variants of which a percentile is taken at least."""
_ROUNDS = 60
_PAIR = str.maketrans("ACGT", "TGCA")
_LOG = logging.getLogger("seqmill")


class Chosen(NamedTuple):
    """Alleles of a background, one ALT a record, sorted by place.

    Attributes
    ----------
    records : of the genome's contigs. maf : float64 (n,), frequency of ALT, NaN if not known. attrs : for the marker.
    """

    records: Records
    maf: np.ndarray
    attrs: dict[str, Any]

    def blocks(self, size: int) -> Iterator[Records]:
        """All records, ``size`` at a time."""
        for first in range(0, len(self.records.start), size):
            yield self.records.part(first, first + size)


def key_of(contig: str, start: int, ref: str, alt: str, seed: int) -> int:
    """Key of an allele: 64 bits that look like chance, the same for the same allele and seed."""
    text = f"{seed} {contig} {start} {ref} {alt}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def keys_of_set(file: VariantFile, names: dict[str, str], seed: int) -> set[int]:
    """Keys of all alleles of a file of variants, whatever can be said of them."""
    found = set()
    for records in file.blocks(BLOCK):
        for contig, start, ref, alt in zip(records.contig, records.start, records.ref, records.alt):
            name = names.get(contig, contig)
            found |= {key_of(name, start, ref.upper(), other.upper(), seed) for other in alt.split(",")}
    return found


Row = tuple[int, str, int, str, str, str, float]  # key, contig, start, REF, ALT, id, frequency


def thinned(
    file: VariantFile, examiner: Examiner, seed: int, at_most: int, without: set[int], of_file: Any = None
) -> tuple[list[Row], int]:
    """Alleles that can be scored, those of the smallest keys; each once.

    Parameters
    ----------
    without : keys of alleles to leave out. of_file : from file and records to frequencies; all unknown if None.

    Returns
    -------
    Rows sorted by contig (in the genome's order), place, REF and ALT, and how many alleles there were to choose from.
    """
    kept: dict[int, Row] = {}
    limit, seen = 1 << 64, 0
    for records in file.blocks(BLOCK):
        alleles = examiner.alleles(records)
        known = of_file(file, records) if of_file else np.full(len(alleles), np.nan)
        for row, status in enumerate(alleles.status):
            if status != OK:
                continue
            place = alleles.contig[row], int(alleles.start[row]), alleles.ref[row], alleles.alt[row]
            key = key_of(*place, seed)
            if key in without:
                continue
            seen += 1
            if key < limit:
                kept[key] = (key, *place, alleles.id[row], float(known[row]))
        if len(kept) > 4 * at_most:
            kept = {key: kept[key] for key in heapq.nsmallest(at_most, kept)}
            limit = max(kept)
    order = {name: rank for rank, name in enumerate(examiner.genome.sizes)}
    rows = [kept[key] for key in heapq.nsmallest(at_most, kept)]
    return sorted(rows, key=lambda row: (order[row[1]], *row[2:5])), seen


def _chosen(rows: list[Row], attrs: dict[str, Any]) -> Chosen:
    columns = [list(column) for column in zip(*rows)] if rows else [[] for _ in range(7)]
    _, contig, start, ref, alt, label, maf = columns
    records = records_of([contig, start, label, ref, alt, list(range(1, len(rows) + 1)), ()])
    return Chosen(records, np.array(maf, np.float64), attrs | {"n": len(rows)})


def background_of(
    section: Background,
    file: VariantFile,
    examiner: Examiner,
    examine: Callable[[dict[str, str]], Examiner],
    min_ref_match: float,
    where: str,
) -> Chosen:
    """The background of a set.

    Parameters
    ----------
    file, examiner : of the set. examine : an examiner of the same runs for other names of contigs.
    min_ref_match : of the set, for the file of the background too.

    Raises
    ------
    InputError : the file cannot be read, is of another genome, or too few of its alleles are left.
    """
    own = keys_of_set(file, dict(examiner.names), section.seed)
    if section.file is None:
        chosen = _drawn(section, file, examiner, examine({name: name for name in examiner.genome.sizes}), own)
    else:
        other = open_variants(
            section.file, columns=section.columns, position_base=section.position_base, more=section.af_key
        )
        names, records = contig_names(other, examiner.genome, BLOCK)
        judge = examine(names)
        found = survey(other, judge, min_ref_match, BLOCK)
        rows, seen = thinned(other, judge, section.seed, section.at_most, own, frequencies)
        attrs = {
            "file": other.path.name, "file_sha256": file_digest(other.path), "records": records, "alleles": found.n,
            "dropped": found.dropped(), "ref_match": found.ref_match, "offered": seen,
            "in_the_set": found.counts[OK] - seen,
        }  # fmt: skip
        chosen = _chosen(rows, attrs)
    n = len(chosen.maf)
    if n < LEAST:
        raise InputError(where, f"{n} background variants can be scored; {LEAST} are needed")
    known = int((~np.isnan(chosen.maf)).sum())
    _LOG.info("%s: %d background variants, frequencies of %d known", where, n, known)
    return chosen._replace(attrs=chosen.attrs | {"seed": section.seed, "frequencies": known})


def _drawn(section: Background, file: VariantFile, examiner: Examiner, on_genome: Examiner, own: set[int]) -> Chosen:
    """Single-base variants of the genome, of the set's joint distribution of three-base context, ALT and GC bin."""
    genome, wanted_n = examiner.genome, section.sampled or 0
    bounds = np.array(section.gc_bins, np.float64)
    rows, _ = thinned(file, examiner, section.seed, max(wanted_n, BLOCK), set())
    profile = []
    for contig, numbers in by_contig([row[1] for row in rows], range(len(rows))):
        singles = [rows[n] for n in numbers if len(rows[n][3]) == len(rows[n][4]) == 1]
        for row, (context, turned, gc) in zip(
            singles, _contexts(examiner, contig, [row[2] for row in singles], bounds)
        ):
            if "N" not in context:
                profile.append((row[0], (context, row[4].translate(_PAIR) if turned else row[4], gc)))
    if not profile:
        raise InputError(file.path, "no single-base variant to draw others like: give 'background' a file")
    kinds = [kind for _, kind in sorted(profile)]
    missing = Counter(kinds[number % len(kinds)] for number in range(wanted_n))
    # Of each context, in each GC bin, the ALT bases still wanted; a place is taken once.
    rng = np.random.default_rng([section.seed, 0xBAC])
    found: dict[int, Row] = {}
    for _ in range(_ROUNDS):
        if not missing:
            break
        offered = draw_places(genome, max(20_000, 8 * missing.total()), examiner.before, examiner.behind, rng)
        for row in _matching(section.seed, offered, on_genome, bounds, missing, own, found):
            found[row[0]] = row
    if missing:
        _LOG.warning(
            "%s: %d of %d background variants could not be drawn: places of their context, GC content and outside of "
            "training are rare", file.path, missing.total(), wanted_n,
        )  # fmt: skip
    order = {name: rank for rank, name in enumerate(genome.sizes)}
    table = sorted(found.values(), key=lambda row: (order[row[1]], *row[2:5]))
    return _chosen(table, {"sampled": wanted_n, "not_found": missing.total()})


def _contexts(examiner: Examiner, contig: str, places: list[int], bounds: np.ndarray) -> list[tuple[str, bool, int]]:
    """Of each place: three bases as they read on the strand on which the middle one is A or C, whether that is the
    other strand, and the bin of the window's GC content."""
    if not places:
        return []
    half = examiner.window_bp // 2
    codes = examiner.genome.many(contig, np.array(places, np.int64) - half - 1, examiner.window_bp + 2)
    bins = np.searchsorted(bounds, gc_fraction(codes[:, 1:-1]), side="right").tolist()
    found = []
    for three, gc in zip(codes[:, half : half + 3], bins):
        text = decode(three)
        turned = text[1] not in "AC"
        found.append((text.translate(_PAIR)[::-1] if turned else text, turned, gc))
    return found


def _matching(
    seed: int,
    offered: Any,
    examiner: Examiner,
    bounds: np.ndarray,
    missing: Counter[tuple[str, str, int]],
    own: set[int],
    found: dict[int, Row],
) -> Iterator[Row]:
    """Alleles at offered places that are still wanted; takes them from ``missing``."""
    by_place: dict[tuple[str, int], list[str]] = {}
    for (context, alt, gc), number in sorted(missing.items()):
        by_place.setdefault((context, gc), []).extend([alt] * number)
    taken = {(row[1], row[2]) for row in found.values()}
    rows: list[tuple[str, int, str, str, tuple[str, str, int]]] = []
    for contig, numbers in by_contig(offered["contig"].tolist(), range(len(offered))):
        places = offered["place"].to_numpy(np.int64)[numbers].tolist()
        for place, (context, turned, gc) in zip(places, _contexts(examiner, contig, places, bounds)):
            alts = by_place.get((context, gc))
            if alts and (contig, place) not in taken:
                alt = alts.pop()
                bases = [base.translate(_PAIR) if turned else base for base in (context[1], alt)]
                rows.append((contig, place, *bases, (context, alt, gc)))
    records = records_of(
        [[r[0] for r in rows], [r[1] for r in rows], ["."] * len(rows), [r[2] for r in rows], [r[3] for r in rows],
         list(range(len(rows))), ()]
    )  # fmt: skip
    for row, status in zip(rows, examiner.alleles(records).status):
        key = key_of(*row[:4], seed)
        if status == OK and key not in own and key not in found:
            missing[row[4]] -= 1
            if not missing[row[4]]:
                del missing[row[4]]
            yield (key, *row[:4], ".", float("nan"))
