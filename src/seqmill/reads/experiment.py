"""The noun experiment: signal, peaks and reproducible peaks of all libraries of an experiment together and alone.

::

    experiments/{name}/     marker.json run.json
       {output}.bw                     all replicates; {output}.rep{N}.bw of each, if there are several
       coverage.{plus,minus}.bw        of stranded RNA
       peaks.narrowPeak.gz             all replicates; peaks.rep{N}… of each, peaks.pseudo{1,2}… of the pooled halves
       reproducible_peaks.narrowPeak.gz
"""

import logging
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, cast

import numpy as np

from seqmill.config.reads import Experiment, Reads, output_file
from seqmill.config.scope import EXPERIMENT_KEYS
from seqmill.reads.calling import call_experiment
from seqmill.reads.chip import fragment_bp
from seqmill.reads.fragments import Fragments, FragmentTable
from seqmill.reads.replicates import Replicate
from seqmill.reads.signal import centres, coverage, cut_sites, rna_coverage, write_signal
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import Marker, read_marker
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import noun_folder, open_noun, upstream

TABLE, ALIGNMENTS = "fragments.parquet", "filtered.bam"
# Of fragment files nobody knows how long the reads were; macs closes gaps in peaks up to this length.
UNKNOWN_READ_BP = 50

Values = Callable[[str], np.ndarray | None]


def build_experiment(
    folder: str | Path,
    *,
    experiment: Experiment,
    libraries: Mapping[int, Path],
    control: list[Path],
    settings: Reads,
    genome: Path,
    threads: int = 1,
) -> Marker:
    """Write an experiment.

    Parameters
    ----------
    folder : ``…/experiments/{name}``.
    libraries : replicate to its library (noun). control : libraries of the control, pooled; none: background is local.
    genome : store of the assembly, whose contigs the libraries have.
    threads : calls of macs that run at once.

    Raises
    ------
    InputError : a library was made on other contigs or for another assay, or its fragments leave nothing to use.
    WorkerError : macs failed.
    """
    reader = GenomeReader(genome)
    replicates = [_replicate(number, libraries[number], experiment, settings, reader) for number in sorted(libraries)]
    controls = [_replicate(number, path, experiment, settings, reader) for number, path in enumerate(control, 1)]
    parameters = {
        "settings": settings.model_dump(mode="json", include=EXPERIMENT_KEYS),
        "experiment": {key: getattr(experiment, key) for key in ("name", "assay", "target", "control", "strandedness")},
    }
    inputs = upstream(genome, *(libraries[number] for number in sorted(libraries)), *control)
    packages = ("numpy", "scipy", "pyarrow", "pybigtools", "pysam")
    with noun_folder(
        folder, noun="experiment", label=experiment.name, inputs=inputs, parameters=parameters, packages=packages
    ) as (part, out, record):
        outputs = experiment.outputs()
        lengths = _fragment_lengths(experiment, replicates, settings)
        out |= {
            "assay": experiment.assay,
            "target": experiment.target,
            "strandedness": experiment.strandedness,
            "outputs": outputs,
            "replicates": [one.number for one in replicates],
            "fragments": {str(one.number): one.table.total for one in replicates},
            "paired": {str(one.number): one.table.paired for one in replicates},
            "shift": {str(one.number): [one.plus, one.minus] for one in replicates},
            "fragment_bp": lengths["pooled"][0] if lengths else None,
            "fragment_lengths": {name: {"bp": bp, "from": how} for name, (bp, how) in lengths.items()},
            "control": [path.name for path in control],
            "seed": settings.seed,
        }
        known = {contig: size for contig, size in reader.sizes.items() if contig not in settings.exclude_contigs}
        if experiment.assay == "rna":
            _write_rna(part, experiment, {one.number: libraries[one.number] for one in replicates}, reader, known)
        else:
            _write_signals(part, outputs, replicates, settings, lengths, known)
        if "peaks" in outputs:
            with tempfile.TemporaryDirectory(prefix=".macs-", dir=part) as work:
                found, versions = call_experiment(
                    part,
                    Path(work),
                    outputs=outputs,
                    replicates=replicates,
                    controls=controls,
                    lengths={name: length for name, (length, _) in lengths.items()},
                    settings=settings,
                    genome_bp=settings.genome_bp or sum(reader.sizes.values()) - reader.marker.attrs["n_count"],
                    threads=threads,
                )
            out |= found | {"macs": versions}
            record["programs"] = versions
    return read_marker(folder)


def _replicate(number: int, library: Path, experiment: Experiment, settings: Reads, genome: GenomeReader) -> Replicate:
    """Open a library and see that it fits."""
    attrs = open_noun(library, "library").attrs
    table = FragmentTable(library / TABLE)
    if table.sizes != genome.sizes:
        raise InputError(library, f"library was made on other contigs than genome {genome.name} has")
    if attrs["assay"] != experiment.assay:
        raise InputError(
            library, f"is a library of assay {attrs['assay']}, experiment {experiment.name} is {experiment.assay}"
        )
    if not table.total:
        raise InputError(library, f"0 fragments, nothing to make experiment {experiment.name} of")
    shift = attrs.get("shift") or {}
    plus = minus = 0
    if experiment.assay == "atac":
        plus = settings.plus_shift - int(shift.get("prior_plus") or 0)
        minus = settings.minus_shift - int(shift.get("prior_minus") or 0)
    return Replicate(number, table, int(attrs.get("read_length") or UNKNOWN_READ_BP), plus, minus)


def _fragment_lengths(
    experiment: Experiment, replicates: list[Replicate], settings: Reads
) -> dict[str, tuple[int, str]]:
    """ChIP: fragment length in bp and how it is known, of each replicate (``rep1``) and their mean (``pooled``)."""
    if experiment.assay != "chip":
        return {}
    found: dict[str, tuple[int, str]] = {}
    for one in replicates:
        if settings.fragment_bp and not one.table.paired:
            length = settings.fragment_bp, "stated"
        else:
            length = fragment_bp(one.table, one.read_length)
        if length[1] == "default":
            logging.getLogger("seqmill").warning(
                "experiment %s, replicate %d: strands do not tell the fragment length: %d bp taken (reads.fragment_bp)",
                experiment.name, one.number, length[0],
            )  # fmt: skip
        found[f"rep{one.number}"] = length
    if len(replicates) == 1:
        return {"pooled": found[f"rep{replicates[0].number}"]}
    mean = round(sum(length for length, _ in found.values()) / len(found))
    return {"pooled": (mean, "mean"), **found}


def _groups(replicates: list[Replicate]) -> dict[str, list[Replicate]]:
    """All replicates together (key '') and, if there are several, each alone."""
    several = {str(one.number): [one] for one in replicates} if len(replicates) > 1 else {}
    return {"": replicates, **several}


def _write_signals(
    part: Path,
    outputs: list[str],
    replicates: list[Replicate],
    settings: Reads,
    lengths: dict[str, tuple[int, str]],
    known: Mapping[str, int],
) -> None:
    for output in outputs:
        if output in ("cut_sites", "centres", "coverage"):
            for key, members in _groups(replicates).items():
                path = part / output_file(output, key, replicates=len(replicates))
                extend = lengths.get(f"rep{key}" if key else "pooled", (None, ""))[0]
                write_signal(path, members[0].table.sizes, _signal(output, members, settings, extend, known))


def _signal(
    output: str, members: list[Replicate], settings: Reads, extend: int | None, known: Mapping[str, int]
) -> Values:
    """Function: contig -> uint32 values of a signal, summed over replicates; None for excluded contigs."""
    alike: dict[tuple[bool, int, int], list[FragmentTable]] = {}
    for one in members:
        alike.setdefault((one.table.paired, one.plus, one.minus), []).append(one.table)

    def values(contig: str) -> np.ndarray | None:
        if contig not in known:
            return None
        total = None
        for (paired, plus, minus), tables in alike.items():
            parts = [table.contig(contig) for table in tables]
            fragments = Fragments(*(np.concatenate([one[column] for one in parts]) for column in range(3)))
            if output == "cut_sites":
                found = cut_sites(fragments, known[contig], paired, plus, minus)
            elif output == "centres":
                found = centres(fragments, known[contig], paired, fragment_bp=settings.mnase_fragment_bp)
            else:
                found = coverage(fragments, known[contig], extend_bp=None if paired else extend)
            total = found if total is None else np.add(total, found, out=total)
        return total

    return values


def _write_rna(
    part: Path, experiment: Experiment, libraries: dict[int, Path], genome: GenomeReader, known: Collection[str]
) -> None:
    strandedness = cast(Literal["none", "forward", "reverse"], experiment.strandedness)
    strands: list[Literal["+", "-", "."]] = ["."] if strandedness == "none" else [".", "+", "-"]
    groups: dict[str, list[Path]] = {"": list(libraries.values())}
    groups |= {str(number): [path] for number, path in libraries.items()} if len(libraries) > 1 else {}
    for strand in strands:
        for key, folders in groups.items():
            path = part / output_file("coverage", key, strand, replicates=len(libraries))
            with ExitStack() as stack:
                readers = [
                    stack.enter_context(
                        rna_coverage(
                            one / ALIGNMENTS,
                            genome.sizes,
                            strandedness=strandedness,
                            strand=strand,
                            partial=genome.partial,
                        )
                    )
                    for one in folders
                ]
                write_signal(path, genome.sizes, _sum(readers, known))


def _sum(readers: list[Values], known: Collection[str]) -> Values:
    def values(contig: str) -> np.ndarray | None:
        total = None
        for reader in readers if contig in known else []:
            found = reader(contig)
            if found is not None:
                total = found if total is None else np.add(total, found, out=total)
        return total

    return values
