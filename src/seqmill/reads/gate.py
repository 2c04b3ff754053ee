"""Which alignments are kept: a filter of a stream of SAM or BAM, run as a process of its own in a pipeline.

``python -m seqmill.reads.gate PLAN.json COUNTS.json`` reads alignments from standard input, mates of a pair one after
the other, and writes those that are kept to standard output. Every read has one fate, the first of these that holds:

=====================  ==============================================================================================
unmapped               the aligner found no place
excluded_contigs       its contig is counted but not used (mitochondrion), whether the genome has it or not
not_in_genome          its contig is not one of the genome's
qc_fail                the sequencer said so
not_properly_paired    paired reads: no proper pair, or not forward and reverse towards each other on one contig
other_layout           a single read among pairs, or a read of a pair among single ones
low_mapq               the mapping quality is below the limit: several places, or a poor one
insert_too_long        the insert is longer than the limit
beyond_genome_end      it ends behind the end of the contig (the genome is a piece of an assembly)
mate_missing           its mate is not in the file
mate_filtered          its mate has one of the fates above
=====================  ==============================================================================================

ENCODE (chip and atac pipelines 2.2) keeps ``-F 1804 -q 30``, pairs ``-f 2`` with both mates: that is the same, but for
supplementary alignments, which are left out here, and contigs without use, which leave here and not later. Secondary
and supplementary alignments are no reads and are not counted. Duplicates are marked afterwards, among what is kept.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

PAIRED, PROPER, UNMAPPED, MATE_UNMAPPED, REVERSE, QC_FAIL = 0x1, 0x2, 0x4, 0x8, 0x10, 0x200
NO_READ = 0x100 | 0x800  # secondary, supplementary
LENGTHS = 100_000
"""The read length is the most common one of so many reads."""


class Plan(NamedTuple):
    """What is kept.

    Attributes
    ----------
    paired : pairs, else single reads. mapq_min : smallest mapping quality.
    max_fragment_bp : longest insert, None for no limit.
    names : contig of the file -> its name in the genome. sizes : contig -> bp of the genome.
    excluded : contigs, by either name, that are counted but not used.
    """

    paired: bool
    mapq_min: int
    max_fragment_bp: int | None
    names: dict[str, str]
    sizes: dict[str, int]
    excluded: list[str]


class _Gate:
    def __init__(self, plan: Plan, references: tuple[str, ...]):
        self.plan, self.references = plan, references
        # bp in the genome of each contig of the file; 0: excluded, -1: not there
        self.ends = [self._end(name) for name in references]
        self.fates: Counter[str] = Counter()
        self.more: Counter[str] = Counter()
        self.by_contig: Counter[int] = Counter()
        self.lengths: Counter[int] = Counter()

    def _end(self, name: str) -> int:
        target = self.plan.names.get(name)
        if {name, target} & set(self.plan.excluded):
            return 0
        return -1 if target is None else self.plan.sizes[target]

    def _fate(self, read: Any) -> str | None:
        """Why a read is not kept, as far as it tells itself."""
        flag = read.flag
        self.more["reads"] += 1
        if flag & UNMAPPED:
            return "unmapped"
        self.more["mapped"] += 1
        if flag & PROPER:
            self.more["properly_paired"] += 1
        end = self.ends[read.reference_id]
        if end == 0:
            self.by_contig[read.reference_id] += 1
            return "excluded_contigs"
        if end < 0:
            return "not_in_genome"
        if flag & QC_FAIL:
            return "qc_fail"
        if bool(flag & PAIRED) != self.plan.paired:
            return "other_layout"
        if self.plan.paired and (flag & MATE_UNMAPPED or not flag & PROPER):
            return "not_properly_paired"
        if read.mapping_quality < self.plan.mapq_min:
            return "low_mapq"
        if not self.plan.paired and read.reference_end > end:
            return "beyond_genome_end"
        return None

    def _pair_fate(self, one: Any, two: Any) -> str | None:
        """Why a pair is not kept, both of whose reads pass."""
        forward, reverse = (two, one) if one.flag & REVERSE else (one, two)
        if forward.flag & REVERSE or not reverse.flag & REVERSE or one.reference_id != two.reference_id:
            return "not_properly_paired"
        start, end = forward.reference_start, reverse.reference_end
        if start >= end:
            return "not_properly_paired"
        longest = self.plan.max_fragment_bp
        if longest is not None and end - start > longest:
            return "insert_too_long"
        limit = self.ends[one.reference_id]
        if end > limit or forward.reference_end > limit:
            return "beyond_genome_end"
        return None

    def _pair(self, one: Any, two: Any) -> bool:
        fates = [self._fate(one), self._fate(two)]
        if fates == [None, None]:
            fate = self._pair_fate(one, two)
            if fate is None:
                return True
            fates = [fate, fate]
        for fate in fates:
            self.fates[fate or "mate_filtered"] += 1
        return False

    def _alone(self, read: Any) -> None:
        self.fates[self._fate(read) or "mate_missing"] += 1

    def _measure(self, read: Any) -> None:
        if self.more["lengths"] < LENGTHS:
            self.more["lengths"] += 1
            self.lengths[read.query_length or read.infer_query_length() or 0] += 1

    def pairs(self, source: Any, sink: Any) -> None:
        before = None
        for read in source:
            if read.flag & NO_READ:
                continue
            if not read.flag & PAIRED:
                self._alone(read)
            elif before is None:
                before = read
            elif before.query_name != read.query_name:
                self._alone(before)
                before = read
            else:
                if self._pair(before, read):
                    self._measure(before)
                    sink.write(before)
                    sink.write(read)
                before = None
        if before is not None:
            self._alone(before)

    def singles(self, source: Any, sink: Any) -> None:
        for read in source:
            if read.flag & NO_READ:
                continue
            fate = self._fate(read)
            if fate is None:
                self._measure(read)
                sink.write(read)
            else:
                self.fates[fate] += 1

    def counts(self) -> dict[str, Any]:
        names = [self.plan.names.get(name, name) for name in self.references]
        common = self.lengths.most_common(1)
        return {
            "reads": self.more["reads"],
            "mapped": self.more["mapped"],
            "properly_paired": self.more["properly_paired"],
            "filtered_out": {fate: self.fates[fate] for fate in sorted(self.fates)},
            "excluded_by_contig": {names[number]: count for number, count in sorted(self.by_contig.items())},
            "read_length": common[0][0] if common else 0,
        }


def _header(header: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Header of what is kept: the file's contigs with the genome's names and lengths; no programs (temporary paths)."""
    lines = []
    for line in header["SQ"]:
        contig = plan.names.get(line["SN"], line["SN"])
        lines.append({"SN": contig, "LN": plan.sizes.get(contig, line["LN"])})
    groups = {"RG": header["RG"]} if "RG" in header else {}
    return {"HD": {"VN": "1.6", "SO": "unknown"}, "SQ": lines, **groups}


def screen(source: str, sink: str, plan: Plan) -> dict[str, Any]:
    """Copy what is kept from ``source`` to ``sink`` (BAM, not compressed); ``-`` are the standard streams.

    Returns
    -------
    ``reads``, ``mapped``, ``properly_paired`` (by the aligner), ``filtered_out`` (fate -> reads),
    ``excluded_by_contig`` (name -> reads) and ``read_length`` (the most common one of what is kept).
    """
    import pysam

    pysam.set_verbosity(0)
    with pysam.AlignmentFile(source, check_sq=False) as file:
        gate = _Gate(plan, file.references)
        header = _header(file.header.to_dict(), plan)
        with pysam.AlignmentFile(sink, "wbu", header=header) as out:
            (gate.pairs if plan.paired else gate.singles)(file.fetch(until_eof=True), out)
    return gate.counts()


def main(plan: str, counts: str) -> None:
    found = screen("-", "-", Plan(**json.loads(Path(plan).read_text())))
    Path(counts).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
