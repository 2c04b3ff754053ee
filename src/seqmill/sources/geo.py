"""Samples and series of GEO: what they are called at SRA, by NCBI's E-utilities."""

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.config.portals import Sources
from seqmill.config.remote import source_of
from seqmill.runtime.errors import InputError
from seqmill.sources import eutils
from seqmill.sources.sra import resolve_sra
from seqmill.sources.web import Web
from seqmill.sources.withdrawn import WithdrawnError


def resolve_geo(asked: Asked, web: Web, sources: Sources) -> list[LockRow]:
    """Lock rows of the runs of a sample (GSM) or series (GSE). Raises as `resolve_sra`."""
    place = asked.where or asked.location
    return resolve_sra(asked, web, sources, accession=at_sra(asked.location.strip(), web, sources, place), source="geo")


def at_sra(accession: str, web: Web, sources: Sources, where: str) -> str:
    """Accession at SRA of a GEO accession: an experiment of a sample, a study of a series.

    Raises
    ------
    WithdrawnError : GEO does not know it.
    InputError : it has no sequencing runs, or those of several studies.
    """
    uids = eutils.search("gds", f"{accession}[GEO Accession] AND {accession[:3].lower()}[Entry Type]", web, sources)
    entries = eutils.summaries("gds", uids, web, sources) if uids else []
    found = [entry for entry in entries if entry.get("accession") == accession]
    if not found:
        status = "unknown or private"
        raise WithdrawnError(where, f"{accession}: {status} at GEO", accession=accession, status=status)
    links = [link for link in found[0].get("extrelations") or [] if link.get("relationtype") == "SRA"]
    targets = list(dict.fromkeys(str(link.get("targetobject", "")) for link in links))
    if not targets and source_of(str(found[0].get("bioproject", ""))) == "sra":
        targets = [found[0]["bioproject"]]
    if not targets or any(source_of(target) != "sra" for target in targets):
        what = found[0].get("gdstype") or found[0].get("entrytype") or "entry"
        raise InputError(where, f"{accession} has no sequencing runs at SRA ({what})")
    if len(targets) > 1:
        raise InputError(where, f"{accession} is of {len(targets)} studies at SRA; name one: {', '.join(targets[:5])}")
    return targets[0]
