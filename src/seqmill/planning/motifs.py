"""How much work motifs will be, by the configuration."""

from collections.abc import Iterator

from seqmill.config.motifs import model_of
from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.planning.effects import Amount

PATTERNS = 20  # that a search finds, say


def motif_amounts(project: Project) -> Iterator[Amount]:
    """Sequences that motifs are tried in, of every section; at most so many. The search in a map is not among them."""
    config = project.config
    for name, section in config.motifs.items():
        model = model_of(config, section)
        marginal, spacing, sequences = section.marginal, section.spacing, 0
        if marginal:
            tried = PATTERNS if marginal.motifs == "found" else len(marginal.motifs)
            sequences += marginal.backgrounds * (1 + 2 * tried)
        if spacing:
            sequences += spacing.backgrounds * (1 + len(spacing.pairs) * (2 + 6 * len(spacing.distances_bp)))
        runs = len(project.seeds(model)) * len(project.folds(model))
        yield Amount("motifs", name, f"motifs/{slug(name)}", config.models[model].dataset, sequences, runs, 0, 0)
