"""Peak memory of building tracks and of building a dataset's target, when length and number of tracks double.

Each measurement is a fresh process: the largest resident size of it (``ru_maxrss``) plus that of its largest child (the
isolated reader), less the same of an idle interpreter that has imported the same modules. Sizes less a bare interpreter
are given beside.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

BIN_BP, WINDOW_BP = 32, 4096
STAGES = ("tracks", "target")
FLAT = 0.10


def track_rows(work: Path, size: int, count: int):
    from seqmill.config.sheet import Track

    common = {"location": str(work / f"{size}/sim.bw"), "format": "bigwig", "bin_bp": BIN_BP, "assembly": "sim"}
    return [Track(track=f"t{number}", **common) for number in range(count)]


def section():
    from seqmill.config.datasets import Dataset

    return Dataset(
        genomes=["sim"],
        windows={"kind": "tiles", "window_bp": WINDOW_BP},
        targets={"profile": {"kind": "profile"}},
        split={"kind": "blocks", "test": 0.1, "valid": 0.1},
    )


def stage_tracks(work: Path, size: int, count: int) -> None:
    from seqmill.stores.genome import GenomeReader
    from seqmill.stores.track import build_track

    genome = GenomeReader(work / f"{size}/sim.zarr")
    for track in track_rows(work, size, count):
        build_track(work / f"{size}/tracks/{track.track}.zarr", track=track, genome=genome, partial=False)


def stage_target(work: Path, size: int, count: int) -> None:
    from seqmill.examples.build import build_target

    tracks, folder = track_rows(work, size, count), work / f"{size}"
    build_target(
        folder / f"datasets/{count}.zarr/targets/profile/main", name="sim", dataset=section(), target_name="profile",
        group="main", tracks=tracks, rows=folder / "datasets/sim.zarr/rows", genomes={"sim": folder / "sim.zarr"},
        track_stores={track.track: folder / f"tracks/{track.track}.zarr" for track in tracks},
    )  # fmt: skip


def prepare(work: Path, size: int) -> None:
    """Files, genome and rows of one chromosome length; made in a process of their own."""
    from simulated import write_bigwig, write_genome

    from seqmill.examples.build import build_rows

    folder = work / f"{size}"
    folder.mkdir()
    write_bigwig(folder / "sim.bw", {"chr1": size})
    write_genome(folder, {"chr1": size})
    build_rows(
        folder / "datasets/sim.zarr/rows", name="sim", dataset=section(), genomes={"sim": folder / "sim.zarr"},
        grid_bp=BIN_BP,
    )  # fmt: skip


def import_all() -> None:
    """What the stages import, and what zarr and tensorstore start with."""
    import pybigtools  # noqa: F401
    import tensorstore  # noqa: F401
    import zarr  # noqa: F401

    import seqmill.examples.build
    import seqmill.examples.genomic
    import seqmill.stores.track  # noqa: F401


def child(stage: str, work: Path, size: int, count: int) -> None:
    if stage == "idle":
        import_all()
    elif stage == "prepare":
        prepare(work, size)
    elif stage != "bare":
        {"tracks": stage_tracks, "target": stage_target}[stage](work, size, count)
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(own * 1024, children * 1024)


def measure(stage: str, work: Path, size: int = 0, count: int = 0) -> int:
    """Peak bytes of a fresh process and of its largest child."""
    call = [sys.executable, __file__, "--child", stage, str(work), str(size), str(count)]
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
    return sum(map(int, done.stdout.split()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=100, help="chromosome length to start from")
    parser.add_argument("--tracks", type=int, default=32, help="number of tracks to start from")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        stage, work, size, count = options.child
        child(stage, Path(work), int(size), int(count))
        return

    from common import write_result

    first = options.mb * 1_000_000 // WINDOW_BP * WINDOW_BP
    with tempfile.TemporaryDirectory(prefix="seqmill-memory-") as folder:
        work = Path(folder).resolve()
        bare, idle = (max(measure(stage, work) for _ in range(3)) for stage in ("bare", "idle"))
        rows = []
        for size in (first, 2 * first):
            measure("prepare", work, size)
            for count in (options.tracks, 2 * options.tracks):
                for stage in STAGES:
                    peak = measure(stage, work, size, count)
                    rows.append({"stage": stage, "bp": size, "tracks": count, "peak_bytes": peak,
                                 "less_idle_bytes": peak - idle, "less_bare_bytes": peak - bare})  # fmt: skip
                    print(f"{stage}: {size / 1e6:.0f} Mb x {count} tracks: {(peak - idle) / 1e6:.1f} MB", flush=True)
    for row in rows:
        base = next(r for r in rows if r["stage"] == row["stage"])
        row["value"] = row["less_idle_bytes"] / base["less_idle_bytes"] - 1
        row["value_less_bare"] = row["less_bare_bytes"] / base["less_bare_bytes"] - 1
        row["reached"] = abs(row["value"]) <= FLAT
    worst = max((row["value"] for row in rows), key=abs)
    write_result(
        "memory_ingest", worst, "relative change of peak memory, worst row", "within 0.10", len(rows), rows,
        idle_bytes=idle, bare_bytes=bare, bin_bp=BIN_BP, load=os.getloadavg(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
