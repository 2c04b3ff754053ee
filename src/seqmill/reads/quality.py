"""The noun quality: metrics of one experiment, what they say, and pictures.

::

    quality/{experiment}/   marker.json run.json
       metrics.json         rows of the table, findings, arrays behind the figures; sealed
       *.png                figures
"""

from pathlib import Path
from typing import Any

from seqmill.config.reads import Experiment, Reads
from seqmill.reads.fragments import FragmentTable
from seqmill.reads.quality_figures import draw
from seqmill.reads.quality_metrics import measure
from seqmill.reads.replicates import Replicate
from seqmill.reads.thresholds import judge, verdict
from seqmill.reads.tss import read_starts
from seqmill.runtime.files import atomic_write
from seqmill.runtime.marker import Marker, file_digest, read_marker, seal
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import noun_folder, open_noun, upstream

METRICS = "metrics.json"


def build_quality(
    folder: str | Path,
    *,
    experiment: Path,
    libraries: dict[int, Path],
    info: Experiment,
    settings: Reads,
    genome: Path,
    tss: Path | None,
) -> Marker:
    """Measure and judge one experiment.

    Parameters
    ----------
    folder : ``…/quality/{name}``.
    experiment : its folder. libraries : replicate -> folder. genome : the genome store.
    tss : transcription starts (BED with strand); without it there is no TSS enrichment.

    Returns
    -------
    The marker; its attrs hold "assay", "target", "replicates", "verdict" and "findings"
    (`seqmill.reads.thresholds.judge`).

    Raises
    ------
    InputError : the transcription starts cannot be used. DamageError : an input is damaged.
    """
    found, reader = open_noun(experiment, "experiment"), GenomeReader(genome)
    excluded = set(settings.exclude_contigs)
    used = {contig: size for contig, size in reader.sizes.items() if contig not in excluded} or dict(reader.sizes)
    attrs_of = {number: open_noun(libraries[number], "library").attrs for number in sorted(libraries)}
    counts = {number: attrs["counts"] for number, attrs in attrs_of.items()}
    replicates = [
        _replicate(number, libraries[number], attrs, found.attrs["shift"]) for number, attrs in attrs_of.items()
    ]
    parameters: dict[str, Any] = {
        "seed": settings.seed,
        "exclude_contigs": settings.exclude_contigs,
        "reproducibility": settings.reproducibility,
    }
    inputs = upstream(experiment, *(libraries[number] for number in sorted(libraries)), genome)
    packages = ("numpy", "scipy", "pyarrow", "pybigtools", "matplotlib")
    with noun_folder(
        folder, noun="quality", label=info.name, inputs=inputs, parameters=parameters, packages=packages
    ) as (part, attrs, _):
        starts = None
        if tss is not None and info.assay in ("atac", "dnase"):
            starts = read_starts(tss, reader.sizes, partial=reader.partial, exclude=excluded)
            attrs["tss_sha256"] = file_digest(tss)
        measured = measure(info.assay, replicates, counts, Path(experiment), found.attrs, settings, used, starts)
        genome_bp = sum(reader.sizes.values())
        findings = judge(
            measured.rows,
            info.assay,
            info.target,
            info.assembly or reader.name,
            genome_bp,
            reproducibility=settings.reproducibility,
        )
        metrics = {
            "experiment": info.name,
            "assay": info.assay,
            "target": info.target,
            "rows": measured.rows,
            "absent": measured.absent,
            "findings": findings,
            **measured.figures,
        }
        atomic_write(part / METRICS, seal(metrics))
        draw(part, metrics)
        attrs |= {
            "assay": info.assay,
            "target": info.target,
            "replicates": sorted(libraries),
            "verdict": verdict(findings),
            "findings": findings,
        }
    return read_marker(folder)


def _replicate(number: int, folder: Path, attrs: dict[str, Any], shifts: dict[str, list[int]]) -> Replicate:
    """A library with the shift that the experiment gave its cut sites; read length 0 where it is not known."""
    table = FragmentTable(Path(folder) / "fragments.parquet")
    return Replicate(number, table, int(attrs.get("read_length") or 0), *shifts[str(number)])
