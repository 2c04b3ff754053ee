"""The genome store against the text of its FASTA file."""

import logging

import numpy as np
import pytest
from tests.unit.store_examples import CONTIGS, write_toy_fasta

from seqmill.config.sources import Genome
from seqmill.runtime.errors import DamageError, InputError
from seqmill.stores.genome import GenomeReader, build_genome


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Reader of the toy genome and its letters by contig, read by plain Python."""
    folder = tmp_path_factory.mktemp("genome")
    fasta = write_toy_fasta(folder)
    build_genome(folder / "toy.zarr", name="toy 1", genome=Genome(fasta=fasta))
    letters: dict[str, str] = {}
    for line in fasta.read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            letters[name] = ""
        else:
            letters[name] += line
    return GenomeReader(folder / "toy.zarr"), letters


def slow_codes(text: str) -> list[int]:
    return [{"A": 0, "C": 1, "G": 2, "T": 3}.get(letter, 4) for letter in text.upper()]


def test_attributes(toy):
    reader, letters = toy
    assert reader.name == "toy 1"
    assert reader.sizes == CONTIGS
    assert list(reader.sizes) == ["chr1", "chr2"]
    assert reader.marker.attrs["n_count"] == sum(text.count("N") for text in letters.values())
    assert reader.marker.attrs["iupac"]["chr1"]["R"] == letters["chr1"].count("R")


@pytest.mark.parametrize(
    ("start", "end"), [(0, 3001), (17, 18), (8, 1003), (2990, 3020), (-5, 7), (-9, -2), (4000, 4003)]
)
def test_windows_and_their_edges(toy, start, end):
    reader, letters = toy
    padded = "N" * 10 + letters["chr1"] + "N" * 2000
    text = padded[start + 10 : end + 10]
    assert reader.codes("chr1", start, end).tolist() == slow_codes(text)
    assert reader.softmask("chr1", start, end).tolist() == [letter.islower() for letter in text]


def test_many_windows_in_any_order(toy):
    reader, letters = toy
    starts = np.array([250, -3, 5, 5, 100, 256])
    found = reader.many("chr2", starts, 12)
    padded = "N" * 10 + letters["chr2"] + "N" * 20
    assert found.tolist() == [slow_codes(padded[s + 10 : s + 22]) for s in starts]
    assert reader.many("chr2", [], 12).shape == (0, 12)


def test_many_windows_far_apart(tmp_path):
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("ACGT"), 700_000))
    (tmp_path / "x.fa").write_text(f">x\n{text}\n")
    build_genome(tmp_path / "x.zarr", name="x", genome=Genome(fasta=tmp_path / "x.fa"))
    starts = np.array([0, 10, 400_000, 699_990])
    found = GenomeReader(tmp_path / "x.zarr").many("x", starts, 10)
    assert found.tolist() == [slow_codes(text[s : s + 10]) for s in starts]


def test_unknown_contig(toy):
    with pytest.raises(InputError, match=r"no contig 'chrX'; it has 2: chr1, chr2"):
        toy[0].codes("chrX", 0, 1)


def test_chosen_contigs(tmp_path):
    fasta = write_toy_fasta(tmp_path)
    build_genome(tmp_path / "g.zarr", name="g", genome=Genome(fasta=fasta, contigs=["chr2"]))
    assert GenomeReader(tmp_path / "g.zarr").sizes == {"chr2": 257}
    with pytest.raises(InputError, match=r"toy.fa: has no contig chr9, which 'contigs' asks for"):
        build_genome(tmp_path / "h.zarr", name="h", genome=Genome(fasta=fasta, contigs=["chr9"]))
    assert not [path for path in tmp_path.iterdir() if "h.zarr" in path.name and path.is_dir()]


def test_sizes_file_must_agree(tmp_path):
    fasta = write_toy_fasta(tmp_path)
    (tmp_path / "sizes").write_text("chr1\t3001\nchr2\t258\n")
    with pytest.raises(InputError, match="chr2"):
        build_genome(tmp_path / "g.zarr", name="g", genome=Genome(fasta=fasta, sizes=tmp_path / "sizes"))
    assert not (tmp_path / "g.zarr").exists()


def test_ambiguity_is_warned_of_once_above_5_percent(tmp_path, caplog):
    (tmp_path / "x.fa").write_text(">x\n" + "ACGTR" * 20 + "\n")
    with caplog.at_level(logging.WARNING, "seqmill"):
        build_genome(tmp_path / "x.zarr", name="x", genome=Genome(fasta=tmp_path / "x.fa"))
    assert len([r for r in caplog.records if "20.0 % of x are ambiguity letters" in r.getMessage()]) == 1


def test_alternate_contigs_are_warned_of(tmp_path, caplog):
    names = ["chr1", "chr1_KI270762v1_alt", "chrUn_KI270302v1", "chrEBV", "hs37d5", "chr6_GL000250v2_alt"]
    (tmp_path / "x.fa").write_text("".join(f">{name}\nACGT\n" for name in names))
    with caplog.at_level(logging.WARNING, "seqmill"):
        build_genome(tmp_path / "x.zarr", name="x", genome=Genome(fasta=tmp_path / "x.fa"))
        expected = (
            "4 alternate, decoy or virus contig(s) are used like chromosomes (chr1_KI270762v1_alt, chrEBV, hs37d5"
        )
        assert expected in caplog.text
        caplog.clear()
        build_genome(tmp_path / "y.zarr", name="y", genome=Genome(fasta=tmp_path / "x.fa", contigs=["chr1"]))
        assert caplog.text == ""


def test_same_bytes_twice_and_damage(tmp_path):
    fasta = write_toy_fasta(tmp_path)
    for i in "ab":
        build_genome(tmp_path / i / "g.zarr", name="g", genome=Genome(fasta=fasta))
    assert GenomeReader(tmp_path / "a/g.zarr").digest == GenomeReader(tmp_path / "b/g.zarr").digest
    shard = tmp_path / "a/g.zarr/softmask/chr1/c/0"
    raw = bytearray(shard.read_bytes())
    raw[20] ^= 1
    shard.write_bytes(raw)
    with pytest.raises(DamageError, match=r"softmask/chr1/c/0: content changed"):
        GenomeReader(tmp_path / "a/g.zarr").softmask("chr1", 0, 3001)
