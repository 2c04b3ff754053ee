"""Parts of a map that several jobs made, and how they become the map: the same bits as from one job. Without jax."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqmill.runtime.errors import DamageError
from seqmill.stores.maps import PART, REGION_COLUMNS, MapReader, MapWriter
from seqmill.stores.specs import TargetSpec

SLAB_BYTES = 100_000_000
_LOG = logging.getLogger("seqmill")


def open_writer(out: str | Path, name: str, head: Mapping[str, Any], part: tuple[int, int] | None = None) -> MapWriter:
    """Writer of a map, or of one of its parts, which carry the head of the whole.

    Parameters
    ----------
    head : ``attrs``, ``length``, ``edits``, ``targets`` (as JSON), ``target_order``, ``spread``, ``inputs`` and
        ``parameters`` of the map, see `seqmill.stores.maps.MapWriter`.
    part : its number, from 0, and the number of parts.
    """
    more = {} if part is None else {"part": list(part), "whole": dict(head)}
    return MapWriter(
        out,
        name,
        {**head["attrs"], **more},
        length=head["length"],
        edits=head["edits"],
        targets={target: TargetSpec.from_json(head["targets"][target]) for target in head["target_order"]},
        spread=head["spread"],
        inputs=head["inputs"],
        parameters=head["parameters"],
        noun="map" if part is None else PART,
    )


def gather_map(out: str | Path, *, name: str, parts: Sequence[str | Path]) -> None:
    """Join the parts of a map, some regions at a time.

    Parameters
    ----------
    out : ``…/maps/{map}.zarr``. parts : folders of all parts, in any order.

    Raises
    ------
    DamageError
        A part is damaged or missing, or they are not parts of one map.
    """
    readers = sorted((MapReader(folder, PART) for folder in parts), key=lambda reader: reader.attrs["part"][0])
    head = readers[0].attrs["whole"]
    expected = [[number, len(readers)] for number in range(len(readers))]
    for reader, number in zip(readers, expected):
        if reader.attrs["part"] != number or reader.attrs["whole"] != head:
            raise DamageError(
                f"{reader.folder}: part {reader.attrs['part'][0] + 1} of {reader.attrs['part'][1]} of another map, "
                f"expected part {number[0] + 1} of {number[1]} of the one in {readers[0].folder}"
            )
    with open_writer(out, name, head) as writer:
        for reader in readers:
            _copy(reader, writer)
    _LOG.info("map %s: %d regions of %d parts joined", name, sum(reader.n for reader in readers), len(readers))


def _copy(reader: MapReader, writer: MapWriter) -> None:
    paths = writer.paths
    size = sum(reader.read(path, 0, 1).nbytes for path in paths)
    step = max(1, SLAB_BYTES // max(1, size))
    for start in range(0, reader.n, step):
        arrays = {path: reader.read(path, start, start + step) for path in paths}
        rows = reader.regions.iloc[start : start + step][list(REGION_COLUMNS)].to_dict("records")
        for number, row in enumerate(rows):
            writer.append(
                {str(key): value for key, value in row.items()}, {path: x[number] for path, x in arrays.items()}
            )
