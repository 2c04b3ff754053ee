"""Parts of the scoring of variants on their own: effects of each kind, kept chunks, real files on a real genome."""

import json

import jax.numpy as jnp
import numpy as np
from tests.unit.network_toys import target

from seqmill.config.sources import Genome
from seqmill.effects.variants.alleles import Examiner
from seqmill.effects.variants.effects import check_effects, divergence, effects_of, fits, reducer
from seqmill.effects.variants.state import ChunkStore
from seqmill.stores.genome import GenomeReader, build_genome


def test_chunks_of_another_plan_are_not_used(tmp_path):
    import pyarrow as pa

    store = ChunkStore(tmp_path / "state", {"a": 1})
    store.write(0, pa.table({"x": [1]}))
    assert store.has(0) and not store.has(1) and store.read(0).to_pydict() == {"x": [1]}
    assert ChunkStore(tmp_path / "state", {"a": 1}).has(0)
    assert not ChunkStore(tmp_path / "state", {"a": 2}).has(0)
    assert json.loads((tmp_path / "state/plan.json").read_text())["a"] == 2


def test_divergence_in_bits():
    p = np.array([[[1, 1.0, 2, 0]], [[0, 1, 2, 0]]]).transpose(1, 0, 2)  # (1, 2 bins, 4 tracks)
    q = np.array([[[0, 3.0, 5, 1]], [[7, 1, 5, 1]]]).transpose(1, 0, 2)
    middle = -(0.625 * np.log2(0.625) + 0.375 * np.log2(0.375))
    expected = middle - (1 + -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))) / 2
    np.testing.assert_allclose(divergence(p, q)[0], [1, expected, 0, np.nan], atol=1e-12)


def test_effects_of_profiles_and_kinds():
    specs = {"p": target("p", 2, "profile", 3), "c": target("c", 1, "count"), "f": target("f", 1, "fraction", 2)}
    wanted = check_effects(["diff", "logfc", "score", "jsd"], specs, list(specs), "here")
    assert ("c", "jsd") not in wanted and ("p", "jsd") in wanted and ("f", "jsd") not in wanted
    assert not fits("logfc", target("q", 1, "quantity"))
    p = np.arange(1, 13, dtype=np.float32).reshape(2, 3, 2)
    c, f = np.array([[3.0], [7.0]], np.float32), np.array([[[0.2], [0.4]], [[0.5], [0.7]]], np.float32)
    kept = reducer(specs, wanted)({"p": jnp.asarray(p), "c": jnp.asarray(c), "f": jnp.asarray(f)})
    kept = {name: {key: np.asarray(x) for key, x in parts.items()} for name, parts in kept.items()}
    (found,) = effects_of(kept, specs, wanted, np.array([0]), np.array([1]))
    total = p.sum(axis=1)
    expected = [
        *(total[1] - total[0]),
        *np.log2((total[1] + 1) / (total[0] + 1)),
        *np.log((total[1] + 1) / (total[0] + 1)),
    ]
    expected += [*divergence(p[:1], p[1:])[0], 4, np.log2(8 / 4), np.log(8 / 4)]
    expected += [0.3, np.log2((0.6 + 1e-6) / (0.3 + 1e-6)), np.log(0.6 / 0.4) - np.log(0.3 / 0.7)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_real_sites(test_data, tmp_path):
    """Plain gzip of the 1000 Genomes on a piece of GRCh37, and measured QTLs."""
    from seqmill.effects.variants.survey import contig_names, survey
    from seqmill.formats.variants import open_variants

    store = tmp_path / "hg19.zarr"
    build_genome(
        store, name="hg19", genome=Genome(fasta=test_data / "hg19_chr1/genome/chr1_10MB.fasta.gz", partial=True)
    )
    genome = GenomeReader(store)
    for file, n in (("hg19_chr1/variants/1kg_head.vcf.gz", 9961), ("variants/qtl_mapped/hg19_chr1.dsQTL.vcf", None)):
        source = open_variants(test_data / file)
        names, records = contig_names(source, genome, 4096)
        assert names == {"1": "1"} and records == (n or records)
        found = survey(source, Examiner(genome, names, window_bp=600), 0.99, 4096)
        assert found.ref_match == 1.0 and found.records == records
