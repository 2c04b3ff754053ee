"""A simulated world, its genome store, and maps whose effects are known."""

from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.config.simulation import SimulationSettings
from seqmill.config.sources import Genome
from seqmill.simulate.world import simulate_world
from seqmill.stores.genome import GenomeReader, build_genome
from seqmill.stores.layout import upstream
from seqmill.stores.maps import MapWriter
from seqmill.stores.specs import TargetSpec

TRACKS = ("atac_peaks", "ctcf_peaks")
SETTINGS = SimulationSettings(chromosomes=2, chromosome_bp=60_000)


def write_world(results: Path) -> Path:
    """World and genome store below ``results``; returns the world's folder."""
    simulate_world(results / "simulation", SETTINGS)
    fasta = results / "simulation/genome.fa.gz"
    build_genome(results / "genome/sim1.zarr", name="sim1", genome=Genome(fasta=fasta))
    return results / "simulation"


def places(world: Path, count: int, length: int) -> pd.DataFrame:
    """Windows around the first functional sites; the last one is 20 bp shorter than the others."""
    table = pd.read_csv(world / "truth.bed.gz", sep="\t")
    table = table[table["class"] == "functional"].drop_duplicates("site").head(count).reset_index(drop=True)
    start = (table["start"] - length // 2).clip(lower=0)
    end = start + length
    end.iloc[-1] -= 20
    return pd.DataFrame(
        {
            "name": table["site"], "genome": "sim1", "contig": table["#contig"], "start": start, "end": end,
            "strand": 1, "runs": 1, "window_start": start,
        }
    )  # fmt: skip


def write_map(
    results: Path,
    *,
    name: str = "sites",
    count: int = 12,
    length: int = 240,
    noise: float = 0.3,
    edits=("substitutions",),
) -> Path:
    """A map whose effects follow the truth: −(bits at functional bases) on the first track, noise everywhere."""
    world = results / "simulation"
    truth, genome = np.load(world / "truth.npz"), GenomeReader(results / "genome/sim1.zarr")
    rng = np.random.default_rng(7)
    spec = TargetSpec("bound", "binary", "uint8", ("example", "tracks"), (len(TRACKS),), TRACKS)
    attrs = {
        "model": "basset", "genome": "sim1", "spaces": {"bound": "logit"}, "models": {"0.0": count},
        "both_strands": True, "shifts_bp": [0], "runs": "unseen",
    }  # fmt: skip
    path = results / f"maps/{name}.zarr"
    with MapWriter(
        path, name, attrs, length=length, edits=edits, targets={"bound": spec}, spread=False,
        inputs=upstream(results / "genome/sim1.zarr"),
    ) as writer:  # fmt: skip
        for row in places(world, count, length).to_dict("records"):
            codes = genome.codes(row["contig"], row["start"], row["end"])
            functional = truth[f"{row['contig']}.class"][row["start"] : row["end"]] == 1
            bits = np.where(functional, truth[f"{row['contig']}.bits"][row["start"] : row["end"]].astype(float), 0)
            effects = noise * rng.normal(size=(len(codes), 4, len(TRACKS)))
            effects[:, :, 0] -= 2 * bits[:, None] * rng.uniform(0.8, 1.2, (len(codes), 4))
            effects[codes == 4] = np.nan
            known = np.flatnonzero(codes < 4)
            effects[known, codes[known]] = 0
            arrays = {
                "sequence": codes,
                "reference/bound": np.array([1.5, -0.5]),
                "substitutions/bound": effects.astype(np.float32),
            }
            if "deletions" in edits:
                arrays["deletions/bound"] = effects.mean(axis=1).astype(np.float32)
            writer.append(row, arrays)
    return path
