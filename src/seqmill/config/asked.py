"""What the sheet or the configuration asks of a portal."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """One wish: a location, and what chooses among its files.

    Attributes
    ----------
    name : track, or the location itself for a file of the configuration.
    location : accession, URL, or named reference, as it was written.
    assembly : the portal's name of the wanted assembly (GRCh38), '' for any.
    format : of the sheet (bigwig, narrowpeak, fastq, ...), '' for any.
    output_type, replicates : of the sheet ("signal p-value"; "1" or "1,2"), '' for the default.
    assay : of the sheet, '' where it does not say.
    where : file and line that the wish comes from, for messages.
    """

    name: str
    location: str
    assembly: str = ""
    format: str = ""
    output_type: str = ""
    replicates: str = ""
    assay: str = ""
    where: str = ""

    @property
    def text(self) -> str:
        """The wish in one line, for the lock's column ``asked``."""
        chosen = {key: getattr(self, key) for key in ("assembly", "format", "output_type", "replicates")}
        return "; ".join([self.location, *(f"{key}={value}" for key, value in chosen.items() if value)])
