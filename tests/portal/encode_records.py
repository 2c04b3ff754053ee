"""Records of the ENCODE portal with what the portal computes: links, addresses, replicates, donors."""

import base64
import csv
import uuid
from pathlib import Path
from typing import Any

Record = dict[str, Any]
_GZIPPED = (
    *("bed", "bedpe", "csfasta", "csqual", "fasta", "fastq", "gff", "gtf"),
    *("pairs", "tagAlign", "tar", "txt", "vcf", "wig", "yaml"),
)
_ENDINGS = {"hdf5": ".h5", "database": ".db", "rcc": ".rcc", "idx": ".idx"}
_DATE = "2013-01-01T00:00:00.000000+00:00"


def ending_of(file_format: str) -> str:
    """File ending of a format, as the portal's schema has it."""
    return _ENDINGS.get(file_format, f".{file_format}{'.gz' if file_format in _GZIPPED else ''}")


def accession_of(record: Record) -> str:
    return record.get("accession") or record["external_accession"]


def recorded_rows(path: Path) -> dict[str, Record]:
    """What the portal computed for its fixtures, as its recorded metadata.tsv has it."""
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    return {
        row["File accession"]: {
            "assay_title": row["Assay"],
            "donors": [donor for donor in row["Donor(s)"].split(", ") if donor],
            "biological_replicates": [int(number) for number in row["Biological replicate(s)"].split(", ") if number],
        }
        for row in rows
    }


def cloud_of(record: Record) -> Record:
    place = record["s3_uri"].removeprefix("s3://encode-public/")
    return {
        "url": f"https://encode-public.s3.amazonaws.com/{place}",
        "md5sum_base64": base64.b64encode(bytes.fromhex(record["md5sum"])).decode(),
        "file_size": record["file_size"],
    }


def computed(raw: Record) -> Record:
    """A file with the fields that the portal computes from the file alone."""
    accession, file_format = accession_of(raw), raw["file_format"]
    record = {
        "date_created": _DATE,
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://example.org/{accession}")),
        **raw,
        "@id": f"/files/{accession}/",
        "@type": ["File", "Item"],
        "title": accession,
        "file_type": f"{file_format} {raw.get('file_format_type', '')}".strip(),
        "superseded_by": raw.get("superseded_by", []),
    }
    name = f"{accession}{ending_of(file_format)}"
    record["href"] = f"/files/{accession}/@@download/{name}"
    if not raw.get("restricted") and not raw.get("no_file_available"):
        day = record["date_created"][:10].replace("-", "/")
        record["s3_uri"] = f"s3://encode-public/{day}/{record['uuid']}/{name}"
        record["cloud_metadata"] = cloud_of(record) if "md5sum" in raw else {}
    return record


class Linked:
    """Raw records of the portal's fixtures, found by whatever another record calls them."""

    def __init__(self, raw: dict[str, list[Record]]):
        self.raw = raw
        self.by_name: dict[str, dict[str, Record]] = {}
        for kind, records in raw.items():
            names = self.by_name.setdefault(kind, {})
            for record in records:
                keys = [record.get(key) for key in ("uuid", "accession", "name")]
                if kind == "target":
                    organism = (record.get("target_organism") or "").rpartition("/")[2]
                    keys.append(f"{record['label']}-{organism}")
                    keys += [f"{record['label']}-{name}" for name in ("human", "mouse", "dmelanogaster", "celegans")]
                if kind == "biosample_type":
                    form = f"{record['classification']}_{record['term_id']}"
                    keys.append(form.replace(" ", "_").replace(":", "_"))
                for key in [*keys, *record.get("aliases", [])]:
                    if key:
                        names.setdefault(key, record)

    def get(self, kind: str, link: Any) -> Record:
        name = str(link or "").strip("/").rpartition("/")[2]
        return self.by_name[kind].get(name) or self.by_name[kind].get(str(link or "")) or {}

    def dataset(self, raw: Record, kind: str) -> Record:
        folder = {"experiment": "experiments", "annotation": "annotations", "matched_set": "matched-sets"}[kind]
        ontology = self.get("biosample_type", raw.get("biosample_ontology"))
        record = {
            "alternate_accessions": [],
            **raw,
            "@id": f"/{folder}/{raw['accession']}/",
            "@type": ["".join(word.capitalize() for word in kind.split("_")), "Dataset", "Item"],
            "assay_title": raw.get("assay_term_name", ""),
            "biosample_ontology": {
                key: ontology[key] for key in ("term_id", "term_name", "classification") if ontology
            },
            "analyses": [],
        }
        if raw.get("target"):
            record["target"] = {"label": self.get("target", raw["target"]).get("label", "")}
        return record

    def file(self, raw: Record) -> Record:
        link = raw["dataset"]
        kinds = ("experiment", "annotation", "matched_set")
        kind, dataset = next(((k, self.get(k, link)) for k in kinds if self.get(k, link)), ("", {}))
        around = self.dataset(dataset, kind) if kind else {}
        replicate = self.get("replicate", raw.get("replicate"))
        library = self.get("library", replicate.get("library"))
        biosample = self.get("biosample", library.get("biosample"))
        donor = self.get("human_donor", biosample.get("donor"))
        number = replicate.get("biological_replicate_number")
        return computed(
            {
                **raw,
                "dataset": around.get("@id", link),
                "assay_title": around.get("assay_title", ""),
                "biosample_ontology": around.get("biosample_ontology", {}),
                **({"target": around["target"]} if "target" in around else {}),
                "biological_replicates": [number] if number else [],
                "donors": [f"/human-donors/{donor['accession']}/"] if donor else [],
                "analyses": [],
            }
        )

    def link_analyses(self, files: dict[str, Record], datasets: dict[str, Record]) -> None:
        """Give analyses to the files that they name, and to the data sets of those."""
        for raw in self.raw["analysis"]:
            mine = [files[name] for name in raw["files"] if name in files]
            analysis = {"date_created": _DATE, "status": "in progress", **raw, "@id": f"/analyses/{raw['accession']}/"}
            assemblies = {file["assembly"] for file in mine if "assembly" in file}
            if assemblies:
                analysis["assembly"] = assemblies.pop() if len(assemblies) == 1 else "mixed"
            for file in mine:
                file["analyses"].append({"@id": analysis["@id"], "status": analysis["status"]})
            for place in {file["dataset"] for file in mine}:
                dataset = next((record for record in datasets.values() if record["@id"] == place), None)
                if dataset is not None:
                    dataset["analyses"].append(analysis)
