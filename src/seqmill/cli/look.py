"""Verbs that look and build nothing: plan, verify, summary, and the completion of the command itself."""

import argparse

from seqmill.cli.settings import RESULTS, config_files, project_of, remark, say, settings_of
from seqmill.runtime.errors import DamageError, InputError


def plan(arguments: argparse.Namespace) -> int:
    from seqmill.planning import plan as planning
    from seqmill.planning import rerun as planning_rerun

    project = project_of(arguments)
    found = planning.make_plan(project, RESULTS)
    if not arguments.no_dry_run:
        if arguments.snakefile and not arguments.snakefile.is_file():
            raise InputError(arguments.snakefile, "does not exist or is not a file")
        settings = settings_of(arguments)
        try:
            project.check_sources()  # the workflow asks the same first; here without Snakemake's words around it
            found["rerun"] = planning_rerun.dry_run(config_files(arguments), settings, arguments.snakefile)
        except InputError as error:
            found["rerun"] = {"jobs": [], "problem": str(error)}
    say(arguments, found, [] if arguments.json else planning.plan_lines(found))
    return 0


def verify(arguments: argparse.Namespace) -> int:
    from seqmill.stores.verify import verify as problems_of

    problems = [problem for path in arguments.paths for problem in problems_of(path)]
    if not problems:
        say(arguments, {"whole": True, "findings": []}, [])
        remark(arguments, "whole: every byte is as it was written")
        return 0
    error = DamageError(
        f"{len(problems):,} finding{'' if len(problems) == 1 else 's'}. Repair: delete the folders that are named "
        "and damaged, then run the command that built them again"
    )
    # the findings are the one object that --json promises, so the error is no second one
    say(arguments, {"whole": False, "findings": problems, "error": str(error)}, problems)
    if arguments.json:
        return error.exit_code
    raise error


def summary(arguments: argparse.Namespace) -> int:
    from seqmill.report.summary import summarise, summary_lines

    found = summarise(arguments.path)
    say(arguments, found, summary_lines(found, arguments.path))
    return 0


def completion(arguments: argparse.Namespace) -> int:
    from seqmill.cli.completion import script

    text = script(arguments.shell)
    say(arguments, {"shell": arguments.shell, "script": text}, [text.rstrip("\n")])
    return 0
