"""The index of an aligner: made once for a genome, used by all libraries on it.

::

    aligners/{assembly}.{aligner}/   marker.json run.json
       genome.*                      files of the program (bowtie2-build, bwa index, hisat2-build)

The sequence is that of the genome store: its contigs, ACGT in upper case, N for all else. No splice sites are put
into the index of hisat2: they are found in the reads.
"""

from pathlib import Path

import numpy as np

from seqmill.config.reads import Assay, Reads
from seqmill.reads.programs import pipeline, program_versions
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import Marker, read_marker
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import noun_folder, open_noun, upstream

PREFIX = "genome"
LINE_BP = 60
BLOCK_BP = LINE_BP << 18
_LETTERS = np.frombuffer(b"ACGTN", np.uint8)
_BUILD = {
    "bowtie2": ["bowtie2-build", "--quiet", "--threads", "{threads}", "{fasta}", PREFIX],
    "bwa": ["bwa", "index", "-p", PREFIX, "{fasta}"],
    "hisat2": ["hisat2-build", "--quiet", "-p", "{threads}", "{fasta}", PREFIX],
}


def aligner_of(assay: Assay, settings: Reads) -> str:
    """Aligner of an assay: ``auto`` is hisat2 for RNA, whose reads span introns, and bowtie2 for all else."""
    if settings.aligner != "auto":
        return settings.aligner
    return "hisat2" if assay == "rna" else "bowtie2"


def write_fasta(path: Path, genome: GenomeReader) -> None:
    """All contigs of a genome as plain FASTA, upper case, in the store's order."""
    with open(path, "wb") as out:
        for contig, size in genome.sizes.items():
            out.write(b">" + contig.encode() + b"\n")
            for start in range(0, size, BLOCK_BP):
                letters = _LETTERS[genome.codes(contig, start, min(start + BLOCK_BP, size))]
                whole = len(letters) // LINE_BP * LINE_BP
                lines = np.full((whole // LINE_BP, LINE_BP + 1), ord("\n"), np.uint8)
                lines[:, :LINE_BP] = letters[:whole].reshape(-1, LINE_BP)
                out.write(lines.tobytes())
                if whole < len(letters):
                    out.write(letters[whole:].tobytes() + b"\n")


def build_index(folder: str | Path, *, name: str, genome: str | Path, aligner: str, threads: int = 1) -> Marker:
    """Write the index of one aligner.

    Parameters
    ----------
    folder : ``…/aligners/{assembly}.{aligner}``. name : its label.
    genome : the genome store. aligner : bowtie2, bwa or hisat2.
    threads : for the program; the bytes are the same for any number.

    Returns
    -------
    The marker, with ``aligner``, ``version`` of the program and ``sizes`` (contig and bp, in order) in its attrs.

    Raises
    ------
    InputError : the program is not there. WorkerError : it failed, as for want of memory.
    """
    reader = GenomeReader(genome)
    versions = program_versions(_BUILD[aligner][0])
    with noun_folder(
        folder,
        noun="aligner",
        label=name,
        inputs=upstream(genome),
        parameters={"aligner": aligner},
        packages=("numpy",),
    ) as (part, out, record):
        fasta = part / "genome.fasta"
        write_fasta(fasta, reader)
        words = {"{threads}": str(threads), "{fasta}": fasta.name}
        pipeline([[words.get(word, word) for word in _BUILD[aligner]]], cwd=part, what=f"index {name}")
        fasta.unlink()
        record["programs"] = versions
        out |= {
            "aligner": aligner,
            "version": next(iter(versions.values())),
            "sizes": [[contig, size] for contig, size in reader.sizes.items()],
        }
    return read_marker(folder)


def index_prefix(folder: str | Path, genome: GenomeReader, aligner: str) -> Path:
    """What an aligner is given as its index.

    Raises
    ------
    InputError : the index is of another aligner or of another genome. DamageError : it is not whole.
    """
    folder = Path(folder)
    marker = open_noun(folder, "aligner")
    if marker.attrs["aligner"] != aligner:
        raise InputError(folder, f"is an index for {marker.attrs['aligner']}, expected one for {aligner}")
    if genome.digest not in marker.attrs["inputs"].values():
        raise InputError(folder, f"is the index of another genome than {genome.folder}; build it again")
    return folder.resolve() / PREFIX
