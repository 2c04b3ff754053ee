"""What the report says of sources in the words of the configuration: paths as written, licences, descriptions."""

import base64
import json
from typing import Any

from seqmill.config.project import Project

# What the report tells of a fetched file; not its address, which may be one of many.
_PINNED = (
    *("source", "accession", "file", "bytes", "md5", "sha256", "status", "assembly", "output_type", "replicates"),
    *("donors", "date", "retrieved", "licence"),
)


def written_sources(project: Project) -> dict[str, dict[str, dict[str, str]]]:
    """Sources by kind and name, as JSON values.

    Paths are as they were written, with ``${NAME}`` and not what the variable holds: a report is sent to others.

    Returns
    -------
    "genomes" and "tracks": file, licence (empty if not stated), and of tracks also description; "reads": a line a run,
    with experiment and replicate; "published": file, dataset and source; "maps": regions; "variants": file;
    "fetched": what the lock says of each remote file.
    """
    config, values = project.config, project.values

    def path(section: str, name: str, key: str) -> str:
        return str(values.get(section, {}).get(name, {}).get(key) or "")

    return {
        "genomes": {
            name: {"file": path("genomes", name, "fasta"), "licence": genome.licence}
            for name, genome in config.genomes.items()
        },
        "tracks": {
            name: {"file": track.location, "licence": track.licence, "description": track.description}
            for name, track in project.tracks.items()
        },
        "reads": {
            f"{name} {replicate} {run}": {
                "experiment": name,
                "replicate": str(replicate),
                "file": " and ".join(text for text in (row.location, row.mate) if text),
                "description": row.description,
                "licence": row.licence,
            }
            for name, experiment in project.experiments.items()
            for replicate, rows in experiment.replicates.items()
            for run, row in enumerate(rows)
        },
        "published": {
            name: {"file": path("published", name, "file"), "dataset": section.dataset, "source": section.source}
            for name, section in config.published.items()
        },
        "maps": {name: {"regions": path("maps", name, "regions")} for name in config.maps},
        "variants": {name: {"file": path("variants", name, "file")} for name in config.variants},
        "fetched": {
            f"{name} {row.file}": {"name": name, **{key: str(getattr(row, key)) for key in _PINNED}}
            for name, rows in project.fetched().items()
            for row in rows
        },
    }


def packed(value: Any) -> str:
    """JSON value as letters, digits, ``-``, ``_`` and ``=``.

    ``snakemake --report`` writes the params of a job into its page without escaping, so a title or a path must not
    stand there as it is.
    """
    return base64.urlsafe_b64encode(json.dumps(value, sort_keys=True).encode()).decode()


def unpacked(text: str) -> Any:
    """The value that `packed` was given."""
    return json.loads(base64.urlsafe_b64decode(text))
