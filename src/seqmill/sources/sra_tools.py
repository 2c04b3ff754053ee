"""SRA files to FASTQ with NCBI's sra-tools (``vdb-validate``, ``fasterq-dump``), whose exit status alone says little.

Seen of version 3.0.3: ``vdb-validate`` ends with 0 and no word for a file that is none of SRA, ``fasterq-dump`` ends
with 0 and writes nothing for a truncated one. So what they say and what they write is checked too.
"""

import gzip
import logging
import os
import re
import shutil
import subprocess
from pathlib import Path

from seqmill.config.lock import LockRow
from seqmill.runtime.errors import DamageError, InputError, WorkerError
from seqmill.runtime.files import fsync_folder
from seqmill.runtime.progress import human_bytes

_LOG = logging.getLogger("seqmill")
VERSION_MIN = (3, 0, 3)  # older ones end with 0 where nothing was found
_INSTALL = "install sra-tools (apt-get install sra-toolkit, or conda install -c bioconda sra-tools)"
_BLOCK = 1 << 20
_ROLES = {"_1": "R1", "_2": "R2", "": "single"}


def fastq(sra: Path, row: LockRow, folder: Path, *, offline: bool = False, threads: int = 1) -> dict[str, Path]:
    """Convert a checked SRA file to gzipped FASTQ: the same bytes every time.

    Parameters
    ----------
    sra : the file. row : of the lock: its run, and how many spots are expected (0: unknown).
    folder : where the files are written, as ``{run}_1.fastq.gz`` and ``{run}_2.fastq.gz`` or ``{run}.fastq.gz``.
    offline : forbid sra-tools to ask NCBI; runs that are stored as alignments may need reference sequences from there.

    Returns
    -------
    Role ('R1' and 'R2', or 'single') to path. Of a paired run, reads without mate are left out, as ENA's are.

    Raises
    ------
    InputError : sra-tools are not there or too old, or the disk has too little room.
    DamageError : the file does not validate, or what was written is not what the run holds.
    WorkerError : a program was killed or hung.
    """
    check_tools()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _check_room(sra, row, folder)
    work = folder / f".{row.run}.part"
    shutil.rmtree(work, ignore_errors=True)
    (work / "out").mkdir(parents=True)
    try:
        _settings(work, offline)
        link = work / f"{row.run}.sra"  # sra-tools name the reads after the file
        link.symlink_to(sra.resolve())
        _validate(link, work, row)
        written = _dump(link, work, row, threads)
        return _compress(work / "out", folder, row, written)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_tools() -> str:
    """Version of fasterq-dump. Raises InputError if a program is missing or too old."""
    for program in ("vdb-validate", "fasterq-dump"):
        if not shutil.which(program):
            raise InputError(program, f"not found; {_INSTALL}")
    done = subprocess.run(["fasterq-dump", "--version"], capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout + done.stderr)
    version = tuple(int(part) for part in found.groups()) if found else (0, 0, 0)
    if version < VERSION_MIN:
        told = found.group() if found else "none told"
        raise InputError("fasterq-dump", f"version {told}, need {'.'.join(map(str, VERSION_MIN))} or newer; {_INSTALL}")
    return ".".join(map(str, version))


def expected_bytes(sra_bytes: int, row: LockRow) -> int:
    """Size of the uncompressed FASTQ of a run: bases and qualities, and two lines of names a read."""
    return 2 * row.bases + 200 * row.reads if row.bases else 8 * sra_bytes


def _check_room(sra: Path, row: LockRow, folder: Path) -> None:
    need, free = 2 * expected_bytes(sra.stat().st_size, row), shutil.disk_usage(folder).free
    if need > free:
        raise InputError(
            folder, f"{row.run} needs about {human_bytes(need)} while it is converted, {human_bytes(free)} are free"
        )


def _settings(work: Path, offline: bool) -> None:
    """Settings of sra-tools of their own: those of the user may cache, or report, what this run must not."""
    lines = ['/libs/cloud/report_instance_identity = "false"', '/repository/user/cache-disabled = "true"']
    if offline:
        lines.append('/repository/remote/disabled = "true"')
    (work / "settings.mkfg").write_text("\n".join(lines) + "\n")


def _run(command: list[str], work: Path, sra: Path, row: LockRow) -> str:
    """Run one program in ``work``; what it printed. Raises for any other end than 0."""
    environment = {**os.environ, "NCBI_SETTINGS": str(work / "settings.mkfg"), "LC_ALL": "C", "TMPDIR": str(work)}
    limit_s = 600 + sra.stat().st_size / 200_000
    try:
        done = subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, errors="replace", timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        raise WorkerError(f"{row.run}: {command[0]} did not end within {limit_s:.0f} s and was stopped") from None
    said = done.stdout + done.stderr
    if done.returncode < 0:
        raise WorkerError(f"{row.run}: {command[0]} was killed by signal {-done.returncode}")
    if done.returncode:
        raise DamageError(f"{row.run}: {command[0]} failed (exit {done.returncode}): {_last_error(said)}")
    return said


def _last_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if " err: " in line] or lines
    return re.sub(r"^\S+ \S+ err: ", "", errors[-1])[:300] if errors else "it said nothing"


def _validate(sra: Path, work: Path, row: LockRow) -> None:
    said = _run(["vdb-validate", sra.name], work, sra, row)
    if "is consistent" not in said:
        raise DamageError(f"{row.run}: vdb-validate does not say that the file is consistent: {_last_error(said)}")


def _dump(sra: Path, work: Path, row: LockRow, threads: int) -> int:
    """Run fasterq-dump; reads written, as it counts them."""
    command = ["fasterq-dump", sra.name, "--split-3", "--skip-technical", "--threads", str(threads)]
    said = _run([*command, "--temp", "tmp", "--outdir", "out"], work, sra, row)
    counts = {}
    for what in ("spots read", "reads written"):
        found = re.search(rf"{what}\s*:\s*([\d,]+)", said)
        counts[what] = int(found.group(1).replace(",", "")) if found else 0
    spots, written = counts["spots read"], counts["reads written"]
    if not spots or not written:
        raise DamageError(f"{row.run}: fasterq-dump ended well but wrote no reads: {_last_error(said)}")
    if row.reads and spots != row.reads:
        raise DamageError(f"{row.run}: {spots:,} spots in the file, the archive says {row.reads:,}")
    return written


def _compress(out: Path, folder: Path, row: LockRow, written: int) -> dict[str, Path]:
    """Compress what was written, and count it again; then put it in place."""
    found = {mate: out / f"{row.run}{mate}.fastq" for mate in _ROLES if (out / f"{row.run}{mate}.fastq").is_file()}
    names = sorted(path.name for path in out.iterdir())
    if not found or len(found) != len(names) or ("_1" in found) != ("_2" in found):
        raise DamageError(
            f"{row.run}: fasterq-dump wrote {', '.join(names) or 'nothing'}; expected one FASTQ, or a pair"
        )
    used = [mate for mate in found if mate or "_1" not in found]
    counts = {mate: _pack(path, row.run, keep=mate in used) for mate, path in found.items()}
    if sum(counts.values()) != written or len({counts[mate] for mate in used}) != 1:
        told = ", ".join(f"{found[mate].name} {count:,}" for mate, count in counts.items())
        raise DamageError(f"{row.run}: reads written are {told}; fasterq-dump says {written:,} in all")
    if len(found) > len(used):
        _LOG.info("%s: %d reads without mate are left out", row.run, counts[""])
    placed = {}
    for mate in used:
        placed[_ROLES[mate]] = folder / f"{found[mate].name}.gz"
        os.replace(f"{found[mate]}.gz", placed[_ROLES[mate]])
    fsync_folder(folder)
    return placed


def _pack(path: Path, run: str, *, keep: bool) -> int:
    """Number of reads of a FASTQ, which becomes ``path.gz`` (without time and name) if it is to be kept.

    Raises DamageError if its lines are no multiple of four.
    """
    lines, last = 0, b"\n"
    with open(f"{path}.gz", "wb") as sink, open(path, "rb") as source:
        with gzip.GzipFile(filename="", mode="wb", fileobj=sink, mtime=0, compresslevel=4) as packed:
            while block := source.read(_BLOCK):
                lines += block.count(b"\n")
                last = block[-1:]
                if keep:
                    packed.write(block)
        sink.flush()
        os.fsync(sink.fileno())
    if lines % 4 or last != b"\n":
        raise DamageError(f"{run}: {path.name} has {lines:,} lines, no multiple of four: it is cut")
    path.unlink()
    return lines // 4
