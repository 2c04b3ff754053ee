"""Calls of known truth, written in every layout; plain loops that share no code with seqmill."""

import random

import numpy as np

CODES = {"A": 0, "C": 1, "G": 2, "T": 3}


def make_genome(seed=0, **lengths):
    """Contigs of random bases, richer in CpG than chance, with a run of N."""
    rng = random.Random(seed)
    texts = {}
    for name, length in lengths.items():
        text = "".join(rng.choice(["A", "C", "G", "T", "CG"]) for _ in range(length))[:length]
        texts[name] = text[: length // 2] + "NNNN" + text[length // 2 + 4 :]
    return texts


def windows_of(texts):
    """As `GenomeReader.many`."""

    def many(contig, starts, width):
        out = np.full((len(starts), width), 4, np.uint8)
        for row, start in enumerate(np.asarray(starts).tolist()):
            for offset in range(width):
                if 0 <= start + offset < len(texts[contig]):
                    out[row, offset] = CODES.get(texts[contig][start + offset], 4)
        return out

    return many


def context(text, position, strand):
    """CG, CHG, CHH or '' of a base on a strand."""
    letters = text[position : position + 3] if strand == "+" else text[max(0, position - 2) : position + 1][::-1]
    letters = letters if strand == "+" else letters.translate(str.maketrans("ACGT", "TGCA"))
    if letters[:1] != "C" or letters[1:2] in ("", "N"):
        return ""
    if letters[1] == "G":
        return "CG"
    if letters[2:3] in ("", "N"):
        return ""
    return "CHG" if letters[2] == "G" else "CHH"


def random_calls(texts, seed=0, contexts=("CG",), most=40, share=0.7):
    """[contig, position (0-based), strand, methylated, total, context] of cytosines with at least one read."""
    rng, calls = random.Random(seed), []
    for contig, text in texts.items():
        for position in range(len(text)):
            for strand in "+-":
                found = context(text, position, strand)
                if found in contexts and rng.random() < share:
                    total = rng.randint(1, most)
                    calls.append((contig, position, strand, rng.randint(0, total), total, found))
    return calls


def merge(calls):
    """{(contig, place of the C on +): (methylated, total)} of CG calls, by a plain loop."""
    out = {}
    for contig, position, strand, methylated, total, found in calls:
        if found == "CG":
            key = (contig, position - (strand == "-"))
            before = out.get(key, (0, 0))
            out[key] = (before[0] + methylated, before[1] + total)
    return out


def bedmethyl11(calls):
    return "".join(
        f"{c}\t{p}\t{p + 1}\t.\t{min(t, 1000)}\t{s}\t{p}\t{p + 1}\t0,255,0\t{t}\t{int(100 * m / t + 0.5)}\n"
        for c, p, s, m, t, _ in calls
    )


def bedmethyl14(calls):
    lines = ['track name="sample one" description="x" visibility=2 itemRgb="On"\n']
    for c, p, s, m, t, _ in calls:
        percent = 100 * m // t
        lines.append(f'{c}\t{p}\t{p + 1}\t"a b"\t{t}\t{s}\t{p}\t{p + 1}\t0,255,0\t{t}\t{percent}\tCG\tCG\t30\n')
    return "".join(lines)


def modkit(calls, mixed=False):
    """Every cytosine twice, as 5hmC (h) and 5mC (m)."""
    lines = []
    for c, p, s, m, t, _ in calls:
        other = (t - m) // 2
        for code, number in (("h", other), ("m,CG,0", m)):
            head = f"{c}\t{p}\t{p + 1}\t{code}\t{t}\t{s}\t{p}\t{p + 1}\t255,0,0\t"
            rest = [t, f"{100 * number / t:.2f}", number, t - m - other, other if code[0] == "m" else m, 1, 2, 0, 3]
            lines.append(head + (" " if mixed else "\t").join(map(str, rest)) + "\n")
    return "".join(lines)


def bismark(calls):
    return "".join(f"{c}\t{p + 1}\t{p + 1}\t{100 * m / t:.6f}\t{m}\t{t - m}\n" for c, p, s, m, t, _ in calls)


def bismark_merged(calls):
    rows = merge(calls).items()
    return "".join(f"{c}\t{p + 1}\t{p + 2}\t{100 * m / t:.6f}\t{m}\t{t - m}\n" for (c, p), (m, t) in rows)


def cytosine_report(calls):
    three = {"CG": "CGA", "CHG": "CAG", "CHH": "CAT"}
    return "".join(f"{c}\t{p + 1}\t{s}\t{m}\t{t - m}\t{x}\t{three[x]}\n" for c, p, s, m, t, x in calls)


def allc(calls):
    three = {"CG": "CGN", "CHG": "CTG", "CHH": "CCA"}
    return "".join(f"{c}\t{p + 1}\t{s}\t{three[x]}\t{m}\t{t}\t1\n" for c, p, s, m, t, x in calls)


_GEMBS = "Contig\tPos0\tPos1\tRef\tx:Call\tx:Flags\tx:Meth\tx:non_conv\tx:conv\tx:support_call\tx:total\n"


def gembs(calls):
    base = {"+": "C", "-": "G"}
    return _GEMBS + "".join(
        f"{c}\t{p}\t{p + 1}\t{base[s]}\t{base[s]}\tGQ=11;MQ=22\t{m / t:.3f}\t{m}\t{t - m}\t{t}\t{t + 2}\n"
        for c, p, s, m, t, _ in calls
    )


def gembs_merged(calls):
    return _GEMBS + "".join(
        f"{c}\t{p}\t{p + 2}\tCG\tCG\tGQ=11;MQ=22\t{m / t:.3f}\t{m}\t{t - m}\t{t}\t{t + 2}\n"
        for (c, p), (m, t) in merge(calls).items()
    )


def table(calls):
    lines = (f"{c}\t{p}\t{s}\t{m}\t{t - m}\tx\n" for c, p, s, m, t, _ in calls)
    return "chrom\tpos0\tstrand\tmeth\tunmeth\tnote\n" + "".join(lines)


def strandless_table(calls):
    return "chrom\tpos_1based\ttotal\tmeth\n" + "".join(f"{c}\t{p + 1}\t{t}\t{m}\n" for c, p, s, m, t, _ in calls)


def states(calls):
    """Rounded to 0 or 1: what DeepCpG takes."""
    return "".join(f"{c}\t{p + 1}\t{int(2 * m >= t)}.0\n" for c, p, s, m, t, _ in calls)


# Layout of the sheet and writer, each with the reads of both strands of a CpG.
COUNTED = {
    "bedmethyl11": ("bedmethyl", bedmethyl11),
    "bedmethyl14": ("bedmethyl", bedmethyl14),
    "bedmethyl18": ("bedmethyl", modkit),
    "bedmethyl18 with spaces": ("bedmethyl", lambda calls: modkit(calls, mixed=True)),
    "bismark": ("bismark", bismark),
    "bismark merged": ("bismark", bismark_merged),
    "cytosine_report": ("cytosine_report", cytosine_report),
    "allc": ("allc", allc),
    "gembs": ("gembs", gembs),
    "gembs merged": ("gembs", gembs_merged),
    "table": ("call_table", table),
    "strandless table": ("call_table", strandless_table),
}
