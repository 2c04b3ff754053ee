"""Does `seqmill verify` find every damage? Random mutations of a small tree of results, one at a time.

Drawn evenly over kinds of damage and stores, and over the kinds of files of a store (shards, zarr.json, marker.json,
run.json, model.json, Parquet, ...). Each must be found, and the damaged place must be named.
"""

import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from common import write_result
from tests.unit.store_examples import write_toy_results

from seqmill.runtime.marker import MARKER
from seqmill.stores.verify import verify

STORES = ("genome", "tracks", "datasets", "models", "predictions")
KINDS = ("flip", "truncate", "delete", "append", "swap files", "swap folders")
Undo = Callable[[], None]


def files_of(folder: Path) -> list[Path]:
    """Files that belong to nouns; locks do not."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def file_class(path: Path) -> str:
    return "shard" if "c" in path.parts[-3:-1] else path.name


def draw_file(rng: random.Random, store: Path) -> Path:
    """A file of the store: first its class, so that small important files come as often as shards."""
    classes: dict[str, list[Path]] = {}
    for path in files_of(store):
        classes.setdefault(file_class(path), []).append(path)
    return rng.choice(classes[rng.choice(sorted(classes))])


def content(path: Path) -> object:
    if path.is_file():
        return path.read_bytes()
    return {str(file.relative_to(path)): file.read_bytes() for file in files_of(path)}


def draw_pair(rng: random.Random, store: Path, folders: bool) -> tuple[Path, Path]:
    """Two files, or two folders of which none lies in the other, with different content."""
    while True:
        if folders:
            inside = [path for path in sorted(store.rglob("*")) if path.is_dir() and files_of(path)]
            first, second = rng.choice(inside), rng.choice(inside)
        else:
            first, second = draw_file(rng, store), draw_file(rng, store)
        nested = first.is_relative_to(second) or second.is_relative_to(first)
        if not nested and content(first) != content(second):
            return first, second


def swap(first: Path, second: Path) -> None:
    aside = first.with_name("aside")
    os.rename(first, aside)
    os.rename(second, first)
    os.rename(aside, second)


def mutate(rng: random.Random, kind: str, store: Path) -> tuple[list[Path], Undo]:
    """Damage the store; return the damaged places and the way back."""
    if kind.startswith("swap"):
        first, second = draw_pair(rng, store, kind == "swap folders")
        swap(first, second)
        return [first, second], lambda: swap(first, second)
    path = draw_file(rng, store)
    raw = path.read_bytes()
    while kind in ("flip", "truncate") and not raw:
        path = draw_file(rng, store)
        raw = path.read_bytes()
    if kind == "delete":
        path.unlink()
    elif kind == "truncate":
        path.write_bytes(raw[: rng.randrange(len(raw))])
    elif kind == "append":
        path.write_bytes(raw + rng.choice([b"\n", b" ", b"\0", rng.randbytes(rng.randint(1, 64))]))
    else:
        damaged = bytearray(raw)
        damaged[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
    return [path], lambda: path.write_bytes(raw) and None


def is_named(place: Path, problems: list[str]) -> bool:
    """Some message begins with the place, or with a file inside it."""
    return any(problem.startswith((f"{place}:", f"{place}/")) for problem in problems)


def run(tree: Path, trials: int, seed: int = 0) -> list[dict]:
    """Mutate, verify and mend ``trials`` times; one row for each kind and store."""
    rng = random.Random(seed)
    rows = {
        pair: {"kind": pair[0], "store": pair[1], "n": 0, "found": 0, "named": 0, "missed": []}
        for pair in itertools.product(KINDS, STORES)
    }
    if verify(tree):
        raise SystemExit(f"the tree is damaged before anything was done to it: {verify(tree)}")
    for (kind, store), _ in zip(itertools.cycle(rows), range(trials)):
        places, undo = mutate(rng, kind, tree / store)
        problems = verify(tree)
        undo()
        row = rows[kind, store]
        # Nothing can be said of the files of a noun whose marker has gone: then the marker is the place.
        markers = [place for place in places if place.name == MARKER]
        named = all(is_named(place, problems) for place in markers or places)
        row["n"] += 1
        row["found"] += bool(problems)
        row["named"] += named
        if not named:
            row["missed"].append([str(place.relative_to(tree)) for place in places])
    if verify(tree):
        raise SystemExit("the tree was not mended")
    return list(rows.values())


def main(trials: int = 1000) -> None:
    with tempfile.TemporaryDirectory(prefix="seqmill-verify-") as folder:
        tree = write_toy_results(Path(folder).resolve() / "results")
        start = time.monotonic()
        rows = run(tree, trials)
    worst = min(100 * row["named"] / row["n"] for row in rows)
    write_result("verify", worst, "% found and named", "100", trials, rows, seconds=round(time.monotonic() - start, 1))
    if worst < 100:
        raise SystemExit("verify missed a mutation")


if __name__ == "__main__":
    main()
