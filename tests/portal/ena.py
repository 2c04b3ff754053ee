"""ENA, SRA and GEO on a test server: recorded answers, put together as the portals answer.

Recorded are: file reports of two runs, the archive's XML of runs, experiments and studies (which list their runs), a
search of ENA with a thousand runs (without files), NCBI's XML of two runs and its GEO searches and summaries. A file
report here has all columns that are asked for, filled from these; what no record tells stays empty. Bytes are
stand-ins, with sizes and checksums of their own (`serve_fastq`), or real files given by the test (`serve_sra`).

    with Portal() as portal:
        archives = Archives(portal, data / "metadata")
        archives.serve_fastq("ERR1190989")
"""

import csv
import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from .files import stand_in, sums
from .server import Portal, Reply, Request

_NOTHING = Reply(204)
_KEYS = (
    "run_accession",
    "experiment_accession",
    "sample_accession",
    "secondary_sample_accession",
    "study_accession",
    "secondary_study_accession",
)


class Archives:
    """The portals at ``/ena``, ``/ena_files``, ``/eutils`` and ``/sra_files`` of a server.

    Attributes
    ----------
    runs : run to its columns of a file report; tests may change them.
    packages : run to NCBI's XML of its experiment, whole documents.
    """

    def __init__(self, portal: Portal, metadata: Path):
        self.portal, self.runs, self.packages = portal, {}, {}
        self._geo_search: dict[str, dict] = {}
        self._geo_summary: dict[str, dict] = {}
        self._load(metadata)
        portal.add("/ena/filereport", self._filereport)
        portal.add("/eutils/esearch.fcgi", self._esearch)
        portal.add("/eutils/esummary.fcgi", self._esummary)
        portal.add("/eutils/efetch.fcgi", self._efetch)

    # ---- what was recorded

    def _load(self, metadata: Path) -> None:
        with open(metadata / "pysradb/ena_test_verbosity_2.csv", newline="") as handle:
            for row in csv.DictReader(handle):
                known = {key: "" if value == "<NA>" else value for key, value in row.items()}
                self.runs[row["run_accession"]] = known
        for file in ("SRX5692097_xml", "SRX3517583", "SRP096361_with_runlist", "SRP178136"):
            self.runs.update(_runs_within(ElementTree.parse(metadata / f"ffq/{file}.txt").getroot()[0]))
        for name in ("SRR8426358", "SRR6835844"):
            self.runs[name] = _run_columns(ElementTree.parse(metadata / f"ffq/{name}.txt").find(".//RUN"))
        for file in ("fastqs.txt", "fastqs_empty.txt"):
            with open(metadata / "ffq" / file, newline="") as handle:
                for row in csv.DictReader(handle, delimiter="\t"):
                    self.runs[row["run_accession"]].update(row)
        for file in ("ffq/SRR6835844_altlinks_new.txt", "pysradb/sra_test_ERS3331676.xml"):
            content = (metadata / file).read_bytes()
            for run in ElementTree.fromstring(content).iter("RUN"):
                self.packages[run.get("accession")] = content
        series = json.loads((metadata / "ffq/GSE93374_search.txt").read_text())
        self._geo_search["GSE93374"] = series
        self._geo_summary.update(json.loads((metadata / "ffq/GSE93374_summary.txt").read_text())["result"])
        sample = json.loads((metadata / "ffq/GSM3717978_summary.txt").read_text())
        self._geo_summary.update(sample)
        self._geo_search["GSM3717978"] = {"esearchresult": {"count": "1", "idlist": list(sample)}}

    # ---- bytes

    def serve_fastq(self, run: str, *, mates: tuple[str, ...] = ("_1", "_2"), layout: str = "") -> dict[str, bytes]:
        """Give a run FASTQ files of stand-in bytes, named by ``mates`` ('' for a file without number)."""
        files = {f"{run}{mate}.fastq.gz": stand_in(run + mate, 2000, "fastq") for mate in mates}
        folder = f"vol1/fastq/{run[:6]}/{run}"
        for name, content in files.items():
            self.portal.add(f"/ena_files/{folder}/{name}", content)
        known = [sums(content) for content in files.values()]
        self.runs.setdefault(run, {"run_accession": run}).update(
            fastq_ftp=";".join(f"ftp.sra.ebi.ac.uk/{folder}/{name}" for name in files),
            fastq_md5=";".join(str(one["md5"]) for one in known),
            fastq_bytes=";".join(str(one["bytes"]) for one in known),
            **({"library_layout": layout} if layout else {}),
        )
        return files

    def serve_sra(self, run: str, path: Path) -> dict[str, str | int]:
        """Serve a real SRA file as the open bucket does; its address, size and md5."""
        content = path.read_bytes()
        url = self.portal.add(f"/sra_files/sra/{run}/{run}", path)
        return {"url": url, "bytes": len(content), "md5": hashlib.md5(content).hexdigest()}

    # ---- answers

    def _filereport(self, request: Request):
        accession, fields = request.query["accession"][0], request.query["fields"][0].split(",")
        found = [run for run in self.runs.values() if accession in (run.get(key) for key in _KEYS)]
        if not found:
            return _NOTHING
        lines = ["\t".join(fields), *("\t".join(run.get(field, "") for field in fields) for run in found)]
        return Reply(200, {"Content-Type": "text/tab-separated-values"}, ("\n".join(lines) + "\n").encode())

    def _esearch(self, request: Request):
        term = request.query["term"][0]
        accession = re.sub(r"\[.*", "", term)
        if request.query["db"] == ["gds"]:
            return self._geo_search.get(accession, {"esearchresult": {"count": "0", "idlist": []}})
        whole = re.compile(rf"\b{re.escape(accession)}\b".encode())
        runs = [run for run, content in self.packages.items() if whole.search(content)]
        # Identifiers are this server's own: places in its list.
        identifiers = [str(list(self.packages).index(run) + 1) for run in runs]
        return {"esearchresult": {"count": str(len(runs)), "idlist": identifiers}}

    def _esummary(self, request: Request):
        asked = request.query["id"][0].split(",")
        found = {uid: self._geo_summary[uid] for uid in asked if uid in self._geo_summary}
        return {"header": {"type": "esummary"}, "result": {"uids": list(found), **found}}

    def _efetch(self, request: Request):
        asked = request.query["id"][0].split(",")
        runs = [list(self.packages)[int(name) - 1] if name.isdigit() else name for name in asked]
        found = [self.packages[run] for run in runs if run in self.packages]
        if not found:
            return Reply(400, {"Content-Type": "text/plain"}, b"ID list is empty! Possibly it has no correct IDs.\n")
        root = ElementTree.Element("EXPERIMENT_PACKAGE_SET")
        for content in dict.fromkeys(found):
            root.extend(ElementTree.fromstring(content))
        return Reply(200, {"Content-Type": "text/xml"}, ElementTree.tostring(root, encoding="utf-8"))


def _runs_within(entry: ElementTree.Element) -> dict[str, dict[str, str]]:
    """Runs of an experiment or study by its list of runs ("SRR8906271-SRR8906274"); they are recorded by name only."""
    links = {one.findtext("DB"): one.findtext("ID", "") for one in entry.iter("XREF_LINK")}
    first, _, last = links["ENA-RUN"].partition("-")
    numbers = range(int(first[3:]), int((last or first)[3:]) + 1)
    known = {"secondary_study_accession": entry.get("accession", "")}
    if entry.tag == "EXPERIMENT":
        known = {
            "experiment_accession": entry.get("accession", ""),
            "secondary_sample_accession": links["ENA-SAMPLE"],
            "secondary_study_accession": entry.find("STUDY_REF").get("accession", ""),
            "library_layout": entry.find(".//LIBRARY_LAYOUT")[0].tag,
            "library_strategy": entry.findtext(".//LIBRARY_STRATEGY", ""),
        }
    return {f"{first[:3]}{number}": {"run_accession": f"{first[:3]}{number}", **known} for number in numbers}


def _run_columns(run: ElementTree.Element) -> dict[str, str]:
    """Columns of a file report from ENA's XML of a run."""
    attributes = {one.findtext("TAG"): one.findtext("VALUE", "") for one in run.iter("RUN_ATTRIBUTE")}
    links = {one.findtext("DB"): one.findtext("ID", "") for one in run.iter("XREF_LINK")}
    title = run.findtext("TITLE", "").split(";")
    return {
        "run_accession": run.get("accession", ""),
        "experiment_accession": run.find("EXPERIMENT_REF").get("accession", ""),
        "secondary_sample_accession": links["ENA-SAMPLE"],
        "secondary_study_accession": links["ENA-STUDY"],
        "library_layout": "PAIRED" if len(run.findall(".//READ_SPEC")) == 2 else "SINGLE",
        "library_strategy": title[-1].strip(),
        "scientific_name": title[-2].strip(),
        "sample_title": title[-3].partition(":")[2].strip(),
        "read_count": attributes["ENA-SPOT-COUNT"],
        "base_count": attributes["ENA-BASE-COUNT"],
        "last_updated": attributes["ENA-LAST-UPDATE"],
    }
