"""Files for genome browsers: bigWigs of signals, a UCSC track hub, an IGV session.

Track hub: https://genome.ucsc.edu/goldenPath/help/hgTrackHubHelp.html and trackDb/trackDbHub.html (hub.txt: hub,
shortLabel, longLabel, genomesFile, email; genomes.txt: genome, trackDb; each track: track, type, bigDataUrl,
shortLabel, longLabel). IGV session: the XML form that IGV and igv-webapp open, with paths relative to the session file.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from seqmill.config.names import slug
from seqmill.formats.bigwig_out import Piece, write_bigwig
from seqmill.runtime.errors import InputError
from seqmill.stores.layout import noun_folder

COLOURS = {"measured": "0,114,178", "predicted": "213,94,0", "contribution": "0,158,115"}  # Okabe and Ito (2008)
ORDER = {kind: number for number, kind in enumerate(COLOURS)}
SHORT, LONG = 17, 76  # characters that UCSC shows of labels
SHOWN = 20  # tracks that a browser shows at once


@dataclass(frozen=True)
class Signal:
    """Values along one assembly that a browser shows.

    Attributes
    ----------
    genome : assembly. kind : a key of `COLOURS`. parts : labels that name it, unique within genome and kind.
    description : one line. sizes : contig -> bp. source : a bigWig file, or a function that yields its pieces.
    locus_1based : a place with values, e.g. "chr8:101-600"; empty if not known.
    """

    genome: str
    kind: str
    parts: tuple[str, ...]
    description: str
    sizes: Mapping[str, int]
    source: Path | Callable[[], Iterable[Piece]]
    locus_1based: str = ""

    @property
    def name(self) -> str:
        return " ".join(self.parts)

    @property
    def short(self) -> str:
        """The track first: labels are cut."""
        return _line(" ".join(dict.fromkeys([self.parts[-1], self.parts[0]])))[:SHORT]

    @property
    def file(self) -> str:
        """Path inside the export."""
        names = [slug(part) for part in (self.genome, self.kind, *self.parts)]
        return "/".join("=2E" + name[1:] if name.startswith(".") else name for name in names) + ".bw"

    def write(self, folder: Path) -> Path:
        """Write it into an export; returns the file. Raises InputError where its source is gone."""
        path = folder / self.file
        if isinstance(self.source, Path) and not self.source.is_file():
            raise InputError(self.source, f"does not exist or is not a file; {self.name} is copied from it")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(self.source, Path):
            shutil.copyfile(self.source, path)
        else:
            write_bigwig(path, self.sizes, self.source())
        return path


@dataclass(frozen=True)
class Feature:
    """A file of places that a browser shows: regions, genes, variants.

    Attributes
    ----------
    name : as the browser shows it. source : the file. file : path inside the export.
    index : ending of the index beside it.
    """

    name: str
    source: Path
    file: str
    index: str = ""

    def write(self, folder: Path) -> None:
        """Copy it into an export. Raises InputError where it is gone."""
        for ending in dict.fromkeys(["", self.index]):
            source = self.source.with_name(self.source.name + ending)
            if not source.is_file():
                raise InputError(source, f"does not exist or is not a file; {self.name} is copied from it")
            path = folder / (self.file + ending)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path)


def write_bigwigs(out: Path, signals: Iterable[Signal]) -> list[Path]:
    """Write a folder of bigWig files, whole or not at all.

    Returns
    -------
    Their paths. Raises InputError if there is no signal, and if ``out`` holds other things.
    """
    with _export(out, signals) as (part, chosen):
        written = [signal.write(part).relative_to(part) for signal in chosen]
    return [out / path for path in written]


def write_hub(out: Path, signals: Iterable[Signal], *, title: str, email: str) -> Path:
    """Write a UCSC track hub: ``hub.txt``, ``genomes.txt`` and a folder for each assembly.

    Parameters
    ----------
    title : shown as the hub's name. email : contact, which UCSC asks for.

    Returns
    -------
    The file ``hub.txt``, whose address is given to the browser.
    """
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise InputError("--email", f"expected an address such as me@example.org, found {email!r}")
    with _export(out, signals) as (part, chosen):
        genomes = dict.fromkeys(signal.genome for signal in chosen)
        name, label = f"seqmill_{_word(title)}".rstrip("_"), _line(title) or "seqmill"
        hub = {"hub": name, "shortLabel": label[:SHORT], "longLabel": label[:LONG], "genomesFile": "genomes.txt"}
        (part / "hub.txt").write_text(_stanza({**hub, "email": email}))
        stanzas = [_stanza({"genome": genome, "trackDb": f"{slug(genome)}/trackDb.txt"}) for genome in genomes]
        (part / "genomes.txt").write_text("\n".join(stanzas))
        for genome in genomes:
            here = [signal for signal in chosen if signal.genome == genome]
            for signal in here:
                signal.write(part)
            (part / slug(genome) / "trackDb.txt").write_text("\n".join(_track_db(here)))
    return out / "hub.txt"


def _track_db(signals: list[Signal]) -> Iterator[str]:
    """Stanzas of the tracks of one assembly; names are unique and of letters, digits and underscores."""
    taken: set[str] = set()
    for priority, signal in enumerate(signals, 1):
        name = base = f"{signal.kind}_{_word(signal.name)}"
        number = 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        yield _stanza(
            {
                "track": name,
                "type": "bigWig",
                "bigDataUrl": signal.file.partition("/")[2],
                "shortLabel": signal.short,
                "longLabel": _line(signal.description)[:LONG],
                "color": COLOURS[signal.kind],
                "visibility": "full" if priority <= SHOWN else "hide",
                "autoScale": "on",
                "alwaysZero": "on",
                "maxHeightPixels": "100:40:8",
                "windowingFunction": "mean",
                "priority": str(priority),
            }
        )


def write_igv(
    out: Path,
    signals: Iterable[Signal],
    *,
    genome: str | None = None,
    features: Sequence[Feature] = (),
    reference: str = "",
) -> Path:
    """Write an IGV session with its bigWig files.

    Parameters
    ----------
    genome : assembly; the only one of the signals if None. features : files of places on it.
    reference : what IGV loads the genome from, where it does not know the assembly by its name.

    Returns
    -------
    The session file. Raises InputError if the assembly must be named, or has no signals.
    """
    signals = list(signals)
    known = list(dict.fromkeys(signal.genome for signal in signals))
    if genome is None and len(known) > 1:
        raise InputError("--genome", f"an IGV session is of one assembly; name one of {', '.join(known)}")
    chosen = [signal for signal in signals if genome in (None, signal.genome)]
    if signals and not chosen:
        raise InputError("--genome", f"nothing to show on {genome!r}; there are signals on {', '.join(known)}")
    with _export(out, chosen) as (part, found):
        assembly = found[0].genome
        contig, size = next(iter(found[0].sizes.items()))
        locus = next((signal.locus_1based for signal in found if signal.locus_1based), f"{contig}:1-{size}")
        lines = ['<?xml version="1.0" encoding="UTF-8" standalone="no"?>']
        lines.append(f'<Session genome={quoteattr(reference or assembly)} locus={quoteattr(locus)} version="8">')
        lines.append("  <Resources>")
        files = [*(signal.file for signal in found), *(feature.file for feature in features)]
        lines += [f"    <Resource path={quoteattr(file)}/>" for file in files]
        lines += ["  </Resources>", '  <Panel name="DataPanel">']
        for signal in found:
            signal.write(part)
            lines.append(
                f"    <Track id={quoteattr(signal.file)} name={quoteattr(_line(signal.name))} "
                f'color="{COLOURS[signal.kind]}" autoScale="true" renderer="BAR_CHART" visible="true" '
                'windowFunction="mean"/>'
            )
        for feature in features:
            feature.write(part)
            place = f"id={quoteattr(feature.file)} name={quoteattr(_line(feature.name))}"
            lines.append(f'    <Track {place} color="60,71,84" visible="true"/>')
        lines += ["  </Panel>", "</Session>"]
        (part / "igv_session.xml").write_text("\n".join(lines) + "\n")
    return out / "igv_session.xml"


@contextmanager
def _export(out: Path, signals: Iterable[Signal]) -> Iterator[tuple[Path, list[Signal]]]:
    """A staged folder for an export and its signals in order: measured, predicted, contributions."""
    chosen = sorted(signals, key=lambda signal: ORDER[signal.kind])
    if not chosen:
        raise InputError(out, "there is nothing to export: no predictions along a genome, maps or bigWig tracks")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "marker.json").is_file()):
        raise InputError(out, "is there and no export of seqmill; name a new folder")
    with noun_folder(out, noun="exports", label=out.name, packages=("numpy", "pybigtools")) as (part, attrs, _):
        yield part, chosen
        attrs["signals"] = [{"file": s.file, "genome": s.genome, "kind": s.kind, "name": s.name} for s in chosen]


def _line(text: str) -> str:
    """One line of text without control characters: a label may hold anything, a settings file may not."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _word(text: str) -> str:
    """Letters, digits and underscores, as names of tracks and hubs must be."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")


def _stanza(settings: Mapping[str, str]) -> str:
    return "".join(f"{key} {value}\n" for key, value in settings.items())
