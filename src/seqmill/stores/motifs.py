"""Motifs of a map or of a network.

::

    motifs/{name}/          marker.json run.json
       patterns.tsv         a line each pattern that was found: `TABLES`
       contributions.tsv    mean contribution of each base in each column of the patterns
       seqlets.bed          where they lie (genome, 0-based half-open, + strand or -); BED6, contribution, region
       filters.tsv          a line each filter of the first layer
       matches.tsv          known motifs that patterns and filters are like
       marginal.tsv         what motifs do in random backgrounds
       spacing.tsv          what pairs of motifs do at distances
       motifs.meme          patterns and filters as probabilities
       known.meme           the known motifs of matches.tsv
       {source}.modisco.h5  what TF-MoDISco wrote: source is the target, or {target}.{track}

A table that was not asked for is there with its header alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from seqmill.formats.motifs import Motif, meme_text, read_meme
from seqmill.runtime.files import atomic_write
from seqmill.stores.layout import check_file, open_noun

TABLES = {
    "patterns": [
        "motif", "target", "track", "sign", "seqlets", "regions", "width", "consensus", "information_bits",
        "contribution", "match", "alias", "p", "q",
    ],
    "contributions": ["motif", "position", "A", "C", "G", "T"],
    "filters": [
        "motif", "sites", "largest", "width", "consensus", "information_bits", "match", "alias", "p", "q",
    ],
    "matches": ["motif", "rank", "name", "alias", "p", "q", "offset", "overlap", "strand"],
    "marginal": ["motif", "strand", "target", "track", "backgrounds", "without", "effect", "ci_low", "ci_high"],
    "spacing": [
        "motif_a", "motif_b", "orientation", "distance_bp", "target", "track", "backgrounds", "effect_a", "effect_b",
        "effect_both", "cooperation", "ci_low", "ci_high",
    ],
}  # fmt: skip
_TEXT = {
    *("motif", "target", "track", "sign", "consensus", "match", "alias", "name", "strand", "motif_a", "motif_b"),
    "orientation",
}
MOTIFS, KNOWN, SEQLETS = "motifs.meme", "known.meme", "seqlets.bed"


def write_files(
    folder: Path,
    tables: Mapping[str, pd.DataFrame],
    motifs: list[Motif],
    sites: Mapping[str, int],
    known: list[Motif],
    seqlets: pd.DataFrame,
) -> None:
    """Write all but TF-MoDISco's own files.

    Parameters
    ----------
    tables : some of `TABLES`, with their columns. motifs, sites : as of `seqmill.formats.motifs.meme_text`.
    seqlets : columns contig, start, end (0-based, half-open), motif, strand (1 or -1), contribution and region.
    """
    for name, columns in TABLES.items():
        table = tables[name][columns] if name in tables else pd.DataFrame(columns=columns)
        text = table.to_csv(sep="\t", index=False, float_format="%.6g", lineterminator="\n")
        atomic_write(folder / f"{name}.tsv", text)
    atomic_write(folder / MOTIFS, meme_text(motifs, sites))
    atomic_write(folder / KNOWN, meme_text(known))
    top, lines = float(seqlets["contribution"].abs().max()) if len(seqlets) else 1.0, []
    for row in seqlets.itertuples():
        strand, size = "+" if row.strand > 0 else "-", round(1000 * abs(row.contribution) / (top or 1.0))
        fields = (row.contig, row.start, row.end, row.motif, size, strand, f"{row.contribution:.6g}", row.region)
        lines.append("\t".join(str(field).replace("\t", " ").replace("\n", " ") for field in fields) + "\n")
    atomic_write(folder / SEQLETS, "".join(lines))


class MotifsReader:
    """Motifs, opened for reading.

    Attributes
    ----------
    attrs : of the marker: ``name``, ``map`` ("" if none), ``model``, ``targets``, ``spaces`` (target -> what a score
        is), ``sources`` (list of source, target, track, seqlets that TF-MoDISco placed in patterns, window_bp),
        ``database`` (motifs in it, its file and SHA-256), ``absent`` (names of patterns that were not found),
        ``searched``, ``filters``, ``runs``.
    digest : of the marker.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.marker = open_noun(self.folder, "motifs")
        self.digest, self.attrs = self.marker.digest, self.marker.attrs

    def table(self, name: str) -> pd.DataFrame:
        """One of `TABLES`; text columns hold "" where there is nothing, numbers NaN."""
        path = check_file(self.folder, self.marker, f"{name}.tsv")
        text = dict.fromkeys(_TEXT & set(TABLES[name]), str)
        return pd.read_csv(path, sep="\t", keep_default_na=False, dtype=text, na_values={
            column: [""] for column in TABLES[name] if column not in _TEXT
        })  # fmt: skip

    def motifs(self) -> dict[str, Motif]:
        """Patterns and filters by name."""
        return self._meme(MOTIFS)

    def known(self) -> dict[str, Motif]:
        """The known motifs of the table of matches, by name."""
        return self._meme(KNOWN)

    def _meme(self, name: str) -> dict[str, Motif]:
        path = check_file(self.folder, self.marker, name)
        return {motif.name: motif for motif in read_meme(path)} if "MOTIF" in path.read_text() else {}

    def seqlets(self) -> pd.DataFrame:
        """Places of the patterns: contig, start, end (0-based, half-open), motif, score, strand ("+" or "-"),
        contribution, region."""
        columns = ["contig", "start", "end", "motif", "score", "strand", "contribution", "region"]
        path = check_file(self.folder, self.marker, SEQLETS)
        text = dict.fromkeys(("contig", "motif", "strand", "region"), str)
        return pd.read_csv(path, sep="\t", names=columns, dtype=text, keep_default_na=False)


def of_map(attrs: Mapping[str, Any]) -> bool:
    """Whether the motifs were found in a map."""
    return bool(attrs["map"]) and bool(attrs["searched"])
