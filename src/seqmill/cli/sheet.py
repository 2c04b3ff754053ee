"""The verb that writes a track sheet from what a portal has."""

import argparse
from typing import Any

from seqmill.cli.settings import DEFAULT_CONFIG, remark, say, settings_of, written_of
from seqmill.runtime.errors import InputError


def sheet(arguments: argparse.Namespace) -> int:
    return {"encode": _encode, "sra": _sra}[arguments.what](arguments)


def sources_of(arguments: argparse.Namespace) -> Any:
    """The section `sources` of the configuration; its defaults where there is no configuration yet."""
    from seqmill.config.root import parse

    if not arguments.configfile and not DEFAULT_CONFIG.is_file():
        values, where = settings_of(arguments), "configuration"
    else:
        values, where = written_of(arguments)
    return parse({"sources": values.get("sources") or {}}, where).sources


def _encode(arguments: argparse.Namespace) -> int:
    from seqmill.runtime.progress import human_bytes
    from seqmill.sources.encode import allows_tests
    from seqmill.sources.encode_search import Query, matching, read_metadata, search, sheet_rows, write_sheet
    from seqmill.sources.web import Web

    if arguments.out.exists():
        raise InputError(arguments.out, "exists; name another file, or move this one away")
    if arguments.limit < 0:
        raise InputError("--limit", f"expected a number of files, found {arguments.limit}")
    query = Query(
        assay=arguments.assay,
        biosample=arguments.biosample,
        target=arguments.target,
        assembly=arguments.assembly,
        output_type=arguments.output_type,
        format=arguments.format,
        status=arguments.status,
        experiment=arguments.experiment,
        preferred=not arguments.all_files,
    )
    sources = sources_of(arguments)
    if arguments.metadata:
        where, searches = str(arguments.metadata), []
        found = matching(read_metadata(arguments.metadata), query)
        found = found[: arguments.limit or None]
    else:
        if not (query.assay or query.biosample or query.target or query.experiment):
            raise InputError("sheet encode", "say what to search for: --assay, --biosample, --target or --experiment")
        where, searches = f"search {query.text}", [query.text]
        with Web(sources) as web:
            found = search(query.text, web, sources, arguments.limit)
    if not found:
        hint = "" if arguments.all_files or arguments.metadata else "; --all-files also takes other than default files"
        raise InputError(where, f"0 files; words must be as the portal writes them ('TF ChIP-seq', 'K562'){hint}")
    rows = sheet_rows(found, arguments.genome, tests=allows_tests(sources))
    if not rows:
        raise InputError(where, f"none of the {len(found)} files can be a track: formats, or no access to the files")
    if arguments.genome and len({record.get("assembly") for record in found if record.get("assembly")}) > 1:
        raise InputError(where, "files of several assemblies; choose one with --assembly")
    write_sheet(arguments.out, rows, searches)
    kept = {row["location"] for row in rows}
    size = sum(record.get("file_size") or 0 for record in found if record.get("accession") in kept)
    counts = {"tracks": len(rows), "files_found": len(found), "bytes": size, "search": query.text}
    say(arguments, {"verb": "sheet", "written": [str(arguments.out)], **counts}, [arguments.out])
    left = f", {len(found) - len(rows)} left out" if len(rows) < len(found) else ""
    remark(arguments, f"{len(rows)} tracks of {len(found)} files found{left}; {human_bytes(size)} to download")
    return 0


def _sra(arguments: argparse.Namespace) -> int:
    from seqmill.config.remote import source_of
    from seqmill.runtime.progress import human_bytes
    from seqmill.sources.encode_search import write_sheet
    from seqmill.sources.geo import at_sra
    from seqmill.sources.sra import find_runs
    from seqmill.sources.sra_sheet import sheet_rows
    from seqmill.sources.web import Web

    accession, kind = arguments.accession, source_of(arguments.accession)
    if kind not in ("sra", "geo"):
        raise InputError(
            accession, "no accession of SRA, ENA, DDBJ or GEO; expected e.g. SRP096361, PRJNA360829, GSE93374"
        )
    if arguments.out.exists():
        raise InputError(arguments.out, "exists; name another file, or move this one away")
    sources = sources_of(arguments)
    with Web(sources) as web:
        at = at_sra(accession, web, sources, accession) if kind == "geo" else accession
        runs = find_runs(at, web, sources, accession)
    rows = sheet_rows(runs, arguments.genome)
    write_sheet(arguments.out, rows)
    size = sum(file.bytes for run in runs for file in run.files)
    counts = {"tracks": len(rows), "runs": len(runs), "bytes": size, "accession": at}
    say(arguments, {"verb": "sheet", "written": [str(arguments.out)], **counts}, [arguments.out])
    remark(arguments, f"{len(rows)} experiments, {len(runs)} runs; {human_bytes(size)} to download")
    return 0
