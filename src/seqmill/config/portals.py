"""Section `sources`: which portals are asked, under which rules, and where fetched files are kept."""

import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from seqmill.config.base import File, Section


class Portals(Section):
    """Base addresses of the portals; other ones are for mirrors and for tests."""

    encode: str = "https://www.encodeproject.org"
    encode_files: str = Field("https://encode-public.s3.amazonaws.com", description="Public bucket of ENCODE's files.")
    ena: str = "https://www.ebi.ac.uk/ena/portal/api"
    ena_files: str = Field("https://ftp.sra.ebi.ac.uk", description="Where ENA's FASTQ files lie.")
    eutils: str = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
    sra_locator: str = "https://locate.ncbi.nlm.nih.gov/sdl/2"
    sra_files: str = Field("https://sra-pub-run-odp.s3.amazonaws.com", description="Public bucket of SRA runs.")
    ucsc: str = "https://hgdownload.soe.ucsc.edu"
    ensembl: str = "https://ftp.ensembl.org"
    gencode: str = "https://ftp.ebi.ac.uk/pub/databases/gencode"
    boyle: str = "https://raw.githubusercontent.com/Boyle-Lab/Blacklist"
    jaspar: str = "https://jaspar.elixir.no"
    clinvar: str = "https://ftp.ncbi.nlm.nih.gov/pub/clinvar"

    @field_validator("*")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query:
            raise ValueError(f"{value!r} is no address of a portal; expected e.g. https://host/path")
        return value.rstrip("/")


class Network(Section):
    """How a portal is asked; the numbers hold for every request."""

    connect_s: float = Field(10, gt=0)
    read_s: float = Field(60, gt=0, description="Longest silence within an answer.")
    min_bytes_per_s: float = Field(10_000, ge=0, description="Slower than this over `min_speed_s` is a failed attempt.")
    min_speed_s: float = Field(120, gt=0)
    attempts: int = Field(8, ge=1, description="For one answer or file, the first one included.")
    backoff_s: float = Field(1, ge=0, description="First wait between attempts; doubles, with full jitter.")
    max_backoff_s: float = Field(60, ge=0)
    max_retry_after_s: float = Field(600, ge=0, description="Longest wait that a server may ask for.")
    total_s: float = Field(1800, gt=0, description="Longest time of all attempts of one file without any progress.")
    bodies_per_host: int = Field(4, ge=1, description="Downloads from one host at the same time, over all processes.")
    requests_per_s: dict[str, float] = Field(
        default_factory=dict,
        description="Host to requests a second, over all processes; below what is known of the portals by default.",
    )


class Sources(Section):
    """Remote files of the sheet and the configuration."""

    lock: File | None = Field(None, description="The lock (default: beside the sheet, `{sheet}.lock.tsv`).")
    cache: File | None = Field(
        None, description="Files fetched, shared between projects (default: $SEQMILL_CACHE, else ~/.cache/seqmill)."
    )
    locked: bool = Field(
        False, description="Ask no host for anything (also by SEQMILL_LOCKED=1): what is not in the cache is an error."
    )
    allow_archived: bool = Field(False, description="Accept files of status 'archived' too.")
    audits: Literal["ignore", "warn", "error"] = Field("warn", description="What the portal's audit ERROR does.")
    ena_first: bool = Field(True, description="Take FASTQ from ENA where it has them, SRA files only where not.")
    max_run_gb: float = Field(200, gt=0, description="Runs above this size are refused.")
    hosts: list[str] = Field(
        default_factory=list, description="Further addresses that files may come from, as https://host/path."
    )
    portals: Portals = Portals()
    network: Network = Network()

    def asks_nobody(self) -> bool:
        """Whether no host may be asked, by configuration or environment."""
        return self.locked or os.environ.get("SEQMILL_LOCKED", "") not in ("", "0")

    def cache_folder(self) -> Path:
        """Folder of the cache, by configuration, environment or home."""
        if self.cache:
            return self.cache.expanduser()
        named = os.environ.get("SEQMILL_CACHE")
        return Path(named) if named else Path("~/.cache/seqmill").expanduser()
