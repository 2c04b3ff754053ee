"""Curves drawn with the characters of a terminal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = (36, 33, 35, 32, 34, 31)  # of terminals: cyan, yellow, magenta, green, blue, red
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # of a braille character, by column and row
_LABEL = 9


@dataclass(frozen=True)
class Curve:
    """One run: ``points`` (step, value) of a line, ``marks`` (step, value) drawn as its upper-case ``letter``."""

    letter: str
    points: Sequence[tuple[float, float]]
    marks: Sequence[tuple[float, float]] = ()
    colour: int = COLOURS[0]


def paint(text: str, colour: int, wanted: bool) -> str:
    """``text`` in a colour of the terminal, where wanted."""
    return f"\x1b[{colour}m{text}\x1b[0m" if wanted else text


def chart(curves: Sequence[Curve], *, columns: int, rows: int, braille: bool = True, colour: bool = True) -> list[str]:
    """Lines of a chart of ``columns`` × ``rows`` characters, axes included.

    Lines are dots of braille characters; without ``braille``, and where several runs could not be told apart without
    ``colour``, they are the lower-case letters of their runs. The few highest values (as of the first steps) are drawn
    at the upper edge. Empty where there is nothing to draw or no room for it.
    """
    finite = [
        (step, value) for curve in curves for step, value in (*curve.points, *curve.marks) if math.isfinite(value)
    ]
    width, height = columns - _LABEL - 1, rows - 1
    if not finite or width < 10 or height < 3:
        return []
    last = max(1.0, max(step for step, _ in finite))
    values = sorted(value for _, value in finite)
    low, high = values[0], values[min(len(values) - 1, int(0.97 * len(values)))]
    if high <= low:
        low, high = low - (abs(low) or 1) / 20, high + (abs(high) or 1) / 20
    braille &= colour or len(curves) == 1
    cells: list[list[tuple[str, int]]] = [[(" ", 0)] * width for _ in range(height)]

    def place(step: float, value: float, across: int, down: int) -> tuple[int, int]:
        share = (high - min(high, max(low, value))) / (high - low)
        return round(step / last * (across - 1)), round(share * (down - 1))

    for curve in curves:
        dots: dict[tuple[int, int], int] = {}
        places = [place(*point, 2 * width, 4 * height) for point in curve.points if math.isfinite(point[1])]
        for (x0, y0), (x1, y1) in zip(places[:1] + places, places):
            for x in range(x0, x1 + 1):
                y = y1 if x1 == x0 else round(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
                cell = (x // 2, y // 4)
                dots[cell] = dots.get(cell, 0) | _DOTS[x % 2][y % 4]
        for (x, y), pattern in dots.items():
            cells[y][x] = (chr(0x2800 + pattern) if braille else curve.letter.lower(), curve.colour)
    for curve in curves:
        for step, value in curve.marks:
            if math.isfinite(value):
                x, y = place(step, value, width, height)
                cells[y][x] = (curve.letter.upper(), curve.colour)
    labels = {0: high, height // 2: high - (high - low) * (height // 2) / (height - 1), height - 1: low}
    lines = []
    for number, row in enumerate(cells):
        label = f"{labels[number]:.4g}" if number in labels else ""
        lines.append(
            f"{label:>{_LABEL - 1}} |" + "".join(paint(c, code, colour and code > 0) for c, code in row).rstrip()
        )
    end = f"{last:,.0f} steps"
    return [*lines, f"{'0':>{_LABEL + 1}}{end:>{width - 1}}"]
