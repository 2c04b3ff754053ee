"""A still picture of one region: a sequence logo over a heatmap of the three substitutions of every base."""

import numpy as np

from seqmill.report.figures import svg_uri
from seqmill.stores import map_values
from seqmill.stores.map_values import MUTAGENESIS

# Letters in a box of 1 by 1, from the top left; filled by the even-odd rule.
GLYPHS = {
    "A": "M0 1L.4 0H.6L1 1H.79L.71 .77H.29L.21 1ZM.35 .6H.65L.5 .17Z",
    "C": "M1 .33C.95 .12 .76 0 .52 0C.2 0 0 .2 0 .5C0 .8 .2 1 .52 1C.76 1 .95 .88 1 .67H.79C.75 .78 .66 .84 .53 .84"
    "C.33 .84 .21 .71 .21 .5C.21 .29 .33 .16 .53 .16C.66 .16 .75 .22 .79 .33Z",
    "G": "M1 .31C.94 .11 .75 0 .52 0C.2 0 0 .2 0 .5C0 .8 .2 1 .52 1C.75 1 .93 .91 1 .79V.47H.52V.63H.8V.74"
    "C.74 .8 .65 .84 .53 .84C.33 .84 .21 .71 .21 .5C.21 .29 .33 .16 .53 .16C.65 .16 .74 .21 .79 .31Z",
    "T": "M0 0H1V.17H.6V1H.4V.17H0Z",
}
COLOURS = {"A": "#007a5a", "C": "#0072b2", "G": "#a86f00", "T": "#b3321a"}
LOW, MID, HIGH = (0x1F, 0x5F, 0xA8), (0xF7, 0xF7, 0xF7), (0xC4, 0x4E, 0x0C)
SHOWN_BP = 110
_WIDTH, _STRIP, _LOGO, _ROW, _LEFT = 900, 46, 110, 17, 34


def colour(value: float, largest: float) -> str:
    """Blue below zero, orange above, light grey at zero; full strength at ``largest``."""
    if np.isnan(value):
        return "#ffffff"
    share = float(np.clip(value / (largest or 1), -1, 1))
    end = HIGH if share > 0 else LOW
    return "#" + "".join(f"{round(m + (e - m) * abs(share)):02x}" for m, e in zip(MID, end))


def strongest(weight: np.ndarray, width: int) -> tuple[int, int]:
    """0-based bounds of the stretch of ``width`` positions with the largest sum; all where there are fewer.

    Of neighbouring stretches that have nearly as much the middle one, so that what is strong is not at its edge.
    """
    if len(weight) <= width:
        return 0, len(weight)
    sums = np.convolve(np.nan_to_num(weight), np.ones(width), "valid")
    best, far = int(sums.argmax()), np.flatnonzero(sums < 0.95 * sums.max())
    before, behind = far[far < best], far[far > best]
    first = int(before[-1]) + 1 if len(before) else 0
    last = int(behind[0]) - 1 if len(behind) else len(sums) - 1
    start = (first + last) // 2
    return start, start + width


def still(codes: np.ndarray, effects: np.ndarray, start: int, method: str = MUTAGENESIS) -> tuple[str, int, int]:
    """The whole region as a strip, and logo over heatmap of its strongest stretch.

    Parameters
    ----------
    codes : uint8 (position,), A0 C1 G2 T3 N4. effects : (position, base ACGT), NaN at N.
    start : of the region, 0-based; the axis counts from 1. method : of the map, see `seqmill.stores.map_values`.

    Returns
    -------
    data URI of an SVG image, and the 0-based bounds of the stretch within the region.
    """
    each = np.nan_to_num(effects)[..., None]
    weight = np.nan_to_num(map_values.weight(each, codes, method))[:, 0]
    letters = np.nan_to_num(map_values.contribution(each, codes, method))[:, 0]
    first, last = strongest(weight, SHOWN_BP)
    step = (_WIDTH - _LEFT) / max(last - first, 1)
    height = _STRIP + _LOGO + 4 * _ROW + 48
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif"'
        ' font-size="12" fill="#22272e"><defs>',
        *(
            f'<path id="{base}" d="{path}" fill="{COLOURS[base]}" fill-rule="evenodd"/>'
            for base, path in GLYPHS.items()
        ),
        "</defs>",
        *_strip(weight, first, last),
        *_logo(codes, letters[first:last], first, step),
        *_heat(codes, effects, first, last, step),
        *_axis(start, first, last, step, _STRIP + _LOGO + 4 * _ROW + 14),
        "</svg>",
    ]
    return svg_uri("".join(parts).encode()), first, last


def _strip(weight: np.ndarray, first: int, last: int) -> list[str]:
    top, step = max(float(weight.max(initial=0)), 1e-9), (_WIDTH - _LEFT) / len(weight)
    base = _STRIP - 8
    points = "".join(f"L{_LEFT + (i + 0.5) * step:.1f} {base - value / top * 34:.1f}" for i, value in enumerate(weight))
    left, wide = _LEFT + first * step, (last - first) * step
    box = f'<rect x="{left:.1f}" y="0" width="{wide:.1f}" height="{base}" fill="#e4e9f0"/>'
    return [box, f'<path d="M{_LEFT} {base}{points}L{_WIDTH} {base}" fill="none" stroke="#57606a" stroke-width="1"/>']


def _logo(codes: np.ndarray, height: np.ndarray, first: int, step: float) -> list[str]:
    """Height of a letter: what the base adds to the score; upside down where it lowers it."""
    up, down = max(height.max(initial=0), 0), max(-height.min(initial=0), 0)
    unit = (_LOGO - 12) / max(up + down, 1e-9)
    zero = _STRIP + 4 + up * unit
    parts = [f'<path d="M{_LEFT} {zero:.1f}H{_WIDTH}" stroke="#8a8f98" stroke-width=".6"/>']
    for i, value in enumerate(height):
        tall = abs(value) * unit
        if codes[first + i] < 4 and tall > 0.3:
            x, y = _LEFT + i * step, zero - tall if value > 0 else zero + tall
            scale = f"{step * 0.94:.2f} {tall if value > 0 else -tall:.2f}"
            parts.append(
                f'<use href="#{"ACGT"[codes[first + i]]}" transform="translate({x:.1f} {y:.1f}) scale({scale})"/>'
            )
    return parts


def _heat(codes: np.ndarray, effects: np.ndarray, first: int, last: int, step: float) -> list[str]:
    top, largest = _STRIP + _LOGO, float(np.nan_to_num(np.abs(effects)).max(initial=0))
    parts = []
    for row, base in enumerate("ACGT"):
        y = top + row * _ROW
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{base}</text>')
        for i in range(first, last):
            x = _LEFT + (i - first) * step
            if codes[i] == row:
                parts.append(f'<circle cx="{x + step / 2:.1f}" cy="{y + _ROW / 2}" r="1.6" fill="#8a8f98"/>')
            else:
                fill = colour(float(effects[i, row]), largest)
                parts.append(f'<rect x="{x:.1f}" y="{y}" width="{step + 0.3:.2f}" height="{_ROW}" fill="{fill}"/>')
    legend = f"blue: −{largest:.2f}   orange: +{largest:.2f}   dot: the base that is there"
    parts.append(f'<text x="{_WIDTH}" y="{top + 4 * _ROW + 44}" text-anchor="end" fill="#57606a">{legend}</text>')
    return parts


def _axis(start: int, first: int, last: int, step: float, y: float) -> list[str]:
    parts = []
    for i in range(first, last):
        place = start + i + 1
        if place % 20 == 0:
            x = _LEFT + (i - first + 0.5) * step
            parts.append(f'<path d="M{x:.1f} {y - 13}v5" stroke="#57606a"/>')
            parts.append(f'<text x="{x:.1f}" y="{y + 4}" text-anchor="middle" fill="#57606a">{place:,}</text>')
    return parts
