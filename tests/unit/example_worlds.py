"""A toy genome with tracks, as real stores, for the tests of datasets."""

from pathlib import Path

import numpy as np

from seqmill.config.datasets import Dataset
from seqmill.config.sheet import Track
from seqmill.config.sources import Genome
from seqmill.examples import build
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.genome import GenomeReader, build_genome
from seqmill.stores.track import build_track


class World:
    """Genomes and tracks in a folder; what was put in is kept as plain Python for slow references.

    Attributes
    ----------
    sequences : assembly -> contig -> text. peaks : track -> list of (contig, start, end, summit).
    signal : track -> contig -> list of (start, end, value). tracks : name -> row of the sheet.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.sequences: dict[str, dict[str, str]] = {}
        self.peaks: dict[str, list[tuple[str, int, int, int]]] = {}
        self.signal: dict[str, dict[str, list[tuple[int, int, float]]]] = {}
        self.tracks: dict[str, Track] = {}

    def genome(self, name: str, sequences: dict[str, str]) -> "World":
        self.sequences[name] = sequences
        fasta = self.folder / f"{name}.fa"
        fasta.write_text("".join(f">{contig}\n{text}\n" for contig, text in sequences.items()))
        build_genome(self.genome_store(name), name=name, genome=Genome(fasta=fasta))
        return self

    def genome_store(self, name: str) -> Path:
        return self.folder / f"genome/{name}.zarr"

    def store(self, track: str) -> Path:
        return self.folder / f"tracks/{track}.zarr"

    def _build(self, name: str, assembly: str, file: Path, **columns) -> None:
        row = Track(track=name, location=str(file), assembly=assembly, **columns)
        self.tracks[name] = row
        build_track(
            self.store(name),
            track=row,
            genome=GenomeReader(self.genome_store(assembly)),
            partial=False,
            on_bad_track=self.on_bad_track,
        )

    on_bad_track = "fail"

    def add_peaks(self, name: str, peaks: list[tuple[str, int, int, int]], assembly: str = "toy", **columns) -> "World":
        self.peaks[name] = peaks
        file = self.folder / f"{name}.narrowPeak"
        lines = (f"{c}\t{s}\t{e}\t.\t0\t.\t1\t-1\t-1\t{summit - s}\n" for c, s, e, summit in peaks)
        file.write_text("".join(lines))
        self._build(name, assembly, file, format="narrowpeak", **columns)
        return self

    def add_signal(self, name: str, signal: dict[str, list[tuple[int, int, float]]], assembly: str = "toy", **columns):
        self.signal[name] = signal
        file = self.folder / f"{name}.bedgraph"
        file.write_text("".join(f"{c}\t{s}\t{e}\t{v!r}\n" for c, runs in signal.items() for s, e, v in runs))
        self._build(name, assembly, file, format="bedgraph", **columns)
        return self

    def bases(self, track: str, contig: str) -> list[float | None]:
        """Value of every base, None without data."""
        values: list[float | None] = [None] * len(self.sequences[self.tracks[track].assembly][contig])
        for start, end, value in self.signal[track].get(contig, []):
            for position in range(start, end):
                values[position] = value
        return values

    def rows(self, name: str, dataset: Dataset, *, windows=(), grid_bp=1, blacklists=None, **roles) -> Path:
        """Build ``rows/``; ``windows`` names the tracks that choose windows."""
        out = self.folder / f"datasets/{name}.zarr/rows"
        names = list(dict.fromkeys([*windows, *(track for group in roles.values() for track in group)]))
        build.build_rows(
            out,
            name=name,
            dataset=dataset,
            genomes={genome: self.genome_store(genome) for genome in dataset.genomes},
            blacklists=blacklists or {},
            tracks={track: self.store(track) for track in names},
            assemblies={track: self.tracks[track].assembly for track in names},
            roles={"windows": list(windows), **roles} if windows or roles else None,
            grid_bp=grid_bp,
        )
        return out

    def build(self, name: str, dataset: Dataset, targets: dict[str, list[str]], *, control=(), **rows) -> DatasetReader:
        """Build a whole dataset; ``targets`` maps each target to its tracks (none for tables)."""
        place = self.rows(name, dataset, **rows)
        return self.arrays(name, dataset, targets, place, control)

    def arrays(
        self, name: str, dataset: Dataset, targets: dict[str, list[str]], rows: Path, control=()
    ) -> DatasetReader:
        folder = rows.parent
        genomes = {genome: self.genome_store(genome) for genome in dataset.genomes}
        common = {"name": name, "dataset": dataset, "rows": rows, "genomes": genomes}
        arrays = []
        for key in build.input_names(dataset):
            tracks = [self.tracks[track] for track in control] if key == "control" else []
            stores = {track.track: self.store(track.track) for track in tracks}
            build.build_input(folder / "inputs" / key, input_name=key, tracks=tracks, track_stores=stores, **common)
            arrays.append(f"inputs/{key}")
        for key, tracks in targets.items():
            groups: dict[str, list[Track]] = {} if tracks else {"main": []}
            for track in tracks:
                groups.setdefault(self.tracks[track].group, []).append(self.tracks[track])
            for group, members in groups.items():
                build.build_target(
                    folder / "targets" / key / group,
                    target_name=key,
                    group=group,
                    tracks=members,
                    track_stores={track.track: self.store(track.track) for track in members},
                    **common,
                )
                arrays.append(f"targets/{key}/{group}")
        build.finish(folder, name=name, arrays=arrays)
        return DatasetReader(folder)


def random_sequence(rng: np.random.Generator, length: int, letters: str = "ACGT") -> str:
    return "".join(rng.choice(list(letters), length))


def random_peaks(rng: np.random.Generator, sizes: dict[str, int], count: int) -> list[tuple[str, int, int, int]]:
    """``count`` peaks of 20 to 300 bp on each contig, with a summit inside."""
    peaks = []
    for contig, size in sizes.items():
        for _ in range(count):
            start = int(rng.integers(0, size - 20))
            end = int(min(size, start + rng.integers(20, 300)))
            peaks.append((contig, start, end, int(rng.integers(start, end))))
    return sorted(set(peaks))


def random_signal(rng: np.random.Generator, sizes: dict[str, int], low: float = 0.0) -> dict:
    """Runs of 1 to 60 bp with gaps between some of them."""
    signal = {}
    for contig, size in sizes.items():
        at, runs = int(rng.integers(0, 40)), []
        while at < size:
            end = int(min(size, at + rng.integers(1, 60)))
            runs.append((at, end, round(float(rng.uniform(low, 8)), 3)))
            at = end + int(rng.integers(0, 80) if rng.random() < 0.4 else 0)
        signal[contig] = runs
    return signal
