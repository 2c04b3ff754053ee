"""One file of the ENCODE portal: may it be used, and what goes into the lock about it."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Any

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.accessions import is_accession, is_file_name
from seqmill.sources.assemblies import assembly_problem

Record = dict[str, Any]

# Format of the sheet -> file_format, file_format_type of the portal ('' for any).
FORMATS = {
    "bigwig": ("bigWig", ""),
    "bedgraph": ("bedGraph", ""),
    "bed": ("bed", ""),
    "narrowpeak": ("bed", "narrowPeak"),
    "broadpeak": ("bed", "broadPeak"),
    "bam": ("bam", ""),
    "hic": ("hic", ""),
    "mcool": ("mcool", ""),
    "fastq": ("fastq", ""),
    "fasta": ("fasta", ""),
    "fragments": ("bedpe", ""),
    "bedmethyl": ("bed", "bedMethyl"),
}
# What can be a track without more being said.
TRACK_FORMATS = ("bigWig", "bed", "bam", "hic", "mcool")
# Reads have no assembly; everything else that is a track lies on one.
NO_ASSEMBLY = ("fastq", "fasta", "csfasta", "csqual", "sra")
LICENCE = "ENCODE data use policy"
BUCKET = "s3://encode-public/"
_MD5 = re.compile(r"[0-9a-f]{32}")
_LINK = re.compile(r"/files/([A-Za-z0-9._-]+)/@@download/([A-Za-z0-9._-]+)")
_NAME = re.compile(r"[A-Za-z0-9._:%-]{1,128}")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9/._-]*")


# Fields that are read, with their types, and what lists are of. Anything may be absent.
_SHAPES: dict[str, type] = {
    **dict.fromkeys(("accession", "external_accession", "@id", "status", "href", "file_format", "output_type"), str),
    **dict.fromkeys(("file_format_type", "assembly", "md5sum", "s3_uri", "date_created", "paired_end"), str),
    **dict.fromkeys(("title", "pipeline_version", "revoke_detail", "content_error_detail"), str),
    **dict.fromkeys(("restricted", "no_file_available", "preferred_default"), bool),
    **dict.fromkeys(("file_size", "read_count"), int),
    **dict.fromkeys(("donors", "biological_replicates", "analyses", "superseded_by", "files", "pipeline_labs"), list),
    **dict.fromkeys(("alternate_accessions",), list),
    **dict.fromkeys(("cloud_metadata", "audit"), dict),
}
_LINKS = ("dataset", "paired_with", "default_analysis", "target", "biosample_ontology")


def check_shape(record: Record, dataset: bool = False) -> None:
    """Raise RemoteError where a field of a file or analysis (or data set) is of another type than the portal has it."""
    for field, value in record.items():
        if dataset and field == "assembly":
            continue  # a data set lists those of its files
        kind = _SHAPES.get(field)
        fits = kind is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool)))
        if field in _LINKS:
            fits = isinstance(value, str | dict | list)
        elif fits and kind is list:
            items = (int,) if field == "biological_replicates" else (str, dict)
            fits = all(isinstance(item, items) and not isinstance(item, bool) for item in value)
        if not fits and value is not None:
            name = "link" if kind is None else kind.__name__
            raise RemoteError(
                accession_of(record), f"field '{field}' in the portal's answer: expected {name}, found {value!r:.60}"
            )


def need(record: Record, field: str, kind: type = str) -> Any:
    """``record[field]``. Raises RemoteError where it is missing or of another type."""
    value = record.get(field)
    if value is None or value == "":
        raise RemoteError(accession_of(record), f"field '{field}' missing in the portal's answer")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RemoteError(
            accession_of(record),
            f"field '{field}' in the portal's answer: expected {kind.__name__}, found {value!r:.60}",
        )
    return value


def accession_of(record: Record) -> str:
    """Accession of a record, else its path."""
    names = (record.get(field) for field in ("accession", "external_accession", "@id"))
    return next((name for name in names if isinstance(name, str) and name), "ENCODE record")


def accessions_in(value: Any) -> list[str]:
    """Accessions of linked records, given as paths ('/files/ENCFF…/') or objects, sorted."""
    found = []
    for item in value if isinstance(value, list) else [value] if value else []:
        path = item.get("@id") or item.get("accession") or "" if isinstance(item, dict) else str(item)
        found.append(path.strip("/").rpartition("/")[2])
    return sorted(name for name in set(found) if _NAME.fullmatch(name))


def replicates_of(record: Record) -> str:
    """Biological replicates, '1' or '1,2', '' where none are stated."""
    found = record.get("biological_replicates") or []
    return ",".join(str(number) for number in sorted(found)) if isinstance(found, list) else str(found)


def kind_of(record: Record) -> str:
    """Format with its kind, as the portal calls it: 'bed narrowPeak'."""
    return f"{record.get('file_format', '')} {record.get('file_format_type') or ''}".strip()


def status_problem(record: Record, allow_archived: bool) -> tuple[str, str]:
    """``(reason, message)`` of a status that is not accepted; empty where it is.

    'released' is accepted, 'archived' where that is allowed. All else is named, with what the portal says of it: the
    accession that takes its place, the reason of a revocation.
    """
    status = need(record, "status")
    if status == "released" or (status == "archived" and allow_archived):
        return "", ""
    said = reason = f"status {one_line(status):.40}"
    detail = record.get("revoke_detail") or record.get("content_error_detail")
    if detail:
        said += f" (reason: {one_line(detail):.200})"
    others = accessions_in(record.get("superseded_by"))
    if others:
        said += f", superseded by {', '.join(others)}"
    if status == "archived":
        said += "; set sources.allow_archived: true to use it all the same"
    else:
        said += "; only released files are used"
    return reason, said


def availability_problem(record: Record) -> tuple[str, str]:
    """``(reason, message)`` of a file that cannot be had or not be checked; empty where it can."""
    if record.get("restricted"):
        return "restricted", "not downloadable: restricted access"
    if record.get("no_file_available"):
        return "no_file_available", "not downloadable: the portal has no file (no_file_available)"
    if "md5sum" not in record or "file_size" not in record:
        missing = "md5sum" if "md5sum" not in record else "file_size"
        raise RemoteError(accession_of(record), f"field '{missing}' missing in the portal's answer")
    return "", ""


def format_problem(record: Record, wanted: str) -> str:
    """What is wrong with the kind of a file for a ``wanted`` format of the sheet; '' if nothing.

    >>> format_problem({"file_format": "bam"}, "bigwig")
    'file_format bam, need bigWig'
    """
    if not wanted:
        return ""
    file_format, file_type = FORMATS.get(wanted.lower(), (wanted, ""))
    found = need(record, "file_format")
    if found.lower() == file_format.lower() and file_type in ("", record.get("file_format_type") or ""):
        return ""
    return f"file_format {one_line(kind_of(record)):.80}, need {f'{file_format} {file_type}'.strip()}"


def unusable(record: Record, asked: Asked, allow_archived: bool = False) -> tuple[str, str]:
    """``(reason, message)`` why a file cannot serve a wish; two empty texts if it can.

    Raises RemoteError where the portal's answer lacks what is needed to tell.
    """
    check_shape(record)
    for reason, text in (status_problem(record, allow_archived), availability_problem(record)):
        if reason:
            return reason, text
    text = format_problem(record, asked.format)
    if text:
        return "format", text
    if asked.assembly and record.get("file_format") not in NO_ASSEMBLY:
        text = assembly_problem(one_line(record.get("assembly") or "")[:40], asked.assembly)
        if text:
            return "assembly", text
    if asked.output_type and need(record, "output_type").lower() != asked.output_type.strip().lower():
        return (
            "output_type",
            f"output_type '{one_line(record['output_type']):.80}', the sheet says '{asked.output_type}'",
        )
    if asked.replicates and replicates_of(record) != read_replicates(asked.replicates, asked.where):
        return "replicates", f"replicates '{replicates_of(record)}', the sheet says '{asked.replicates}'"
    return "", ""


def read_replicates(text: str, where: str) -> str:
    """Replicates of the sheet in the portal's order: '2, 1' -> '1,2'. Raises InputError for what are no numbers."""
    parts = [part.strip() for part in text.replace(";", ",").split(",")]
    if not all(part.isdecimal() and 0 < int(part) < 1000 for part in parts):
        raise InputError(where, f"replicates {text!r}: expected numbers of biological replicates, e.g. 1 or 1,2")
    return ",".join(str(number) for number in sorted({int(part) for part in parts}))


def ending_of(record: Record) -> str:
    """Ending of the file, from the portal's download link, which must be that of the very file.

    >>> ending_of({"accession": "ENCFF122ELT", "href": "/files/ENCFF122ELT/@@download/ENCFF122ELT.bigWig"})
    '.bigWig'
    """
    accession, link = accession_of(record), need(record, "href")
    match = _LINK.fullmatch(link)
    ending = match[2].removeprefix(accession) if match else ""
    if not match or match[1] != accession or not re.fullmatch(r"(\.[A-Za-z0-9]{1,16}){1,3}", ending):
        raise RemoteError(accession, f"field 'href' is no download link of this file: {link!r:.120}")
    return ending


def make_row(
    record: Record, asked: Asked, encode: str, encode_files: str, dataset: Record | None = None, role: str = ""
) -> LockRow:
    """The row of the lock for a file that may be used.

    Parameters
    ----------
    record : the portal's file object. dataset : the experiment that it came with, for what only that one says.
    encode, encode_files : base addresses of the portal and of its public bucket (`config.portals.Portals`).
    role : of the file within the track, see `LockRow`.

    Raises
    ------
    RemoteError
        Where a field is missing, is not of its form, or two fields disagree.
    """
    accession = accession_of(record)
    if not is_file_name(accession):
        raise RemoteError(accession, "is no accession of a file")
    size, md5 = need(record, "file_size", int), need(record, "md5sum").lower()
    if not _MD5.fullmatch(md5) or size <= 0:
        raise RemoteError(accession, f"md5sum {md5!r:.40} or file_size {size} in the portal's answer cannot be true")
    _check_cloud(record, size, md5)
    file = accession + ending_of(record)
    experiment = next(iter(accessions_in(record.get("dataset"))), "")
    around = dataset or {}
    return LockRow(
        name=asked.name,
        asked=asked.text,
        file=file,
        role=role,
        source="encode",
        accession=accession,
        url=f"{encode}{record['href']}",
        mirrors=_mirror(record, encode_files),
        bytes=size,
        md5=md5,
        status=need(record, "status"),
        assembly=one_line(record.get("assembly") or ""),
        output_type=one_line(need(record, "output_type")),
        format=one_line(kind_of(record)),
        assay=one_line(record.get("assay_title") or around.get("assay_title") or ""),
        target=target_of(record) or target_of(around),
        biosample=biosample_of(record) or biosample_of(around),
        experiment=experiment if is_accession(experiment, "SR", tests=True) else "",
        run=_run(accession, record),
        replicates=replicates_of(record),
        donors=",".join(name for name in accessions_in(record.get("donors")) if name.isalnum()),
        reads=max(record.get("read_count") or 0, 0),
        date=_date(record),
        retrieved=datetime.now(UTC).date().isoformat(),
        licence=LICENCE,
    )


def _run(accession: str, record: Record) -> str:
    """What mates have in common: the accession of read 1. '' for all that is not paired."""
    mate = next(iter(accessions_in(record.get("paired_with"))), "")
    return {"1": accession, "2": mate if is_file_name(mate) else ""}.get(str(record.get("paired_end") or ""), "")


def _date(record: Record) -> str:
    day = str(record.get("date_created") or "")[:10]
    return day if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", day) else ""


def one_line(value: Any) -> str:
    """A value as one line of text that any file can hold."""
    text = ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def target_of(record: Record) -> str:
    """Label of the target ('CTCF'), '' where there is none."""
    target = record.get("target")
    return one_line(target.get("label", "")) if isinstance(target, dict) else ""


def biosample_of(record: Record) -> str:
    """Name of the biosample ('K562'), '' where the record only links to it."""
    ontology = record.get("biosample_ontology")
    return one_line(ontology.get("term_name", "")) if isinstance(ontology, dict) else ""


def _mirror(record: Record, encode_files: str) -> str:
    """Address in the public bucket, where it is what the portal says elsewhere too."""
    place = str(record.get("s3_uri") or "")
    key = place.removeprefix(BUCKET)
    if not place.startswith(BUCKET) or not _KEY.fullmatch(key) or ".." in key:
        return ""
    return f"{encode_files}/{key}"


def _check_cloud(record: Record, size: int, md5: str) -> None:
    """The portal says size and checksum twice; raise RemoteError where they differ."""
    cloud = record.get("cloud_metadata")
    if not isinstance(cloud, dict):
        return
    try:
        other = base64.b64decode(cloud.get("md5sum_base64", ""), validate=True).hex()
    except (binascii.Error, TypeError, ValueError):
        other = "no base64"
    if other != md5 or cloud.get("file_size") != size:
        raise RemoteError(
            accession_of(record),
            f"the portal contradicts itself: md5sum {md5} and {other}, file_size {size} and {cloud.get('file_size')}",
        )
