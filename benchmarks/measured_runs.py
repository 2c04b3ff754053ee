"""Comparisons with experiments for the benchmarks, by the workflow, which trains the networks that are not there."""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from common import ROOT
from runs import OUTPUT, need_data, records, run_workflow

from seqmill.stores.measured import MeasuredReader


def options(text: str | None) -> argparse.Namespace:
    """Arguments of the benchmarks of measured effects."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument(
        "--smoke", action="store_true", help="twenty steps of training, few backgrounds, a folder of its own; no result"
    )
    return parser.parse_args()


def compared(config: str, names: list[str], arguments: argparse.Namespace) -> tuple[dict[str, MeasuredReader], float]:
    """Sets of measured effects of ``benchmarks/real/{config}_measured.yaml``, and the seconds it took."""
    need_data()
    work = OUTPUT / (f"{config}_smoke" if arguments.smoke else config)
    work.mkdir(parents=True, exist_ok=True)
    over: list[str | Path] = [f"benchmarks/real/{config}_measured.yaml"]
    if arguments.smoke:
        over.append(_small(config, work, names))
    targets = [f"results/measured/{name}/marker.json" for name in names]
    print(f"{config}: log in {work.relative_to(ROOT)}/output.txt", flush=True)
    seconds = run_workflow(config, work, arguments.cores, *targets, over=over)
    return {name: MeasuredReader(work / "results/measured" / name) for name in names}, seconds


def _small(config: str, work: Path, names: list[str]) -> Path:
    """Settings that make a run short."""
    sets = yaml.safe_load((ROOT / f"benchmarks/real/{config}_measured.yaml").read_text())["measured"]
    training = {"max_steps": 20, "seeds": [0]}
    values: dict[str, Any] = {"models": {"cnn": {"training": training, "prediction": {"shifts_bp": [0]}}}}
    values["measured"] = {
        name: {"resamples": 100, **({} if sets[name]["kind"] == "qtl" else {"backgrounds": 1})} for name in names
    }
    path = work / "smoke.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def rows_of(reader: MeasuredReader, config: str, name: str) -> list[dict[str, Any]]:
    """Lines of the summary without single tracks, as JSON values."""
    table = reader.summary()
    table = table[table["over"] != "track"].replace("", None)
    return [{"model": config, "set": name, **row} for row in records(table)]


def line(reader: MeasuredReader, **wanted: str) -> pd.Series:
    """The line of the summary with these values; of the network's mean over tracks if not said otherwise."""
    table = reader.summary()
    for column, value in ({"predictor": "network", "over": "mean of tracks", "against": ""} | wanted).items():
        table = table[table[column] == value]
    return table.iloc[0]
