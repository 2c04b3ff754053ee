"""What is scored of a set of variants: by which runs, which effects, in which columns."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from seqmill.config.variants import VariantSet
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.local.pairs import LocalPairs
from seqmill.effects.measures import check_targets
from seqmill.effects.variants.effects import SIGNED, Ranks, check_effects, kept_bytes, reducer
from seqmill.formats.vcf_out import Field, field_ids
from seqmill.stores.specs import track_names
from seqmill.stores.variants import score_column

SD = "sd"
COMPARED, COMPARED_SIGNED = ("percentile", "p"), ("signed_percentile", "signed_p")
WORDS = {
    "": "{}",
    SD: "standard deviation over runs of {}",
    "percentile": "percentile of |{}| among the background of its stratum",
    "p": "empirical p of |{}| against the background of its stratum",
    "signed_percentile": "percentile of {} among the background of its stratum",
    "signed_p": "empirical p, in its own direction, of {} against the background of its stratum",
}


class Group(NamedTuple):
    """Columns of one effect on one target, a column a track; ``statistic`` is empty for the mean over the runs."""

    target: str
    effect: str
    statistic: str = ""

    @property
    def label(self) -> str:
        return f"{self.effect}_{self.statistic}" if self.statistic else self.effect


def groups_of(wanted: Sequence[tuple[str, str]], statistics: Sequence[str]) -> list[Group]:
    """Groups of columns in their order: all means, then each statistic of all effects that have it."""
    found = [Group(target, effect) for target, effect in wanted]
    for statistic in statistics:
        fitting = [pair for pair in wanted if statistic not in COMPARED_SIGNED or pair[1] in SIGNED]
        found += [Group(target, effect, statistic) for target, effect in fitting]
    return found


class VariantPlan:
    """What is scored of a set.

    Attributes
    ----------
    wanted : (target, effect) of all effects, in order. signed : of each column of means, whether it has a direction.
    groups : of columns. columns, means : names of all columns, and of those of means, which come first.
    fields : of the VCF, one a group. reduce : compiled, from predictions to what effects need. pairs : predicts them.
    chunk : alleles that are scored in one go. ranks : of each run, if an effect needs them.

    Raises
    ------
    InputError
        A target or an effect that does not fit.
    """

    def __init__(self, ensemble: Ensemble, section: VariantSet, where: str, largest: int, chunk_bytes: int):
        self.ensemble = ensemble
        self.specs: Mapping[str, Any] = ensemble.targets
        names = check_targets(self.specs, section.targets, where)
        self.wanted = check_effects(section.effects, self.specs, names, where)
        self.deviations = section.standard_deviation
        statistics = [SD] if section.standard_deviation else []
        if section.background is not None:
            statistics += [*COMPARED, *COMPARED_SIGNED]
        self.statistics = tuple(statistics)
        self.groups = groups_of(self.wanted, statistics)
        self.means = self.names(groups_of(self.wanted, []))
        self.columns = self.names(self.groups)
        self.signed = [effect in SIGNED for name, effect in self.wanted for _ in track_names(self.specs[name])]
        ids = field_ids([f"{group.target}_{group.label}" for group in self.groups])
        self.fields = [
            Field(key, self._words(group), tuple(track_names(self.specs[group.target])))
            for key, group in zip(ids, self.groups)
        ]
        self.reduce = reducer(self.specs, self.wanted)
        self.pairs = LocalPairs(ensemble, self.reduce)
        each = 2 * (ensemble.extent_bp + kept_bytes(self.specs, self.wanted))
        self.chunk = max(1, min(largest, chunk_bytes // each))
        self.ranks: list[Ranks] | None = None

    def names(self, groups: Sequence[Group]) -> list[str]:
        """Names of the columns of groups, in order."""
        return [
            score_column(group.target, track, group.label)
            for group in groups
            for track in track_names(self.specs[group.target])
        ]

    @staticmethod
    def _words(group: Group) -> str:
        return WORDS[group.statistic].format(group.effect) + f" of target {group.target}, ALT against REF"
