"""From arguments to an exit code: errors are one line, signals leave nothing half-written."""

import argparse
import json
import os
import sys
import traceback

from seqmill.cli.parser import make_parser
from seqmill.runtime.child import Terminated, termination_unwinds
from seqmill.runtime.errors import InputError, LockedError, SeqmillError
from seqmill.runtime.job import LEVEL_VARIABLE, start_logging


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code, see `seqmill.cli.parser.EXIT_CODES`."""
    parser = make_parser()
    arguments = parser.parse_args(argv)
    if arguments.verb is None:
        parser.print_help(sys.stderr)
        return InputError.exit_code
    os.environ[LEVEL_VARIABLE] = "DEBUG" if arguments.verbose else "WARNING" if arguments.quiet else "INFO"
    start_logging()
    try:
        with termination_unwinds():
            return arguments.run(arguments)
    except SeqmillError as error:
        if arguments.traceback:
            traceback.print_exc()
        _complain(arguments, str(error), error.exit_code)
        if isinstance(error, LockedError):
            print("Another run works in this folder; nothing was changed.", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0  # the reader of our output has seen enough
    except KeyboardInterrupt as error:
        code = 143 if isinstance(error, Terminated) else 130
        print("stopped; what is finished stays, the same command continues", file=sys.stderr)
        return code
    except Exception as error:
        if arguments.traceback:
            traceback.print_exc()
        _complain(arguments, f"unexpected {type(error).__name__}: {error} (--traceback shows where)", 1)
        return 1


def _complain(arguments: argparse.Namespace, message: str, code: int) -> None:
    """The error on standard error, and with ``--json`` as the one object on standard output."""
    print(f"ERROR {message}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"verb": arguments.verb, "error": message, "exit_code": code}, indent=1))
