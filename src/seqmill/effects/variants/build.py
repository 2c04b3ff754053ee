"""Scores of variants: what a network makes of ALT and of REF, allele by allele, in bounded memory."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from seqmill.config.models import Prediction
from seqmill.config.variants import Background, VariantSet
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.measures import SPACES
from seqmill.effects.unseen import Unseen
from seqmill.effects.variants.alleles import Examiner
from seqmill.effects.variants.background import Chosen, background_of
from seqmill.effects.variants.chunks import score_chunks
from seqmill.effects.variants.compare import Beside, Matched, Starts
from seqmill.effects.variants.effects import QUANTILE
from seqmill.effects.variants.haplotype_scores import score_haplotypes
from seqmill.effects.variants.plan import VariantPlan
from seqmill.effects.variants.ranks import places_of, ranks_of
from seqmill.effects.variants.state import ChunkStore
from seqmill.effects.variants.strata import AXES, Strata
from seqmill.effects.variants.survey import Survey, contig_names, survey, write_dropped
from seqmill.formats.variants import VariantFile, open_variants
from seqmill.runtime.marker import file_digest
from seqmill.runtime.progress import Progress
from seqmill.runtime.record import versions
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import noun_folder, upstream, version
from seqmill.stores.model import ModelReader
from seqmill.stores.variants import DROPPED, MATCHED_COLUMNS, write_background, write_tables
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
    af_key = section.background.af_key if section.background and section.background.file else ""
    file = open_variants(section.file, columns=section.columns, position_base=section.position_base, more=af_key)
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
        examine = partial(
            Examiner, reader, window_bp=ensemble.window_bp, margin_bp=ensemble.margin_bp, runs=len(ensemble),
            unseen=unseen,
        )  # fmt: skip
        examiner = examine(names)
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
        beside: Beside | None = None
        more: tuple[str, ...] = ()
        if section.background is not None:
            chosen = background_of(section.background, file, examiner, examine, section.min_ref_match, where)
            if plan.ranks is None and QUANTILE in section.effects:
                places = pd.DataFrame({"contig": chosen.records.contig, "place": chosen.records.start})
                plan.ranks = ranks_of(plan, reader, places, unseen, where)
            whole = examine({contig: contig for contig in reader.sizes})
            store = ChunkStore(chunks.folder / "background", fixed)
            beside, more = _background(part, store, plan, chosen, whole, section.background), MATCHED_COLUMNS
            attrs |= {"background": chosen.attrs, "place_columns": list(more)}
        progress = Progress(f"variants {name}", n_records, "variants")
        count = score_chunks(chunks, plan, file, examiner, progress, beside)
        write_tables(
            part, map(chunks.read, range(count)),
            columns=plan.columns, genome=reader.name, sizes=reader.sizes, fields=plan.fields, more=more,
        )  # fmt: skip
        write_dropped(part / DROPPED, found)
        if section.haplotypes is not None:
            store = ChunkStore(chunks.folder / "haplotypes", fixed)
            made = score_haplotypes(part, store, plan, section.file, examiner, section.samples)
            _LOG.info("variants %s: %d haplotypes; left out: %s", name, made["n"], made["dropped"] or "nothing")
            attrs |= {"haplotypes": made}
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


def _background(
    part: Path, chunks: ChunkStore, plan: VariantPlan, chosen: Chosen, examiner: Examiner, section: Background
) -> Beside:
    """Score the background, write its table, and make of it what the variants are compared with."""
    starts = Starts(section.genes, examiner.genome) if section.genes else None
    window_bp = plan.ensemble.window_bp
    progress = Progress(f"background of {part.name}", len(chosen.maf), "variants")
    count = score_chunks(chunks, plan, chosen, examiner, progress, Beside(window_bp, starts))
    write_background(part, map(chunks.read, range(count)))
    tables = [chunks.read(number) for number in range(count)]
    axes, effects = (
        np.concatenate([np.stack([t[name].to_numpy() for name in names], axis=1) for t in tables])
        for names in (AXES, plan.means)
    )
    strata = Strata([section.maf_bins, section.tss_bins_bp, section.gc_bins], axes, section.min_stratum)
    return Beside(window_bp, starts, Matched(effects, strata, plan.signed))
