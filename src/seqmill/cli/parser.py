"""The verbs and their arguments. What a verb does is imported when it is run."""

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from seqmill import __version__
from seqmill.cli.settings import DEFAULT_CONFIG, RESULTS

EXIT_CODES = """exit codes:
  0    done
  1    unexpected error
  2    a file, sheet or setting cannot be used
  3    another live process is writing the same thing
  4    a store is damaged, or verify found something
  5    a process that read a file or computed crashed, hung or was killed
  6    a host did not give what it should: unreachable, or other bytes than pinned
  10   refresh found changes
  75   a training was stopped and has saved its state: the same command continues
  130  stopped by Ctrl-C; 143 by SIGTERM: what is finished stays, the same command continues
"""
SHELLS = ("bash", "zsh", "fish")
Verb = Callable[..., argparse.ArgumentParser]


def _later(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        return getattr(import_module(f"seqmill.cli.{module}"), function)(arguments)

    return run


def _common() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """Arguments of every verb, and of every verb that reads a configuration."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON object on standard output and nothing else")
    common.add_argument("--traceback", action="store_true", help="show where in the program an error arose")
    loudness = common.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="more messages")
    loudness.add_argument("-q", "--quiet", action="store_true", help="only warnings and errors")
    configured = argparse.ArgumentParser(add_help=False, parents=[common])
    _file(
        configured, "--configfile", action="append", metavar="FILE",
        help=f"configuration; given again, each file is laid on the one before (default: {DEFAULT_CONFIG})",
    )  # fmt: skip
    configured.add_argument(
        "--config", action="append", metavar="KEY=VALUE",
        help="a single setting, laid on top, e.g. models.basset.training.max_epochs=3; may be given again",
    )  # fmt: skip
    configured.add_argument(
        "--locked", action="store_true", help="ask no host for anything: what is not in the cache is an error"
    )
    return common, configured


def _file(parser: argparse._ActionsContainer, *names: str, folder: bool = False, **more) -> None:
    """An argument that is a path; shells complete it."""
    made = parser.add_argument(*names, type=Path, **more)
    made.complete = {kind: value[int(folder)] for kind, value in COMPLETE.items()}  # type: ignore[attr-defined]


# How each shell completes files and folders.
COMPLETE = {
    "bash": ("_shtab_compgen_files", "_shtab_compgen_dirs"),
    "zsh": ("_files", "_files -/"),
    "tcsh": ("f", "d"),
}


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="seqmill",
        description="From sequencing tracks to trained sequence models, mutagenesis maps and a report.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"seqmill {__version__}")
    common, configured = _common()
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    def verb(name: str, text: str, module: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made = verbs.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", parents=parents or [configured],
            epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        made.set_defaults(run=_later(module, name))
        return made

    plan = verb("plan", "what would be built, its disk and time, and what a change would re-run", "look")
    _file(plan, "--snakefile", metavar="FILE", help="the workflow (default: of this folder, else of the installation)")
    plan.add_argument("--no-dry-run", action="store_true", help="do not ask Snakemake what it would run")
    _remote(verb)
    _stages(verb)
    _effects(verb)
    _measured(verb)
    imported = verb("import-weights", "make a model from weights of PyTorch or Keras", "import_weights", common)
    imported.set_defaults(run=_later("import_weights", "import_weights"))
    _file(imported, "file", metavar="FILE", help="YAML: the network, and which tensor is which")
    _file(imported, "weights", metavar="WEIGHTS", help="safetensors, or HDF5 of Keras")
    _file(imported, "--out", folder=True, metavar="FOLDER", help="the model to write")
    imported.add_argument("--show", action="store_true", help="only list the tensors of both sides, as they are paired")
    report = verb("report", "write the report page, after making all that it tells of", "stages")
    _file(report, "--out", metavar="FILE", help="the page (default: results/report/index.html)")
    verify = verb("verify", "re-read every byte of stores, or of a tree of results", "look", common)
    _file(verify, "paths", folder=True, nargs="+", metavar="PATH")
    _exports(verbs, common, configured)
    _sheets(verbs, configured)
    _caches(verbs, configured)
    summary = verb("summary", "what the last run found, and where its report is", "look", common)
    _file(summary, "path", folder=True, nargs="?", default=RESULTS, metavar="RESULTS")
    watch = verb("watch", "show how trainings go: live curves on a terminal, lines elsewhere", "watch", common)
    _file(
        watch, "paths", folder=True, nargs="*", metavar="RUN",
        help="folders of models, or folders that hold some (default: results)",
    )  # fmt: skip
    watch.add_argument("--once", action="store_true", help="say how they are now, and end")
    watch.add_argument("--every", type=float, metavar="SECONDS", help="default: 2 on a terminal, 30 elsewhere")
    completion = verb("completion", "print a script that completes this command in a shell", "look", common)
    completion.add_argument("shell", choices=SHELLS)
    return parser


def _runs(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--fold", help="one fold (default: all of the configuration)")
    parser.add_argument("--seed", type=int, help="one seed (default: all of the configuration)")


def _remote(verb: Verb) -> None:
    """Arguments of the verbs that ask portals."""
    lock = verb("lock", "pin every remote file of the sheet and the configuration: address, size, checksum", "remote")
    lock.add_argument("names", nargs="*", metavar="NAME", help="ask for these again (default: only what is new)")
    lock.add_argument("--all", action="store_true", help="ask for everything again")
    lock.add_argument("--check", action="store_true", help="ask nobody: exit 2 if the lock does not fit the sheet")
    fetch = verb("fetch", "fetch the pinned files, from the cache where it has them", "remote")
    fetch.add_argument(
        "names", nargs="*", metavar="NAME", help="tracks, or locations of the configuration (default: all)"
    )
    refresh = verb("refresh", "compare the lock with the portals and write a changelog", "refresh")
    refresh.add_argument("--apply", action="store_true", help="write the lock too, but for what needs a decision")
    refresh.add_argument(
        "--accept",
        action="append",
        metavar="NAME",
        help="take what needs a decision for this track; may be given again",
    )
    _file(refresh, "--out", metavar="FILE", help="changelog, JSON beside it (default: results/refresh/changelog.md)")
    refresh.add_argument("--no-searches", action="store_true", help="do not ask the sheet's saved searches again")
    refresh.add_argument("--no-dry-run", action="store_true", help="do not ask Snakemake what would run again")
    _file(
        refresh, "--snakefile", metavar="FILE", help="the workflow (default: of this folder, else the installation's)"
    )


def _stages(verb: Verb) -> None:
    """Arguments of the verbs from tracks to evaluation."""
    tracks = verb("tracks", "build track stores and the genomes they need", "stages")
    tracks.add_argument("names", nargs="*", metavar="NAME", help="tracks of the sheet (default: all)")
    quality = verb("quality", "make signal and peaks of reads, and judge the quality of every experiment", "stages")
    quality.add_argument("names", nargs="*", metavar="EXPERIMENT", help="of the sheet of reads (default: all)")
    dataset = verb("dataset", "build a dataset and what it needs", "stages")
    dataset.add_argument("name", metavar="NAME")
    train = verb("train", "train a network, after building what it needs", "stages")
    train.add_argument("model", metavar="MODEL")
    _runs(train)
    predict = verb("predict", "predict with a network: its test parts, or with --out the rows of any dataset", "stages")
    predict.add_argument("model", metavar="MODEL", help="a network, or published predictions")
    _runs(predict)
    _file(
        predict, "--out", folder=True, metavar="FOLDER",
        help="write the mean over the trained folds and seeds here; each row only by runs that never saw it",
    )  # fmt: skip
    predict.add_argument("--dataset", metavar="NAME", help="with --out: whose rows (default: the model's dataset)")
    predict.add_argument(
        "--part", choices=["test", "valid", "train", "all"], help="with --out: which rows (default: test)"
    )
    search = verb("search", "search for settings of a network, and score what is chosen on unread test parts", "search")
    search.add_argument("name", metavar="SEARCH")
    search.add_argument("--fold", help="only choose the settings of one fold (default: all, and their scores)")
    search.add_argument(
        "--worker", action="store_true", help="only make trials, beside others that do (on any machine)"
    )
    curve = verb("curve", "train on growing parts of the training rows, and draw scores over their number", "search")
    curve.add_argument("name", metavar="CURVE")
    evaluate = verb("evaluate", "judge all models and baselines of a dataset, after making what that needs", "stages")
    evaluate.add_argument("name", metavar="DATASET")


def _ad_hoc(parser: argparse.ArgumentParser, what: str, source: str, text: str) -> None:
    """Arguments of a map, or of scores of variants, that the configuration does not name."""
    own = parser.add_argument_group(f"{what} that the configuration does not name (by the runs that are trained)")
    own.add_argument("--model", metavar="MODEL", help="a network of the configuration")
    _file(own, "--out", folder=True, metavar="FOLDER", help="where the results go")
    own.add_argument("--genome", metavar="ASSEMBLY", help="of the places (default: the dataset's only one)")
    own.add_argument("--targets", nargs="+", metavar="TARGET", help="of the model (default: all)")
    own.add_argument(
        "--runs", choices=["unseen", "all"],
        help="unseen: each place by the runs that never saw it in training (default); all: by all",
    )  # fmt: skip
    _runs(own)
    _file(own, source, metavar="FILE", help=text)


def _effects(verb: Verb) -> None:
    """Arguments of maps and variants."""
    ism = verb("ism", "make a mutagenesis map, with the files for browsers and motif discovery", "effects")
    ism.add_argument("name", nargs="?", metavar="MAP", help="a map of the configuration")
    _ad_hoc(ism, "a map", "--regions", "BED file; each region at most as long as the window, unless cut into tiles")
    ism.add_argument(
        "--edits", nargs="+", choices=["substitutions", "deletions", "insertions"],
        help="of one base each (default: substitutions); with --model",
    )  # fmt: skip
    ism.add_argument(
        "--tile-bp", type=int, metavar="BP", help="cut regions into tiles of this length, for long ones; with --model"
    )
    motifs = verb("motifs", "motifs of a map, filters of a network, known motifs, and what they do", "effects")
    motifs.add_argument("name", metavar="NAME", help="a section of `motifs` of the configuration")
    variants = verb("variants", "score variants with a network", "effects")
    variants.add_argument("name", nargs="?", metavar="SET", help="a set of variants of the configuration")
    _ad_hoc(variants, "variants", "--file", "VCF or BCF, table (.tsv, .tsv.gz, .csv) or Parquet")
    variants.add_argument(
        "--effects", nargs="+", choices=["diff", "logfc", "score", "jsd", "active_allele_quantile"],
        help="default: diff score; with --model",
    )  # fmt: skip
    variants.add_argument(
        "--standard-deviation", action="store_true", default=None,
        help="of each effect over the runs; with --model",
    )  # fmt: skip
    beside = variants.add_mutually_exclusive_group()
    _file(beside, "--background", metavar="FILE", help="variants to compare with (percentile, p); with --model")
    beside.add_argument(
        "--background-sampled", type=int, metavar="N", help="compare with so many drawn variants; with --model"
    )
    variants.add_argument(
        "--haplotypes", choices=["blocks"], help="also score phased variants of one window together; with --model"
    )
    variants.add_argument(
        "--samples", nargs="+", metavar="SAMPLE", help="whose haplotypes (default: all); with --model"
    )
    variants.add_argument(
        "--min-ref-match", type=float, metavar="SHARE",
        help="smallest share of REF alleles that agree with the genome (default: 0.95); with --model",
    )  # fmt: skip


def _measured(verb: Verb) -> None:
    """Arguments of comparisons with experiments."""
    measured = verb("measured", "compare predictions with effects that were measured by experiment", "effects")
    measured.add_argument("name", metavar="SET", help="a set of measured effects of the configuration")


def _sheets(verbs: "argparse._SubParsersAction", configured: argparse.ArgumentParser) -> None:
    """Arguments of sheets made from what portals have."""
    text = "write a track sheet from what a portal has"
    sheet = verbs.add_parser(
        "sheet", help=text, description=text.capitalize() + ".",
        epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    sheet.set_defaults(run=_later("sheet", "sheet"))
    what = sheet.add_subparsers(dest="what", metavar="PORTAL", required=True)
    text = "one row a file that a search of the ENCODE portal finds; words as the portal writes them"
    encode = what.add_parser("encode", help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[configured])
    for name, example in (
        ("--assay", "assay title, e.g. 'TF ChIP-seq'"),
        ("--biosample", "term name, e.g. K562"),
        ("--target", "label, e.g. CTCF"),
        ("--assembly", "e.g. GRCh38"),
        ("--output-type", "e.g. 'fold change over control'"),
        ("--experiment", "accession of one experiment (ENCSR…)"),
    ):
        encode.add_argument(name, default="", metavar="TEXT", help=example)
    encode.add_argument("--format", default="bigwig", help="bigwig (default), narrowpeak, broadpeak, bed, bam, hic")
    encode.add_argument("--status", default="released", choices=["released", "archived"])
    encode.add_argument(
        "--all-files", action="store_true", help="not only the files that the portal calls its default of an experiment"
    )
    encode.add_argument("--limit", type=int, default=0, metavar="N", help="at most so many files (default: all)")
    _file(encode, "--metadata", metavar="FILE", help="ask nobody: choose from a metadata.tsv of a batch download")
    encode.add_argument("--genome", default="", metavar="NAME", help="genome of the configuration (default: assembly)")
    _file(encode, "--out", metavar="FILE", required=True, help="the sheet")
    text = "one row an experiment of a study, project or series"
    sra = what.add_parser("sra", help=text, description=text.capitalize() + ".", parents=[configured])
    sra.add_argument(
        "accession", metavar="ACCESSION", help="of SRA, ENA, DDBJ or GEO, e.g. SRP096361, PRJNA360829, GSE93374"
    )
    sra.add_argument("--genome", default="", metavar="NAME", help="genome of the configuration")
    _file(sra, "--out", metavar="FILE", required=True, help="the sheet")


def _caches(verbs: "argparse._SubParsersAction", configured: argparse.ArgumentParser) -> None:
    """Arguments of the cache."""
    text = "list, prune or check the cache of fetched files"
    cache = verbs.add_parser(
        "cache", help=text, description=text.capitalize() + ".",
        epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    cache.set_defaults(run=_later("cache", "cache"))
    what = cache.add_subparsers(dest="what", metavar="WHAT", required=True)

    def kind(name: str, text: str) -> argparse.ArgumentParser:
        return what.add_parser(name, help=text, description=text.capitalize() + ".", parents=[configured])

    kind("list", "the files, the one used last at the end; links: by projects of the same disk")
    prune = kind("prune", "delete files that no project of the same disk links to")
    prune.add_argument("--older-than-days", type=float, metavar="DAYS", help="only those not used for so long")
    prune.add_argument(
        "--max-gb", type=float, metavar="GB", help="only until the cache is no larger (longest unused first)"
    )
    prune.add_argument("--linked", action="store_true", help="also those that projects link to")
    prune.add_argument("--dry-run", action="store_true", help="delete nothing, only say what")
    check = kind("check", "read every file again and compare it with its checksum")
    check.add_argument("--delete", action="store_true", help="delete what is damaged; the next fetch gets it again")


def _exports(
    verbs: "argparse._SubParsersAction", common: argparse.ArgumentParser, configured: argparse.ArgumentParser
) -> None:
    """Arguments of exports."""
    text = "write the files of browsers and of other programs"
    export = verbs.add_parser("export", help=text, description=text.capitalize() + ".")
    export.set_defaults(run=_later("export", "export"))
    what = export.add_subparsers(dest="what", metavar="WHAT", required=True)

    def kind(name: str, text: str) -> argparse.ArgumentParser:
        return what.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=[configured])

    targets = kind("targets", "the track sheet as Calico's targets.txt")
    _file(targets, "out", metavar="FILE")
    folds = kind("folds", "fold_N.json of a built dataset, whose split must be by whole contigs")
    _file(folds, "out", folder=True, metavar="FOLDER")
    folds.add_argument("--dataset", metavar="NAME", help="whose folds (default: the only one)")
    bigwig = kind("bigwig", "predictions of a network for its test rows, one bigWig a track")
    bigwig.add_argument("model", metavar="MODEL")
    _file(bigwig, "out", folder=True, metavar="FOLDER")
    hub = kind("hub", "a UCSC track hub of measured tracks, predictions and maps")
    _file(hub, "out", folder=True, metavar="FOLDER")
    hub.add_argument("--email", metavar="ADDRESS", required=True, help="contact of the hub; UCSC asks for one")
    igv = kind("igv", "an IGV session of measured tracks, predictions and maps")
    _file(igv, "out", folder=True, metavar="FOLDER")
    igv.add_argument("--genome", metavar="ASSEMBLY", help="default: the only one")
    igv.add_argument("--map", metavar="MAP", help="only this map, with the tracks, genes and variants of its page")
    text = "how trainings went, as a log folder of TensorBoard"
    board = what.add_parser("tensorboard", help=text, description=text.capitalize() + ".", parents=[common])
    _file(board, "out", folder=True, metavar="FOLDER")
    _file(board, "runs", folder=True, nargs="*", metavar="RUN", help="as of 'watch' (default: results)")
