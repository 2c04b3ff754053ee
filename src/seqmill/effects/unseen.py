"""Which runs of a network may score which place: those that never saw it in training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.genome.coords import merge
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.parts import folds_of
from seqmill.training.seen import not_at_hand, rows_of, training_of

# (genome, contig) -> starts and ends of the stretches that a training has seen: sorted, apart from one another.
Covered = dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]


class Unseen:
    """Places in training and validation parts of the runs of one network.

    Parameters
    ----------
    infos : content of the ``model.json`` of each run.
    datasets : folders of the datasets that they, and the models they started from, were trained on.

    Raises
    ------
    InputError
        A dataset of a training is not at hand as it was.
    """

    def __init__(self, infos: Sequence[Mapping[str, Any]], datasets: Sequence[str | Path]):
        readers = {reader.digest: reader for reader in map(DatasetReader, datasets)}
        self.infos = infos
        self._known: list[list[Covered]] = []
        tables: dict[str, Covered] = {}
        for info in infos:
            links = []
            for link in training_of(info):
                key = f"{link['dataset_digest']} {link['fold']} {link['pools']}"
                if key not in tables:
                    tables[key] = self._table(readers, link)
                links.append(tables[key])
            self._known.append(links)

    @staticmethod
    def _table(readers: Mapping[str, Any], link: Mapping[str, Any]) -> Covered:
        reader = readers.get(link["dataset_digest"])
        if reader is None and link.get("unchecked"):
            return {}  # accepted when the model was trained; its note says so
        if reader is None:
            if not link["dataset_digest"]:
                raise InputError(link["model"], not_at_hand(link))
            raise InputError(
                link["model"], f"dataset {link['dataset']}, which it was trained on, was rebuilt; train it again"
            )
        folds = [*folds_of(reader, link["fold"], "train"), *folds_of(reader, link["fold"], "valid")]
        pools = [pool for pool, _ in link["pools"]] if link["pools"] else None
        rows = rows_of(reader, folds, pools)
        places = rows[rows["start"] >= 0].groupby(["genome", "contig"], observed=True)
        margin = reader.margin_bp
        return {
            place: merge(part["start"].to_numpy(np.int64) - margin, part["end"].to_numpy(np.int64) + margin)
            for place, part in places
        }

    @property
    def genomes(self) -> list[str]:
        """Genomes of the rows of the trainings; places on others cannot be compared with them."""
        return sorted({genome for links in self._known for covered in links for genome, _ in covered})

    def of(self, places: pd.DataFrame) -> np.ndarray:
        """Which run may score which place, bool (run, place).

        Parameters
        ----------
        places : columns genome, contig, start and end (0-based, half-open): what must not have been seen.
        """
        free = np.ones((len(self.infos), len(places)), bool)
        low, high = (places[column].to_numpy(np.int64) for column in ("start", "end"))
        for place, rows in places.groupby(["genome", "contig"], observed=True).indices.items():
            for may, links in zip(free, self._known):
                for starts, ends in (covered[place] for covered in links if place in covered):
                    nearest = np.searchsorted(ends, low[rows], side="right")  # the first that ends behind the start
                    may[rows] &= np.append(starts, np.iinfo(np.int64).max)[nearest] >= high[rows]
        return free
