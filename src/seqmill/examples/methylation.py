"""Datasets of single-cell methylation: each CpG site with its sequence and the calls around it in every cell.

As in DeepCpG (Angermueller et al. 2017, Genome Biol 18:67): the inputs are the DNA window around a site, and for
each cell the states of the nearest called sites on both sides with their distances; the target is the site's state in
each cell, where it was called. A site's own call, on either strand of the CpG, is never among its neighbours.

Neighbours are calls, so a split by anything but whole contigs would hand the labels of one part to another.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from seqmill.config.datasets import Dataset, MethylationWindows
from seqmill.config.sheet import Track
from seqmill.examples.audit import check_extents
from seqmill.examples.content import composition
from seqmill.examples.genomic_arrays import sequence_blocks
from seqmill.examples.order import ordered_rows
from seqmill.examples.scatter import RecordFile
from seqmill.examples.sources import Array, Rows, Sources, check_files, section
from seqmill.examples.splits import make_plan
from seqmill.examples.tally import Tally
from seqmill.examples.territory import Windows
from seqmill.examples.visits import contig_groups
from seqmill.examples.windows import centred_starts, inside
from seqmill.formats.lines import text_lines
from seqmill.formats.methylation import CallFile
from seqmill.genome.names import harmonise
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader
from seqmill.stores.specs import ArraySpec

POOL = "sites"
NONE = 2
STATES = {"": NONE, "0": 0, "1": 1}


class Calls(NamedTuple):
    """Calls of one contig: int64 positions (n,), ascending; uint8 states (n, cells), 0, 1 or 2 for no call;
    int64 numbers of the sites in the file (n,)."""

    positions: np.ndarray
    states: np.ndarray
    numbers: np.ndarray


def read_calls(path: Path, sizes: dict[str, int]) -> tuple[list[str], dict[str, Calls]]:
    """Cells, and the calls of each contig of the genome.

    The file has columns ``contig``, ``pos0`` (0-based) and one a cell with 0, 1 or nothing. Raises InputError with
    the line of what is not so.
    """
    cells: list[str] | None = None
    found: dict[str, tuple[list[int], list[bytes], list[int]]] = {}
    number = 0
    for line, text in text_lines(path):
        if not text.strip():
            continue
        row = text.split("\t")
        if cells is None:
            if row[:2] != ["contig", "pos0"] or len(row) < 3 or len(set(row)) != len(row):
                raise InputError(
                    path, f"expected columns contig, pos0 and one a cell, found {text[:60]!r}", record=line
                )
            cells = row[2:]
            continue
        try:
            position, states = int(row[1]), bytes(STATES[value.strip()] for value in row[2:])
        except (IndexError, ValueError):
            raise InputError(path, f"pos0 {row[1:2]} is not a position", record=line) from None
        except KeyError as error:
            raise InputError(path, f"state {error.args[0][:20]!r} is none of 0, 1 and empty", record=line) from None
        if len(states) != len(cells) or position < 0:
            raise InputError(path, f"{len(states)} states for {len(cells)} cells, position {position}", record=line)
        column = found.setdefault(row[0], ([], [], []))
        column[0].append(position)
        column[1].append(states)
        column[2].append(number)
        number += 1
    if not found or cells is None:
        raise InputError(path, "0 records; expected one site a line")
    names = harmonise(found, sizes, str(path))
    calls = {}
    for contig, columns in found.items():
        if contig in names:
            calls[names[contig]] = _sorted(path, contig, *columns, size=sizes[names[contig]])
    return cells, calls


def _sorted(
    path: Path, contig: str, positions: list[int], states: list[bytes], numbers: list[int], *, size: int
) -> Calls:
    order = np.argsort(positions, kind="stable")
    at = np.array(positions, np.int64)[order]
    if len(at) > 1 and np.any(np.diff(at) == 0):
        raise InputError(path, f"{contig}:{at[:-1][np.diff(at) == 0][0]} comes twice")
    if at[-1] >= size:
        raise InputError(path, f"{contig}:{at[-1]} is past the end of the contig ({size:,} bp)")
    matrix = np.frombuffer(b"".join(states), np.uint8).reshape(len(at), -1)
    return Calls(at, matrix[order], np.array(numbers, np.int64)[order])


def calls_of(dataset: Dataset, genome: GenomeReader) -> tuple[list[str], dict[str, Calls]]:
    """Cells, and the calls of each contig, of the table or the files of cells that the section names."""
    source = section(dataset, MethylationWindows).calls
    return read_cells(source, genome) if isinstance(source, list) else read_calls(source, genome.sizes)


def read_cells(paths: list[Path], genome: GenomeReader) -> tuple[list[str], dict[str, Calls]]:
    """Cells and calls of one file of calls each (`seqmill.formats.methylation_layouts`), named by its file name.

    Strands of a CpG are one call at its C: 1 if more than half of its reads are methylated, 0 if fewer, none if half
    are. Sites are numbered in the genome's order.
    """
    cells = [path.name.split(".")[0] for path in paths]
    twice = [cell for cell, number in Counter(cells).items() if number > 1]
    if twice or not cells:
        raise InputError(
            "calls", f"cell {twice[0]!r} comes twice: name files differently" if twice else "no files given"
        )
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for cell, path in enumerate(paths):
        with CallFile(path, genome.sizes, partial=genome.partial, windows=genome.many) as file:
            for contig in file.contigs:
                calls = file.contig(contig)
                clear = calls.fraction != 0.5
                found.setdefault(contig, [(np.zeros(0, np.int64), np.zeros(0, np.uint8))] * len(paths))[cell] = (
                    calls.position[clear].astype(np.int64),
                    (calls.fraction[clear] > 0.5).astype(np.uint8),
                )
    calls_by_contig, number = {}, 0
    for contig in genome.sizes:
        if contig not in found:
            continue
        sites = np.unique(np.concatenate([position for position, _ in found[contig]]))
        states = np.full((len(sites), len(paths)), NONE, np.uint8)
        for cell, (position, state) in enumerate(found.pop(contig)):
            states[np.searchsorted(sites, position), cell] = state
        calls_by_contig[contig] = Calls(sites, states, np.arange(number, number + len(sites)))
        number += len(sites)
    return cells, calls_by_contig


def _genome(dataset: Dataset, genomes: dict[str, Path], where: str) -> tuple[str, GenomeReader]:
    if len(genomes) != 1:
        raise InputError(where, f"methylation needs one genome, found {len(genomes)}")
    if dataset.margin_bp or dataset.negatives:
        raise InputError(where, "methylation takes neither margin_bp nor negatives")
    assembly = next(iter(genomes))
    return assembly, GenomeReader(genomes[assembly])


def choose_rows(*, name: str, dataset: Dataset, sources: Sources) -> Rows:
    """Choose the sites (CpG of the genome, window on the contig, few N) and split them by contigs."""
    where, width, tally = f"datasets.{name}", section(dataset, MethylationWindows).window_bp, Tally()
    assembly, genome = _genome(dataset, sources.genomes, where)
    cells, calls = calls_of(dataset, genome)
    frames = []
    for contig, (positions, states, numbers) in calls.items():
        starts, keep = centred_starts(positions, width), np.ones(len(positions), bool)
        tally.add("found", "sites", POOL, len(positions))
        cpg = genome.many(contig, positions - 1, 3)
        is_cpg = (cpg[:, 1:] == [1, 2]).all(axis=1) | (cpg[:, :2] == [1, 2]).all(axis=1)
        unknown = composition(genome, contig, starts, width)[0]
        for reason, bad in (
            ("no CpG at the position", ~is_cpg),
            ("extent passes the contig's end", ~inside(starts, width, 0, genome.sizes[contig])),
            ("too many N", unknown > dataset.max_n_fraction * width),
            ("no call in any cell", (states == NONE).all(axis=1)),
        ):
            tally.add("filters", reason, POOL, int(np.count_nonzero(bad & keep)))
            keep &= ~bad
        frames.append(pd.DataFrame({"contig": contig, "start": starts[keep], "source_row": numbers[keep]}))
    table = pd.concat(frames, ignore_index=True)
    if table.empty:
        raise InputError(where, "no site is left; " + tally.reasons() + "; are the positions 0-based?")
    groups = table.groupby("contig", sort=False)
    places = {(assembly, str(contig)): part["start"].to_numpy() for contig, part in groups}
    sizes = {(assembly, contig): size for contig, size in genome.sizes.items()}
    plan = make_plan(dataset.split, sizes, Windows(places, width, 0), where)
    for place in places:
        if len(plan.territories[place].folds) != 1:
            raise InputError(
                where,
                f"contig {place[1]} would be in more than one part; neighbouring calls allow whole contigs only: use "
                "split.kind chromosomes with split.valid, or more contigs",
            )
    number = table["contig"].map({contig: plan.territories[(genome_, contig)].folds[0] for genome_, contig in places})
    tally.add("split", "in no part of the split", POOL, int((number < 0).sum()))
    table = table.assign(fold=[plan.folds[i] for i in number])[number.to_numpy() >= 0]
    blank = {"genome": assembly, "strand": 1, "group": "", "name": "", "pool": POOL, "end": table["start"] + width}
    rows = ordered_rows(table.assign(**blank), [POOL], plan.folds, dataset.seed)
    check_extents(rows, 0)
    tally.add_kept(rows)
    return Rows(
        rows,
        tally,
        plan.runs,
        window_bp=width,
        bootstrap_unit="contig",
        made_from=list(sources.genomes.values()),
        attrs={"cells": cells},
    )


def neighbours(calls: Calls, sites: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """States and distances of the nearest calls around sites, in every cell.

    Parameters
    ----------
    sites : int64 (m,), positions.
    count : calls on each side; the nearest comes first, the left side before the right.

    Returns
    -------
    states : uint8 (m, cells, 2 * count), 0, 1, or 2 where there is no further call.
    distances : uint32, same shape, bp; 0 where there is none.
    """
    cells = calls.states.shape[1]
    states = np.full((len(sites), cells, 2 * count), NONE, np.uint8)
    distances = np.zeros((len(sites), cells, 2 * count), np.uint32)
    for cell in range(cells):
        called = np.flatnonzero(calls.states[:, cell] != NONE)
        at, state = calls.positions[called], calls.states[called, cell]
        # one base beside a site is the other strand of its own CpG
        left = np.searchsorted(at, sites - 1, side="left")[:, None] - 1 - np.arange(count)
        right = np.searchsorted(at, sites + 1, side="right")[:, None] + np.arange(count)
        index = np.concatenate([left, right], axis=1)
        there = (index >= 0) & (index < len(at))
        safe = np.where(there, index, 0)
        if len(at):
            states[:, cell] = np.where(there, state[safe], NONE)
            distances[:, cell] = np.where(there, np.abs(at[safe] - sites[:, None]), 0)
    return states, distances


def input_array(
    *,
    name: str,
    dataset: Dataset,
    input_name: str,
    rows: pd.DataFrame,
    rows_attrs: dict[str, Any],
    genomes: dict[str, Path],
) -> Array:
    """The DNA window, uint8 (example, bp), or the calls around it, (example, cells, 2k): states or distances."""
    check_files(dataset, rows_attrs)
    assembly, genome = _genome(dataset, genomes, f"datasets.{name}")
    width = section(dataset, MethylationWindows).window_bp
    if input_name == "sequence":
        spec = ArraySpec(
            "input", input_name, ("example", "bp"), "uint8", (width,), "sequence", bp_per_bin=1, rc="forbidden"
        )
        blocks = sequence_blocks(rows, {assembly: genome}, width, 0, f"datasets.{name}.{input_name}")
        return Array(spec, blocks, made_from=list(genomes.values()))
    which = ["neighbour_states", "neighbour_distances"].index(input_name)
    shape = (len(rows_attrs["cells"]), 2 * section(dataset, MethylationWindows).neighbours)
    dtype, kind = (("uint8", "states"), ("uint32", "distances"))[which]
    spec = ArraySpec("input", input_name, ("example", "cells", "neighbours"), dtype, shape, kind, rc="forbidden")
    _, calls = calls_of(dataset, genome)
    return Array(spec, _neighbour_blocks(dataset, rows, calls, shape, dtype, which), made_from=list(genomes.values()))


def _neighbour_blocks(
    dataset: Dataset, rows: pd.DataFrame, calls: dict[str, Calls], shape: tuple[int, int], dtype: str, which: int
) -> Iterator[np.ndarray]:
    step = max(1, (1 << 20) // (shape[0] * shape[1]))
    with RecordFile(len(rows), shape, dtype) as records:
        for _, contig, numbers, starts in contig_groups(rows):
            sites = starts + section(dataset, MethylationWindows).window_bp // 2
            for at in range(0, len(sites), step):
                found = neighbours(
                    calls[contig], sites[at : at + step], section(dataset, MethylationWindows).neighbours
                )
                records.put(numbers[at : at + step], found[which])
        yield from records.blocks()


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
    """State of the site in each cell, uint8 (example, tracks), masked where there is no call."""
    check_files(dataset, rows_attrs)
    where, target = f"datasets.{name}.targets.{target_name}", dataset.targets[target_name]
    if target.kind != "binary" or target.tracks is not None:
        raise InputError(where, "methylation has targets of kind 'binary'; 'column' names cells, all if not given")
    _, genome = _genome(dataset, genomes, where)
    cells, calls = calls_of(dataset, genome)
    wanted = [target.column] if isinstance(target.column, str) else list(target.column or cells)
    for cell in wanted:
        if cell not in cells:
            raise InputError(where, f"cell {cell!r} is none of {', '.join(cells)[:120]}")
    columns = [cells.index(cell) for cell in wanted]
    states = np.full((len(rows), len(columns)), NONE, np.uint8)
    for _, contig, numbers, starts in contig_groups(rows):
        index = np.searchsorted(calls[contig].positions, starts + section(dataset, MethylationWindows).window_bp // 2)
        states[numbers] = calls[contig].states[index][:, columns]
    spec = ArraySpec(
        role="target",
        name=target_name,
        group=group,
        axes=("example", "tracks"),
        dtype="uint8",
        shape_per_example=(len(wanted),),
        kind="binary",
        tracks=tuple(wanted),
        missing="nan",
    )
    labels, present = np.where(states == NONE, 0, states).astype(np.uint8), states != NONE
    return Array(spec, iter([labels]), iter([present]), made_from=list(genomes.values()))
