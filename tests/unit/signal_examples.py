"""Generated signal files, and slow readers of them that share no code with seqmill."""

import math
import random

import numpy as np
import pyBigWig
import pysam

SIZES = {"chr1": 5003, "chr2": 301, "chr3": 640}  # chr3 is not in the files; no length is a multiple of a bin
FILE_NAMES = {"chr1": "1", "chr2": "2"}


def segments(rng, length, overlap=False):
    """Sorted (start, end, value); long gaps, touching neighbours, a first and a last base that are covered."""
    out, place = [], 0
    while place < length:
        if out and rng.random() < 0.6:
            place += rng.choice([1, 3, 30, 400])
        end = min(place + rng.choice([1, 2, 9, 25, 60]), length)
        if place < end:
            out.append((place, end, round(rng.choice([rng.random(), rng.gauss(0, 50), 0.0]), 3)))
        place = end
    out.append((length - 1, length, 7.5)) if out[-1][1] < length else None
    if overlap:
        out += [(s, min(e + rng.randrange(80), length), v) for s, e, v in rng.sample(out, len(out) // 2)]
        rng.shuffle(out)
    return out


def content(seed, overlap=False):
    rng = random.Random(seed)
    return {name: segments(rng, SIZES[name], overlap) for name in FILE_NAMES}


def write_bigwig(path, data, sizes=None):
    sizes = sizes or {FILE_NAMES[name]: SIZES[name] for name in data}
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(sizes.items()))
        for name, rows in data.items():
            if rows:
                starts, ends, values = zip(*rows)
                file.addEntries([FILE_NAMES[name]] * len(rows), list(starts), ends=list(ends), values=list(values))
    return path


def write_lines(path, data, line):
    path.write_text("".join(line(FILE_NAMES[name], *row) for name, rows in data.items() for row in rows))
    return path


def random_reads(seed, length):
    """Reads of one contig: (start, cigar, flag, mapq, template length, read 2 start), as plain tuples."""
    rng = random.Random(seed)
    reads = []
    for number in range(250):
        start = rng.randrange(length - 120)
        cigar = rng.choice(["20M", "5S20M", "10M5D10M", "10M60N12M", "8M3I9M2S", "7=1X12=", "3H30M"])
        if rng.random() < 0.6:  # a proper pair, read 1 left or right
            gap = rng.randrange(0, 70)
            mate = start + gap
            left, right = (99, 147) if rng.random() < 0.5 else (163, 83)
            span = min(mate + 20, length) - start
            extra = rng.choice([0, 0, 0, 0, 512, 1024])
            reads.append((f"p{number}", start, "20M", left + extra, rng.randrange(60), span, mate))
            reads.append((f"p{number}", mate, "20M", right + extra, rng.randrange(60), -span, start))
        else:
            flag = rng.choice([0, 16, 0, 16, 256, 272, 512, 1024, 2048, 2064, 4])
            reads.append((f"s{number}", start, cigar, flag, rng.randrange(60), 0, -1))
    return sorted(reads, key=lambda read: read[1])


def write_bam(path, index=True, sizes=None, reads=random_reads, order="coordinate"):
    sizes = sizes or {FILE_NAMES[name]: SIZES[name] for name in FILE_NAMES}
    header = {"HD": {"VN": "1.6", "SO": order}, "SQ": [{"SN": n, "LN": size} for n, size in sizes.items()]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as file:
        for number, (_, size) in enumerate(sizes.items()):
            for name, start, cigar, flag, mapq, span, mate in reads(number, size):
                read = pysam.AlignedSegment(file.header)
                read.query_name, read.flag, read.reference_id, read.reference_start = name, flag, number, start
                read.mapping_quality, read.cigarstring = mapq, cigar
                read.query_sequence = "A" * read.infer_query_length()
                if mate >= 0:
                    read.next_reference_id, read.next_reference_start, read.template_length = number, mate, span
                file.write(read)
    if index:
        pysam.index(str(path))
    return path


def slow_bins(values, bin_bp, aggregate, missing):
    """Bins of a whole contig. ``values``: one number a base, NaN where there is no data."""
    bases = np.array(values, np.float64)
    bases[np.isnan(bases) & (missing == "zero")] = 0
    padded = np.full((-(-len(bases) // bin_bp), bin_bp), np.nan)
    padded.flat[: len(bases)] = bases
    out = np.full(len(padded), np.nan)
    known = ~np.isnan(padded).all(axis=1)
    out[known] = {"mean": np.nanmean, "sum": np.nansum, "max": np.nanmax, "min": np.nanmin}[aggregate](
        padded[known], axis=1
    )
    return out


def slow_bigwig(path, contig):
    with pyBigWig.open(str(path)) as file:
        return [float(value) for value in file.values(FILE_NAMES[contig], 0, SIZES[contig])]


def slow_pileup(rows, length):
    """Sum of the values of rows (start, end, value) over each base; NaN where no row lies."""
    out = [math.nan] * length
    for start, end, value in rows:
        for base in range(max(start, 0), min(end, length)):
            out[base] = value if math.isnan(out[base]) else out[base] + value
    return out


def slow_bam(path, contig, mode, strand=".", shifts=(0, 0), mapq_min=0, longest=2000):
    """All reads of the file, one by one; unmapped, secondary, supplementary, QC fail and duplicates left out."""
    rows = []
    with pysam.AlignmentFile(str(path)) as file:
        for read in file.fetch(until_eof=True):
            bad = read.flag & (4 | 256 | 512 | 1024 | 2048)
            if bad or read.reference_name != FILE_NAMES[contig] or read.mapping_quality < mapq_min:
                continue
            backward = bool(read.flag & 16)
            if mode == "fragments":
                if not read.flag & 2 or not 0 < read.template_length <= longest:
                    continue
                backward = bool(read.flag & 16) if read.flag & 64 else bool(read.flag & 32)
            if strand != "." and backward != (strand == "-"):
                continue
            aligned = read.get_reference_positions()
            if mode == "coverage":
                rows += [(base, base + 1, 1.0) for base in aligned]
            elif mode == "fragments":
                rows.append((read.reference_start, read.reference_start + read.template_length, 1.0))
            else:
                base = aligned[-1] + shifts[1] if backward else aligned[0] + shifts[0]
                rows.append((base, base + 1, 1.0))
    return slow_pileup(rows, SIZES[contig])
