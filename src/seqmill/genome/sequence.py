"""DNA as numbers: codes A0 C1 G2 T3 N4, one-hot, reverse complement, GC content, dinucleotide shuffling."""

import numpy as np

A, C, G, T, N = range(5)
IUPAC = "RYSWKMBDHVN"  # ambiguity letters of NC-IUB (1984); all become N
INVALID = 255

_LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)
_COMPLEMENT = np.array([T, G, C, A, N], dtype=np.uint8)
_ONE_HOT = np.eye(5, 4, dtype=np.float32)


def _code_table(allow_rna: bool) -> bytes:
    table = np.full(256, INVALID, dtype=np.uint8)
    for letter in IUPAC:
        table[[ord(letter), ord(letter.lower())]] = N
    for code, letter in enumerate("ACGT"):
        table[[ord(letter), ord(letter.lower())]] = code
    if allow_rna:
        table[[ord("U"), ord("u")]] = T
    return table.tobytes()


DNA_TABLE = _code_table(allow_rna=False)
RNA_TABLE = _code_table(allow_rna=True)


def encode(text: str | bytes, *, allow_rna: bool = False) -> np.ndarray:
    """Codes of a sequence.

    Parameters
    ----------
    text : letters of any case; IUPAC ambiguity letters become N.
    allow_rna : read U as T.

    Returns
    -------
    uint8 (length,), A0 C1 G2 T3 N4.

    Raises
    ------
    ValueError : a letter that is not IUPAC DNA; the message gives its 0-based position.
    """
    data = text.encode("utf-8", "replace") if isinstance(text, str) else bytes(text)
    codes = np.frombuffer(data.translate(RNA_TABLE if allow_rna else DNA_TABLE), dtype=np.uint8)
    if codes.size and codes.max() == INVALID:
        place = int(np.argmax(codes == INVALID))
        raise ValueError(f"{data[place : place + 1].decode('ascii', 'replace')!r} at position {place} is not DNA")
    return codes.copy()


def decode(codes: np.ndarray) -> str:
    """Letters of codes (uint8 (length,), values 0–4)."""
    return _LETTERS[np.asarray(codes)].tobytes().decode("ascii")


def reverse_complement(codes: np.ndarray) -> np.ndarray:
    """Reverse complement along the last axis; uint8 (..., length) in and out, N stays N."""
    return _COMPLEMENT[np.asarray(codes)[..., ::-1]]


def one_hot(codes: np.ndarray) -> np.ndarray:
    """One-hot in the order ACGT; uint8 (..., length) -> float32 (..., length, 4), N all zeros."""
    return _ONE_HOT[np.asarray(codes)]


def gc_fraction(codes: np.ndarray) -> np.ndarray:
    """Share of G and C among the known bases along the last axis.

    uint8 (..., length) -> float64 (...), NaN where all bases are N.
    """
    codes = np.asarray(codes)
    known = np.count_nonzero(codes < N, axis=-1)
    gc = np.count_nonzero((codes == C) | (codes == G), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(gc / known, dtype=np.float64)


def dinucleotide_shuffle(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random sequence with exactly the dinucleotide counts of ``codes``.

    Every sequence with the same counts, first and last base is equally likely: a random Eulerian path through the
    graph of dinucleotides (Altschul and Erickson 1985, Mol Biol Evol 2:526, the doublet-preserving algorithm).
    Runs of N stay where they are; the stretches between them are shuffled each on its own.

    Parameters
    ----------
    codes : uint8 (length,).
    rng : source of randomness; the only one used.

    Returns
    -------
    uint8 (length,).
    """
    codes = np.asarray(codes, dtype=np.uint8)
    out = codes.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], codes < N, [False]]).astype(np.int8)))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist()):
        if end - start > 3:  # up to three bases have one arrangement only
            out[start:end] = _euler_path(codes[start:end], rng)
    return out


def _euler_path(codes: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Shuffled copy of a stretch without N."""
    before, after = codes[:-1], codes[1:]
    last = int(codes[-1])
    successors = [rng.permutation(after[before == base]).tolist() for base in range(4)]
    # The last exit of every base but the final one must lead, over other last exits, to the final base. Drawing the
    # exits at random until they do is uniform over such trees; four bases need few draws.
    leaving = [base for base in range(4) if base != last and successors[base]]
    while True:
        exits = {base: int(rng.integers(len(successors[base]))) for base in leaving}
        if all(_reaches(base, last, exits, successors) for base in leaving):
            break
    for base, chosen in exits.items():
        row = successors[base]
        row[chosen], row[0] = row[0], row[chosen]  # rows are consumed from their end
    path = [int(codes[0])]
    for _ in range(len(codes) - 1):
        path.append(successors[path[-1]].pop())
    return path


def _reaches(base: int, goal: int, exits: dict[int, int], successors: list[list[int]]) -> bool:
    for _ in range(4):
        if base == goal:
            return True
        base = successors[base][exits[base]]
    return base == goal
