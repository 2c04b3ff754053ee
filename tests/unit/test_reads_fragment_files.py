"""Fragment files and cell tables as the fragments of a library: known answers, copies, pseudobulk and refusals."""

import gzip

import numpy as np
import pytest

from seqmill.formats import text
from seqmill.reads.cells import group_barcodes, read_cells
from seqmill.reads.fragment_files import read_fragment_file
from seqmill.runtime.errors import InputError

SIZES = {"chr1": 1000, "chr2": 500, "chrM": 100}
CELLS = "barcode\tgroup\nAAA-1\tB cells\nCCC-1\tT cells\nGGG-1\tB cells\nTTT-1\tT cells\n"
TENX = """# id=example
# primary_contig=chr1
chr1\t50\t200\tAAA-1\t1
chr1\t10\t90\tCCC-1\t2
chr2\t5\t60\tGGG-1\t4
chr1\t10\t90\tAAA-1\t1
chr1\t700\t990\tAAC-1\t3
chrM\t1\t90\tAAA-1\t9
GL000009.1\t1\t90\tAAA-1\t9
"""


def rows(found: dict) -> dict[str, list[tuple[int, int, int]]]:
    return {contig: list(zip(*(column.tolist() for column in one))) for contig, one in found.items()}


def written(tmp_path, content: str, name: str = "fragments.tsv"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith("gz") else content.encode())
    return path


def test_10x_file_by_its_count_column(tmp_path):
    path = written(tmp_path, TENX, "fragments.tsv.gz")
    found, counts = read_fragment_file(path, SIZES, excluded=["chrM", "MT"])
    assert rows(found) == {
        "chr1": [(10, 90, 0), (10, 90, 0), (50, 200, 0), (700, 990, 0)],
        "chr2": [(5, 60, 0)],
        "chrM": [(1, 90, 0)],
    }
    assert [column.dtype for column in found["chr1"]] == [np.int32, np.int32, np.int8]
    assert counts == {
        "comment lines": 2,
        "contigs not in the genome": 1,
        "fragments": 5,
        "fragments_before_duplicates": 11,
        "distinct": 5,
        "once": 2,
        "twice": 1,
    }


def test_three_columns_tell_copies_by_their_place(tmp_path):
    content = "1\t50\t200\n1\t10\t90\n2\t5\t60\n1\t50\t200\n1\t50\t201\n2\t5\t60\n2\t5\t60\n"
    found, counts = read_fragment_file(written(tmp_path, content), SIZES)
    assert rows(found) == {
        "chr1": [(10, 90, 0), (50, 200, 0), (50, 200, 0), (50, 201, 0)],
        "chr2": [(5, 60, 0)] * 3,
    }
    names = ("fragments", "fragments_before_duplicates", "distinct", "once", "twice")
    assert [counts[name] for name in names] == [7, 7, 4, 2, 1]


def test_four_columns_do_not_tell_copies(tmp_path):
    found, counts = read_fragment_file(written(tmp_path, "chr1\t1\t9\tread1\nchr1\t1\t9\tread2\n"), SIZES)
    assert rows(found) == {"chr1": [(1, 9, 0)] * 2}
    assert counts == {"fragments": 2}


def test_bedpe_is_the_span_of_both_mates(tmp_path):
    content = "chr1\t100\t150\tchr1\t20\t70\tx\t60\t-\t+\nchr1\t5\t9\tchr2\t5\t9\ty\t60\t-\t+\n"
    found, counts = read_fragment_file(written(tmp_path, content, "a.bedpe"), SIZES)
    assert rows(found) == {"chr1": [(20, 150, 0)]}
    assert counts["mates on two contigs or unmapped"] == 1 and counts["distinct"] == counts["once"] == 1


@pytest.mark.parametrize("small_blocks", [False, True])
def test_windows_lines_comments_unsorted_and_blocks(tmp_path, monkeypatch, small_blocks):
    """Carriage returns, a comment in the middle, any order, unknown contigs: the same as the clean file."""
    if small_blocks:
        monkeypatch.setattr(text, "BLOCK_BYTES", 40)
    messy = (TENX + "# end\nchr2\t7\t60\tTTT-1\t1\n\n").replace("\n", "\r\n")
    found, counts = read_fragment_file(written(tmp_path, messy, "a.tsv.gz"), SIZES)
    assert rows(found) == {
        "chr1": [(10, 90, 0), (10, 90, 0), (50, 200, 0), (700, 990, 0)],
        "chr2": [(5, 60, 0), (7, 60, 0)],
        "chrM": [(1, 90, 0)],
    }
    assert counts["comment lines"] == 3 and counts["contigs not in the genome"] == 1
    names = ("fragments", "fragments_before_duplicates", "distinct", "once", "twice")
    assert [counts[name] for name in names] == [7, 21, 7, 3, 1]


def test_a_piece_of_an_assembly_drops_what_ends_past_it(tmp_path):
    path = written(tmp_path, "chr2\t490\t501\nchr2\t600\t700\nchr2\t490\t500\n")
    found, counts = read_fragment_file(path, SIZES, partial=True)
    assert rows(found) == {"chr2": [(490, 500, 0)]} and counts["past the end of the contig"] == 2


def test_groups_partition_the_fragments_of_matched_cells(tmp_path):
    path, cells = written(tmp_path, TENX), written(tmp_path, CELLS, "cells.tsv")
    one, counts = read_fragment_file(path, SIZES, cells=cells, group="B cells")
    other, others = read_fragment_file(path, SIZES, cells=cells, group="T cells")
    assert rows(one) == {"chr1": [(10, 90, 0), (50, 200, 0)], "chr2": [(5, 60, 0)], "chrM": [(1, 90, 0)]}
    assert rows(other) == {"chr1": [(10, 90, 0)]}
    assert counts["cells_matched"] == 2 and dict(counts)["cells_missing"] == 0
    assert others["cells_matched"] == 1 and others["cells_missing"] == 1
    assert counts["fragments_of_other_cells"] == 2 and others["fragments_of_other_cells"] == 6
    assert [dict(counts)[name] for name in ("fragments_before_duplicates", "once", "twice")] == [15, 2, 0]


def test_cell_table_with_other_columns_windows_lines_and_comments(tmp_path):
    content = "# clusters\r\ncluster\tbarcode\tgroup\r\n3\tAAA-1\tB cells\r\n\r\n4\tCCC-1\tT\r\n"
    path = written(tmp_path, content, "cells.tsv.gz")
    assert read_cells(path) == {"AAA-1": "B cells", "CCC-1": "T"}
    assert group_barcodes(path, "T") == {"CCC-1"}


BAD_CELLS = {
    "no barcode": ("cell\tgroup\nA\tx\n", ":1: column 'barcode' missing; found: cell, group; is it tab-separated?"),
    "no group": ("barcode,group\nA,x\n", ":1: column 'barcode' missing; found: barcode,group; is it tab-separated?"),
    "column twice": ("barcode\tgroup\tgroup\n", ":1: column 'group' given twice; is it tab-separated?"),
    "barcode twice": ("barcode\tgroup\nA\tx\nB\tx\nA\ty\n", ":4: barcode 'A' is on line 2 too"),
    "columns": ("barcode\tgroup\nA\n", ":2: 1 columns, the header has 2; use tabs"),
    "empty barcode": ("barcode\tgroup\n\tx\n", ":2: barcode is empty"),
    "empty group": ("barcode\tgroup\nA\t\n", ":2: group is empty"),
    "no cells": ("barcode\tgroup\n", ": 0 cells; expected a header with 'barcode' and 'group', and one line a cell"),
    "nothing": ("", ": 0 cells; expected a header with 'barcode' and 'group', and one line a cell"),
}


@pytest.mark.parametrize("case", BAD_CELLS)
def test_bad_cell_tables(tmp_path, case):
    content, message = BAD_CELLS[case]
    path = written(tmp_path, content, "cells.tsv")
    with pytest.raises(InputError) as caught:
        read_cells(path)
    assert str(caught.value) == f"{path}{message}"


def test_unknown_group_lists_the_groups(tmp_path):
    cells = written(tmp_path, CELLS, "cells.tsv")
    with pytest.raises(InputError) as caught:
        read_fragment_file(written(tmp_path, TENX), SIZES, cells=cells, group="NK")
    assert str(caught.value) == f"{cells}: no group 'NK'; it has (cells): B cells (2), T cells (2)"


def test_many_groups_are_not_all_listed(tmp_path):
    content = "barcode\tgroup\n" + "".join(f"A{i}\tg{i}\n" for i in range(12))
    with pytest.raises(InputError, match=r"g0 \(1\), .*g9 \(1\), \.\.\. \(12 groups\)$"):
        group_barcodes(written(tmp_path, content, "cells.tsv"), "NK")


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("barcode\tgroup\nAAA\tB\nCCC\tB\n", " (one side has the suffix '-1' of 10x, the other has not)"),
        ("barcode\tgroup\nAGA-1\tB\nAGC-1\tB\n", ""),
    ],
)
def test_no_barcode_matches(tmp_path, content, hint):
    path, cells = written(tmp_path, TENX), written(tmp_path, content, "cells.tsv")
    ours = "AAA, CCC" if hint else "AGA-1, AGC-1"
    with pytest.raises(InputError) as caught:
        read_fragment_file(path, SIZES, cells=cells, group="B")
    assert str(caught.value) == (
        f"{path}: 0 of 2 barcodes of group 'B' in {cells} are in this file: it has AAA-1, CCC-1, GGG-1; "
        f"the group has {ours}{hint}"
    )


BAD_FRAGMENTS = {
    "count 0": ("chr1\t1\t9\tA\t1\nchr1\t1\t9\tA\t0\n", ":2: count '0' is no whole number above 0"),
    "count of another kind": ("chr1\t1\t9\tA\t0.5\n", ":1: count '0.5' is no whole number above 0"),
    "past the end": ("chr2\t1\t501\tA\t1\n", ":1: chr2:1-501 ends past the contig (500 bp)"),
    "six columns": (
        "chr1\t1\t9\tA\t1\t+\n",
        ":1: end2 '+' is not a whole number",
    ),
    "backwards": ("chr1\t9\t1\tA\t1\n", ":1: start 9 is behind end 1"),
    "other names": ("scaffold_1\t1\t9\tA\t1\n", ": no contig is in the genome"),
    "nothing": ("# x\n", ": 0 records"),
}


@pytest.mark.parametrize("case", BAD_FRAGMENTS)
def test_bad_fragment_files(tmp_path, case):
    content, message = BAD_FRAGMENTS[case]
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_fragment_file(path, SIZES)
    assert str(caught.value).startswith(f"{path}{message}")


def test_cell_table_without_barcodes_in_the_file(tmp_path):
    path, cells = written(tmp_path, "chr1\t1\t9\n"), written(tmp_path, CELLS, "cells.tsv")
    with pytest.raises(InputError) as caught:
        read_fragment_file(path, SIZES, cells=cells, group="B cells")
    assert str(caught.value) == (f"{path}: has no barcode column (the fourth of up to five), but a cell table is given")


def test_a_count_that_the_quick_reader_leaves_to_the_slow_one(tmp_path):
    """Barcodes that look hexadecimal go line by line: the same answer."""
    found, counts = read_fragment_file(written(tmp_path, TENX.replace("AAC-1", "0xAC")), SIZES)
    assert rows(found)["chr1"] == [(10, 90, 0), (10, 90, 0), (50, 200, 0), (700, 990, 0)]
    assert counts["fragments_before_duplicates"] == 20 and counts["once"] == 2
