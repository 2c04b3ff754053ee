"""Genes from all formats are the same genes; bad lines are named."""

import gzip

import pytest

from seqmill.formats.genes import read_genes
from seqmill.runtime.errors import InputError

SIZES = {"chr1": 10_000, "chr2": 5000}
PLACES = {"chr1": [(100, 400)]}
BED = (
    "track name=x\nchr1\t99\t300\tG\t0\t-\t120\t260\t0\t2\t51,40,\t0,161,\n"
    "chr1\t500\t600\tfar\t0\t+\t500\t600\t0\t1\t100\t0\n"
)
EXON = '1\tsrc\t{}\t{}\t{}\t.\t-\t.\tgene_id "g"; transcript_id "t1"; gene_name "G";\n'
PIECES = [("exon", 261, 300), ("exon", 100, 150), ("CDS", 121, 150), ("CDS", 255, 260)]
GTF = '#!x\n1\tsrc\tgene\t100\t300\t.\t-\t.\tgene_id "g";\n' + "".join(EXON.format(*piece) for piece in PIECES)
REF_FLAT = "G\tNM_1\tchr1\t-\t99\t300\t120\t260\t2\t99,260,\t150,300,\n"
REF_GENE = "7\tNM_1\tchr1\t-\t99\t300\t120\t260\t2\t99,260,\t150,300,\t0\tG\tcmpl\n"


@pytest.mark.parametrize("text", [BED, GTF, REF_FLAT, REF_GENE], ids=["bed", "gtf", "refFlat", "refGene"])
@pytest.mark.parametrize("packed", [False, True])
def test_one_gene_in_every_format(tmp_path, text, packed):
    path = tmp_path / "genes"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    (gene,) = read_genes(path, SIZES, PLACES)
    assert (gene.name, gene.contig, gene.start, gene.end, gene.strand) == ("G", "chr1", 99, 300, -1)
    assert gene.exons == [(99, 150), (260, 300)] and gene.coding == (120, 260)


def test_short_bed_and_places_without_genes(tmp_path):
    path = tmp_path / "genes.bed"
    path.write_text("1\t50\t120\n2\t0\t50\tother\t0\t+\n")
    (gene,) = read_genes(path, SIZES, PLACES)
    assert (gene.name, gene.exons, gene.coding, gene.strand) == ("1:50-120", [(50, 120)], None, 0)
    assert read_genes(path, SIZES, {"chr1": [(120, 130)]}) == []
    assert [gene.name for gene in read_genes(path, SIZES, {"chr2": [(49, 51)]})] == ["other"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no gene: expected BED, GTF, refFlat or refGene, found no line of data"),
        ("chr1\tx\n", ":1: 2 columns that are none of a gene: expected BED (start in column 2)"),
        ("chr1\t1\t20\nchr1\tx\t30\n", ":2: invalid literal for int() with base 10: 'x' in 'chr1 x 30'"),
        ("chr1\t30\t20\n", ":1: a gene from 30 to 20"),
        (BED.replace("51,40,", "51,"), ":2: blockCount 2, but 1 sizes and 2 starts"),
        (BED.replace("0,161,", "0,170,"), ":2: a block ends behind the end 300"),
        (REF_FLAT.replace("150,300,", "150,"), ":1: exonCount 2, but 2 starts and 1 ends"),
        ('1\ts\texon\t1\t9\t.\t+\t.\tgene_id "g";\n', ":1: an exon without transcript_id"),
        ("1\ts\texon\t1\t9\t.\t+\t.\tID=e1;Parent=t1\n", ":1: looks like GFF3 ('ID=e1;Parent=t1'); expected GTF"),
        ("scaffold\t1\t20\n", "scaffold"),
    ],
)
def test_bad_lines_are_named(tmp_path, text, message):
    path = tmp_path / "genes"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_genes(path, SIZES, PLACES)
    assert message in str(caught.value)
