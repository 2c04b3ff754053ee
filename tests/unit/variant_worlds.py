"""Files of variants on the toy genome, and their scores by its networks."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from tests.unit import effects_world as world

from seqmill.config.variants import VariantSet
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.variants.build import score_variants
from seqmill.stores.variants import VariantsReader

TEXT = world.genome_text()
BP, HALF = world.BP, world.BP // 2
ENSEMBLES: dict = {}


def make(folder):
    """A genome, a dataset on it, and networks of two folds; rows of fold v end at 39,060, behind them all is unseen."""
    genome, dataset = world.write_genome(folder), world.write_dataset(folder)
    models = [world.train(folder, dataset, fold, 0) for fold in ("0", "1")]
    return SimpleNamespace(folder=folder, genome=genome, dataset=dataset, models=models)


def ensemble(models, prediction):
    """Networks of the same folders are loaded and compiled once for all tests."""
    key = str(models), prediction.model_dump_json()
    if key not in ENSEMBLES:
        ENSEMBLES[key] = Ensemble(models, prediction)
    return ENSEMBLES[key]


def other(base):
    return "ACGT"[("ACGT".index(base) + 1) % 4]


def snv(contig, position_1based, **more):
    ref = TEXT["chr" + contig.removeprefix("chr")][position_1based - 1]
    return {"c": contig, "p": position_1based, "i": ".", "r": ref, "a": other(ref)} | more


def vcf(path, rows, head="##fileformat=VCFv4.2\n"):
    body = "".join("\t".join(str(row[key]) for key in "cpira") + "\n" for row in rows)
    path.write_text(head + "#CHROM\tPOS\tID\tREF\tALT\n" + body)
    return path


def score(made, path, out=None, prediction=world.PLAIN, models=None, **more):
    out = out or path.parent / "variants/s"
    section = VariantSet(model="net", file=str(path), **more)
    score_variants(
        out, name="s", section=section, genome=made.genome, models=models or made.models, prediction=prediction,
        datasets=[made.dataset], state=out.with_name(".s.state"),
    )  # fmt: skip
    return VariantsReader(out)


def whole(reader):
    return pd.concat(list(reader.table()), ignore_index=True)


def window(contig, start, ref, alt):
    """Letters of the window of an allele, N beyond the contig."""
    text = "N" * BP + TEXT[contig] + "N" * BP
    edited = text[: start + BP] + alt + text[start + BP + len(ref) :]
    return edited[start + BP - HALF : start + BP + HALF]


def levels(model, letters):
    """Value of "level" and logit of "bound" of one window, by loops."""
    found = []
    for name in ("level", "bound"):
        kernel, bias = world.weights(model)[name]
        found.append(bias + sum(kernel[at, "ACGT".index(c)] for at, c in enumerate(letters) if c != "N"))
    return found


def truth(models, contig, start, ref, alt):
    """Mean over models of: diff of level (2), diff, score and logfc of bound."""
    return np.mean(
        [effects(model, window(contig, start, ref, ref), window(contig, start, ref, alt)) for model in models], axis=0
    )


def effects(model, before, after):
    """Of one model and two windows: diff of level (2), diff, score and logfc of bound."""
    (before, logit0), (after, logit1) = levels(model, before), levels(model, after)
    p0, p1 = (1 / (1 + np.exp(-x)) for x in (logit0, logit1))
    return np.array([*(after - before), *(p1 - p0), *(logit1 - logit0), *np.log2((p1 + 1e-6) / (p0 + 1e-6))])
