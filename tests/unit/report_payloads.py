"""Strings that would run, load or break out of their place if a page took them for markup."""

from typing import Any

VOID = {"meta", "img", "br", "link", "input", "hr"}
PAYLOADS = [
    "<script>document.title='pwned'</script>",
    "</script><script>document.title='pwned'</script>",
    "<img src=x onerror=document.title='pwned'>",
    "\"><img src=x onerror=document.title='pwned'>",
    "' onmouseover='document.title=`pwned`' x='",
    '" autofocus onfocus="document.title=`pwned`" x="',
    "<svg onload=document.title='pwned'>",
    "<svg><script>document.title='pwned'</script></svg>",
    "<iframe srcdoc='<script>parent.document.title=`pwned`</script>'>",
    "<iframe src=javascript:parent.document.title='pwned'>",
    "<a href=javascript:document.title='pwned'>x</a>",
    "javascript:document.title='pwned'",
    "data:text/html,<script>document.title='pwned'</script>",
    "</style><script>document.title='pwned'</script>",
    "</title><script>document.title='pwned'</script>",
    "--><script>document.title='pwned'</script><!--",
    "]]><script>document.title='pwned'</script>",
    "<details open ontoggle=document.title='pwned'>",
    "<base href=https://example.org/>",
    "<meta http-equiv=refresh content='0;url=https://example.org/'>",
    "<link rel=stylesheet href=https://example.org/x.css>",
    "<form action=https://example.org/><input name=x></form>",
    "{{ 7 * 7 }}{% include '/etc/hostname' %}${7*7}",
    "&lt;script&gt;document.title='pwned'&lt;/script&gt;",
    "\u202e<\x00script>document.title='pwned'</\x00script>$\\frac{1}{2$ \ud800",
]


MACHINE_MADE = {"bytes", "sequence"}
"""What the script decodes: base64 and letters of A, C, G, T and N that the report itself wrote."""


def poisoned(value: Any, payload: str) -> Any:
    """A copy of ``value`` with every string in it replaced, but not the images that the report drew itself."""
    if isinstance(value, str):
        return value if value.startswith(("data:image/svg+xml;base64,", "data:image/png;base64,")) else payload
    if isinstance(value, dict):
        return {key: item if key in MACHINE_MADE else poisoned(item, payload) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, payload) for item in value]
    return value


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two colours #rrggbb."""

    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((light(first), light(second)))
    return (high + 0.05) / (low + 0.05)
