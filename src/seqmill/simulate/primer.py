"""The tutorial's table: short sequences, labelled 1 where a motif is inside.

As the data of Zou et al., "A primer on deep learning in genomics", Nature Genetics 51:12 (2019): 2,000 sequences of 50
bp, the motif CGACCGAACTCC. Made a little harder: sequences without it hold its twelve bases in another order, so that
counting bases tells nothing, and some labels are wrong; with ``--vary`` bases of the motif vary, as those of real ones.

    python -m seqmill.simulate.primer FOLDER [--sequences 2000] [--vary 0] [--noise 0.02] [--seed 1]
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from seqmill.genome.sequence import decode, encode
from seqmill.runtime.errors import InputError, SeqmillError
from seqmill.runtime.files import atomic_write

MOTIF = "CGACCGAACTCC"
LENGTH_BP = 50


def make_table(
    sequences: int = 2000, vary: float = 0.0, noise: float = 0.02, seed: int = 1
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Sequences, labels and truth.

    Parameters
    ----------
    sequences : how many, half of them (rounded down) with the motif.
    vary : chance of each base of the motif to be drawn anew (from all four). noise : share of labels that are wrong.

    Returns
    -------
    Sequences of `LENGTH_BP` letters, in random order; labels, int (n,); first base of the motif, 0-based, int (n,), -1
    where none was put in.
    """
    rng = np.random.default_rng(seed)
    motif, texts, starts = encode(MOTIF), [], []
    for number in range(sequences):
        with_motif = number < sequences // 2
        while True:
            codes = rng.integers(0, 4, LENGTH_BP, dtype=np.uint8)
            start = int(rng.integers(0, LENGTH_BP - len(motif) + 1))
            inside = np.where(rng.random(len(motif)) < vary, rng.integers(0, 4, len(motif), dtype=np.uint8), motif)
            codes[start : start + len(motif)] = inside if with_motif else rng.permutation(inside)
            text = decode(codes)
            if with_motif or MOTIF not in text:
                break
        texts.append(text)
        starts.append(start if with_motif else -1)
    order = rng.permutation(sequences)
    first = np.array(starts)[order]
    labels = (first >= 0).astype(int)
    wrong = rng.permutation(sequences)[: round(noise * sequences)]
    labels[wrong] = 1 - labels[wrong]
    return [texts[i] for i in order], labels, first


def write_table(
    folder: str | Path, sequences: int = 2000, vary: float = 0.0, noise: float = 0.02, seed: int = 1
) -> list[Path]:
    """Write ``primer.tsv`` (name, sequence, bound) and ``truth.tsv`` (name, motif, start, label_wrong).

    ``motif`` is what was put in, ``start`` its first base, 0-based; empty where there is none. The same arguments give
    the same bytes.

    Raises
    ------
    InputError
        Fewer than 20 sequences, or shares outside 0 to 0.5.
    """
    if sequences < 20:
        raise InputError("--sequences", f"{sequences} are too few, expected at least 20")
    for option, share in (("--vary", vary), ("--noise", noise)):
        if not 0 <= share <= 0.5:
            raise InputError(option, f"{share} is not a share from 0 to 0.5")
    texts, labels, starts = make_table(sequences, vary, noise, seed)
    names = [f"seq{number:0{len(str(sequences))}d}" for number in range(1, sequences + 1)]
    table = ["name\tsequence\tbound"]
    table += [f"{name}\t{text}\t{label}" for name, text, label in zip(names, texts, labels)]
    truth = ["name\tmotif\tstart\tlabel_wrong"]
    for name, text, start, label in zip(names, texts, starts, labels):
        place = f"{text[start : start + len(MOTIF)]}\t{start}" if start >= 0 else "\t"
        truth.append(f"{name}\t{place}\t{int(label != (start >= 0))}")
    paths = [Path(folder) / "primer.tsv", Path(folder) / "truth.tsv"]
    for path, lines in zip(paths, (table, truth)):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, "\n".join(lines) + "\n")
    return paths


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m seqmill.simulate.primer", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where primer.tsv and truth.tsv are written")
    parser.add_argument("--sequences", type=int, default=2000, help="how many (default: 2000)")
    parser.add_argument("--vary", type=float, default=0.0, help="chance of a base of the motif to vary (default: 0)")
    parser.add_argument("--noise", type=float, default=0.02, help="share of labels that are wrong (default: 0.02)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    try:
        table, truth = write_table(
            given.folder, sequences=given.sequences, vary=given.vary, noise=given.noise, seed=given.seed
        )
    except SeqmillError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return error.exit_code
    print(f"{table}: {given.sequences:,} sequences of {LENGTH_BP} bp; {truth}: what is hidden in them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
