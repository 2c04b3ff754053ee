"""The error for a file that a portal knows but no longer offers as it was."""

from collections.abc import Sequence
from pathlib import Path

from seqmill.runtime.errors import InputError


class WithdrawnError(InputError):
    """A file or experiment whose status forbids its use.

    Parameters
    ----------
    where, message, record : as of InputError.
    accession : of what was withdrawn.
    status : the portal's word: revoked, replaced, archived, deleted, in progress, ...
    successors : accessions that the portal gives in its place, if any.
    """

    def __init__(
        self,
        where: str | Path,
        message: str,
        *,
        accession: str,
        status: str,
        successors: Sequence[str] = (),
        record: str | int | None = None,
    ):
        super().__init__(where, message, record=record)
        self.accession, self.status, self.successors = accession, status, tuple(successors)
