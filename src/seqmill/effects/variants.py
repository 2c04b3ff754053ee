"""Scores of variants: what a network makes of ALT and of REF, allele by allele, in bounded memory."""

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seqmill.config.effects import VariantSet
from seqmill.config.models import Prediction
from seqmill.effects.alleles import Alleles, Examiner, Sequences, sequences
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.measures import SPACES, check_targets
from seqmill.effects.unseen import Unseen
from seqmill.effects.variant_effects import check_effects, effects_of, kept_bytes, reducer
from seqmill.effects.variant_state import ChunkStore
from seqmill.effects.variant_survey import Survey, contig_names, survey, write_dropped
from seqmill.formats.variants import VariantFile, open_variants
from seqmill.formats.vcf_out import Field, field_ids
from seqmill.runtime.marker import file_digest
from seqmill.runtime.progress import Progress
from seqmill.runtime.record import versions
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import noun_folder, upstream, version
from seqmill.stores.model import ModelReader
from seqmill.stores.specs import track_names
from seqmill.stores.variants import DROPPED, score_column, table, write_tables
from seqmill.training.loader import ahead
from seqmill.training.seen import run_name

CHUNK_RECORDS, SURVEY_RECORDS = 8192, 8192
CHUNK_BYTES = 64_000_000
"""Windows and predictions of a chunk that may be in memory; two or three chunks are at a time."""
_LOG = logging.getLogger("seqmill")


@dataclass
class _Plan:
    """What is scored: by which runs, which effects, in which columns."""

    ensemble: Ensemble
    wanted: list[tuple[str, str]]
    columns: list[str]
    fields: list[Field]
    chunk: int

    def __init__(self, ensemble: Ensemble, section: VariantSet, where: str):
        self.ensemble = ensemble
        specs = ensemble.targets
        names = check_targets(specs, section.targets, where)
        self.wanted = check_effects(section.effects, specs, names, where)
        self.columns = [
            score_column(name, track, effect) for name, effect in self.wanted for track in track_names(specs[name])
        ]
        ids = field_ids([f"{name}_{effect}" for name, effect in self.wanted])
        self.fields = [
            Field(key, f"{effect} of target {name}, ALT against REF", tuple(track_names(specs[name])))
            for key, (name, effect) in zip(ids, self.wanted)
        ]
        self.reduce = reducer(specs, self.wanted)
        each = 2 * (ensemble.extent_bp + kept_bytes(specs, self.wanted))
        self.chunk = max(1, min(CHUNK_RECORDS, CHUNK_BYTES // each))


def score_variants(
    out: str | Path,
    *,
    name: str,
    section: VariantSet,
    genome: str | Path,
    models: Sequence[str | Path],
    prediction: Prediction,
    datasets: Sequence[str | Path] = (),
    state: str | Path,
) -> None:
    """Write the scores of a section of the configuration.

    Parameters
    ----------
    out : ``…/variants/{set}``. name : of the set.
    genome : folder of the genome that the variants are on. models : folders of the runs of the network.
    prediction : strands, shifts and batch size; each allele's prediction is the average over them.
    datasets : folders of the datasets that the runs, and those they started from, were trained on. Not needed for
        ``runs: all``.
    state : folder for finished chunks, from which a killed run goes on; deleted at the end.

    Raises
    ------
    InputError
        The file cannot be read (with its line), too few of its REF alleles are the genome's, nothing is left to score,
        or an effect fits no target.
    """
    where = f"variants.{name}"
    file = open_variants(section.file, columns=section.columns, position_base=section.position_base)
    reader = GenomeReader(genome)
    parameters = {"variants": section.model_dump(mode="json"), "prediction": prediction.model_dump(mode="json")}
    packages = ("numpy", "pyarrow", "pysam", "jax", "jaxlib", "flax")
    inputs = upstream(genome, *models)
    folder = noun_folder(
        out, noun="variants", label=name, inputs=inputs, parameters=parameters, packages=packages
    )  # fmt: skip
    with folder as (part, attrs, _):
        names, n_records = contig_names(file, reader, SURVEY_RECORDS)
        ensemble = Ensemble(models, prediction)
        plan = _Plan(ensemble, section, where)
        unseen = Unseen(ensemble.infos, datasets) if section.runs == "unseen" else None
        if unseen is not None and reader.name not in unseen.genomes:
            _LOG.warning(
                "%s: places on genome %s cannot be compared with training rows on %s; all runs score all variants",
                where, reader.name, ", ".join(unseen.genomes) or "no genome",
            )  # fmt: skip
        examiner = Examiner(
            reader, names, window_bp=ensemble.window_bp, margin_bp=ensemble.margin_bp, runs=len(ensemble),
            unseen=unseen,
        )  # fmt: skip
        found = survey(file, examiner, section.min_ref_match, SURVEY_RECORDS)
        _LOG.info("variants %s: %d alleles of %d records, %d to score", name, found.n, n_records, found.counts["ok"])
        digest = file_digest(file.path)
        fixed = {
            "format": version("variants"), "inputs": inputs, "parameters": parameters, "file_sha256": digest,
            "models": [ModelReader(folder).digest for folder in models], "device": jax.devices()[0].device_kind,
            "versions": versions("numpy", "jax", "jaxlib"), "chunk": plan.chunk, "columns": plan.columns,
        }  # fmt: skip
        chunks = ChunkStore(state, fixed)
        count = _score(chunks, plan, file, examiner, Progress(f"variants {name}", n_records, "variants"))
        write_tables(
            part, map(chunks.read, range(count)),
            columns=plan.columns, genome=reader.name, sizes=reader.sizes, fields=plan.fields,
        )  # fmt: skip
        write_dropped(part / DROPPED, found)
        attrs |= _attrs(name, section, plan, found, reader, file, names) | {"file_sha256": digest}
    chunks.delete()


def _attrs(
    name: str, section: VariantSet, plan: _Plan, found: Survey, genome: GenomeReader, file: VariantFile, names: dict
) -> dict[str, Any]:
    ensemble = plan.ensemble
    targets = list(dict.fromkeys(target for target, _ in plan.wanted))
    return {
        "set": name,
        "model": ensemble.infos[0]["name"],
        "genome": genome.name,
        "file": file.path.name,
        "effects": list(section.effects),
        "columns": plan.columns,
        "info_fields": {f"{target}|{effect}": field.id for (target, effect), field in zip(plan.wanted, plan.fields)},
        "n": found.n,
        "records": found.records,
        "scored": found.counts["ok"],
        "ref_match": found.ref_match,
        "not_normalised": found.not_normalised,
        "dropped": found.dropped(),
        "contigs": {old: new for old, new in names.items() if old != new},
        "targets": {target: ensemble.targets[target].to_json() for target in targets},
        "target_order": targets,
        "spaces": {target: SPACES[ensemble.targets[target].kind] for target in targets},
        "models": {run_name(info): scored for info, scored in zip(ensemble.infos, found.by_run)},
        "runs": section.runs,
        "both_strands": ensemble.both_strands,
        "shifts_bp": list(ensemble.shifts_bp),
        "window_bp": ensemble.window_bp,
    }


def _score(chunks: ChunkStore, plan: _Plan, file: VariantFile, examiner: Examiner, progress: Progress) -> int:
    """Score all chunks that are not there yet; the number of chunks."""
    ready, count = 0, 0

    def prepared() -> Iterator[tuple[int, int, Alleles | None, Sequences | None]]:
        for number, records in enumerate(file.blocks(plan.chunk)):
            if chunks.has(number):
                yield number, len(records.start), None, None
                continue
            alleles = examiner.alleles(records)
            windows = sequences(examiner.genome, alleles, plan.ensemble.extent_bp)
            yield number, len(records.start), alleles, windows

    blocks: Generator[Any, None, None] = ahead(prepared(), lambda item: item)
    with closing(blocks), progress:
        for number, size, alleles, windows in blocks:
            if alleles is None:
                ready += 1
            else:
                chunks.write(number, _chunk(plan, alleles, windows))
            progress.add(size)
            count += 1
    if ready:
        _LOG.info("%s: %d of %d chunks were there already", progress.what, ready, count)
    return count


def _chunk(plan: _Plan, alleles: Alleles, windows: Sequences) -> Any:
    """Table of one chunk: means over the runs that may score each allele."""
    runs = alleles.allowed.sum(axis=0).astype(np.int32)
    values = np.full((len(alleles), len(plan.columns)), np.nan, np.float32)
    if len(windows.rows):
        values[windows.rows] = _means(plan, alleles, windows)
    place = {
        "contig": alleles.contig, "position_1based": alleles.start + 1, "id": alleles.id, "ref": alleles.ref,
        "alt": alleles.alt, "status": alleles.status, "runs": runs,
    }  # fmt: skip
    return table(place, values, plan.columns)


def _means(plan: _Plan, alleles: Alleles, windows: Sequences) -> np.ndarray:
    """Effects of the scored alleles, float64 (scored, columns)."""
    ensemble = plan.ensemble
    sums = np.zeros((len(windows.rows), len(plan.columns)))
    may = alleles.allowed[:, windows.rows]
    for run, mine in enumerate(may):
        if not mine.any():
            continue
        used = np.zeros(len(windows.codes), bool)
        used[windows.ref[mine]] = used[windows.alt[mine]] = True
        numbers = np.cumsum(used) - 1  # of the windows among those that this run is shown
        codes = windows.codes if used.all() else windows.codes[used]
        (kept,) = ensemble.apply(codes, plan.reduce, [run])
        ref, alt = numbers[windows.ref[mine]], numbers[windows.alt[mine]]
        sums[mine] += effects_of(kept, ensemble.targets, plan.wanted, ref, alt)
    return sums / may.sum(axis=0)[:, None]
