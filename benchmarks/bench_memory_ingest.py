"""Peak memory of building tracks and of building a dataset's target, when length and number of tracks double.

Each measurement is a fresh process. Its largest resident size (``ru_maxrss``) and that of its isolated bigWig reader
(``VmHWM``) are taken one by one, less that of an idle interpreter; sizes less an interpreter that has imported the same
modules are given beside.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
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


class ChildPeak(threading.Thread):
    """Largest resident size that a child process reached. ``ru_maxrss`` of children counts what a child shares with its
    parent when it starts; the kernel's own mark of each child, read ten times a second, does not."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes = 0

    def run(self) -> None:
        tasks = Path(f"/proc/{os.getpid()}/task")
        while True:
            for children in tasks.glob("*/children"):
                try:
                    for pid in children.read_text().split():
                        command = Path(f"/proc/{pid}/cmdline").read_bytes()
                        mark = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
                        if mark and b"spawn_main" in command:
                            self.bytes = max(self.bytes, int(mark[1]) * 1024)
                except OSError:
                    pass  # it has ended
            time.sleep(0.1)


def child(stage: str, work: Path, size: int, count: int) -> None:
    watch = ChildPeak()
    watch.start()
    if stage == "imports":
        import_all()
    elif stage == "prepare":
        prepare(work, size)
    elif stage != "bare":
        {"tracks": stage_tracks, "target": stage_target}[stage](work, size, count)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, watch.bytes)


def measure(stage: str, work: Path, size: int = 0, count: int = 0) -> tuple[int, int]:
    """Peak bytes of a fresh process, and of its reader (0 without one)."""
    call = [sys.executable, __file__, "--child", stage, str(work), str(size), str(count)]
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
    own, reader = map(int, done.stdout.split())
    return own, reader


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
        bare, imports = (max(measure(stage, work)[0] for _ in range(3)) for stage in ("bare", "imports"))
        rows = []
        for size in (first, 2 * first):
            measure("prepare", work, size)
            for count in (options.tracks, 2 * options.tracks):
                for stage in STAGES:
                    own, reader = measure(stage, work, size, count)
                    for process, peak in ((stage, own), ("reader of " + stage, reader)):
                        if peak:
                            row = {"process": process, "bp": size, "tracks": count, "peak_bytes": peak}
                            rows.append(row | {"less_idle": peak - bare, "less_imports": peak - imports})
                            print(f"{process}: {size / 1e6:.0f} Mb x {count} tracks: {peak / 1e6:.1f} MB", flush=True)
    for row in rows:
        base = next(other for other in rows if other["process"] == row["process"])
        row["value"] = row["less_idle"] / base["less_idle"] - 1
        row["value_less_imports"] = row["less_imports"] / base["less_imports"] - 1
        row["reached"] = abs(row["value"]) <= FLAT
    worst = max((row["value"] for row in rows), key=abs)
    write_result(
        "memory_ingest", worst, "relative change of peak memory, worst row", "within 0.10", len(rows), rows,
        idle_bytes=bare, imports_bytes=imports, bin_bp=BIN_BP, load=os.getloadavg(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
