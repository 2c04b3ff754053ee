"""From contig names and coordinates of a file to those of the genome, while the file streams by."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from seqmill.formats.bedtext import BedBlock
from seqmill.genome.names import core_name, harmonise, match_names
from seqmill.runtime.errors import InputError


class Placer:
    """Maps the records of a file to genome contigs and checks their ends. Call `finish` after the last block.

    Parameters
    ----------
    path : for messages.
    genome_sizes : contig -> length in bp.
    partial : the genome is a piece of an assembly: records past the end of a contig are dropped and counted,
        otherwise they are an error.
    keep_straddling : with ``partial``, keep records that begin inside the contig and end past it.
    counts : where dropped records are counted.
    """

    def __init__(
        self,
        path: str | Path,
        genome_sizes: Mapping[str, int],
        partial: bool,
        counts: Counter[str],
        *,
        keep_straddling: bool,
    ):
        self.path, self.sizes, self.partial, self.counts = path, dict(genome_sizes), partial, counts
        self.keep_straddling = keep_straddling
        self.mapping: dict[str, str] = {}
        self._seen: dict[str, None] = {}
        self._index = {name: i for i, name in enumerate(self.sizes)}
        self._lengths = np.array([*self.sizes.values(), 0], dtype=np.int64)

    def place(self, block: BedBlock) -> tuple[np.ndarray, np.ndarray]:
        """Rows to keep, and the index of the genome contig of each.

        Returns
        -------
        rows : int64 (m,), rows of the block; zero-length records are dropped and counted.
        contig : int64 (m,), index into the contigs of the genome in their order.
        """
        self._learn(block.names)
        lookup = np.array([self._index.get(self.mapping.get(name, ""), -1) for name in block.names], dtype=np.int64)
        contig = lookup[block.contig]
        keep = contig >= 0
        self._count("contigs not in the genome", ~keep)
        empty = keep & (block.start == block.end)
        self._count("zero length", empty)
        keep &= ~empty
        length = self._lengths[contig]
        outside = keep & (block.end > length)
        if outside.any():
            if not self.partial:
                row = int(np.argmax(outside))
                name = block.names[block.contig[row]]
                raise InputError(
                    self.path,
                    f"{name}:{block.start[row]}-{block.end[row]} ends past the contig ({length[row]:,} bp): another "
                    "assembly, or is the genome only a piece of one (partial: true)?",
                    record=block.line(row),
                )
            if self.keep_straddling:
                straddling = outside & (block.start < length)
                self._count("clipped at the end of the contig", straddling)
                outside &= ~straddling
            self._count("past the end of the contig", outside)
            keep &= ~outside
        rows = np.flatnonzero(keep)
        return rows, contig[rows]

    def finish(self) -> dict[str, str]:
        """Contig of the genome -> name in the file. Raises InputError if no name of the file is in the genome."""
        return {target: name for name, target in harmonise(self._seen, self.sizes, str(self.path)).items()}

    def _learn(self, names: list[str]) -> None:
        new = [name for name in names if name not in self._seen]
        if not new:
            return
        self._seen.update(dict.fromkeys(new))
        self.mapping = match_names(self._seen, self.sizes, str(self.path))
        cores = {core_name(target): name for name, target in self.mapping.items()}
        for name in self._seen:
            other = cores.get(core_name(name), name)
            # Were one of them dropped, it would depend on which comes first.
            if name not in self.mapping and other != name:
                raise InputError(self.path, f"both '{other}' and '{name}' occur, which are one contig of the genome")

    def _count(self, reason: str, flags: np.ndarray) -> None:
        number = int(np.count_nonzero(flags))
        if number:
            self.counts[reason] += number
