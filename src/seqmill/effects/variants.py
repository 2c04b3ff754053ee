"""Scores of variants: what a network makes of ALT and of REF, allele by allele, in bounded memory."""

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seqmill.config.models import Prediction
from seqmill.config.variants import VariantSet
from seqmill.effects.alleles import Alleles, Examiner, Sequences, sequences
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.measures import SPACES
from seqmill.effects.unseen import Unseen
from seqmill.effects.variant_means import over_runs
from seqmill.effects.variant_plan import VariantPlan
from seqmill.effects.variant_ranks import places_of, ranks_of
from seqmill.effects.variant_state import ChunkStore
from seqmill.effects.variant_survey import Survey, contig_names, survey, write_dropped
from seqmill.formats.variants import VariantFile, open_variants
from seqmill.runtime.marker import file_digest
from seqmill.runtime.progress import Progress
from seqmill.runtime.record import versions
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import noun_folder, upstream, version
from seqmill.stores.model import ModelReader
from seqmill.stores.variants import DROPPED, table, write_tables
from seqmill.training.loader import ahead
from seqmill.training.seen import run_name

CHUNK_RECORDS, SURVEY_RECORDS = 8192, 8192
CHUNK_BYTES = 64_000_000
"""Windows and predictions of a chunk that may be in memory; two or three chunks are at a time."""
_LOG = logging.getLogger("seqmill")


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
        plan = VariantPlan(ensemble, section, where, CHUNK_RECORDS, CHUNK_BYTES)
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
        if section.quantile_windows is not None:
            places = places_of(section.quantile_windows, reader, ensemble.window_bp)
            plan.ranks = ranks_of(plan, reader, places, unseen, where)
        _LOG.info("variants %s: %d alleles of %d records, %d to score", name, found.n, n_records, found.counts["ok"])
        digest = file_digest(file.path)
        others = [path for path in section.source_files() if path != section.file]
        fixed = {
            "format": version("variants"), "inputs": inputs, "parameters": parameters, "file_sha256": digest,
            "models": [ModelReader(folder).digest for folder in models], "device": jax.devices()[0].device_kind,
            "versions": versions("numpy", "jax", "jaxlib"), "chunk": plan.chunk, "columns": plan.columns,
        }  # fmt: skip
        fixed |= {"sources": {str(path): file_digest(path) for path in others}} if others else {}
        chunks = ChunkStore(state, fixed)
        count = _score(chunks, plan, file, examiner, Progress(f"variants {name}", n_records, "variants"))
        write_tables(
            part, map(chunks.read, range(count)),
            columns=plan.columns, genome=reader.name, sizes=reader.sizes, fields=plan.fields,
        )  # fmt: skip
        write_dropped(part / DROPPED, found)
        attrs |= _attrs(name, section, plan, found, reader, file, names) | {"file_sha256": digest}
        attrs |= {"statistics": list(plan.statistics)} if plan.statistics else {}
    chunks.delete()


def _attrs(
    name: str,
    section: VariantSet,
    plan: VariantPlan,
    found: Survey,
    genome: GenomeReader,
    file: VariantFile,
    names: dict,
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
        "info_fields": {f"{g.target}|{g.label}": field.id for g, field in zip(plan.groups, plan.fields)},
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


def _score(chunks: ChunkStore, plan: VariantPlan, file: VariantFile, examiner: Examiner, progress: Progress) -> int:
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


def _chunk(plan: VariantPlan, alleles: Alleles, windows: Sequences) -> Any:
    """Table of one chunk: means over the runs that may score each allele."""
    runs = alleles.allowed.sum(axis=0).astype(np.int32)
    values = np.full((len(alleles), len(plan.columns)), np.nan, np.float32)
    if len(windows.rows):
        found = over_runs(plan, windows, alleles.allowed[:, windows.rows])
        parts = [part for part in found if part is not None]
        values[windows.rows] = np.concatenate(parts, axis=1)
    place = {
        "contig": alleles.contig, "position_1based": alleles.start + 1, "id": alleles.id, "ref": alleles.ref,
        "alt": alleles.alt, "status": alleles.status, "runs": runs,
    }  # fmt: skip
    return table(place, values, plan.columns)
