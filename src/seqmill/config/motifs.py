"""The section of motifs: what a network reads, found in a map and tried in backgrounds."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from seqmill.config.base import File, Section
from seqmill.runtime.errors import InputError

PATTERN = re.compile(r"(?:.+\.)?(?:pos|neg)_\d+")
"""Names of patterns: ``pos_0``; ``{target}.pos_0`` where several targets or tracks are searched."""

Pair = Annotated[list[str], Field(min_length=2, max_length=2)]


class Modisco(Section):
    """How TF-MoDISco searches a map; the words of its own command are given in brackets."""

    window_bp: int | None = Field(
        None, ge=20, description="So many bases in the middle of each region (-w); all of the longest one if none."
    )
    max_seqlets: int = Field(2000, ge=101, description="Most seqlets of each sign that are clustered (-n).")
    leiden_runs: int = Field(2, ge=1, description="Clusterings with different seeds, of which the best is kept (-l).")
    core_bp: int = Field(20, ge=5, description="Width of the core of a seqlet (-z).")
    trim_bp: int = Field(30, ge=5, description="Width that patterns are trimmed to (-t).")
    flank_bp: int = Field(5, ge=0, description="Added on both sides of a core (-f).")


class Marginal(Section):
    """A motif put into random backgrounds: what it does alone."""

    motifs: Literal["found"] | list[str] = Field(
        "found", description="'found': the patterns of the map; or names of such patterns and of motifs of `database`."
    )
    backgrounds: int = Field(
        100, ge=10, le=100_000, description="Test rows of the dataset with their dinucleotides shuffled."
    )
    site: Literal["consensus", "sampled"] = Field(
        "consensus", description="What is put in: the likeliest base of each column, or a draw from it, each anew."
    )


class Spacing(Section):
    """Two motifs at distances and orientations: do they do more together than each alone?"""

    pairs: list[Pair] = Field(
        min_length=1, description="Names of two motifs each: patterns of the map, or motifs of `database`."
    )
    distances_bp: list[int] = Field(
        list(range(0, 101, 10)), min_length=1, description="Bases between the end of the one and the other's start."
    )
    backgrounds: int = Field(50, ge=10, le=100_000, description="As of `marginal`.")

    @model_validator(mode="after")
    def _distances(self):
        if min(self.distances_bp) < 0 or len(set(self.distances_bp)) < len(self.distances_bp):
            raise ValueError(f"distances_bp {self.distances_bp} must be different and not below 0")
        return self


class Motifs(Section):
    """Motifs of one map, or of one network without a map."""

    map: str | None = Field(None, description="A map of `maps`: its scores are searched for motifs. Or set `model`.")
    model: str | None = Field(None, description="A network of `models`, without a map: nothing is searched.")
    targets: list[str] | None = Field(None, description="Targets of the map or the model; all if none.")
    tracks: list[str] | None = Field(
        None, description="Search the contributions to each of these tracks; the mean over a target's tracks if none."
    )
    database: File | None = Field(None, description="Known motifs, MEME or JASPAR format, to match with.")
    matches: int = Field(3, ge=1, le=100, description="Known motifs that are kept for each.")
    modisco: Modisco | None = Field(Modisco(), description="Search of the map; null: none.")
    filters: bool = Field(
        False, description="Filters of the first layer as motifs, from what activates them in test rows."
    )
    marginal: Marginal | None = None
    spacing: Spacing | None = None
    seed: int = Field(0, ge=0, description="Of backgrounds and of sampled sites. TF-MoDISco has seeds of its own.")

    @model_validator(mode="after")
    def _something(self):
        if (self.map is None) == (self.model is None):
            raise ValueError("needs either 'map' (of `maps`) or 'model' (of `models`)")
        if self.map is None and self.tracks is not None:
            raise ValueError("'tracks' are of a map's search; set 'map'")
        if not (self.searches or self.filters or self.marginal or self.spacing):
            raise ValueError("asks for nothing: set 'filters', 'marginal' or 'spacing', or search a map")
        if not self.searches and any(PATTERN.fullmatch(name) for name in self.named):
            raise ValueError("names a pattern that is found in a map, but searches none")
        if self.marginal and self.marginal.motifs == "found" and not self.searches:
            raise ValueError("marginal.motifs 'found' needs the search of a map; name motifs of 'database'")
        known = [name for name in self.named if not PATTERN.fullmatch(name)]
        if known and self.database is None:
            raise ValueError(f"motif {known[0]!r} needs a 'database' that holds it")
        return self

    @property
    def searches(self) -> bool:
        """Whether a map is searched."""
        return self.map is not None and self.modisco is not None

    @property
    def named(self) -> list[str]:
        """Motifs that the section calls by name."""
        marginal = self.marginal.motifs if self.marginal and self.marginal.motifs != "found" else []
        pairs = [name for pair in self.spacing.pairs for name in pair] if self.spacing else []
        return list(dict.fromkeys([*marginal, *pairs]))

    @property
    def network(self) -> bool:
        """Whether a network is needed, beside its map."""
        return self.filters or self.marginal is not None or self.spacing is not None


def model_of(config: Any, section: Motifs) -> str:
    """Name of the network of a section of motifs."""
    return section.model if section.model is not None else config.maps[section.map].model


def check_motifs(config: Any, section: Motifs, where: str) -> None:
    """Refuse motifs of a map, a network or a target that is not there."""
    if section.map is not None and section.map not in config.maps:
        raise InputError(where, f"map {section.map!r} is not configured; known: {', '.join(config.maps) or 'none'}")
    name = model_of(config, section)
    if name not in config.models:
        raise InputError(where, f"model {name!r} is not configured; known: {', '.join(config.models) or 'none'}")
    model = config.models[name]
    known = list(model.targets or config.datasets[model.dataset].targets)
    if section.map is not None:
        known = config.maps[section.map].targets or known
    for target in section.targets or []:
        if target not in known:
            raise InputError(where, f"target {target!r} is not in {section.map or name}: {', '.join(known)}")
    if section.searches and section.map is not None and "substitutions" not in config.maps[section.map].edits:
        raise InputError(where, f"map {section.map} has no substitutions, of which motifs are made")
    if model.objective.name == "autoencoder" and (section.marginal or section.spacing):
        raise InputError(where, f"model {name} learns no targets (objective 'autoencoder')")
