"""The field's own files, written from ours: Calico's ``targets.txt``, ChromBPNet's ``fold_N.json``."""

from pathlib import Path

from seqmill.config.project import Project
from seqmill.runtime.errors import InputError


def export_targets(project: Project, out: Path) -> list[Path]:
    """Write the track sheet as a ``targets.txt``."""
    from seqmill.config.sheet import write_as_targets

    if not project.tracks:
        raise InputError(project.where, "has no track sheet: set tracks.sheet")
    write_as_targets(out, list(project.tracks.values()))
    return [out]


def export_folds(rows: Path, out: Path) -> list[Path]:
    """Write ``fold_N.json`` for each run of a dataset into the folder ``out``.

    Parameters
    ----------
    rows : the part ``rows`` of a built dataset.

    Raises InputError where a contig holds windows of several parts: the format can only name whole contigs.
    """
    from seqmill.formats.folds import write_fold
    from seqmill.stores.dataset import open_rows, read_rows

    attrs, table = open_rows(rows).attrs, read_rows(rows)
    found = table.groupby("contig")["fold"].unique()
    for contig, folds in found.items():
        if len(folds) > 1:
            raise InputError(
                rows, f"contig {contig} has windows in {', '.join(sorted(folds))}: no split by whole contigs"
            )
    written = []
    for run, roles in sorted(attrs["runs"].items()):
        parts = {part: sorted(c for c, folds in found.items() if folds[0] in roles[part]) for part in roles}
        write_fold(out / f"fold_{run}.json", parts)
        written.append(out / f"fold_{run}.json")
    return written
