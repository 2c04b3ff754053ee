"""The errors a user may meet. Each class has an exit code; each message names file, place, found and expected."""

from pathlib import Path


class SeqmillError(Exception):
    """Base of all errors that are shown as one message, without a traceback."""

    exit_code = 1


class InputError(SeqmillError):
    """A file, sheet or setting given by the user cannot be used.

    Parameters
    ----------
    where : path or name of what was read.
    message : what was found and what was expected.
    record : line number (1-based), contig, key or other place inside ``where``.
    """

    exit_code = 2

    def __init__(self, where: str | Path, message: str, *, record: str | int | None = None):
        self.where, self.message, self.record = str(where), message, record
        super().__init__(where, message, record)

    def __str__(self) -> str:
        place = self.where if self.record is None else f"{self.where}:{self.record}"
        return f"{place}: {self.message}"

    def __reduce__(self):
        return _rebuild_input_error, (self.where, self.message, self.record)


def _rebuild_input_error(where: str, message: str, record: str | int | None) -> InputError:
    return InputError(where, message, record=record)


class LockedError(SeqmillError):
    """Another live process is writing the same thing."""

    exit_code = 3


class DamageError(SeqmillError):
    """A store on disk is not what its marker says: flipped, truncated, missing or swapped."""

    exit_code = 4


class WorkerError(SeqmillError):
    """An isolated worker crashed, hung or ran out of memory."""

    exit_code = 5


class RemoteError(SeqmillError):
    """A host did not give what it should: unreachable, refused, other bytes than pinned, an answer of another form.

    Parameters
    ----------
    where : address without query and credentials, or the accession.
    message : what was found and what was expected.
    """

    exit_code = 6

    def __init__(self, where: str, message: str):
        self.where, self.message = where, message
        super().__init__(where, message)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"
