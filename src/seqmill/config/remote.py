"""Where a file of the sheet or the configuration is to be had, told from how its location is written."""

import re
from pathlib import Path
from typing import Literal

from seqmill.config.names import slug

Source = Literal["local", "url", "encode", "sra", "geo", "reference", "reads"]
# Before the name of an experiment, as the location of a track that is made of its reads.
READS = "reads:"
# Fetched files of a project: one folder a track, or a location of the configuration.
FETCHED = Path("results/sources")

_SRA = re.compile(r"(?:[SED]R[RXSPA]\d+|PRJ(?:NA|EB|DB)\d+|SAM(?:N|EA|D)\d+)")
_GEO = re.compile(r"GS[EM]\d+")
# What looks meant as an accession of ENCODE (TST: of its test server), right or wrong: `sources/accessions.py` tells.
_ENCODE = re.compile(r"(?:encode:.+|(?:ENC|TST)[A-Z]{2}[0-9A-Za-z]{4,}(?:\.[A-Za-z0-9.]+)?)")
_URL = re.compile(r"(?:https?|ftp|s3|gs|file)://", re.IGNORECASE)
# References by name and release, `seqmill.sources.references`.
REFERENCES = ("ucsc", "ensembl", "gencode", "boyle", "jaspar", "clinvar")


def source_of(location: str) -> Source:
    """Kind of a location; 'local' for everything that is a path.

    >>> [source_of(place) for place in ("data/a.bw", "ENCFF000AAA", "SRR139146", "GSM3717978", "ucsc:hg38")]
    ['local', 'encode', 'sra', 'geo', 'reference']
    """
    location = location.strip()
    if location.startswith(READS):
        return "reads"
    if _URL.match(location):
        return "url"
    if _SRA.fullmatch(location):
        return "sra"
    if _GEO.fullmatch(location):
        return "geo"
    if _ENCODE.fullmatch(location):
        return "encode"
    if location.partition(":")[0] in REFERENCES and ":" in location:
        return "reference"
    return "local"


def fetched_folder(name: str) -> Path:
    """Folder of the fetched files of a track, or of a location of the configuration."""
    return FETCHED / slug(name)
