"""Simulated datasets for timing, each with the files from which a peer would build the same examples."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from simulated import write_bigwig, write_fasta, write_genome

WINDOW_BP, PROFILE_BP = 2114, 1000  # of ChromBPNet
BASSET_BP, BASSET_TRACKS = 600, 164
STEP_BP = 640
# Windows with 1, 2, 3, ... labels in the merged peaks of 36 factors on human chromosome 1 (0-9.9 Mb), that is, in the
# dataset chr1_merged of benchmarks/real/hg19_chr1.yaml; 12 % of all labels are positive.
LABELS_A_WINDOW = [
    672, 310, 168, 118, 80, 71, 52, 38, 27, 40, 30, 27, 17, 13, 18, 17, 20, 8,
    7, 3, 7, 9, 9, 3, 2, 4, 3, 1, 2, 1, 2, 0, 1, 1, 0, 0,
]  # fmt: skip


def profile_dataset(folder: Path, size: int, bin_bp: int = 1) -> tuple[Path, Path, Path]:
    """Windows of 2,114 bp with the signal of their central 1,000 bp, built by the stages of the workflow.

    Returns
    -------
    dataset, FASTA and bigWig.
    """
    from seqmill.config.datasets import Dataset
    from seqmill.config.sheet import Track
    from seqmill.examples import build
    from seqmill.stores.genome import GenomeReader
    from seqmill.stores.track import build_track

    source, genome = write_bigwig(folder / "sim.bw", {"chr1": size}), write_genome(folder, {"chr1": size})
    track = Track(track="sim", location=str(source), format="bigwig", bin_bp=bin_bp, assembly="sim")
    store = folder / "tracks/sim.zarr"
    build_track(store, track=track, genome=GenomeReader(genome), partial=False)
    section = Dataset(
        genomes=["sim"],
        windows={"kind": "tiles", "window_bp": WINDOW_BP},
        targets={"profile": {"kind": "profile", "length_bp": PROFILE_BP}},
        split={"kind": "blocks", "test": 0.1, "valid": 0.1},
    )
    out = folder / "datasets/windows.zarr"
    common = {"name": "windows", "dataset": section, "genomes": {"sim": genome}}
    build.build_rows(out / "rows", grid_bp=bin_bp, **common)
    build.build_input(out / "inputs/sequence", input_name="sequence", rows=out / "rows", **common)
    build.build_target(
        out / "targets/profile/main", target_name="profile", group="main", tracks=[track], rows=out / "rows",
        track_stores={"sim": store}, **common,
    )  # fmt: skip
    build.finish(out, name="windows", arrays=["inputs/sequence", "targets/profile/main"])
    return out, folder / "sim.fa", source


def basset_dataset(folder: Path, n: int, seed: int = 0) -> tuple[Path, Path, Path]:
    """Basset-like examples: 600 bp and 164 labels, whose number a window is as in `LABELS_A_WINDOW` (as a share).

    Returns
    -------
    dataset, FASTA and a tabixed BED file whose fourth column lists the positive tracks of each window.
    """
    import pysam

    from seqmill.stores.dataset import finish_dataset, write_array, write_rows
    from seqmill.stores.layout import upstream
    from seqmill.stores.specs import ArraySpec

    rng = np.random.default_rng(seed)
    fasta = write_fasta(folder / "basset.fa", {"chr1": n * STEP_BP}, seed)
    share = rng.choice(len(LABELS_A_WINDOW), n, p=np.array(LABELS_A_WINDOW) / sum(LABELS_A_WINDOW)) + 1
    labels = np.concatenate(
        [
            rng.random((len(part), BASSET_TRACKS), np.float32) < part[:, None] / len(LABELS_A_WINDOW)
            for part in np.array_split(share, max(1, n // 50_000))
        ]
    ).astype(np.uint8)
    labels[np.arange(n), rng.integers(0, BASSET_TRACKS, n)] = 1  # a window has at least one peak
    order = rng.permutation(n)  # row -> place along the genome
    starts = order * STEP_BP
    bed = folder / "basset.bed"
    with open(bed, "w") as out:
        for place, row in enumerate(labels):
            tracks = ",".join(map(str, np.flatnonzero(row)))
            out.write(f"chr1\t{place * STEP_BP}\t{place * STEP_BP + BASSET_BP}\t{tracks}\n")
    tabixed = pysam.tabix_index(str(bed), preset="bed", force=True)

    name, root = "basset", folder / "datasets/basset.zarr"
    fold = np.repeat(["train", "valid", "test"], [n * 9 // 10, n // 50, n - n * 9 // 10 - n // 50])
    rows = pd.DataFrame(
        {"genome": "sim", "contig": "chr1", "start": starts, "end": starts + BASSET_BP, "strand": 1, "pool": "peaks",
         "fold": fold, "group": "", "name": "", "source_row": -1}
    )  # fmt: skip
    write_rows(
        root / "rows", name=name, rows=rows, dropped=pd.DataFrame(columns=["stage", "reason", "pool", "fold", "count"]),
        runs={"0": {part: [part] for part in ("train", "valid", "test")}}, window_bp=BASSET_BP, margin_bp=0,
        reverse_complement=True, bootstrap_unit="contig",
    )  # fmt: skip
    arrays = {
        "inputs/sequence": (
            ArraySpec("input", "sequence", ("example", "bp"), "uint8", (BASSET_BP,), "sequence", bp_per_bin=1,
                      rc="sequence", shift="moves"),
            _sequences(fasta, starts),
        ),
        "targets/peaks/main": (
            ArraySpec("target", "peaks", ("example", "tracks"), "uint8", (BASSET_TRACKS,), "binary", group="main",
                      tracks=tuple(f"t{i}" for i in range(BASSET_TRACKS))),
            (labels[order[at : at + 10_000]] for at in range(0, n, 10_000)),
        ),
    }  # fmt: skip
    for path, (spec, blocks) in arrays.items():
        write_array(root / path, name=name, spec=spec, n=n, blocks=blocks, inputs=upstream(root / "rows"))
    finish_dataset(root, name=name, arrays=list(arrays))
    return root, fasta, Path(tabixed)


def _sequences(fasta: Path, starts: np.ndarray) -> Iterator[np.ndarray]:
    """Codes of the windows, read from the FASTA file that `write_fasta` wrote (lines of 100)."""
    text = np.fromfile(fasta, np.uint8)
    bases = text[text.tobytes().index(b"\n") + 1 :]
    bases = bases[bases != ord("\n")]
    table = np.full(256, 4, np.uint8)
    table[np.frombuffer(b"ACGT", np.uint8)] = range(4)
    for at in range(0, len(starts), 10_000):
        part = starts[at : at + 10_000]
        yield table[bases[part[:, None] + np.arange(BASSET_BP)]]
