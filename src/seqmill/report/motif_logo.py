"""Logos of motifs, a known motif aligned below the one that was found."""

import numpy as np

from seqmill.formats.motifs import information
from seqmill.report.figures import svg_uri
from seqmill.report.logo import COLOURS, GLYPHS

_STEP, _HIGH, _GAP, _LABEL = 14, 56, 6, 12


def heights(pwm: np.ndarray) -> np.ndarray:
    """Heights of letters in bits: probability times information of the column, float64 (columns, 4)."""
    return pwm * information(pwm)[:, None]


def turned(values: np.ndarray) -> np.ndarray:
    """The same seen from the other strand."""
    return values[::-1, ::-1]


def logo(values: np.ndarray, known: np.ndarray | None = None, offset: int = 0) -> str:
    """One logo, or two in the same columns.

    Parameters
    ----------
    values : (columns, 4) heights of letters, also below 0 (upside down). known : heights of another motif, drawn below.
    offset : column of ``known`` that stands below the first one of ``values``.

    Returns
    -------
    data URI of an SVG image.
    """
    left = max(0, offset)
    columns = left + len(values)
    if known is not None:
        columns = max(columns, left - offset + len(known))
    wide, rows = columns * _STEP, 1 if known is None else 2
    tall = rows * _HIGH + (rows - 1) * (_GAP + _LABEL) + 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}"'
        ' font-family="sans-serif" font-size="10" fill="#57606a"><defs>',
        *(
            f'<path id="{base}" d="{path}" fill="{COLOURS[base]}" fill-rule="evenodd"/>'
            for base, path in GLYPHS.items()
        ),
        "</defs>",
        *_letters(values, left * _STEP, 0),
    ]
    if known is not None:
        top = _HIGH + _GAP
        parts.append(f'<text x="{(left - offset) * _STEP}" y="{top + _LABEL - 3}">known</text>')
        parts += _letters(known, (left - offset) * _STEP, top + _LABEL)
    parts.append("</svg>")
    return svg_uri("".join(parts).encode())


def _letters(values: np.ndarray, left: float, top: float) -> list[str]:
    """Letters stacked by size, those above 0 upwards, those below 0 downwards and upside down."""
    up, down = np.maximum(values, 0).sum(axis=1), np.maximum(-values, 0).sum(axis=1)
    unit = (_HIGH - 2) / max(float(up.max(initial=0) + down.max(initial=0)), 1e-9)
    zero = top + 1 + float(up.max(initial=0)) * unit
    wide = len(values) * _STEP
    parts = [f'<path d="M{left:g} {zero:.1f}h{wide:g}" stroke="#8a8f98" stroke-width=".6"/>']
    for i, column in enumerate(values):
        above = below = zero
        for base in np.argsort(np.abs(column), kind="stable"):
            size = abs(float(column[base])) * unit
            if size < 0.3:
                continue
            if column[base] > 0:
                above -= size
                y, scale = above, size
            else:
                below += size
                y, scale = below, -size
            place = f"translate({left + i * _STEP:g} {y:.1f}) scale({_STEP * 0.94:.2f} {scale:.2f})"
            parts.append(f'<use href="#{"ACGT"[base]}" transform="{place}"/>')
    return parts
