"""Scripts that complete the command in a shell.

Bash and zsh scripts are made by shtab from the parser; fish, which shtab does not write, gets its own few lines.
"""

import argparse
from typing import Any

from seqmill.cli.parser import make_parser


def script(shell: str) -> str:
    """The completion script for "bash", "zsh" or "fish"."""
    parser = make_parser()
    if shell == "fish":
        return _fish(parser)
    import shtab

    return shtab.complete(parser, shell)


def _verbs(parser: argparse.ArgumentParser) -> tuple[dict[str, argparse.ArgumentParser], dict[str, str]]:
    """Parsers and help texts of the verbs below a parser; empty if it has none."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            return dict(action.choices), texts
    return {}, {}


def _quoted(text: Any) -> str:
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish(parser: argparse.ArgumentParser) -> str:
    """Completion for fish: https://fishshell.com/docs/current/completions.html"""
    lines = ["# fish completion for seqmill", "complete -c seqmill -f"]
    verbs, texts = _verbs(parser)
    names = " ".join(verbs)
    for name, text in texts.items():
        lines.append(f"complete -c seqmill -n 'not __fish_seen_subcommand_from {names}' -a {name} -d {_quoted(text)}")
    for name, below in verbs.items():
        here = f"__fish_seen_subcommand_from {name}"
        inner, inner_texts = _verbs(below)
        for kind, text in inner_texts.items():
            lines.append(f"complete -c seqmill -n '{here}' -a {kind} -d {_quoted(text)}")
        options = {option: action for part in (below, *inner.values()) for option, action in _options(part).items()}
        for option, action in options.items():
            line = f"complete -c seqmill -n '{here}' {option}"
            if action.nargs != 0:
                line += " -r" + (f" -a {_quoted(' '.join(map(str, action.choices)))}" if action.choices else "")
                line += " -F" if hasattr(action, "complete") else ""
            lines.append(f"{line} -d {_quoted(action.help or '')}")
        for action in (action for part in (below, *inner.values()) for action in part._actions):
            if not action.option_strings and action.choices and not inner:
                lines.append(f"complete -c seqmill -n '{here}' -a {_quoted(' '.join(map(str, action.choices)))}")
            elif not action.option_strings and hasattr(action, "complete"):
                lines.append(f"complete -c seqmill -n '{here}' -F")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Options as fish wants them, e.g. "-l json" or "-s q -l quiet"."""
    found = {}
    for action in parser._actions:
        names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in action.option_strings]
        if names:
            found[" ".join(names)] = action
    return found
