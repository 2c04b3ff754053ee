"""Scores of variants: memory and kills with a million records through a tiny network, and the rate through Basset.

The million: single bases, indels and records with two ALT alleles on a simulated genome. One process is left alone, its
largest resident size is the kernel's; another is killed (SIGKILL) at random moments and started again, and must end
with the same bytes. Basset (600 bp, 164 tasks, both strands): alleles a second of the whole job, of the bare network on
windows that lie in memory, and of a plain loop that reads VCF and FASTA with pysam and scores one variant a call.
Rates of single bases through Basset and a BPNet-style network (2,114 bp) against the batched way and tangermeme
(variant_rates.py) are a result of their own, variant_rates: the whole job on 20,000 variants, the sides in turns on
4,000 of them. ``--parts rates --rates 200 --compared 200 --repeats 1`` is a quick try.
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

GOAL_BYTES = 2_000_000_000
GENOME_BP, BASSET_RECORDS_LOOPED = 50_000_000, 500
RATED, COMPARED, REPEATS = 20_000, 4_000, 5
NETWORKS: dict[str, dict[str, Any]] = {
    "tiny": {"bp": 64, "tasks": 2, "architecture": "dense", "settings": {"hidden": [4]}, "batch": 4096},
    "basset": {"bp": 600, "tasks": 164, "architecture": "basset", "settings": {}, "batch": 256},
    "bpnet": {"bp": 2114, "tasks": 1, "architecture": "bpnet", "settings": {}, "batch": 64},
}
RATES = ("basset", "bpnet")
FILES = ("scores.parquet", "scores.tsv.gz", "scores.vcf.gz", "scores.vcf.gz.tbi", "dropped.tsv", "marker.json")


def write_vcf(path: Path, genome: Path, n: int, seed: int = 0, singles: bool = False) -> None:
    """Sorted records: 85 % single bases, 10 % insertions and deletions, 5 % with two ALT alleles; or all single."""
    from seqmill.stores.genome import GenomeReader

    rng = np.random.default_rng(seed)
    reader = GenomeReader(genome)
    places = np.sort(rng.choice(GENOME_BP - 200, n, replace=False)) + 100
    kinds = rng.choice(3, n, p=[1, 0, 0] if singles else [0.85, 0.10, 0.05])
    lengths = rng.geometric(0.3, n)
    codes = reader.codes("chr1", 0, GENOME_BP)
    text = np.frombuffer(b"ACGTN", np.uint8)[codes].tobytes().decode()
    with open(path, "w") as out:
        out.write(
            f"##fileformat=VCFv4.2\n##contig=<ID=1,length={GENOME_BP}>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        )
        for number, (place, kind, length) in enumerate(zip(places.tolist(), kinds.tolist(), lengths.tolist())):
            ref = text[place]
            others = [base for base in "ACGT" if base != ref]
            if kind == 0:
                alt = others[number % 3]
            elif kind == 2:
                alt = f"{others[0]},{others[1]}"
            elif number % 2:
                alt = ref + text[place + 50 : place + 50 + length]
            else:
                ref, alt = text[place : place + 1 + length], ref
            out.write(f"1\t{place + 1}\tv{number}\t{ref}\t{alt}\t.\t.\t.\n")


def train(folder: Path, name: str) -> None:
    """A network of the right shape after one step on random examples; how good it is does not matter here."""
    import pandas as pd

    from seqmill.config.models import Model
    from seqmill.stores.dataset import finish_dataset, write_array, write_rows
    from seqmill.stores.layout import upstream
    from seqmill.stores.specs import ArraySpec
    from seqmill.training.train import train_model

    shape = NETWORKS[name]
    bp, tasks, n = shape["bp"], shape["tasks"], 256
    rng = np.random.default_rng(1)
    start = np.arange(n) * 10_000
    rows = pd.DataFrame(
        {
            "genome": "sim", "contig": "chr1", "start": start, "end": start + bp, "strand": np.int8(1), "pool": "all",
            "fold": np.where(np.arange(n) < 192, "train", "valid"), "group": "", "name": "", "source_row": np.arange(n),
        }
    )  # fmt: skip
    out = folder / f"datasets/{name}.zarr"
    write_rows(
        out / "rows", name=f"{name}.zarr/rows", rows=rows, dropped=pd.DataFrame({"reason": ["N"], "count": [0]}),
        runs={"0": {"train": ["train"], "valid": ["valid"], "test": []}}, window_bp=bp, margin_bp=0,
        reverse_complement=True, bootstrap_unit="row",
    )  # fmt: skip
    tracks = tuple(f"t{number}" for number in range(tasks))
    labels = labels_of(name, n, tracks, rng)
    geometry = {"bp_per_bin": 1, "rc": "sequence", "shift": "moves"}
    arrays = {
        "inputs/sequence": (
            ArraySpec("input", "sequence", ("example", "bp"), "uint8", (bp,), "sequence", **geometry),
            rng.integers(0, 4, (n, bp), dtype=np.uint8),
        ),
        **labels,
    }
    for path, (spec, values) in arrays.items():
        write_array(
            out / path, name=f"{name}.zarr/{path}", spec=spec, n=n, blocks=[values], inputs=upstream(out / "rows"),
            chunk_examples=64,
        )  # fmt: skip
    finish_dataset(out, name=f"{name}.zarr", arrays=list(arrays))
    section = {
        "architecture": shape["architecture"], "dataset": name, "settings": shape["settings"],
        "training": {"batch_size": 64, "max_steps": 1, "xla_threads": int(os.environ["BENCH_THREADS"])},
    }  # fmt: skip
    train_model(
        folder / f"models/{name}/0.0", name=name, model=Model.model_validate(section), dataset=out, fold="0", seed=0
    )


def labels_of(name: str, n: int, tracks: tuple[str, ...], rng: np.random.Generator) -> dict[str, Any]:
    """Random targets: peaks, or the counts and profiles of 1,000 bp of a BPNet-style network."""
    from seqmill.stores.specs import ArraySpec

    def spec(target: str, kind: str, dtype: str, shape: tuple[int, ...], **geometry: Any) -> Any:
        axes = ("example", "bins", "tracks") if len(shape) == 2 else ("example", "tracks")
        return ArraySpec("target", target, axes, dtype, shape, kind, group="main", tracks=tracks, **geometry)

    if name != "bpnet":
        values = rng.integers(0, 2, (n, len(tracks)), dtype=np.uint8)
        return {"targets/peaks/main": (spec("peaks", "binary", "uint8", (len(tracks),)), values)}
    signal = rng.poisson(1.0, (n, 1000, 1)).astype(np.float32)
    place = {"bp_per_bin": 1, "offset_bp": 557, "rc": "reverse", "shift": "moves"}
    return {
        "targets/count/main": (spec("count", "count", "float32", (1,)), signal.sum(axis=1)),
        "targets/profile/main": (spec("profile", "profile", "float32", (1000, 1), **place), signal),
    }


def prediction_of(name: str) -> Any:
    from seqmill.config.models import Prediction

    return Prediction(batch_size=NETWORKS[name]["batch"])


def score(folder: Path, name: str, out: Path) -> dict[str, Any]:
    from seqmill.config.effects import VariantSet
    from seqmill.effects.variants.build import score_variants

    start = time.perf_counter()
    score_variants(
        out, name=name, section=VariantSet(model=name, file=str(folder / f"{name}.vcf"), effects=["diff", "score"]),
        genome=folder / "sim.zarr", models=[folder / f"models/{name}/0.0"], prediction=prediction_of(name),
        datasets=[folder / f"datasets/{name}.zarr"], state=out.with_name(f".{name}.state"),
    )  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    attrs = json.loads((out / "marker.json").read_text())["attrs"]
    return {"seconds": time.perf_counter() - start, "peak_bytes": peak} | {k: attrs[k] for k in ("n", "scored")}


def bare(folder: Path, name: str, n: int) -> dict[str, Any]:
    """The network alone, on ``n`` windows that lie in memory."""
    from seqmill.effects.ensemble import Ensemble
    from seqmill.effects.measures import scores

    ensemble = Ensemble([folder / f"models/{name}/0.0"], prediction_of(name))
    codes = np.random.default_rng(0).integers(0, 4, (n, ensemble.extent_bp), dtype=np.uint8)
    reduce = scores(ensemble.targets, ["peaks"])
    ensemble.apply(codes[: ensemble.batch_size], reduce)  # compile
    start = time.perf_counter()
    ensemble.apply(codes, reduce)
    return {"seconds": time.perf_counter() - start, "windows": n}


def loop(folder: Path, name: str, n: int) -> dict[str, Any]:
    """What one writes first: for each record two windows, one call; also the scores, to compare."""
    import pysam

    from seqmill.training.artefact import load_network
    from seqmill.training.predict import predictor

    network = load_network(folder / f"models/{name}/0.0")
    run = predictor(network, strands=True)
    bp = NETWORKS[name]["bp"]
    table = bytes.maketrans(b"ACGTN", bytes(range(5)))
    fasta, found, start = pysam.FastaFile(str(folder / "sim.fa")), [], 0.0
    with pysam.VariantFile(str(folder / f"{name}.vcf")) as file:
        for number, record in enumerate(file):
            if number == n + 1:
                break
            if number == 1:  # the first call compiled
                start = time.perf_counter()
            before = fasta.fetch("chr1", record.start - bp // 2, record.start)
            after = fasta.fetch("chr1", record.start + len(record.ref), record.start + len(record.ref) + bp)
            windows = [(before + allele + after)[:bp] for allele in (record.ref, record.alts[0])]
            codes = np.frombuffer("".join(windows).encode().translate(table), np.uint8).reshape(2, bp)
            p = np.asarray(run({"inputs/sequence": codes})["peaks"], np.float64)
            logit = np.log(p) - np.log1p(-p)
            found.append((record.pos, record.alts[0], *(logit[1] - logit[0])[:3]))
    return {"seconds": time.perf_counter() - start, "variants": n, "found": found}


def child(*arguments: Any) -> tuple[subprocess.Popen, Path]:
    answer = Path(arguments[1]) / f"answer{time.monotonic_ns()}.json"
    call = [sys.executable, __file__, "--child", *map(str, arguments), "--answer", str(answer)]
    return subprocess.Popen(call), answer


def run_child(*arguments: Any) -> dict[str, Any]:
    process, answer = child(*arguments)
    if process.wait():
        raise SystemExit(f"{arguments} ended with {process.returncode}")
    return json.loads(answer.read_text())


def killed(folder: Path, name: str, out: Path, kills: int, chunks: int, seed: int = 0) -> list[int]:
    """Chunks that were there at each kill; the run is started again after each."""
    draw = random.Random(seed)
    state, seen = out.with_name(f".{name}.state"), []
    for number in range(kills):
        process, _ = child("score", folder, name, out)
        goal = chunks * (number + draw.random()) / (kills + 1)
        while process.poll() is None and len(list(state.glob("0*.json"))) < goal:
            time.sleep(0.01)
        time.sleep(draw.random() * 0.2)
        if process.poll() is not None:
            raise SystemExit("the run ended before it was killed; use more records")
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen.append(len(list(state.glob("0*.json"))))
    return seen


def compare(folder: Path, looped: dict[str, Any]) -> float:
    """Largest difference of the scores of the plain loop from ours."""
    from seqmill.stores.variants import VariantsReader

    reader = VariantsReader(folder / "basset")
    columns = [column for column in reader.columns if column.endswith("|score")][:3]
    rows = next(reader.table(["position_1based", "alt", "status", *columns]))
    known = {(row[0], row[1]): row[3:] for row in rows.itertuples(index=False) if row[2] == "ok"}
    pairs = [(known[place, alt], values) for place, alt, *values in looped["found"] if (place, alt) in known]
    if not pairs:
        raise SystemExit("the plain loop scored none of our alleles")
    return float(np.abs(np.array([a for a, _ in pairs], float) - np.array([b for _, b in pairs])).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="through the tiny network")
    parser.add_argument("--basset", type=int, default=20_000, help="records through Basset")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=["memory", "rates"], default=["memory", "rates"])
    parser.add_argument("--rates", type=int, default=RATED, help="variants of the whole job whose rate is told")
    parser.add_argument("--compared", type=int, default=COMPARED, help="of them, variants of the sides in turns")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of the sides in turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        from seqmill.runtime.device import choose_device

        choose_device("cpu", int(os.environ["BENCH_THREADS"]))
        what, folder, name, *rest = options.child
        if what == "train":
            answer: Any = train(Path(folder), name)
        elif what == "score":
            answer = score(Path(folder), name, Path(rest[0]))
        else:
            answer = {"bare": bare, "loop": loop}[what](Path(folder), name, int(rest[0]))
        Path(options.answer).write_text(json.dumps(answer))
        return

    from seqmill.runtime.job import HUGE_PAGES

    os.environ |= {"BENCH_THREADS": str(options.threads), "OMP_NUM_THREADS": str(options.threads)}
    os.environ.setdefault("GLIBC_TUNABLES", HUGE_PAGES)
    if "rates" in options.parts:
        measure_rates(options)
    if "memory" in options.parts:
        measure_memory(options)


def measure_rates(options: argparse.Namespace) -> None:
    """Rates of each network, and of the whole job from VCF to tables."""
    from common import write_result
    from simulated import write_genome
    from variant_rates import measure

    rows = []
    with tempfile.TemporaryDirectory(prefix="seqmill-variants-") as temporary:
        folder = Path(temporary).resolve()
        genome = write_genome(folder, {"chr1": GENOME_BP})
        for name in RATES:
            write_vcf(folder / f"{name}.vcf", genome, options.rates, singles=True)
            run_child("train", folder, name)
            row = measure(folder, name, folder / f"{name}.vcf", options.compared, options.threads, options.repeats)
            job = run_child("score", folder, name, folder / f"scored/{name}")
            rows.append(row | {"job_both_strands_alleles_per_s": job["scored"] / job["seconds"], "job": job})
            print(f"{name}: the whole job, both strands: {job['scored'] / job['seconds']:.0f} alleles/s", flush=True)
    if (options.rates, options.compared, options.repeats) == (RATED, COMPARED, REPEATS):
        worst = min(row["times_tangermeme"] for row in rows)
        write_result(
            "variant_rates", worst, "x tangermeme's variants/s, worst row", ">= 1", options.repeats, rows,
            threads=options.threads, load=os.getloadavg(),
        )  # fmt: skip


def measure_memory(options: argparse.Namespace) -> None:
    """A million through the tiny network, killed and not, and the whole job beside a plain loop."""
    from common import write_result
    from simulated import write_genome

    with tempfile.TemporaryDirectory(prefix="seqmill-variants-") as temporary:
        folder = Path(temporary).resolve()
        genome = write_genome(folder, {"chr1": GENOME_BP})
        for name, records in (("tiny", options.records), ("basset", options.basset)):
            write_vcf(folder / f"{name}.vcf", genome, records)
            run_child("train", folder, name)
        plain = run_child("score", folder, "tiny", folder / "plain/tiny")
        chunks = -(-options.records // 8192)
        seen = killed(folder, "tiny", folder / "killed/tiny", options.kills, chunks)
        last = run_child("score", folder, "tiny", folder / "killed/tiny")
        same = [(folder / "plain/tiny" / f).read_bytes() == (folder / "killed/tiny" / f).read_bytes() for f in FILES]
        print(f"tiny: {plain}, chunks at the kills {seen} of {chunks}, same bytes {same}", flush=True)
        basset = run_child("score", folder, "basset", folder / "basset")
        alone = run_child("bare", folder, "basset", 8192 if options.basset >= 10_000 else 256)
        looped = run_child("loop", folder, "basset", min(BASSET_RECORDS_LOOPED, options.basset // 2))
        difference = compare(folder, looped)
    largest = max(plain["peak_bytes"], last["peak_bytes"])
    rows = [
        {
            "what": "tiny network", "records": options.records, **plain, "killed_at_chunk": seen, "chunks": chunks,
            "alleles_per_s": plain["scored"] / plain["seconds"], "last_run": last, "same_bytes": all(same),
            "reached": all(same) and largest < GOAL_BYTES,
        },
        {
            "what": "Basset", "records": options.basset, **basset,
            "alleles_per_s": basset["scored"] / basset["seconds"],
            "network_alone_windows_per_s": alone["windows"] / alone["seconds"],
            "plain_loop_alleles_per_s": looped["variants"] / looped["seconds"], "largest_difference": difference,
        },
    ]  # fmt: skip
    for row in rows:
        print(json.dumps(row), flush=True)
    if (options.records, options.basset) == (1_000_000, 20_000):
        write_result(
            "variants", largest / 1e9, "GB, largest resident size", "< 2, same bytes after 5 kills", len(rows), rows,
            threads=options.threads, load=os.getloadavg(),
        )  # fmt: skip


if __name__ == "__main__":
    main()
