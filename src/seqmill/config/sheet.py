"""The track sheet: one row a track, tab-separated, read strictly."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from seqmill.config.base import Section, expand
from seqmill.config.names import check_collisions, check_label
from seqmill.config.remote import source_of
from seqmill.config.targets import is_targets, read_targets, write_targets
from seqmill.config.tsv import Optional, read_tsv
from seqmill.runtime.errors import InputError

FORMATS = {
    "bigwig": (".bw", ".bigwig"),
    "bedgraph": (".bedgraph", ".bg", ".bdg"),
    "narrowpeak": (".narrowpeak",),
    "broadpeak": (".broadpeak",),
    "bed": (".bed",),
    "bam": (".bam", ".cram"),
    "fragments": (".bedpe", ".fragments", ".fragments.tsv"),
    "fastq": (".fastq", ".fq"),
    "hic": (".hic",),
    "mcool": (".mcool",),
    "cool": (".cool",),
    "bedmethyl": (".bedmethyl", ".bedmethyl.bed"),
    "bismark": (".cov",),
    "cytosine_report": ("cpg_report.txt", "cx_report.txt"),
    "allc": (".allc", ".allc.tsv"),
    "gembs": ("_cpg.txt",),
    "call_table": (),
    "call_states": (),
}
INTERVAL_FORMATS = ("bed", "narrowpeak", "broadpeak")
CONTACT_FORMATS = ("hic", "mcool", "cool")
# Methylation calls; their layouts are in formats/methylation_layouts.py.
CALL_FORMATS = ("bedmethyl", "bismark", "cytosine_report", "allc", "gembs", "call_table", "call_states")
# One file of these holds both strands.
STRANDED_FORMATS = ("bam", "bed", "fragments", *CALL_FORMATS)
# Columns that other formats than these have no use for.
_COLUMNS_OF = {
    "normalization": ("contact maps", CONTACT_FORMATS),
    "max_distance_bp": ("contact maps", CONTACT_FORMATS),
    "calls": ("methylation calls", CALL_FORMATS),
    "context": ("methylation calls", CALL_FORMATS),
    "min_coverage": ("methylation calls", CALL_FORMATS),
}
_NAN_ASSAYS = ("wgbs", "rrbs", "methyl", "bisulfite")


class Track(Section):
    """One row of the sheet."""

    track: str = Field(description="Name of the track; unique.")
    source: Literal["local", "url", "encode", "sra", "geo", "reference", "reads"] = Field(
        "local", description="Where the file is to be had; told from the location."
    )
    location: str = Field(
        description="Path of the file, from the working folder (${NAME} is an environment variable), or what is to be "
        "fetched: an accession of ENCODE, SRA, ENA, DDBJ or GEO, or a URL; or `reads:NAME`, an experiment of the "
        "sheet of reads."
    )
    mate: str = Field("", description="FASTQ of read 2, where the location is a local FASTQ of read 1.")
    output_type: str = Field("", description="Which file of an experiment, as 'signal p-value'.")
    replicates: str = Field("", description="Biological replicates of that file, as '1' or '1,2'.")
    assembly: str = Field("", description="Name of a genome of the configuration; the only one if empty.")
    assay: str = ""
    target: str = ""
    biosample: str = ""
    strand: Literal["+", "-", "."] = Field(".", description="Strand the signal is of.")
    strand_pair: str = Field("", description="The partner on the other strand: its index column, or its name if none.")
    aggregate: Literal["mean", "sum", "max", "min"] = Field("mean", description="How bases become a bin.")
    transform: Literal["none", "sqrt", "log1p"] = Field(
        "none", description="Applied when a dataset is written; sqrt is -1 + sqrt(1 + x)."
    )
    clip: Annotated[float | None, Optional] = Field(None, description="Values are cut to [-clip, clip].")
    clip_soft: Annotated[float | None, Optional] = Field(
        None, description="Above it x becomes c - 1 + sqrt(x - c + 1)."
    )
    scale: float = Field(1.0, description="Factor, applied last.")
    missing: Literal["zero", "nan"] = Field("zero", description="What a base without data means.")
    format: str = Field("", description="File format, where the file name does not tell.")
    bin_bp: Annotated[int | None, Optional] = Field(
        None, ge=1, description="Bin of the track store; the resolution of contact maps."
    )
    group: str = Field("main", description="Array group of the datasets; a new group rewrites no other.")
    reads: Literal["coverage", "cuts", "fragments", "centres"] = Field(
        "coverage", description="What is counted in BAM and fragment files."
    )
    plus_shift: int = Field(0, description="Shift of cut sites of + reads, in bp.")
    minus_shift: int = Field(0, description="Shift of cut sites of - reads, in bp.")
    mapq_min: int = Field(0, ge=0)
    sign: Literal["keep", "flip"] = Field("keep", description="'flip' for minus strands stored as negative values.")
    normalization: str = Field(
        "none",
        description="Balancing of contact maps as the file names it (weight, KR, SCALE, VC); none is raw counts.",
    )
    max_distance_bp: int = Field(
        2_000_000, ge=1, description="Contacts of bins that start further apart are left out of the store."
    )
    calls: Literal["fraction", "methylated", "total"] = Field(
        "fraction",
        description="Value of a methylation call: methylated of all reads, or the number of either; the strands of a "
        "CpG are one call, or those of `strand` are taken alone.",
    )
    context: Literal["CG", "CHG", "CHH"] = Field("CG", description="Context of the methylation calls that are used.")
    min_coverage: int = Field(1, ge=1, description="Methylation calls with fewer reads are left out.")
    description: str = ""
    licence: str = Field("", description="Terms of use of the file, for the report.")

    @property
    def kind(self) -> str:
        """'intervals' for peak lists, 'contacts' for contact maps, 'reads' for FASTQ, 'signal' for what is binned."""
        if self.format == "fastq":
            return "reads"
        if self.format in CONTACT_FORMATS:
            return "contacts"
        return "intervals" if self.format in INTERVAL_FORMATS else "signal"

    @property
    def path(self) -> Path:
        """Path of the source file. Raises InputError if it names an environment variable that is not set."""
        try:
            return expand(self.location)
        except ValueError as error:
            raise InputError(f"track {self.track}", str(error)) from None


def is_methylation(assay: str) -> bool:
    """Whether an assay measures fractions of bases, where no data is not zero."""
    return any(word in assay.lower() for word in _NAN_ASSAYS)


def fetched_track(track: Track, location: str, format: str) -> Track:
    """The row with its fetched file; gaps of methylation calls are NaN where the row does not say what they mean."""
    update = {"location": location, "format": format}
    if format in CALL_FORMATS and "missing" not in track.model_fields_set:
        update["missing"] = "nan"
    return track.model_copy(update=update)


def guess_format(location: str) -> str:
    """Format by file name, '' if unknown.

    >>> guess_format("a/ENCFF001.narrowPeak.gz")
    'narrowpeak'
    """
    name = location.lower().removesuffix(".gz").removesuffix(".bgz")
    return next((kind for kind, endings in FORMATS.items() if name.endswith(endings)), "")


def _check_columns(header: list[str], path: Path) -> None:
    known = set(Track.model_fields) | {"index"}
    for needed in ("track", "location"):
        if needed not in header:
            found = ", ".join(header)[:120]
            separator = "spaces" if " " in header[0].strip() else "commas" if "," in header[0] else ""
            hint = f"columns are separated by {separator}, use tabs" if separator else "is it tab-separated UTF-8?"
            raise InputError(path, f"column '{needed}' missing; found: {found}; {hint}", record=1)
    for column in header:
        if column not in known:
            try:
                Track.check_key(column)
            except ValueError as error:
                raise InputError(path, str(error).replace("key", "column"), record=1) from None


def _make(row: dict[str, Any], path: Path, record: int | str) -> Track:
    row = {key: value for key, value in row.items() if value is not None and str(value) != ""}
    check_label(row.get("track", ""), str(path), record)
    if "location" not in row:
        raise InputError(path, f"track {row['track']}: location is empty; give the path of its file", record=record)
    found = source_of(row["location"])
    if row.setdefault("source", found) not in (found, "local"):
        raise InputError(
            path,
            f"column 'source' says {row['source']!r}, but {row['location']!r} is {found}; leave it empty",
            record=record,
        )
    row.setdefault("format", guess_format(row["location"]))
    row["format"] = row["format"].lower()
    if row["format"] not in FORMATS and (row["format"] or row["source"] == "local"):  # the lock tells a remote file's
        raise InputError(
            path, f"format of {row.get('location')!r} not known; expected one of {', '.join(FORMATS)}", record=record
        )
    for column, (what, formats) in _COLUMNS_OF.items():
        if column in row and row["format"] and row["format"] not in formats:
            raise InputError(
                path, f"column '{column}' is for {what}; leave it empty for {row['format']}", record=record
            )
    if "missing" not in row and (row["format"] in CALL_FORMATS or is_methylation(row.get("assay", ""))):
        row["missing"] = "nan"
    if row.get("calls") in ("methylated", "total"):
        row.setdefault("aggregate", "sum")
    try:
        return Track(**row)
    except ValidationError as error:
        first = error.errors()[0]
        column = ".".join(str(part) for part in first["loc"])
        raise InputError(path, f"column '{column}': {first['msg']}, found {first['input']!r}", record=record) from None


def _join_pairs(tracks: list[Track], indices: dict[str, str], path: Path) -> list[Track]:
    """Replace ``strand_pair`` by the partner's name and check that partners name each other."""
    names = {track.track for track in tracks}
    partner = {}
    for track in tracks:
        if track.strand_pair:
            name = indices.get(track.strand_pair, track.strand_pair) if indices else track.strand_pair
            if name not in names:
                what = "index" if indices else "track"
                raise InputError(
                    path, f"track {track.track}: strand_pair {track.strand_pair!r} is no {what} of the sheet"
                )
            partner[track.track] = name
    for name, other in partner.items():
        if partner.get(other) != name:
            raise InputError(
                path, f"track {name}: strand_pair is {other}, whose own is {partner.get(other) or 'empty'}"
            )
    by_name = {track.track: track for track in tracks}
    for name, other in partner.items():
        one, two = by_name[name], by_name[other]
        same_file = (one.location, one.output_type) == (two.location, two.output_type)
        if name != other and same_file and one.format not in STRANDED_FORMATS and one.source != "reads":
            raise InputError(
                path, f"tracks {name} and {other} are strands of one another, but one file: {one.location}"
            )
    return [track.model_copy(update={"strand_pair": partner.get(track.track, "")}) for track in tracks]


def read_sheet(path: str | Path) -> list[Track]:
    """Read a track sheet, or a Calico ``targets.txt`` (told by its ``identifier`` column), in file order.

    After reading, ``strand_pair`` holds the partner's track name; a track without strand has none or itself.
    """
    path = Path(path)
    if is_targets(path):
        return _from_targets(path)
    header, rows = read_tsv(path, "track sheet")
    _check_columns(header, path)
    tracks = [_make({k: v for k, v in row.items() if k != "index"}, path, number) for number, row in rows]
    if not tracks:
        raise InputError(path, "0 tracks; expected at least one line below the header")
    check_collisions([track.track for track in tracks], str(path), [number for number, _ in rows])
    indices = {row["index"]: row["track"] for _, row in rows if row.get("index")} if "index" in header else {}
    return _join_pairs(tracks, indices, path)


# sum_stat of a targets.txt -> aggregate, transform
_SUM_STAT = {
    "mean": ("mean", "none"),
    "sum": ("sum", "none"),
    "sum_sqrt": ("sum", "sqrt"),
    "max": ("max", "none"),
    "peak": ("max", "none"),
}


def _from_targets(path: Path) -> list[Track]:
    tracks, indices = [], {}
    for row in read_targets(path):
        name, file = row["identifier"], row["file"]
        peaks = guess_format(file) in INTERVAL_FORMATS
        stat = row.get("sum_stat") or ("peak" if peaks else "mean")
        if stat not in _SUM_STAT:
            raise InputError(path, f"sum_stat {stat!r} not known; expected {', '.join(_SUM_STAT)}", record=name)
        aggregate, transform = _SUM_STAT[stat]
        description = row.get("description") or ""
        assay, _, biosample = description.partition(":")
        index, pair = str(row["index"]), row.get("strand_pair")
        indices[index] = name
        fields = {
            "track": name,
            "location": file,
            "assay": assay,
            "biosample": biosample,
            "description": description,
            "strand": name[-1] if name[-1] in "+-" else ".",
            "strand_pair": "" if pair is None or str(pair) == index else str(pair),
            "aggregate": aggregate,
            "transform": transform,
            "clip": row.get("clip"),
            "clip_soft": row.get("clip_soft"),
            "scale": row.get("scale"),
            # .w5 and .h5 coverage of the published sheets stands for a signal file
            "format": guess_format(file) or ("bed" if stat == "peak" else "bigwig"),
        }
        tracks.append(_make(fields, path, name))
    check_collisions([track.track for track in tracks], str(path))
    return _join_pairs(tracks, indices, path)


def write_as_targets(path: str | Path, tracks: list[Track]) -> None:
    """Write tracks as a Calico ``targets.txt``. Raises InputError where it has no word for how bins are made."""
    stats = {value: key for key, value in reversed(_SUM_STAT.items())}
    index = {track.track: number for number, track in enumerate(tracks)}
    rows = []
    for track in tracks:
        how = (track.aggregate, track.transform)
        stat = "peak" if track.kind == "intervals" else stats.get(how)
        if stat is None:
            raise InputError(path, f"targets.txt has no sum_stat for {' then '.join(how)}", record=track.track)
        rows.append(
            {
                "index": index[track.track],
                "identifier": track.track,
                "file": track.location,
                "clip": track.clip,
                "clip_soft": track.clip_soft,
                "scale": track.scale,
                "sum_stat": stat,
                "strand_pair": index.get(track.strand_pair or track.track, index[track.track]),
                "description": track.description or ":".join(part for part in (track.assay, track.biosample) if part),
            }
        )
    write_targets(path, rows)
