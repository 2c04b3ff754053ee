"""Which files of a run docs/output.md does not name."""

import re
from pathlib import Path

from tests.workflow.runs import ROOT


def patterns() -> list[re.Pattern]:
    """The lines under "Every file", as regular expressions of paths below the results."""
    text = (ROOT / "docs/output.md").read_text()
    block = re.search(r"^## Every file\n.*?^```text\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert block, "docs/output.md has no list of every file"
    found = []
    for line in block[1].splitlines():
        pieces = re.split(r"(\*\*|\*|\{[^}]*\})", line.split("  ")[0])
        kinds = {"**": ".+", "*": "[^/]+"}
        found.append(re.compile("".join("[^/]+" if p[:1] == "{" else kinds.get(p, re.escape(p)) for p in pieces)))
    return found


def unnamed_files(results: Path) -> list[str]:
    """Files below ``results`` that no line of the list describes, sorted."""
    known = patterns()
    paths = (str(path.relative_to(results)) for path in results.rglob("*") if path.is_file())
    return sorted(path for path in paths if not any(pattern.fullmatch(path) for pattern in known))
