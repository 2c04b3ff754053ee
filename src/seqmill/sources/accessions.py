"""Accessions of the ENCODE portal: what a location names, and what is wrong with it."""

import re
from dataclasses import dataclass
from typing import Literal

from seqmill.runtime.errors import InputError

# Kinds of accession (the portal's schema_formats.py).
KINDS = {
    "FF": "file",
    "SR": "experiment",
    "AB": "antibody",
    "AN": "analysis",
    "BS": "biosample",
    "DO": "donor",
    "GM": "genetic modification",
    "LB": "library",
    "PL": "pipeline",
}
_REAL = re.compile(r"ENC(FF|SR|AB|AN|BS|DO|GM|LB|PL)\d{3}[A-Z]{3}")
# The portal's own form for tests, never handed out.
_TEST = re.compile(r"TST(FF|SR)\d{3}[A-Z]{3}")
_ENDING = re.compile(r"(\.[A-Za-z0-9]{1,16}){1,2}")
# Files whose name comes from elsewhere, e.g. GRCh38_no_alt_analysis_set_GCA_000001405.15.
_EXTERNAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,127}")


@dataclass(frozen=True)
class Place:
    """What a location names.

    Attributes
    ----------
    kind : 'file' or 'experiment' (every kind of data set: also annotations and series).
    accession : at the portal; for ``encode:NAME`` the name.
    ending : file ending that the location gives (".bed.gz"), '' if none.
    """

    kind: Literal["file", "experiment"]
    accession: str
    ending: str = ""


def is_accession(text: str, kind: str = "", *, tests: bool = False) -> bool:
    """Whether ``text`` is an accession of a ``kind`` ("FF", "SR", ...; '' for any).

    >>> is_accession("ENCFF122ELT"), is_accession("ENCFF122ELT", "SR"), is_accession("ENCFF12ABC")
    (True, False, False)
    """
    found = _REAL.fullmatch(text) or (_TEST.fullmatch(text) if tests else None)
    return found is not None and kind in ("", found[1])


def is_file_name(text: str) -> bool:
    """Whether ``text`` may name a file at the portal: an accession, or a name from elsewhere."""
    return bool(_EXTERNAL.fullmatch(text)) and ".." not in text


def read_location(location: str, where: str, *, tests: bool = False) -> Place:
    """What a location names: ``ENCFF…`` (with a file ending or without), ``ENCSR…`` or ``encode:NAME``.

    Parameters
    ----------
    where : file (and track) that the location comes from, for messages.
    tests : whether the portal's test accessions (``TSTFF…``) are accepted too.

    Raises
    ------
    InputError
        For what is no accession, or one of something that is neither file nor experiment.
    """
    text = location.strip()
    if text.lower().startswith("encode:"):
        name = text[len("encode:") :].strip()
        if is_accession(name.partition(".")[0], tests=tests):
            text = name
        elif is_file_name(name):
            return Place("file", name)
        else:
            raise InputError(where, f"{location!r} names no file of the ENCODE portal (letters, digits or . _ -)")
    accession, dot, ending = text.partition(".")
    match = _REAL.fullmatch(accession) or (_TEST.fullmatch(accession) if tests else None)
    if not match:
        wanted = "experiment (ENCSR" if accession[3:5].upper() == "SR" else "file (ENCFF"
        hint = f"; did you mean {accession.upper()}?" if _REAL.fullmatch(accession.upper()) else ""
        raise InputError(where, f"{accession!r} is not an ENCODE accession of a {wanted} + 3 digits + 3 letters){hint}")
    kind = KINDS[match[1]]
    if kind not in ("file", "experiment"):
        article = "an" if kind[0] in "aeiou" else "a"
        raise InputError(
            where, f"{accession} is {article} {kind}; expected a file (ENCFF…) or an experiment (ENCSR…) of ENCODE"
        )
    if dot and kind == "experiment":
        raise InputError(where, f"{location!r}: {said_experiment(accession)}")
    if dot and not _ENDING.fullmatch(dot + ending):
        raise InputError(where, f"{location!r}: {dot + ending!r} is no file ending; expected e.g. {accession}.bigWig")
    return Place("file" if kind == "file" else "experiment", accession, dot + ending)


def said_experiment(accession: str) -> str:
    """What is said where a file was needed and an experiment was given."""
    return (
        f"{accession} is an experiment, a file (ENCFF…) is needed; list its files with "
        f"'seqmill sheet encode --experiment {accession} --all-files --out FILE'"
    )
