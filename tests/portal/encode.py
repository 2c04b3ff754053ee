"""The ENCODE portal on a test server: recorded records, answered as the portal answers them.

Records come from recorded answers (an experiment with its files, as the portal embedded them) and from the portal's
own fixtures for its tests, which are raw: what the portal computes (`@id`, `href`, `s3_uri`, `cloud_metadata`,
replicates, donors, what a data set embeds) is computed here. The bytes are stand-ins (`files.stand_in`): a file that
is served has the size and checksum of its stand-in, not those of the recorded file, and says so in `notes`.

    with Portal() as portal:
        encode = Encode(portal)
        encode.load_recorded(data / "metadata/ffq/ENCSR998WNE.txt")
        encode.load_fixtures(data / "metadata/encoded_inserts")
        encode.serve_stand_ins()                       # sizes and checksums are now those of made-up bytes
        encode.change("ENCFF122ELT", status="revoked", revoke_detail="wrong sample")
"""

import hashlib
import json
import string
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

from .encode_records import Linked, Record, accession_of, cloud_of, computed, recorded_rows
from .files import stand_in
from .server import Portal, Reply, Request, file_reply, json_reply

PUBLIC = ("released", "archived")
# What nobody without an account sees; revoked records are shown, their bytes are not.
HIDDEN = ("in progress", "deleted", "replaced", "uploading", "upload failed", "content error")


_STAND_IN = {"bigWig": "bigwig", "bigBed": "bigbed", "hic": "hic", "bam": "bam", "fastq": "fastq"}


class Encode:
    """The portal at ``/encode`` and its public bucket at ``/encode_files`` of a server.

    Attributes
    ----------
    files, datasets : accession to record, as an anonymous visitor would get it; change them at will.
    content : accession to the bytes that are served.
    signed_for : links that were handed out and are valid; `expire` empties it.
    """

    def __init__(self, portal: Portal, base: str = "/encode", bucket: str = "/encode_files"):
        self.portal, self.base, self.bucket = portal, base, bucket
        self.files: dict[str, Record] = {}
        self.datasets: dict[str, Record] = {}
        self.content: dict[str, bytes] = {}
        self.signed_for: dict[str, str] = {}
        self._links, self._made = count(1), count()
        portal.add(f"{base}/*", self._answer)
        portal.add(f"{bucket}/*", self._from_bucket)
        portal.add("/signed/*", self._from_link)

    # ---- records

    def load_recorded(self, path: Path) -> str:
        """Add a recorded answer of an experiment with its embedded files; gives its accession."""
        record = json.loads(Path(path).read_text())
        for file in record["files"]:
            self.files[accession_of(file)] = file
        self.datasets[record["accession"]] = record
        return record["accession"]

    def load_fixtures(self, folder: Path) -> None:
        """Add the portal's own test fixtures (raw records), with what the portal computes."""
        raw = {path.stem: json.loads(path.read_text()) for path in Path(folder).glob("*.json")}
        found = Linked(raw)
        for kind in ("experiment", "annotation", "matched_set"):
            for record in raw[kind]:
                self.datasets[record["accession"]] = found.dataset(record, kind)
        for record in raw["file"]:
            file = found.file(record)
            self.files[accession_of(file)] = file
        for accession, row in recorded_rows(Path(folder) / "expected_metadata.tsv").items():
            if accession in self.files:
                self.files[accession] |= row
        found.link_analyses(self.files, self.datasets)

    def add_experiment(self, accession: str = "", **fields: Any) -> str:
        """Add a made-up experiment, with a test accession of the portal (TSTSR…) if none is given."""
        accession = accession or self._test_accession("TSTSR")
        self.datasets[accession] = {
            "@id": f"/experiments/{accession}/",
            "@type": ["Experiment", "Dataset", "Item"],
            "accession": accession,
            "alternate_accessions": [],
            "status": "released",
            "assay_title": "DNase-seq",
            "biosample_ontology": {"term_name": "stand-in"},
            "analyses": [],
            **fields,
        }
        return accession

    def add_file(self, accession: str = "", *, experiment: str = "", size: int = 1000, **fields: Any) -> str:
        """Add a made-up bigWig of stand-in bytes, with a test accession of the portal (TSTFF…) if none is given."""
        accession = accession or self._test_accession("TSTFF")
        dataset = self.datasets.get(experiment) or {}
        self.files[accession] = computed(
            {
                "accession": accession,
                "status": "released",
                "file_format": "bigWig",
                "output_type": "read-depth normalized signal",
                "assembly": "GRCh38",
                "assay_title": dataset.get("assay_title", "DNase-seq"),
                "biosample_ontology": dataset.get("biosample_ontology", {"term_name": "stand-in"}),
                "biological_replicates": [1],
                "dataset": f"/experiments/{experiment}/" if experiment else None,
                "alternate_accessions": [],
                **({"target": dataset["target"]} if "target" in dataset else {}),
                **fields,
            }
        )
        self.serve(accession, stand_in(accession, size, _STAND_IN.get(self.files[accession]["file_format"], "text")))
        return accession

    def change(self, accession: str, **fields: Any) -> None:
        """Change fields of a file or a data set; a field of value None is taken away."""
        record = self.files.get(accession) or self.datasets[accession]
        record.update(fields)
        for name in [name for name, value in fields.items() if value is None]:
            del record[name]

    def replace(self, old: str, new: str) -> None:
        """Let ``new`` take the place of ``old``: the portal leads from the old accession to the new record."""
        self.files.pop(old, None) or self.datasets.pop(old, None)
        record = self.files.get(new) or self.datasets[new]
        record["alternate_accessions"] = [*record.get("alternate_accessions", []), old]

    def serve(self, accession: str, content: bytes) -> None:
        """Serve these bytes as a file, whose size and checksums become theirs."""
        record = self.files[accession]
        self.content[accession] = content
        record |= {"file_size": len(content), "md5sum": hashlib.md5(content).hexdigest(), "notes": "stand-in"}
        if "cloud_metadata" in record:
            record["cloud_metadata"] = cloud_of(record)

    def serve_stand_ins(self, size: int = 500, accessions: Iterable[str] | None = None) -> list[str]:
        """Serve stand-in bytes for all files that the portal would serve; gives their accessions."""
        served = []
        for accession in list(self.files) if accessions is None else accessions:
            record = self.files[accession]
            if "cloud_metadata" in record:
                self.serve(accession, stand_in(accession, size, _STAND_IN.get(record["file_format"], "text")))
                served.append(accession)
        return served

    def expire(self) -> None:
        """Let every link that was handed out so far be too old."""
        self.signed_for.clear()

    def _test_accession(self, prefix: str) -> str:
        number, letters = divmod(next(self._made), 26**3)
        first, rest = divmod(letters, 26**2)
        second, third = divmod(rest, 26)
        return f"{prefix}{number:03d}" + "".join(string.ascii_uppercase[i] for i in (first, second, third))

    # ---- answers

    def _answer(self, request: Request) -> Reply:
        parts = [part for part in request.path.removeprefix(self.base).split("/") if part]
        if parts == ["search"]:
            return self._search(request.query)
        if "@@download" in parts:
            return self._download(parts)
        name = parts[-1] if parts else ""
        record = self.files.get(name) or self.datasets.get(name)
        if record is None:
            records = [*self.files.values(), *self.datasets.values()]
            record = next((r for r in records if name and name in (r.get("alternate_accessions") or [])), None)
        if record is None or len(parts) > 2:
            return _error(404, "Not Found")
        if record.get("status") in HIDDEN:
            return _error(403, "Access was denied to this resource.")
        if request.path != self.base + record["@id"]:
            query = request.target.partition("?")[2]
            place = f"{self.portal.url}{self.base}{record['@id']}{'?' + query if query else ''}"
            return Reply(301, {"Location": place, "Content-Type": "text/plain"}, b"moved\n")
        return json_reply(self._page(record))

    def _page(self, record: Record) -> Record:
        if record is not self.datasets.get(record.get("accession", "")):
            return record
        mine = [file for file in self.files.values() if file.get("dataset") == record["@id"]]
        return record | {
            "files": [file for file in mine if file["status"] in PUBLIC],
            "revoked_files": [file for file in mine if file["status"] == "revoked"],
        }

    def _search(self, query: dict[str, list[str]]) -> Reply:
        wanted = {key: values for key, values in query.items() if key not in ("format", "limit", "field", "type")}
        records = self.files if query.get("type") == ["File"] else self.datasets
        found = [
            record
            for record in records.values()
            if record["status"] not in HIDDEN and all(_fits(record, key, values) for key, values in wanted.items())
        ]
        limit = query.get("limit", ["25"])[0]
        shown = found if limit == "all" else found[: int(limit)]
        fields = query.get("field", [])
        graph = [_columns(record, fields) if fields else record for record in shown]
        answer = {"@id": "/search/", "@type": ["Search"], "@graph": graph, "total": len(found)}
        return json_reply(answer | {"notification": "Success" if found else "No results found"}, 200 if found else 404)

    def _download(self, parts: list[str]) -> Reply:
        record = self.files.get(parts[1]) if len(parts) == 4 and parts[0] == "files" else None
        if record is None or not record.get("href", "").endswith(f"/@@download/{parts[3]}"):
            return _error(404, "Not Found")
        if record["status"] not in PUBLIC or record.get("restricted") or record.get("no_file_available"):
            return _error(403, "Downloading this file not allowed.")
        link = f"{next(self._links):06d}"
        self.signed_for[link] = accession_of(record)
        place = f"{self.portal.url}/signed/{parts[3]}?X-Amz-Expires=129600&X-Amz-Signature={link}"
        return Reply(307, {"Location": place}, b"")

    def _from_link(self, request: Request) -> Reply:
        accession = self.signed_for.get(request.query.get("X-Amz-Signature", [""])[0])
        if accession is None or accession not in self.content:
            body = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
            return Reply(403, {"Content-Type": "application/xml"}, body)
        return file_reply(request, self.content[accession])

    def _from_bucket(self, request: Request) -> Reply:
        key = request.path.removeprefix(f"{self.bucket}/")
        place = f"s3://encode-public/{key}"
        record = next((file for file in self.files.values() if file.get("s3_uri") == place), None)
        if record is None or record["status"] not in PUBLIC or accession_of(record) not in self.content:
            return Reply(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        return file_reply(request, self.content[accession_of(record)])


def _error(status: int, title: str) -> Reply:
    return json_reply({"@type": ["Error"], "status": "error", "code": status, "title": title}, status)


def _fits(record: Record, key: str, values: list[str]) -> bool:
    negated = key.endswith("!")
    found = {str(value).lower() if isinstance(value, bool) else str(value) for value in _at(record, key.rstrip("!"))}
    fits = bool(found) if values == ["*"] else bool(found & set(values))
    return fits != negated


def _at(value: Any, path: str) -> list[Any]:
    """Values at a dotted path, lists looked into."""
    if isinstance(value, list):
        return [found for item in value for found in _at(item, path)]
    first, _, rest = path.partition(".")
    if not first:
        return [value]
    if not isinstance(value, dict) or value.get(first) is None:
        return []
    return _at(value[first], rest)


def _columns(record: Record, fields: list[str]) -> Record:
    row: Record = {"@id": record["@id"], "@type": record["@type"]}
    for field in fields:
        head, _, tail = field.partition(".")
        value = record.get(head)
        if value is None:
            continue
        if tail:
            if isinstance(value, dict) and tail in value:
                row.setdefault(head, {})[tail] = value[tail]
        else:
            row[head] = value
    return row
