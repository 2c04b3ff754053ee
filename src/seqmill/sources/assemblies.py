"""Names of assemblies as the ENCODE portal writes them, and the other names that people know them by."""

# In the portal's own order: where several analyses of an experiment are equal else, the first of these wins
# (schema of files, `assembly`).
ORDER = (
    "GRCh38",
    "GRCh38-minimal",
    "hg19",
    "ENC001.1",
    "ENC002.1",
    "ENC003.1",
    "ENC004.1",
    "GRCm39",
    "mm10",
    "mm10-minimal",
    "mm9",
    "dm6",
    "dm3",
    "ce11",
    "ce10",
    "J02459.1",
)
_SYNONYMS = {
    "hg38": "GRCh38",
    "grch37": "hg19",
    "mm39": "GRCm39",
    "grcm38": "mm10",
    "ncbim37": "mm9",
    "bdgp6": "dm6",
    "bdgp5": "dm3",
    "wbcel235": "ce11",
}
_BY_LOWER = {name.lower(): name for name in ORDER}


def portal_name(name: str) -> str:
    """The portal's name of an assembly; one that it does not know stays as it is.

    >>> [portal_name(name) for name in ("hg38", "grch38", "GRCm38", "toy")]
    ['GRCh38', 'GRCh38', 'mm10', 'toy']
    """
    lower = name.strip().lower()
    return _SYNONYMS.get(lower) or _BY_LOWER.get(lower) or name.strip()


def assembly_problem(found: str, wanted: str) -> str:
    """What is wrong with a file of assembly ``found`` where ``wanted`` is needed; '' if nothing.

    The ``-minimal`` assemblies lack contigs of the full ones, so they are taken only where they are asked for.

    >>> assembly_problem("hg19", "hg38")
    "assembly hg19, need GRCh38; name a file of GRCh38, or a genome of hg19 (its key 'assembly')"
    >>> assembly_problem("GRCh38", "hg38")
    ''
    """
    wanted = portal_name(wanted)
    if not wanted or portal_name(found) == wanted:
        return ""
    if not found:
        return f"assembly not stated by the portal, need {wanted}"
    if found.removesuffix("-minimal") == wanted:
        return f"assembly not stated as {wanted} but as {found}, which lacks contigs; name a file of {wanted}"
    return f"assembly {found}, need {wanted}; name a file of {wanted}, or a genome of {found} (its key 'assembly')"
