"""Version of each noun's layout and meaning. Raise one when its outputs would change: Snakemake then re-runs them."""

from seqmill.simulate import FORMAT as WORLD_FORMAT
from seqmill.sources import FORMAT as SOURCE_FORMAT

FORMATS = {
    "world": WORLD_FORMAT,
    "source": SOURCE_FORMAT,
    "genome": 1,
    "aligner": 1,
    "library": 1,
    "experiment": 1,
    "quality": 1,
    "track": 1,
    "dataset": 1,
    "model": 1,
    "search": 1,
    "curve": 1,
    "predictions": 2,
    "map": 1,
    "motifs": 1,
    "variants": 1,
    "measured": 1,
    "evaluation": 3,
    "exports": 1,
    "report": 4,
}
