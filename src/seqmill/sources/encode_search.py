"""Searches of the ENCODE portal as generators of a track sheet, and the portal's own lists of files."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from seqmill.config.names import slug
from seqmill.config.portals import Sources
from seqmill.config.textfile import numbered_lines
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.runtime.files import atomic_write
from seqmill.sources.accessions import is_accession
from seqmill.sources.assemblies import portal_name
from seqmill.sources.encode_file import (
    FORMATS,
    Record,
    accession_of,
    accessions_in,
    biosample_of,
    check_shape,
    kind_of,
    need,
    one_line,
    replicates_of,
    target_of,
)
from seqmill.sources.web import Web

SEARCH = "# search: "
# What an answer holds of each file; without it the portal sends every embedded record.
FIELDS = (
    "accession",
    "status",
    "file_format",
    "file_format_type",
    "output_type",
    "assembly",
    "assay_title",
    "biosample_ontology.term_name",
    "target.label",
    "biological_replicates",
    "dataset",
    "file_size",
    "restricted",
    "no_file_available",
    "preferred_default",
)
COLUMNS = (
    "track",
    "location",
    "format",
    "assembly",
    "assay",
    "target",
    "biosample",
    "output_type",
    "strand",
    "strand_pair",
    "description",
)
_STRAND = re.compile(r"\b(plus|minus) strand\b")


@dataclass(frozen=True)
class Query:
    """What is searched for; '' for anything. Words are the portal's: "TF ChIP-seq", "K562", "CTCF", "signal p-value".

    Attributes
    ----------
    format : of the sheet (bigwig, narrowpeak, bam, ...). experiment : accession of one experiment.
    preferred : only files that the portal calls the default of their experiment (`preferred_default`).
    """

    assay: str = ""
    biosample: str = ""
    target: str = ""
    assembly: str = ""
    output_type: str = ""
    format: str = ""
    status: str = "released"
    experiment: str = ""
    preferred: bool = True

    @property
    def text(self) -> str:
        """The search as the portal's address has it, after ``/search/?``.

        >>> Query(biosample="K562", format="bigwig", preferred=False).text
        'type=File&status=released&biosample_ontology.term_name=K562&file_format=bigWig'
        """
        file_format, file_type = FORMATS.get(self.format.lower(), (self.format, ""))
        chosen = [
            ("type", "File"),
            ("status", self.status),
            ("assay_title", self.assay),
            ("biosample_ontology.term_name", self.biosample),
            ("target.label", self.target),
            ("assembly", portal_name(self.assembly)),
            ("output_type", self.output_type),
            ("file_format", file_format),
            ("file_format_type", file_type),
            ("dataset", f"/experiments/{self.experiment}/" if self.experiment else ""),
            ("preferred_default", "true" if self.preferred else ""),
        ]
        return urlencode([pair for pair in chosen if pair[1]])


def search(text: str, web: Web, sources: Sources, limit: int = 0) -> list[Record]:
    """Files of a search, sorted by accession; none where the portal answers 404, as it does for nothing found.

    Parameters
    ----------
    text : as `Query.text`, or copied from the portal's address after ``?``. limit : at most so many, 0 for all.

    Raises
    ------
    InputError
        For a text that is no search of files.
    RemoteError
        Where the portal does not answer, not in its form, or with fewer files than it says it has.
    """
    pairs = parse_qsl(text, keep_blank_values=True)
    pairs = [pair for pair in pairs if pair[0] not in ("format", "limit", "field", "frame", "from", "sort")]
    if [value for key, value in pairs if key == "type"] != ["File"]:
        raise InputError("search", f"{text[:200]!r}: expected a search of files (type=File&…)")
    params = [*pairs, ("format", "json"), ("limit", str(limit) if limit else "all")]
    params += [("field", field) for field in FIELDS]
    answer = web.json(f"{sources.portals.encode}/search/", params=params, allow=(200, 404))
    if answer is None:
        return []
    found = answer.get("@graph")
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise RemoteError(f"{sources.portals.encode}/search/", "field '@graph' missing in the portal's answer")
    total = answer.get("total")
    if not limit and isinstance(total, int) and total > len(found):
        raise RemoteError(
            f"{sources.portals.encode}/search/", f"the portal found {total} files and gave {len(found)} of them"
        )
    return sorted(found, key=accession_of)


# Column of the portal's metadata.tsv -> field of a record. The names of two columns are the wrong way round there:
# `File format` holds file_type ("bed narrowPeak") and `File type` file_format ("bed"); ENCODE-DCC/encoded,
# src/encoded/reports/constants.py.
_METADATA = {
    "File accession": "accession",
    "File type": "file_format",
    "File format type": "file_format_type",
    "Output type": "output_type",
    "File assembly": "assembly",
    "Experiment accession": "dataset",
    "Assay": "assay_title",
    "Biosample term name": "biosample",
    "Experiment target": "target",
    "Biological replicate(s)": "replicates",
    "Size": "file_size",
    "md5sum": "md5sum",
    "File Status": "status",
}


def read_metadata(path: str | Path) -> list[Record]:
    """Files of a metadata.tsv of experiments, as the portal's batch download gives it, in file order.

    Columns are found by name, whatever their number and order. Raises InputError that names the line or the column.
    """
    path = Path(path)
    lines = [(number, line) for number, line in numbered_lines(path, "metadata.tsv") if line]
    if lines and lines[0][1].strip('"').startswith(("http://", "https://")):
        raise InputError(path, "is the list of links (files.txt); give the metadata.tsv that its first line names")
    header = lines[0][1].split("\t") if lines else []
    missing = [column for column in _METADATA if column not in header]
    if missing:
        raise InputError(
            path, f"column '{missing[0]}' missing; expected the metadata.tsv of a batch download of experiments"
        )
    records: list[Record] = []
    for number, line in lines[1:]:
        cells = line.split("\t")
        if len(cells) != len(header):
            raise InputError(path, f"{len(cells)} columns, the header has {len(header)}", record=number)
        row = dict(zip(header, cells))
        record: Record = {field: row[column] for column, field in _METADATA.items() if row[column]}
        # The target is written with its organism: CTCF-human.
        target = str(record.pop("target", ""))
        replicates = str(record.pop("replicates", ""))
        record["target"] = {"label": target.rpartition("-")[0] or target} if target else None
        record["biosample_ontology"] = {"term_name": record.pop("biosample", "")}
        record["biological_replicates"] = [int(part) for part in re.split(r"[,\s]+", replicates) if part.isdecimal()]
        if not str(record.get("file_size", "")).isdecimal():
            raise InputError(path, f"column 'Size': expected a number, found {row['Size']!r}", record=number)
        records.append(record | {"file_size": int(record["file_size"])})
    return records


def matching(records: Iterable[Record], query: Query) -> list[Record]:
    """Records that fit a query, as the portal would choose them; ``preferred`` is not looked at."""
    file_format, file_type = FORMATS.get(query.format.lower(), (query.format, ""))
    wanted = {
        "status": query.status,
        "assay_title": query.assay,
        "assembly": portal_name(query.assembly),
        "output_type": query.output_type,
        "file_format": file_format,
        "file_format_type": file_type,
    }
    found = []
    for record in records:
        fits = all(not value or record.get(field) == value for field, value in wanted.items())
        fits &= query.biosample in ("", biosample_of(record)) and query.target in ("", target_of(record))
        fits &= not query.experiment or query.experiment in accessions_in(record.get("dataset"))
        if fits:
            found.append(record)
    return found


def sheet_rows(records: Sequence[Record], genome: str = "", *, tests: bool = False) -> list[dict[str, str]]:
    """Rows of a track sheet for files of a search or a list; columns as `COLUMNS`.

    Names are made of biosample, target and assay; where several files would have one name, all of them get their
    accession too. Files that cannot be downloaded and formats that no track can have are left out.

    Parameters
    ----------
    genome : name of the genome of the configuration; the portal's name of the assembly if ''.
    """
    by_format = {(name, kind): sheet for sheet, (name, kind) in FORMATS.items()}
    rows = []
    for record in records:
        check_shape(record)
        file_format = need(record, "file_format")
        sheet = by_format.get((file_format, record.get("file_format_type") or "")) or by_format.get((file_format, ""))
        left_out = record.get("restricted") or record.get("no_file_available") or sheet in (None, "fasta")
        accession = accession_of(record)
        if left_out or not is_accession(accession, "FF", tests=tests):
            continue
        kind = need(record, "output_type")
        strand = _STRAND.search(kind)
        rows.append(
            {
                "track": _name(record, strand[1] if strand else ""),
                "location": accession,
                "format": str(sheet),
                "assembly": genome or str(record.get("assembly") or ""),
                "assay": _cell(record.get("assay_title")),
                "target": target_of(record),
                "biosample": biosample_of(record),
                "output_type": kind,
                "strand": {"plus": "+", "minus": "-"}[strand[1]] if strand else ".",
                "strand_pair": "",
                "description": _description(record),
            }
        )
    _make_unique(rows)
    _pair(rows, records)
    return sorted(rows, key=lambda row: row["track"])


def _cell(value: object) -> str:
    return one_line(value or "")


def _name(record: Record, strand: str) -> str:
    parts = [biosample_of(record), target_of(record), _cell(record.get("assay_title")), strand]
    clean = (re.sub(r"[^A-Za-z0-9.+()-]+", "-", part).strip("-.") for part in parts)
    text = "_".join(part for part in clean if part)
    return re.sub(r"^[^A-Za-z0-9]+", "", text)[:100] or accession_of(record)


def _description(record: Record) -> str:
    experiment = next(iter(accessions_in(record.get("dataset"))), "")
    replicates = replicates_of(record)
    words = [experiment, f"replicates {replicates}" if replicates else "", kind_of(record)]
    return "; ".join(word for word in words if word)


def _make_unique(rows: list[dict[str, str]]) -> None:
    """Names that are equal on a disk that ignores case get their accession."""
    keys = [slug(row["track"]).casefold() for row in rows]
    for row, key in zip(rows, keys):
        if keys.count(key) > 1:
            row["track"] = f"{row['track']}_{row['location']}"


def _pair(rows: list[dict[str, str]], records: Sequence[Record]) -> None:
    """Name the partner of each file of one strand: same experiment, replicates, assembly and kind of signal."""
    by_name = {accession_of(record): record for record in records}
    places: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        if row["strand"] != ".":
            record = by_name[row["location"]]
            key = (*accessions_in(record.get("dataset")), replicates_of(record), str(record.get("assembly")))
            places.setdefault((*key, _STRAND.sub("", row["output_type"])), []).append(row)
    for found in places.values():
        if len(found) == 2 and {row["strand"] for row in found} == {"+", "-"}:
            found[0]["strand_pair"], found[1]["strand_pair"] = found[1]["track"], found[0]["track"]


def write_sheet(path: str | Path, rows: Sequence[dict[str, str]], searches: Sequence[str] = ()) -> None:
    """Write a track sheet with its searches on top, one ``# search: …`` line each, for `seqmill refresh`.

    Raises InputError where there is a file already: a sheet is edited by hand.
    """
    path = Path(path)
    if path.exists():
        raise InputError(path, "exists; name another file, or move this one away")
    lines = [f"{SEARCH}{text}" for text in searches]
    lines.append("\t".join(COLUMNS))
    lines += ["\t".join(_cell(row[column]) for column in COLUMNS) for row in rows]
    atomic_write(path, "\n".join(lines) + "\n")
