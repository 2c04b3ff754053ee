"""How much work comparisons with experiments will be, from the sizes of their files."""

from collections.abc import Iterator
from pathlib import Path

from seqmill.config.measured import Measured
from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.planning.effects import Amount

ROW_BYTES = {False: 50, True: 15}  # of a measured row in a plain and in a compressed file


def measured_amounts(project: Project) -> Iterator[Amount]:
    """Work of every set of measured effects of a configuration: two sequences a row, in each background."""
    config = project.config
    for name, section in config.measured.items():
        dataset = config.models[section.model].dataset
        count = _rows(section)
        alone = section.on_genome
        runs = len(project.seeds(section.model)) * len(project.folds(section.model)) if alone else 1
        targets = section.targets or config.datasets[dataset].targets
        tracks = sum(max(1, len(project.target_tracks(dataset, target))) for target in targets)
        sequences = 2 * count * (1 if alone else section.backgrounds)
        place = f"measured/{slug(name)}"
        yield Amount("measured", name, place, dataset, sequences, runs, count * tracks, count)


def _rows(section: Measured) -> int:
    path = section.strong if section.kind == "pairs" else section.file
    if not isinstance(path, Path) or not path.is_file():
        return 0
    return path.stat().st_size // ROW_BYTES[path.suffix in (".gz", ".bgz")]
