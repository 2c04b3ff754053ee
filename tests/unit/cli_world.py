"""A working folder with a small genome, peaks and a signal, for tests of the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np

CONTIGS = ("chr1", "chr2", "chr3")
SIZE = 40_000


def config(**over: Any) -> dict[str, Any]:
    chromosomes = {"kind": "chromosomes", "test": ["chr3"], "valid": ["chr2"]}
    values = {
        "genomes": {"toy": {"fasta": "data/toy.fa", "sizes": "data/toy.sizes"}},
        "tracks": {"sheet": "data/tracks.tsv", "bin_bp": 20},
        "datasets": {
            "peaks": {
                "genomes": ["toy"],
                "windows": {"kind": "tiles", "window_bp": 100},
                "targets": {"bound": {"kind": "binary", "tracks": ["ctcf"]}},
                "split": chromosomes,
            }
        },
        "models": {
            "small": {
                "architecture": "dense",
                "dataset": "peaks",
                "settings": {"hidden": [4]},
                "training": {"max_epochs": 1, "seeds": [0, 1]},
            }
        },
    }
    return {**values, **over}


def write_world(folder: Path, **over: Any) -> Path:
    """Genome of 3 × 40 kb, 120 peaks, one signal of 50-bp runs, sheet and configuration; returns ``folder``."""
    rng = np.random.default_rng(0)
    data = folder / "data"
    data.mkdir(parents=True)
    text = {contig: "".join(rng.choice(list("ACGT"), SIZE)) for contig in CONTIGS}
    (data / "toy.fa").write_text("".join(f">{contig}\n{letters}\n" for contig, letters in text.items()))
    (data / "toy.sizes").write_text("".join(f"{contig}\t{SIZE}\n" for contig in CONTIGS))
    peaks = [
        f"{contig}\t{start}\t{start + 200}\tp\t7\t." for contig in CONTIGS for start in range(500, SIZE - 500, 975)
    ]
    (data / "ctcf.bed").write_text("\n".join(peaks) + "\n")
    runs = [
        f"{contig}\t{start}\t{start + 50}\t{rng.integers(1, 9)}" for contig in CONTIGS for start in range(0, SIZE, 50)
    ]
    (data / "atac.bedgraph").write_text("\n".join(runs) + "\n")
    (data / "tracks.tsv").write_text(
        "track\tlocation\tformat\nctcf\tdata/ctcf.bed\tbed\natac\tdata/atac.bedgraph\tbedgraph\n"
    )
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text(json.dumps(config(**over)))
    return folder
