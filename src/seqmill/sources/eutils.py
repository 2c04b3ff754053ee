"""NCBI's E-utilities: search, summaries, and what SRA says of its runs."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from urllib.parse import urlsplit

from seqmill.config.portals import Sources
from seqmill.runtime.errors import RemoteError
from seqmill.sources.ena import RUN, Run, RunFile, accession_of, checked_md5, date_of, one_line, positive, whole
from seqmill.sources.web import Web

_BATCH = 100  # accessions a request; longer ones would need POST
_BUCKET = "sra-pub-run-odp.s3.amazonaws.com"
# What NCBI calls a run's file with all qualities, before 2022 and since; "SRA Lite" has made-up ones.
_FULL = ("run", "SRA Normalized")
# Index of Entrez that an accession is looked up in, by how it begins.
_INDEX = {"PRJ": "BioProject", "SAM": "BioSample"}


def _json(program: str, where: str, web: Web, sources: Sources, **parameters: str) -> dict:
    url = f"{sources.portals.eutils}/{program}.fcgi"
    answer = web.json(url, params={**parameters, "retmode": "json", "tool": "seqmill"}, allow=(200, 404))
    if answer is None:
        raise RemoteError(where, "NCBI's E-utilities are not there (404)")
    return answer


def search(database: str, term: str, web: Web, sources: Sources, *, most: int = 100) -> list[str]:
    """Identifiers (UIDs) that a search finds. Raises RemoteError for more than ``most``."""
    where = f"NCBI search {term}"
    answer = _json("esearch", where, web, sources, db=database, term=term, retmax=str(most))
    found = answer.get("esearchresult") or {}
    if "idlist" not in found:
        raise RemoteError(where, "field 'idlist' missing in NCBI's answer")
    if whole(where, "count", str(found.get("count", "0"))) > most:
        raise RemoteError(where, f"{found['count']} results; at most {most:,} are taken")
    return [uid for uid in found["idlist"] if re.fullmatch(r"\d+", str(uid))]


def summaries(database: str, uids: Sequence[str], web: Web, sources: Sources) -> list[dict]:
    """Summaries of identifiers, in any order."""
    where = f"NCBI summary {', '.join(uids)[:60]}"
    answer = _json("esummary", where, web, sources, db=database, id=",".join(uids))
    result = answer.get("result")
    if not isinstance(result, dict):
        raise RemoteError(where, "field 'result' missing in NCBI's answer")
    return [entry for entry in result.values() if isinstance(entry, dict)]


def read_runs(accessions: Sequence[str], web: Web, sources: Sources) -> list[Run]:
    """Public runs of accessions (runs, experiments, samples, studies) as SRA describes them; unknown ones are left out.

    ``files`` holds the run's SRA file with anonymous addresses, the open bucket first; it is empty where NCBI offers
    none without credentials or payment.

    Raises
    ------
    RemoteError : the answer is of another form.
    """
    identifiers = [accession for accession in accessions if RUN.fullmatch(accession)]
    for accession in accessions:
        if not RUN.fullmatch(accession):
            index = _INDEX.get(accession[:3], "Accession")
            identifiers += search("sra", f"{accession}[{index}]", web, sources, most=10_000)
    runs: dict[str, Run] = {}
    for start in range(0, len(identifiers), _BATCH):
        batch = identifiers[start : start + _BATCH]
        asked = {"db": "sra", "id": ",".join(batch), "retmode": "xml", "tool": "seqmill"}
        answer = web.get(f"{sources.portals.eutils}/efetch.fcgi", params=asked, allow=(200, 400, 404))
        if answer.status == 200:
            # An experiment comes whole, with runs that were not asked for.
            single = all(RUN.fullmatch(accession) for accession in accessions)
            found = _packages(answer.content, accessions[0], sources)
            runs.update((run.run, run) for run in found if not single or run.run in accessions)
    return [runs[name] for name in sorted(runs)]


def _packages(content: bytes, where: str, sources: Sources) -> list[Run]:
    """Runs of an EXPERIMENT_PACKAGE_SET. A document type is refused: entities can blow up a small document."""
    if not content.strip():
        return []
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\0" in content:
        raise RemoteError(
            where, "NCBI's answer declares a document type or is no UTF-8; expected an EXPERIMENT_PACKAGE_SET"
        )
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise RemoteError(where, f"NCBI's answer is no XML ({error})") from None
    if root.tag != "EXPERIMENT_PACKAGE_SET":
        raise RemoteError(where, f"NCBI's answer is <{root.tag[:40]}>, expected <EXPERIMENT_PACKAGE_SET>")
    runs = []
    for package in root.iter("EXPERIMENT_PACKAGE"):
        for run in package.iter("RUN"):
            if run.get("is_public", "true") == "true":
                runs.append(_run(package, run, sources))
    return runs


def _run(package: ElementTree.Element, run: ElementTree.Element, sources: Sources) -> Run:
    name = run.get("accession", "")
    if not RUN.fullmatch(name):
        raise RemoteError("NCBI", f"NCBI's answer has a run {name[:40]!r}")
    experiment, study, sample = (package.find(tag) for tag in ("EXPERIMENT", "STUDY", "SAMPLE"))
    layout = package.find(".//LIBRARY_LAYOUT")
    return Run(
        run=name,
        experiment="" if experiment is None else accession_of(name, experiment.get("accession", "")),
        sample="" if sample is None else accession_of(name, sample.get("accession", "")),
        study="" if study is None else accession_of(name, study.get("accession", "")),
        layout="" if layout is None or not len(layout) else layout[0].tag,
        strategy=one_line(package.findtext(".//LIBRARY_STRATEGY", "")),
        title="" if sample is None else one_line(sample.findtext("TITLE", "")),
        organism=one_line(package.findtext(".//SCIENTIFIC_NAME", "")),
        reads=whole(name, "total_spots", run.get("total_spots") or "0"),
        bases=whole(name, "total_bases", run.get("total_bases") or "0"),
        date=date_of(run.get("published", "")),
        format="sra",
        files=_sra_file(name, run, sources),
    )


def _sra_file(name: str, run: ElementTree.Element, sources: Sources) -> tuple[RunFile, ...]:
    """The SRA file of a run, where it can be had by everybody."""
    for file in run.iter("SRAFile"):
        if file.get("semantic_name") not in _FULL:
            continue
        places = [
            place.get("url", "")
            for place in file.iter("Alternatives")
            if place.get("access_type") == "anonymous" and place.get("free_egress") == "worldwide"
        ]
        plain = {url for url in places if re.fullmatch(r"https://[^?#,\s]+", url)}
        places = sorted(plain, key=lambda url: (_BUCKET not in url, url))
        parts = [urlsplit(url) for url in places]
        places = [sources.portals.sra_files + part.path if part.netloc == _BUCKET else part.geturl() for part in parts]
        if not places:
            return ()
        size, md5 = positive(name, file.get("size", "")), checked_md5(name, file.get("md5", ""))
        return (RunFile(f"{name}.sra", places[0], size, md5, mirrors=tuple(places[1:])),)
    return ()
