"""The section of random changes of sequences in training."""

from pydantic import Field, model_validator

from seqmill.config.base import Section

_LENGTHS = ("deletion", "insertion", "translocation", "inversion")  # in the order in which they are applied


class Augment(Section):
    """Random changes of sequences in training (EvoAug); labels stay as they are. Kinds that are 0 are not used."""

    max_deletion_bp: int = Field(0, ge=0, description="Largest stretch that is taken out; random bases fill the ends.")
    max_insertion_bp: int = Field(0, ge=0, description="Largest stretch of random bases that is put in.")
    max_translocation_bp: int = Field(
        0, ge=0, description="Largest turn of the window in a circle, to either side: its ends change places."
    )
    max_inversion_bp: int = Field(0, ge=0, description="Largest stretch that becomes its reverse complement.")
    mutation_fraction: float = Field(0.0, ge=0, le=1, description="Chance of each base to become another one.")
    noise_std: float = Field(0.0, ge=0, description="Standard deviation of Gaussian noise on the one-hot bases.")
    max_augs: int | None = Field(
        None, ge=1, description="Kinds that one example gets, drawn anew each time; all that are used if none."
    )
    hard: bool = Field(True, description="Always max_augs kinds; false: 1 to max_augs of them, by chance.")
    plain_epochs: int = Field(
        0, ge=0, description="Last passes without changes (fine-tuning); early stopping waits for them."
    )

    def kinds(self) -> list[str]:
        """The kinds that are used, in the order in which they are applied."""
        used = [kind for kind in _LENGTHS if self.largest_bp(kind)]
        return used + ["mutation"] * bool(self.mutation_fraction) + ["noise"] * bool(self.noise_std)

    def largest_bp(self, kind: str) -> int:
        """Largest length of a kind; 0 for a kind without one."""
        return getattr(self, f"max_{kind}_bp", 0)

    def most(self) -> int:
        """Largest number of kinds of one example."""
        return len(self.kinds()) if self.max_augs is None else self.max_augs

    @model_validator(mode="after")
    def _some(self):
        kinds = self.kinds()
        if not kinds:
            lengths = ", ".join(f"max_{kind}_bp" for kind in _LENGTHS)
            raise ValueError(f"nothing to change: set at least one of {lengths}, mutation_fraction, noise_std")
        if self.most() > len(kinds):
            raise ValueError(f"max_augs is {self.max_augs}, but only {len(kinds)} kind(s) are used: {', '.join(kinds)}")
        return self
