"""The ``seqmill`` command: every stage without Snakemake, and what a run would cost before it starts."""

import argparse
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from seqmill import __version__
from seqmill.runtime.errors import InputError, LockedError, SeqmillError

EXIT_CODES = """exit codes:
  0  done
  1  unexpected error
  2  a file, sheet or setting cannot be used
  3  another live process is writing the same thing
  4  a store is damaged, or verify found something
  5  a reader of a source file crashed or hung
"""
DEFAULT_CONFIG = Path("config/config.yaml")
RESULTS = Path("results")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seqmill",
        description="From sequencing tracks to trained sequence models and a report.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"seqmill {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--traceback", action="store_true", help="show where in the program an error arose")
    common.add_argument("-v", "--verbose", action="store_true", help="more messages")
    configured = argparse.ArgumentParser(add_help=False, parents=[common])
    configured.add_argument(
        "--configfile", action="append", type=Path, metavar="FILE",
        help=f"configuration; given again, each file is laid on the one before (default: {DEFAULT_CONFIG})",
    )  # fmt: skip
    configured.add_argument(
        "--config", action="append", metavar="KEY=VALUE",
        help="a single setting, laid on top, e.g. models.basset.training.max_epochs=3; may be given again",
    )  # fmt: skip
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    def verb(name: str, text: str, parent: argparse.ArgumentParser, run: Any) -> argparse.ArgumentParser:
        made = verbs.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", parents=[parent], epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        made.set_defaults(run=run)
        return made

    plan = verb("plan", "what would be built, its disk and time, and what a change would re-run", configured, _plan)
    plan.add_argument("--json", action="store_true", help="for machines")
    plan.add_argument(
        "--snakefile",
        type=Path,
        metavar="FILE",
        help="the workflow (default: of this folder, else of the installation)",
    )
    plan.add_argument("--no-dry-run", action="store_true", help="do not ask Snakemake what it would run")
    tracks = verb("tracks", "build track stores and the genomes they need", configured, _tracks)
    tracks.add_argument("names", nargs="*", metavar="NAME", help="tracks of the sheet (default: all)")
    dataset = verb("dataset", "build a dataset and what it needs", configured, _dataset)
    dataset.add_argument("name", metavar="NAME")
    train = verb("train", "train a network, after building what it needs", configured, _train)
    train.add_argument("model", metavar="MODEL")
    train.add_argument("--fold", help="one fold (default: all of the configuration)")
    train.add_argument("--seed", type=int, help="one seed (default: all of the configuration)")
    predict = verb(
        "predict", "predict with a network: its test parts, or with --out the rows of any dataset", configured, _predict
    )
    predict.add_argument("model", metavar="MODEL", help="a network, or published predictions")
    predict.add_argument("--fold", help="one fold (default: all of the configuration)")
    predict.add_argument("--seed", type=int, help="one seed (default: all of the configuration)")
    predict.add_argument(
        "--out", type=Path, metavar="FOLDER",
        help="write the mean over the trained folds and seeds here; each row only by runs that never saw it",
    )  # fmt: skip
    predict.add_argument("--dataset", metavar="NAME", help="with --out: whose rows (default: the model's dataset)")
    predict.add_argument(
        "--part", choices=["test", "valid", "train", "all"], help="with --out: which rows (default: test)"
    )
    evaluate = verb(
        "evaluate", "judge all models and baselines of a dataset, after making what that needs", configured, _evaluate
    )
    evaluate.add_argument("name", metavar="DATASET")
    export = verb(
        "export", "write the field's own files: targets.txt, or fold_N.json of a built dataset", configured, _export
    )
    export.add_argument(
        "what", choices=["targets", "folds"],
        help="targets: the track sheet; folds: the parts of a built dataset, whose split must be by whole contigs",
    )  # fmt: skip
    export.add_argument("out", type=Path, metavar="OUT", help="file (targets) or folder (folds)")
    export.add_argument("--dataset", metavar="NAME", help="whose folds (default: the only one)")
    verify = verb("verify", "re-read every byte of stores, or of a tree of results", common, _verify)
    verify.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    verify.add_argument("--json", action="store_true", help="for machines")
    summary = verb("summary", "what the last run found, and where its report is", common, _summary)
    summary.add_argument("path", nargs="?", type=Path, default=RESULTS, metavar="RESULTS")
    summary.add_argument("--json", action="store_true", help="for machines")
    return parser


def overrides(pairs: list[str]) -> dict[str, Any]:
    """Nested mapping of ``a.b=value`` settings; values are read as YAML.

    >>> overrides(["models.basset.training.max_epochs=3", "report.title=A title"])
    {'models': {'basset': {'training': {'max_epochs': 3}}}, 'report': {'title': 'A title'}}
    """
    import yaml

    from seqmill.config.project import merge

    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not all(key.split(".")):
            raise InputError("--config", f"expected KEY=VALUE, found {pair!r}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError("--config", f"value of {key} is not YAML: {text!r}") from None
        for part in reversed(key.split(".")):
            value = {part: value}
        found = merge(found, value)
    return found


def _files(arguments: argparse.Namespace) -> list[Path]:
    files = arguments.configfile or [DEFAULT_CONFIG]
    for path in files:
        if not path.is_file():
            raise InputError(path, "configuration does not exist; name one with --configfile")
    return files


def _project(arguments: argparse.Namespace) -> Any:
    from seqmill.config.project import Project

    return Project.load(list(_files(arguments)), overrides(arguments.config or []))


def _build(arguments: argparse.Namespace, project: Any, choose: Any, then: Any = None) -> int:
    """Build the steps that ``choose`` names while holding the lock of the working folder; print what they wrote.

    ``then`` is called afterwards under the same lock, and what it returns is printed instead.
    """
    from seqmill.runtime.locks import acquire
    from seqmill.steps import Steps

    steps = Steps(project, RESULTS)
    wanted = choose(steps)
    configuration = None
    if not arguments.config:
        sheet = [project.config.tracks.sheet] if project.config.tracks else []
        configuration = [path for path in [*_files(arguments), *sheet] if path.is_file()]
    lock = acquire(RESULTS / ".run.lock", f"the working folder {Path.cwd()}")
    try:
        built = steps.run(wanted, configuration=configuration)
        written = [step.folder for step in wanted] if then is None else [then()]
    finally:
        lock.release()
    for folder in written:
        print(folder)
    print(f"{built} built, {len(steps.in_order(wanted)) - built} up to date", file=sys.stderr)
    return 0


def _tracks(arguments: argparse.Namespace) -> int:
    project = _project(arguments)
    names = arguments.names or list(project.tracks)
    if not names:
        raise InputError(project.where, "has no track sheet: set tracks.sheet")
    return _build(arguments, project, lambda steps: [steps.track(name) for name in names])


def _dataset(arguments: argparse.Namespace) -> int:
    return _build(arguments, _project(arguments), lambda steps: [steps.dataset(arguments.name)])


def _folds(arguments: argparse.Namespace, project: Any, name: str) -> list[str]:
    """Folds of a run that are asked for."""
    folds = project.folds(name)
    if arguments.fold is None:
        return folds
    if arguments.fold not in folds:
        raise InputError(project.where, f"{name}: fold {arguments.fold!r} is none of {', '.join(folds)}")
    return [arguments.fold]


def _model(arguments: argparse.Namespace, project: Any) -> str:
    if arguments.model not in project.config.models:
        known = ", ".join(project.config.models) or "none"
        raise InputError(project.where, f"model {arguments.model!r} is not configured; known: {known}")
    return arguments.model


def _train(arguments: argparse.Namespace) -> int:
    project = _project(arguments)
    name = _model(arguments, project)
    folds = _folds(arguments, project, name)
    seeds = project.seeds(name) if arguments.seed is None else [arguments.seed]
    return _build(arguments, project, lambda steps: [steps.train(name, fold, seed) for fold in folds for seed in seeds])


def _predict(arguments: argparse.Namespace) -> int:
    from seqmill import prediction_steps

    project = _project(arguments)
    seeds = None if arguments.seed is None else [arguments.seed]
    if arguments.out is None:
        if arguments.dataset or arguments.part:
            raise InputError("--out", "name the folder to write; without it the test parts of the model are predicted")
        name = arguments.model if arguments.model in project.config.published else _model(arguments, project)
        folds = _folds(arguments, project, name)
        return _build(arguments, project, lambda steps: prediction_steps.of_run(steps, name, folds, seeds))
    name = _model(arguments, project)
    dataset = arguments.dataset or project.config.models[name].dataset
    trained = prediction_steps.trained_runs(project, RESULTS, name, _folds(arguments, project, name), seeds)
    runs = [arguments.fold] if arguments.fold is not None and dataset == project.config.models[name].dataset else None

    def then() -> Path:
        part = arguments.part or "test"
        prediction_steps.across(project, RESULTS, name, trained, arguments.out, dataset=dataset, part=part, runs=runs)
        return arguments.out

    return _build(arguments, project, lambda steps: [steps.dataset(dataset)], then)


def _evaluate(arguments: argparse.Namespace) -> int:
    from seqmill import evaluation_steps

    return _build(arguments, _project(arguments), lambda steps: [evaluation_steps.of_dataset(steps, arguments.name)])


def _export(arguments: argparse.Namespace) -> int:
    from seqmill.config.names import slug
    from seqmill.exports import export_folds, export_targets

    project = _project(arguments)
    if arguments.what == "targets":
        written = export_targets(project, arguments.out)
    else:
        names = [arguments.dataset] if arguments.dataset else list(project.config.datasets)
        if len(names) != 1 or names[0] not in project.config.datasets:
            raise InputError("--dataset", f"name one of: {', '.join(project.config.datasets) or 'none configured'}")
        written = export_folds(RESULTS / "datasets" / f"{slug(names[0])}.zarr" / "rows", arguments.out)
    for path in written:
        print(path)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from seqmill.runtime.errors import DamageError
    from seqmill.stores.verify import verify

    problems = [problem for path in arguments.paths for problem in verify(path)]
    if arguments.json:
        print(json.dumps({"whole": not problems, "findings": problems}, indent=1))
    elif problems:
        print("\n".join(problems))
    if problems:
        raise DamageError(
            f"{len(problems):,} finding{'' if len(problems) == 1 else 's'}. Repair: delete the folders that are named "
            "and damaged, then run the command that built them again"
        )
    print("whole: every byte is as it was written", file=sys.stderr)
    return 0


def _summary(arguments: argparse.Namespace) -> int:
    from seqmill.summary import summarise, summary_lines

    path = arguments.path
    print(json.dumps(summarise(path), indent=1) if arguments.json else "\n".join(summary_lines(path)))
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    from seqmill import planning

    project = _project(arguments)
    plan = planning.make_plan(project, RESULTS)
    if not arguments.no_dry_run:
        if arguments.snakefile and not arguments.snakefile.is_file():
            raise InputError(arguments.snakefile, "does not exist or is not a file")
        settings = overrides(arguments.config or [])
        plan["rerun"] = planning.dry_run(_files(arguments), settings, arguments.snakefile)
    print(json.dumps(plan, indent=1) if arguments.json else "\n".join(planning.plan_lines(plan)))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.verb is None:
        parser.print_help(sys.stderr)
        return InputError.exit_code
    from seqmill.runtime.job import start_logging

    start_logging(verbose=arguments.verbose)
    try:
        return arguments.run(arguments)
    except SeqmillError as error:
        if arguments.traceback:
            traceback.print_exc()
        print(f"ERROR {error}", file=sys.stderr)
        hint = isinstance(error, LockedError)
        if hint:
            print("Another run works in this folder; nothing was changed.", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0  # the reader of our output has seen enough
    except KeyboardInterrupt:
        print("stopped; what is finished stays, the same command continues", file=sys.stderr)
        return 130
    except Exception as error:
        if arguments.traceback:
            traceback.print_exc()
        print(f"ERROR unexpected {type(error).__name__}: {error} (--traceback shows where)", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
