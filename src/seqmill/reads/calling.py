"""Peaks of an experiment: macs on all its samples, the signals of those that have one, and what is reproducible."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqmill.config.reads import Reads, output_file
from seqmill.reads.chip import METHODS, write_comparison
from seqmill.reads.idr import peak_rates
from seqmill.reads.overlap import comparisons, naive_overlap, reproducibility
from seqmill.reads.peaks import (
    MacsSettings,
    Peaks,
    Tags,
    callpeak,
    collect_peaks,
    empty_peaks,
    run_macs,
    write_peaks,
    write_tags,
)
from seqmill.reads.programs import program_versions
from seqmill.reads.replicates import Part, Replicate, pooled_tags, samples
from seqmill.runtime.errors import InputError

# Cut sites: 150 bp around each, as in ENCODE's ATAC pipeline.
CUT_SHIFT, CUT_EXTEND = -75, 150


class Calls:
    """Calls of macs of one experiment.

    Parameters
    ----------
    part : folder of the experiment. work : folder for temporary files in it.
    lengths : fragment length in bp of ChIP samples, ``pooled`` and ``rep{N}``; empty where cut sites are counted.
    genome_bp : what macs takes for the mappable size.

    Attributes
    ----------
    commands : name of a sample (and signal) -> arguments of macs.
    """

    def __init__(
        self, part: Path, work: Path, sizes: Mapping[str, int], lengths: dict[str, int], settings: Reads, genome_bp: int
    ):
        self.part, self.work, self.sizes, self.lengths = part, work, sizes, lengths
        self.settings, self.genome_bp = settings, genome_bp
        self.commands: dict[str, list[str]] = {}

    def tags(self, name: str, parts: list[Part]) -> Tags:
        """Write the tags of a sample."""
        longest = max(part.replicate.read_length for part in parts)
        return write_tags(self.work / f"{name}.bed", self.sizes, pooled_tags(parts, self.settings.seed), longest)

    def call(
        self, batch: dict[str, list[Part]], control: Tags | None, signals: list[str], replicates: int, threads: int
    ) -> dict[str, Peaks]:
        """Peaks of some samples, called at once, and their ``signals``; a half without fragments has none."""
        tags = {name: self.tags(name, parts) for name, parts in batch.items()}
        commands = {
            name: callpeak(name, one, control, self._settings(name), signal=bool(signals))
            for name, one in tags.items()
            if one.total
        }
        if commands:
            run_macs(self.work, commands)
        self.commands |= commands
        found = {}
        for name, one in tags.items():
            one.path.unlink()
            found[name] = empty_peaks()
            if one.total:
                found[name] = collect_peaks(self.work, name, self.sizes, self.settings.max_peaks)
                for output in signals:
                    path = self.part / output_file(output, _number(name), replicates=replicates)
                    excluded = self.settings.exclude_contigs
                    self.commands[f"{name} {output}"] = write_comparison(
                        path, self.sizes, self.work, name, output, one.total, excluded, threads
                    )
                for bedgraph in self.work.glob(f"{name}_*.bdg"):
                    bedgraph.unlink()
        return found

    def _settings(self, name: str) -> MacsSettings:
        extend = self.lengths.get(name.partition(".")[0]) or self.lengths.get("pooled", CUT_EXTEND)
        shift = 0 if self.lengths else CUT_SHIFT
        return MacsSettings(self.genome_bp, self.settings.peak_p, shift, extend, summits=not self.lengths)


def _number(name: str) -> str:
    """'2' of the sample rep2, '' of the pooled one."""
    return name.removeprefix("rep") if name.startswith("rep") else ""


def call_experiment(
    part: Path,
    work: Path,
    *,
    outputs: list[str],
    replicates: list[Replicate],
    controls: list[Replicate],
    lengths: dict[str, int],
    settings: Reads,
    genome_bp: int,
    threads: int,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write peaks, reproducible peaks and the signals that compare with a background.

    Parameters
    ----------
    part, work, lengths, genome_bp : see `Calls`. controls : libraries of the control, pooled, for all samples.
    threads : calls of macs that run at once; one with 8 million tags on a contig of 250 Mb takes 1.6 GB.

    Returns
    -------
    What the marker's attrs say of peaks, and the version of macs.
    """
    sizes = replicates[0].table.sizes
    calls = Calls(part, work, sizes, lengths, settings, genome_bp)
    control = calls.tags("control", [Part(one) for one in controls]) if controls else None
    if control and not control.total:
        raise InputError(controls[0].table.path, "0 reads of the control lie on the genome")
    wanted = samples(replicates)
    with_signal = {name: parts for name, parts in wanted.items() if not parts[0].half}
    halves = {name: parts for name, parts in wanted.items() if parts[0].half}
    found: dict[str, Peaks] = {}
    for group, signals in ((with_signal, [output for output in outputs if output in METHODS]), (halves, [])):
        names = list(group)
        for first in range(0, len(names), max(1, threads)):
            batch = {name: group[name] for name in names[first : first + max(1, threads)]}
            found |= calls.call(batch, control, signals, len(replicates), threads)
    if control:
        control.path.unlink()
    contigs = list(sizes)
    counts = {}
    for name, peaks in found.items():
        if "." not in name:
            counts[name] = len(peaks.start)
            file = output_file("peaks") if name == "pooled" else f"peaks.{name}.narrowPeak.gz"
            write_peaks(part / file, peaks, contigs)
    chosen, about = _reproducible(found, replicates, settings)
    write_peaks(part / output_file("reproducible_peaks"), chosen, contigs)
    return {
        "peaks": {**counts, "reproducible": len(chosen.start)},
        "reproducibility": about,
        "genome_bp": genome_bp,
        "commands": {name: " ".join(command) for name, command in calls.commands.items()},
    }, program_versions("macs")


def _reproducible(
    found: dict[str, Peaks], replicates: list[Replicate], settings: Reads
) -> tuple[Peaks, dict[str, Any]]:
    """The reproducible peaks (ENCODE's optimal set), and how they came about."""
    kept, counts, mixtures = {}, {}, {}
    for name, (pooled, one, two) in comparisons([one.number for one in replicates]).items():
        if settings.reproducibility == "idr":
            rates, mixture = peak_rates(found[pooled], found[one], found[two])
            kept[name] = found[pooled].take(rates <= settings.idr_max)
            mixtures[name] = mixture._asdict() if mixture else None
        else:
            kept[name] = found[pooled].take(naive_overlap(found[pooled], found[one], found[two]))
        counts[name] = len(kept[name].start)
    about = {"method": settings.reproducibility, **reproducibility(counts)}
    return kept[about["chosen"]], about | ({"mixtures": mixtures} if mixtures else {})
