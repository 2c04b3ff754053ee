"""References by name and release: genomes, chromosome sizes, annotations, blacklists, motifs, variants.

    ucsc:hg38                    ucsc:hg38/chrom.sizes        ucsc:hg19/chromFa
    ensembl:110/homo_sapiens/GRCh38          ensembl:110/homo_sapiens/GRCh38/gtf
    gencode:human/46/annotation  gencode:human/46/basic       gencode:human/46/genome
    boyle:hg38                   jaspar:2024/vertebrates      clinvar:20240107/GRCh38

Only what keeps its name: a location without a release would be another file next month.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.config.portals import Portals, Sources
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.archives import FASTA_TAR
from seqmill.sources.assemblies import ORDER, assembly_problem, portal_name
from seqmill.sources.cache import Cache
from seqmill.sources.hosts import redacted
from seqmill.sources.urls import pinned
from seqmill.sources.web import Web

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ROLLING = ("latest", "current", "newest", "today", "weekly", "")
_TAXA = ("vertebrates", "plants", "insects", "nematodes", "fungi", "urochordates", "diatoms")
_LICENCES = {"jaspar": "CC BY 4.0", "clinvar": "public domain"}


@dataclass(frozen=True)
class Reference:
    """One file of a portal.

    Attributes
    ----------
    file : name on disk. format : fasta, gtf, sizes, bed, meme, vcf, or a tar file of FASTA files that becomes ``file``.
    assembly : the portal's name of it, '' if it has none. release : of the file, '' where only the assembly names it.
    urls : where it may lie, in the order in which they are tried.
    list_url : list of md5 sums of its folder, '' if the portal publishes none; ``{url}.md5`` is one for each address.
    """

    file: str
    format: str
    assembly: str
    release: str
    urls: tuple[str, ...]
    list_url: str = ""


def file_name(location: str) -> str:
    """Name on disk of a named reference; asks nobody.

    >>> file_name("ucsc:hg38"), file_name("gencode:human/46/basic")
    ('hg38.fa.gz', 'gencode.v46.basic.annotation.gtf.gz')

    Raises
    ------
    InputError : not a location of a known form, or one whose content changes without its name.
    """
    return read_location(location, Portals()).file


def read_location(location: str, portals: Portals) -> Reference:
    """The file that a location names, with its addresses. Raises InputError as `file_name`."""
    portal, _, rest = location.strip().partition(":")
    parts = rest.split("/")
    if portal not in _READERS:
        raise InputError(location, f"no known reference; expected one of {', '.join(_READERS)}")
    reader, form, released = _READERS[portal]
    if released and any(part.lower() in _ROLLING for part in parts):
        raise InputError(
            location, f"names no release; what it is would change without notice; expected e.g. {form.split(', ')[0]}"
        )
    if not all(_WORD.fullmatch(part) for part in parts):
        raise InputError(location, f"no known form; expected {form}")
    found = reader(parts, getattr(portals, portal))
    if found is None:
        raise InputError(location, f"no known form; expected {form}")
    return found


def _ucsc(parts: list[str], base: str) -> Reference | None:
    folder = f"{base}/goldenPath/{parts[0]}/bigZips"
    if len(parts) == 1:
        file, format = f"{parts[0]}.fa.gz", "fasta"
    elif parts[1:] == ["chrom.sizes"]:
        file, format = f"{parts[0]}.chrom.sizes", "sizes"
    elif parts[1:] == ["chromFa"]:  # one file a chromosome; what fetching makes of it is one FASTA
        urls, sums = (f"{folder}/chromFa.tar.gz",), f"{folder}/md5sum.txt"
        return Reference(f"{parts[0]}.chromFa.fa", FASTA_TAR, parts[0], "", urls, sums)
    else:
        return None
    return Reference(file, format, parts[0], "", (f"{folder}/{file}",), f"{folder}/md5sum.txt")


def _ensembl(parts: list[str], base: str) -> Reference | None:
    if len(parts) not in (3, 4) or parts[3:] not in ([], ["gtf"]) or not re.fullmatch(r"\d{2,3}", parts[0]):
        return None
    release, species, assembly = parts[:3]
    species = species.lower()
    stem = f"{species.capitalize()}.{assembly}"
    if parts[3:]:
        file = f"{stem}.{release}.gtf.gz"
        return Reference(file, "gtf", assembly, release, (f"{base}/pub/release-{release}/gtf/{species}/{file}",))
    folder = f"{base}/pub/release-{release}/fasta/{species}/dna"
    # Soft-masked; only some species have an assembly without alternative loci of its own.
    urls = tuple(f"{folder}/{stem}.dna_sm.{part}.fa.gz" for part in ("primary_assembly", "toplevel"))
    return Reference(f"{stem}.{release}.dna_sm.fa.gz", "fasta", assembly, release, urls)


def _gencode(parts: list[str], base: str) -> Reference | None:
    if len(parts) != 3 or parts[0] not in ("human", "mouse") or parts[2] not in ("annotation", "basic", "genome"):
        return None
    species, release, what = parts
    mouse = species == "mouse"
    if not re.fullmatch(r"M\d{1,3}" if mouse else r"\d{1,3}", release):
        return None
    # Releases M26 and 20 were the first on the assemblies of today.
    number = int(release.lstrip("M"))
    assembly = ("GRCm39" if number >= 26 else "GRCm38") if mouse else ("GRCh38" if number >= 20 else "GRCh37")
    file = {
        "annotation": f"gencode.v{release}.annotation.gtf.gz",
        "basic": f"gencode.v{release}.basic.annotation.gtf.gz",
        "genome": f"{assembly}.primary_assembly.genome.fa.gz",
    }[what]
    folder = f"{base}/Gencode_{species}/release_{release}"
    format = "fasta" if what == "genome" else "gtf"
    return Reference(file, format, assembly, release, (f"{folder}/{file}",), f"{folder}/MD5SUMS")


def _boyle(parts: list[str], base: str) -> Reference | None:
    if len(parts) != 1:
        return None
    file = f"{parts[0]}-blacklist.v2.bed.gz"
    return Reference(file, "bed", parts[0], "v2", (f"{base}/master/lists/{file}",))


def _jaspar(parts: list[str], base: str) -> Reference | None:
    if len(parts) != 2 or not re.fullmatch(r"20\d\d", parts[0]) or parts[1] not in _TAXA:
        return None
    year, taxon = parts
    file = f"JASPAR{year}_CORE_{taxon}_non-redundant_pfms_meme.txt"
    return Reference(file, "meme", "", year, (f"{base}/download/data/{year}/CORE/{file}",))


def _clinvar(parts: list[str], base: str) -> Reference | None:
    if len(parts) != 2 or not re.fullmatch(r"20\d{6}", parts[0]) or parts[1] not in ("GRCh37", "GRCh38"):
        return None
    date, assembly = parts
    file, folder = f"clinvar_{date}.vcf.gz", f"{base}/vcf_{assembly}"
    # Weekly files move to the archive of their year.
    urls = (f"{folder}/weekly/{file}", f"{folder}/archive_2.0/{date[:4]}/{file}")
    return Reference(f"clinvar_{date}.{assembly}.vcf.gz", "vcf", assembly, date, urls, "{url}.md5")


_Reader = Callable[[list[str], str], Reference | None]
# portal -> reader of the parts behind the colon, form for messages, whether a part must be a release
_READERS: dict[str, tuple[_Reader, str, bool]] = {
    "ucsc": (_ucsc, "ucsc:hg38, ucsc:hg38/chrom.sizes, ucsc:hg19/chromFa", False),
    "ensembl": (_ensembl, "ensembl:110/homo_sapiens/GRCh38, ensembl:110/homo_sapiens/GRCh38/gtf", True),
    "gencode": (_gencode, "gencode:human/46/annotation, gencode:mouse/M35/basic, gencode:human/46/genome", True),
    "boyle": (_boyle, "boyle:hg38", False),
    "jaspar": (_jaspar, f"jaspar:2024/vertebrates, with one of {', '.join(_TAXA)}", True),
    "clinvar": (_clinvar, "clinvar:20240107/GRCh38", True),
}


def resolve_reference(asked: Asked, web: Web, sources: Sources, cache: Cache) -> list[LockRow]:
    """The lock row of a named reference.

    Its checksum is the portal's where it publishes md5 sums; else the file is read once, into the cache, and pinned
    by what came (Ensembl's own ``sum`` of 16 bits identifies no file).

    Raises
    ------
    InputError : no location of a known form, or one of a rolling file.
    RemoteError : the portal does not have it, or its list has no checksum of it.
    """
    found = read_location(asked.location, sources.portals)
    portal = asked.location.strip().partition(":")[0]
    names = (portal_name(found.assembly), portal_name(asked.assembly))
    if set(names) <= set(ORDER) and names[0] != names[1]:  # of others nobody knows which names are the same
        problem = assembly_problem(found.assembly, asked.assembly)
        raise InputError(asked.where or asked.location, f"{asked.location}: {problem}")
    url, md5 = _published(found, web) if found.list_url else ("", "")
    about = LockRow(
        name=asked.name,
        asked=asked.text,
        file=found.file,
        source=portal,
        accession=found.release,
        url=url or found.urls[0],
        bytes=0,
        md5=md5,
        assembly=found.assembly,
        format=found.format,
        retrieved=datetime.now(UTC).date().isoformat(),
        licence=_LICENCES.get(portal, ""),
    )
    urls = (url,) if url else found.urls
    return [pinned(about, urls, web, cache)]


def _published(found: Reference, web: Web) -> tuple[str, str]:
    """Address and published md5 of a file; '' and '' where the portal's list is not there."""
    for url in found.urls:
        place = found.list_url.format(url=url)
        text = web.text(place, allow=(200, 404))
        if text is None:
            continue
        file = urlsplit(url).path.rpartition("/")[2]
        for line in text.splitlines():
            listed = re.fullmatch(r"([0-9a-fA-F]{32})\s+\*?(\S+)", line.strip())
            if listed and listed[2].rpartition("/")[2] == file:
                return url, listed[1].lower()
        raise RemoteError(redacted(place), f"does not list {file}; is the release right?")
    return "", ""
