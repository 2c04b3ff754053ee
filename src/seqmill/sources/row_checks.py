"""What the rows of a lock tell about tracks that should not stand beside each other."""

from collections.abc import Iterable, Mapping, Sequence

from seqmill.config.lock import LockRow

# One file of these serves the tracks of both strands.
_BOTH_STRANDS = ("bam", "bed", "bedpe")
_SIGNAL = ("bigwig", "bedgraph", "wig")


def find_duplicates(rows: Iterable[LockRow]) -> list[list[LockRow]]:
    """Rows of several names with the same bytes, in groups; by md5 (by sha256 where there is no md5).

    One accession under two names is no find where the file may serve both strands. The portal of ENCODE itself holds
    processed files of other accessions with the same bytes.
    """
    groups: dict[str, list[LockRow]] = {}
    for row in rows:
        groups.setdefault(row.md5 or row.digest, []).append(row)
    found = []
    for group in groups.values():
        accessions = {row.accession or row.url for row in group}
        both = len(accessions) == 1 and group[0].format.partition(" ")[0].lower() in _BOTH_STRANDS
        if len({row.name for row in group}) > 1 and not both:
            found.append(group)
    return found


def mixed_output_types(rows: Iterable[LockRow], groups: Mapping[str, str]) -> dict[str, dict[str, list[str]]]:
    """Signal of one assay in one group of tracks, but of several output types: p-values beside fold changes.

    Parameters
    ----------
    groups : name of a track to its group; rows of other names are not looked at.

    Returns
    -------
    "group, assay" to output type to names of tracks. Strands of one signal are one type.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        if row.name in groups and row.output_type and row.format.lower() in _SIGNAL:
            kind = row.output_type.removeprefix("plus strand ").removeprefix("minus strand ")
            names = found.setdefault(f"{groups[row.name]}, {row.assay or 'no assay'}", {}).setdefault(kind, [])
            if row.name not in names:
                names.append(row.name)
    return {group: kinds for group, kinds in found.items() if len(kinds) > 1}


def shared_donors(rows: Iterable[LockRow]) -> dict[str, list[str]]:
    """Donors with tracks of several names: donor to names, in the order of the rows."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for donor in row.donors.split(",") if row.donors else []:
            names = found.setdefault(donor, [])
            if row.name not in names:
                names.append(row.name)
    return {donor: names for donor, names in found.items() if len(names) > 1}


def remarks(rows: Sequence[LockRow], groups: Mapping[str, str] | None = None) -> list[str]:
    """One sentence for each set of duplicate tracks and each group of several output types."""
    said = []
    duplicates: dict[str, dict[str, None]] = {}
    for group in find_duplicates(rows):
        names = ", ".join(dict.fromkeys(row.name for row in group))
        duplicates.setdefault(names, {}).update(dict.fromkeys(row.accession or row.file for row in group))
    for names, files in duplicates.items():
        said.append(f"duplicate tracks {names}: the same bytes ({', '.join(files)})")
    for name, kinds in mixed_output_types(rows, groups or {}).items():
        listed = "; ".join(f"'{kind}': {', '.join(tracks[:3])}" for kind, tracks in list(kinds.items())[:4])
        listed += "; …" if len(kinds) > 4 else ""
        said.append(f"group {name}: output_type differs ({listed}): values of different meaning side by side")
    return said
