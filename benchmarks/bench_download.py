"""One large file and 500 small ones from a server on this machine: ours, and curl.

The server is a process of its own that hands files to the kernel (sendfile). Ours checks size, MD5 and SHA-256 and
syncs to the disk, with an empty cache each time; curl does none of it, so curl followed by `md5sum` and `sync` is
there too. "line" is a part of the large file from a server that sends 250 MB/s, as a line of 2 Gbit/s does. The sides
take turns. Rate limits are off for a server on this machine.

Usage: python benchmarks/bench_download.py [GB] [REPEATS]   (1.5 and 5 by default)
"""

import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from common import ROOT, interleave, write_result

sys.path.insert(0, str(ROOT / "tests"))
from portal import Fault, Portal, stand_in
from portal.files import lock_row

SMALL, SMALL_BYTES = 500, 100_000
LINE_BYTES, LINE_BYTES_PER_S = 500_000_000, 250e6


def serve(folder: str, pipe) -> None:
    with Portal() as portal:
        for path in Path(folder).iterdir():
            portal.add(f"/encode_files/{path.name}", path)
        portal.fault("line", Fault(bytes_per_s=LINE_BYTES_PER_S, piece=1 << 18))
        pipe.send(portal.sources(folder, read_s=60, min_speed_s=120))
        pipe.recv()


@contextmanager
def server(folder: Path):
    """A portal of the files of a folder, in its own process; its configuration."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(str(folder), there), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("end")
        process.join()


def make_files(folder: Path, size: int) -> tuple[list[Path], list[Path]]:
    """Two large files, the first of ``size`` bytes, and the small ones; random bytes."""
    large, block = [folder / "large.bigWig", folder / "line.bigWig"], 1 << 24
    for path, length in zip(large, (size, LINE_BYTES)):
        with open(path, "wb") as file:
            file.write(stand_in("large", 4096))
            while file.tell() < length:
                file.write(os.urandom(min(block, length - file.tell())))
    small = []
    for number in range(SMALL):
        small.append(folder / f"small{number}.bigWig")
        small[-1].write_bytes(stand_in(number, SMALL_BYTES))
    return large, small


def main() -> None:
    from seqmill.sources.cache import Cache
    from seqmill.sources.download import download, download_many
    from seqmill.sources.web import Web

    load = os.getloadavg()[0]
    size = int(float(sys.argv[1]) * 1e9) if len(sys.argv) > 1 else 1_500_000_000
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(dir=os.environ.get("SEQMILL_BENCH_FOLDER")) as temporary:
        served, work = Path(temporary) / "served", Path(temporary) / "work"
        served.mkdir()
        large, small = make_files(served, size)
        with server(served) as sources:
            base = sources.portals.encode_files
            row, line = (digest_row(path, f"{base}/{path.name}") for path in large)
            rows = [
                lock_row(path.read_bytes(), f"{base}/{path.name}", name=path.stem, file=path.name) for path in small
            ]

            def fresh() -> Path:
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                return work

            def ours_large(wanted=row) -> None:
                with Web(sources) as web:
                    download(wanted, web, Cache(fresh()))

            def ours_small() -> None:
                with Web(sources) as web:
                    download_many(rows, web, Cache(fresh()))

            def curl_large(wanted=row) -> None:
                run(["curl", "-sf", "--noproxy", "*", "-o", str(fresh() / "large"), wanted.url])

            def curl_large_checked() -> None:
                curl_large()
                run(["md5sum", str(work / "large")])
                run(["sync", str(work / "large")])

            def curl_small() -> None:
                folder = fresh()
                for one in rows:
                    run(["curl", "-sf", "--noproxy", "*", "-o", str(folder / one.file), one.url])

            def curl_small_parallel() -> None:
                folder = fresh()
                wanted = [word for one in rows for word in ("-o", str(folder / one.file), one.url)]
                run(
                    [
                        "curl",
                        "-sf",
                        "--noproxy",
                        "*",
                        "--no-progress-meter",
                        "--parallel",
                        "--parallel-max",
                        "8",
                        *wanted,
                    ]
                )

            sides = {
                "line": {"ours": lambda: ours_large(line), "curl": lambda: curl_large(line)},
                "large": {"ours": ours_large, "curl": curl_large, "curl, md5sum, sync": curl_large_checked},
                "small": {"ours": ours_small, "curl": curl_small, "curl --parallel": curl_small_parallel},
            }
            results = []
            for what, functions in sides.items():
                for function in functions.values():  # once each before it counts: files into memory, code loaded
                    function()
                total = {"large": size, "line": LINE_BYTES, "small": SMALL * SMALL_BYTES}[what]
                for side, seconds in interleave(functions, repeats).items():
                    middle = statistics.median(seconds)
                    results.append(
                        {
                            "what": what,
                            "side": side,
                            "bytes": total,
                            "seconds": seconds,
                            "MB_per_s": total / middle / 1e6,
                        }
                    )
    speed = {(result["what"], result["side"]): result["MB_per_s"] for result in results}
    ratios = {
        "large_to_curl": speed["large", "ours"] / speed["large", "curl"],
        "large_to_curl_md5sum_sync": speed["large", "ours"] / speed["large", "curl, md5sum, sync"],
        "line_to_curl": speed["line", "ours"] / speed["line", "curl"],
        "small_to_curl": speed["small", "ours"] / speed["small", "curl"],
        "small_to_curl_parallel": speed["small", "ours"] / speed["small", "curl --parallel"],
    }
    for name, value in ratios.items():
        print(f"{name}: {value:.2f}")
    write_result(
        "download",
        ratios["large_to_curl"],
        "of curl's speed for one large file",
        ">= 0.9, and >= 3 times curl one by one for 500 small files",
        repeats,
        results,
        ratios=ratios,
        reached={"large": ratios["large_to_curl"] >= 0.9, "small": ratios["small_to_curl"] >= 3},
        load_average_before=round(load, 1),
    )


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def digest_row(path: Path, url: str):
    """The row of a file that is too large to be read at once."""
    from dataclasses import replace

    md5 = subprocess.run(["md5sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]
    return replace(lock_row(b"", url, name="large", file=path.name), bytes=path.stat().st_size, md5=md5)


if __name__ == "__main__":
    main()
