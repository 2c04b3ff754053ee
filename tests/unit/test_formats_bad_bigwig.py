"""bigWig files that cannot be used: the message of each, and no crash, hang or escape from forged ones."""

import random
import struct

import numpy as np
import pytest
from tests.unit.signal_examples import SIZES, content, write_bigwig

from seqmill.formats.signal import open_signal
from seqmill.runtime.errors import InputError, SeqmillError, WorkerError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_bigwig(tmp_path_factory.mktemp("bw") / "x.bw", content(1)).read_bytes()


def read_all(path, **options):
    with open_signal(path, "bigwig", SIZES, **options) as reader:
        return [reader.bins(name, 0, -(-SIZES[name] // 32), 32) for name in reader.contigs]


def fails(path, **options):
    with pytest.raises(SeqmillError) as error:
        read_all(path, **options)
    return error.value


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\xeb\xf2\x89\x87", "is a bigBed, expected a bigWig"),
        (b"\x87\x89\xf2\xeb", "is a bigBed, expected a bigWig"),
        (b"BAM\x01", "not a bigWig (magic 0x014D4142, expected 0x888FFC26)"),
        (b"<htm", "not a bigWig (magic 0x6D74683C, expected 0x888FFC26)"),
        (b"", "not a bigWig (magic missing, expected 0x888FFC26)"),
        (b"\x26\xfc", "not a bigWig (magic missing, expected 0x888FFC26)"),
    ],
)
def test_magic(tmp_path, head, message):
    path = tmp_path / "x.bw"
    path.write_bytes(head + bytes(100) if len(head) == 4 else head)
    error = fails(path)
    assert isinstance(error, InputError)
    assert str(error) == f"{path}: {message}"


@pytest.mark.parametrize("size", [10, 63, 70, 400, 0.3, 0.6, 0.9])
def test_truncated(tmp_path, whole, size):
    path = tmp_path / "x.bw"
    path.write_bytes(whole[: size if isinstance(size, int) else int(size * len(whole))])
    error = fails(path)
    assert isinstance(error, InputError)
    assert str(error).startswith(f"{path}: truncated: ")


def test_other_assembly(tmp_path):
    path = write_bigwig(tmp_path / "x.bw", content(1), sizes={"1": 5004, "2": 301})
    assert str(fails(path)) == (
        f"{path}: 1 contig length(s) differ from the genome: 1 5,004 in the file, 5,003 in the genome "
        "(another assembly, or is the genome only a piece of one: partial: true?)"
    )
    assert len(read_all(path, partial=True)) == 2


def test_no_contig_of_the_genome(tmp_path, whole):
    path = tmp_path / "x.bw"
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"no contig is in the genome .* the file has 1, 2; the genome has ctgA"):
        open_signal(path, "bigwig", {"ctgA": 5})


def test_no_data(tmp_path):
    path = write_bigwig(tmp_path / "x.bw", {"chr1": [(4000, 4100, 1.0)]}, sizes={"1": 5003, "2": 301})
    with pytest.raises(InputError) as error:
        open_signal(path, "bigwig", {"chr2": 301})
    assert str(error.value) == f"{path}: no data: 0 covered bases on the 1 contig(s) shared with the genome"
    with pytest.raises(InputError, match="0 covered bases"):
        open_signal(path, "bigwig", {"chr1": 3000}, partial=True)


def test_infinite_value(tmp_path):
    path = write_bigwig(tmp_path / "x.bw", {"chr1": [(5, 9, 1.0), (40, 50, float("-inf"))]})
    assert str(fails(path)) == f"{path}:1: infinite value, first at 1:40 (0-based)"


def test_negative_values_are_counted(tmp_path):
    path = write_bigwig(tmp_path / "x.bw", {"chr1": [(5, 9, -3.25), (64, 96, -1.0), (100, 101, 1.0)]})
    with open_signal(path, "bigwig", SIZES) as reader:
        reader.bins("chr1", 0, 100, 1, "sum")
        assert reader.counts["bins below zero"] == 4 + 32
        assert reader.value_range == (-3.25, 0.0)


def mutants(data, count):
    """Flipped bytes (headers and index weighted), cut and zeroed stretches."""
    rng = random.Random(7)
    for number in range(count):
        changed = bytearray(data)
        area = rng.choice([64, 600, len(data)])
        if number % 3 == 0:
            start = rng.randrange(4, min(area, len(data)) - 8)
            changed[start : start + rng.choice([1, 2, 4, 8])] = b"\xff" * rng.choice([1, 2, 4, 8])
        elif number % 3 == 1:
            for _ in range(rng.choice([1, 5])):
                changed[rng.randrange(4, min(area, len(data)))] ^= 1 << rng.randrange(8)
        else:
            start = rng.randrange(64, len(data) - 40)
            changed[start : start + 40] = bytes(40)
        yield bytes(changed)


@pytest.mark.slow
def test_mutants_do_no_harm(tmp_path, whole):
    """An error that names the file, or an answer of the right shape; the process stays and takes the next file."""
    path = tmp_path / "x.bw"
    messages, answers = [], 0
    for changed in mutants(whole, 60):
        path.write_bytes(changed)
        try:
            parts = read_all(path, timeout_s=20)
        except (InputError, WorkerError) as error:
            messages.append(str(error))
        else:
            answers += all(part.dtype == np.float32 for part in parts)
    assert len(messages) + answers == 60
    assert len(messages) >= 15
    assert all(str(path) in message for message in messages)
    path.write_bytes(whole)
    assert len(read_all(path)) == 2


@pytest.mark.parametrize("forged", [5, 0x7FFFFFFF, 0xFFFFFFFF])
def test_forged_chromosome_id(tmp_path, whole, forged):
    """The id of a chromosome is an index in other readers, which write outside their memory for these files."""
    tree = struct.unpack_from("<Q", whole, 8)[0]
    key_size = struct.unpack_from("<I", whole, tree + 8)[0]
    changed = bytearray(whole)
    struct.pack_into("<I", changed, tree + 32 + 4 + key_size, forged)
    path = tmp_path / "x.bw"
    path.write_bytes(bytes(changed))
    error = fails(path)
    assert str(path) in str(error)


@pytest.mark.parametrize("count", [1, 3, 2**60])
def test_forged_number_of_chromosomes(tmp_path, whole, count):
    tree = struct.unpack_from("<Q", whole, 8)[0]
    changed = bytearray(whole)
    struct.pack_into("<Q", changed, tree + 16, count)
    path = tmp_path / "x.bw"
    path.write_bytes(bytes(changed))
    assert str(fails(path)).startswith(f"{path}: damaged bigWig: the ids of its {count} chromosome(s)")
