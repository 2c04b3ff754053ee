"""The noun quality of a sample of methylation calls, which has no reads here: see `seqmill.reads.quality`."""

from collections.abc import Sequence
from pathlib import Path

from seqmill.config.reads import Reads
from seqmill.reads.methylation_quality import methylation_metrics
from seqmill.reads.quality import METRICS
from seqmill.reads.thresholds import judge, verdict
from seqmill.runtime.files import atomic_write
from seqmill.runtime.marker import Marker, file_digest, read_marker, seal
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import noun_folder, upstream

ASSAY = "wgbs"


def build_call_quality(
    folder: str | Path,
    *,
    name: str,
    files: Sequence[Path],
    layout: str,
    assembly: str,
    partial: bool,
    settings: Reads,
    genome: Path,
) -> Marker:
    """Measure and judge the replicates of one sample.

    Parameters
    ----------
    folder : ``…/quality/{name}``. files : calls of each replicate, in order. layout : format of the sheet.
    assembly : the portals' name of the assembly. partial : the genome is a piece of one.

    Raises
    ------
    InputError : a file cannot be used. DamageError : the genome store is damaged.
    """
    reader = GenomeReader(genome)
    paths = {str(number): path for number, path in enumerate(files, start=1)}
    parameters = {"layout": layout, "conversion_contigs": settings.conversion_contigs}
    with noun_folder(
        folder, noun="quality", label=name, inputs=upstream(genome), parameters=parameters, packages=("numpy",)
    ) as (part, attrs, _):
        rows = methylation_metrics(
            paths, reader, layout=layout, partial=partial, conversion_contigs=settings.conversion_contigs
        )
        findings = judge(rows, ASSAY, "", assembly, sum(reader.sizes.values()))
        about = {"assay": ASSAY, "target": "", "findings": findings}
        atomic_write(part / METRICS, seal({"experiment": name, **about, "rows": rows, "absent": []}))
        attrs |= about | {"replicates": [int(number) for number in paths], "verdict": verdict(findings)}
        attrs["files_sha256"] = [file_digest(path) for path in files]
    return read_marker(folder)
