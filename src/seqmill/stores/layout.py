"""How every noun is written and opened: one writer, staged beside its place, marker last; checked when opened."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from seqmill.runtime.errors import DamageError
from seqmill.runtime.files import staged_folder
from seqmill.runtime.locks import artefact_lock
from seqmill.runtime.marker import Marker, check_sizes, file_digest, read_marker, write_marker
from seqmill.runtime.record import recorded
from seqmill.stores.versions import FORMATS

# Components of the path that name a noun; an array of a dataset also has its place inside the dataset.
_DEPTH = {"model": 2, "search": 2, "predictions": 2, "dataset-rows": 2}
# Where a noun lies in the folder of results, to label it as the input of another.
_PLACE = {
    "source": "sources/",
    "genome": "genome/",
    "aligner": "aligners/",
    "library": "libraries/",
    "experiment": "experiments/",
    "quality": "quality/",
    "track": "tracks/",
    "dataset": "datasets/",
    "model": "models/",
    "search": "searches/",
    "predictions": "predictions/",
    "map": "maps/",
    "map-files": "maps/",
    "map-page": "maps/",
    "motifs": "motifs/",
    "variants": "variants/",
    "measured": "measured/",
}


def version(noun: str) -> int:
    """Version of the layout of ``noun``; parts of a dataset have the dataset's."""
    return FORMATS[noun.partition("-")[0]]


def marker_name(folder: str | Path, noun: str) -> str:
    """The last components of the path that the marker keeps, e.g. "K562.zarr" or "demo.zarr/targets/peaks/main"."""
    parts = Path(folder).parts
    depth = (3 if parts[-2:-1] == ("inputs",) else 4) if noun == "dataset-array" else _DEPTH.get(noun, 1)
    return "/".join(parts[-depth:])


@contextmanager
def noun_folder(
    folder: str | Path,
    *,
    noun: str,
    label: str,
    inputs: dict[str, str] | None = None,
    parameters: dict[str, Any] | None = None,
    packages: tuple[str, ...] = ("numpy", "zarr"),
    since: float | None = None,
) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """Write a noun: lock, stage, run record, marker, rename. Nothing is left of a block that raises.

    Parameters
    ----------
    noun : a key of `seqmill.stores.versions.FORMATS`, or one with a part behind a hyphen ("dataset-rows").
    label : its name in the configuration, kept as ``name`` in the attrs.
    inputs : labels of the nouns it was made from with their digests (`upstream`).
    parameters : settings for ``run.json``. since : ``time.monotonic()`` when the work began, if before this block.

    Yields
    ------
    The folder to write into, the marker's ``attrs`` and the additions to ``run.json``; fill both.
    """
    inputs = dict(inputs or {})
    with artefact_lock(folder), staged_folder(folder) as part:
        attrs: dict[str, Any] = {}
        with recorded(part, inputs=inputs, parameters=parameters or {}, packages=packages, since=since) as record:
            yield part, attrs, record
        attrs |= {"name": label, "inputs": inputs, "recorded": True}
        write_marker(part, noun=noun, name=marker_name(folder, noun), format=version(noun), attrs=attrs)


class StagedWriter(ABC):
    """Base of writers that are used as context managers: the noun is finished at the end of the block, and nothing of
    it is left if the block, or the finish, raises."""

    def _stage(self, folder: str | Path, **noun: Any) -> None:
        """Open `noun_folder`: ``_part`` is the folder to write into, ``_out`` the marker's attrs."""
        self._stack = ExitStack()
        self._part, self._out, self._record = self._stack.enter_context(noun_folder(folder, **noun))

    @abstractmethod
    def _finish(self) -> None:
        """Write what is left to write, and the attrs."""

    def __exit__(self, *error: Any) -> bool | None:
        if error[0] is None:
            try:
                self._finish()
            except BaseException as raised:
                self._stack.__exit__(type(raised), raised, raised.__traceback__)
                raise
        return self._stack.__exit__(*error)


def open_noun(folder: str | Path, noun: str) -> Marker:
    """Marker of ``folder`` after the checks each reader makes: kind, format, and names and sizes of all files."""
    marker = read_marker(folder, noun=noun, format=version(noun))
    check_sizes(folder, marker)
    return marker


def check_file(folder: str | Path, marker: Marker, path: str) -> Path:
    """Full path of a small file of a noun, re-read and compared with the marker. Raises DamageError."""
    full = Path(folder) / path
    if path not in marker.files:
        raise DamageError(f"{full}: not listed in the marker of {marker.noun} {marker.name}")
    try:
        changed = file_digest(full) != marker.files[path][1]
    except OSError as error:
        raise DamageError(f"{full}: cannot be read ({error.strerror})") from None
    if changed:
        raise DamageError(f"{full}: content changed (SHA-256 differs from the marker)")
    return full


def upstream(*folders: str | Path) -> dict[str, str]:
    """Labels and digests of nouns that another noun is made from, e.g. ``{"tracks/K562.zarr": "9f…"}``.

    The label is how `seqmill.stores.verify` finds the noun again in the same tree of results.
    """
    markers = [read_marker(folder) for folder in folders]
    return {_PLACE.get(marker.noun, "") + marker.name: marker.digest for marker in markers}
