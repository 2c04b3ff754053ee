"""Datasets of genotypes: which genes are deleted, and a measured value, as in DCell.

DCell (Ma et al. 2018, Nat Methods 15:290) predicts growth or genetic interaction of yeast genotypes through a network
shaped by an ontology. Its data are lines ``order gene gene value`` and a topology file with, for every term, the lines
``ROOT: term size``, ``GENES: ...`` and ``TERMS: ...``.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from seqmill.config.datasets import Dataset, GenotypeWindows
from seqmill.config.sheet import Track
from seqmill.examples.audit import foreign_copies
from seqmill.examples.order import ordered_rows
from seqmill.examples.sources import Array, Rows, Sources, check_files, section
from seqmill.examples.table_files import number_of
from seqmill.examples.table_split import split_table
from seqmill.examples.tally import Tally
from seqmill.formats.lines import text_lines
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import ArraySpec

POOL = "genotypes"
ROWS_AT_ONCE = 1 << 14


class Genotype(NamedTuple):
    """Deleted genes and the value measured."""

    genes: frozenset[str]
    value: float


def read_topology(path: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Term -> its own genes and its child terms, in file order."""
    terms: dict[str, tuple[list[str], list[str]]] = {}
    current = ""
    for line, text in text_lines(path):
        key, colon, rest = text.partition(":")
        words = rest.split()
        if not text.strip():
            continue
        if key == "ROOT" and words:
            current = words[0]
            if current in terms:
                raise InputError(path, f"term {current} comes twice", record=line)
            terms[current] = ([], [])
        elif key in ("GENES", "TERMS") and colon and current:
            terms[current][key == "TERMS"].extend(words)
        else:
            raise InputError(path, f"expected ROOT:, GENES: or TERMS:, found {text[:40]!r}", record=line)
    if not terms:
        raise InputError(path, "0 terms; expected an ontology in ROOT/GENES/TERMS lines")
    for term, (_, children) in terms.items():
        for child in children:
            if child not in terms:
                raise InputError(path, f"term {child}, child of {term}, has no lines of its own")
    return terms


def ontology_genes(path: Path) -> list[str]:
    """All genes of an ontology, sorted: the order of the genotype's axis."""
    return sorted({gene for genes, _ in read_topology(path).values() for gene in genes})


def read_genotypes(windows: GenotypeWindows, genes: list[str]) -> Iterator[tuple[str, Genotype]]:
    """Part and genotype of every line of all files, in order."""
    known = set(genes)
    for part, path in windows.files.items():
        count = 0
        for line, text in text_lines(path):
            words = text.split()
            if not words:
                continue
            if len(words) < 3 or not words[0].isdigit() or int(words[0]) != len(words) - 2:
                raise InputError(path, f"expected 'order gene ... value', found {text[:60]!r}", record=line)
            unknown = [gene for gene in words[1:-1] if gene not in known]
            if unknown:
                raise InputError(path, f"gene {unknown[0]} is not in {windows.topology}", record=line)
            count += 1
            yield part, Genotype(frozenset(words[1:-1]), number_of(words[-1], path, line, "value"))
        if not count:
            raise InputError(path, "0 records; expected 'order gene ... value' lines")


def choose_rows(*, name: str, dataset: Dataset, sources: Sources) -> Rows:
    """Read the genotypes, split them; a genotype of the test part is in no other."""
    where, windows, tally, lines = f"datasets.{name}", section(dataset, GenotypeWindows), Tally(), []
    for index, (part, genotype) in enumerate(read_genotypes(windows, ontology_genes(windows.topology))):
        tally.add("found", "records", POOL, 1)
        if np.isnan(genotype.value):
            tally.add("filters", "no value", POOL, 1)
        else:
            key = hashlib.blake2b(" ".join(sorted(genotype.genes)).encode(), digest_size=16).digest()
            lines.append({"fold": part, "source_row": index, "key": key})
    table = pd.DataFrame(lines, columns=["fold", "source_row", "key"])
    if table.empty:
        raise InputError(where, "no row is left; " + tally.reasons())
    units = pd.factorize(table["key"])[0].astype(np.int64)
    folds, number, runs = split_table(dataset.split, table["fold"].tolist(), units, where)
    order = ["test", "valid", "train"] if "test" in folds else folds
    copies = foreign_copies(table["key"], np.array([order.index(fold) for fold in folds])[number])
    tally.add("split", "genotype also in another part", POOL, int(copies.sum()))
    table = table.assign(fold=[folds[i] for i in number])[~copies]
    blank = {"genome": "", "contig": "", "start": -1, "end": -1, "strand": 1, "group": "", "name": "", "pool": POOL}
    rows = ordered_rows(table.assign(**blank), [POOL], folds, dataset.seed)
    tally.add_kept(rows)
    genes = {"genes": ontology_genes(windows.topology)}
    return Rows(rows, tally, runs, window_bp=0, bootstrap_unit="row", attrs=genes)


def _chosen(rows: pd.DataFrame, windows: GenotypeWindows, genes: list[str]) -> list[Genotype]:
    every = [genotype for _, genotype in read_genotypes(windows, genes)]
    return [every[index] for index in rows["source_row"]]


def input_array(
    *,
    name: str,
    dataset: Dataset,
    input_name: str,
    rows: pd.DataFrame,
    rows_attrs: dict[str, Any],
    genomes: dict[str, Path],
) -> Array:
    """``genotype``: uint8 (example, genes), 1 where the gene is deleted; the rows' marker names the genes."""
    check_files(dataset, rows_attrs)
    genes = rows_attrs["genes"]
    spec = ArraySpec("input", input_name, ("example", "genes"), "uint8", (len(genes),), "genotype")
    return Array(spec, _genotype_blocks(_chosen(rows, section(dataset, GenotypeWindows), genes), genes))


def _genotype_blocks(genotypes: list[Genotype], genes: list[str]) -> Iterator[np.ndarray]:
    column = {gene: i for i, gene in enumerate(genes)}
    for first in range(0, len(genotypes), ROWS_AT_ONCE):
        part = genotypes[first : first + ROWS_AT_ONCE]
        block = np.zeros((len(part), len(genes)), np.uint8)
        for row, genotype in enumerate(part):
            block[row, [column[gene] for gene in genotype.genes]] = 1
        yield block


def target_array(
    *,
    name: str,
    dataset: Dataset,
    target_name: str,
    group: str,
    tracks: list[Track],
    rows: pd.DataFrame,
    rows_attrs: dict[str, Any],
    track_stores: dict[str, Path],
    genomes: dict[str, Path],
) -> Array:
    """The measured value, float32 (example, tracks) with one track."""
    check_files(dataset, rows_attrs)
    target = dataset.targets[target_name]
    if target.kind != "quantity" or target.tracks is not None or target.column is not None:
        raise InputError(f"datasets.{name}.targets.{target_name}", "genotypes have one target of kind 'quantity'")
    values = [genotype.value for genotype in _chosen(rows, section(dataset, GenotypeWindows), rows_attrs["genes"])]
    spec = ArraySpec(
        role="target",
        name=target_name,
        group=group,
        axes=("example", "tracks"),
        dtype="float32",
        shape_per_example=(1,),
        kind="quantity",
        tracks=(target_name,),
        missing="nan",
    )
    return Array(spec, iter([np.array(values, np.float32)[:, None]]))
