"""How the processes of a benchmark are spoken to: a JSON command a line in, a JSON answer a line out."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(make: Callable[..., Any]) -> None:
    """Answer until no command comes. ``do`` names a method of the side, the rest are its arguments.

    ``open`` makes a new side and answers with its ``facts``. What goes wrong is answered as ``failed``.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a compiler prints is no answer
    side = None
    for line in sys.stdin:
        command = json.loads(line)
        do = command.pop("do")
        try:
            if do == "open":
                side = make(**command)
                answer = side.facts
            else:
                answer = getattr(side, do)(**command) or {}
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers)
