"""The one place where the page's HTML is made: markup is built from tags, and whatever is no markup is text.

    tag("div", tag("b", clip.name), " ", facts, class_="rap-fact")

A plain string is escaped wherever it stands, so that a name or a sentence out of a file can never become markup.
Glueing markup together with `+`, `join` or an f-string gives a plain string again, which is then shown as text: the
mistake is seen, and harmless. `tests/ui/test_html.py` holds the rest of the code to it.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

TAGS = frozenset((
    "b", "button", "details", "dialog", "div", "figcaption", "figure", "h1", "header", "i", "img", "input", "kbd",
    "label", "li", "main", "ol", "output", "path", "rect", "span", "summary", "svg", "table", "td", "title", "tr",
    "video",
))  # fmt: skip
VOID_TAGS = frozenset(("img", "input"))
ATTRIBUTES = frozenset((
    "alt", "autoplay", "checked", "class", "controls", "d", "disabled", "height", "id", "loop", "max", "min", "muted",
    "open", "playsinline", "preload", "preserveAspectRatio", "role", "src", "step", "style", "title", "type", "value",
    "viewBox", "width", "x", "y",
))  # fmt: skip
DATA_ADDRESS = re.compile(r"data:(image/jpeg|video/mp4);base64,[A-Za-z0-9+/=]*")
STYLE = re.compile(r"(width:\d{1,3}%|aspect-ratio: \d{1,6} / \d{1,6})")
DRAWING = re.compile(r"[MLACQZ0-9 .,-]+")
FAMILY = re.compile(r"(aria|data)-[a-z]+")
FETCHES_NOTHING = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob: data:; "
    "worker-src blob: data:; style-src 'unsafe-inline'; img-src data: blob:; media-src data:; font-src data:; "
    "connect-src data: blob:; form-action 'none'; base-uri 'none'"
)
"""Policy of a page that is kept as a file: all there is to it is within it, also of what it frames."""


class Html(str):
    """Markup that may go to a page as it is; made by `tag` and `together` alone."""

    __slots__ = ()


NOTHING = Html()

Child = str | int | None


def tag(name: str, *children: Child, **attributes: Any) -> Html:
    """An element.

    Args:
        children: markup, or text, which is escaped; None is left out.
        attributes: as in HTML, with `_` for `-` and `class_` for `class`; True is the name alone, None and False leave
            it out. Only those that the page has, of which none can run a script.

    Raises:
        ValueError: a tag or an attribute that the page does not have, or a value that an attribute cannot have.
    """
    if name not in TAGS:
        raise ValueError(f"tag must be one of {', '.join(sorted(TAGS))}, got {name!r}")
    opened = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Html(opened if name in VOID_TAGS else f"{opened}{together(*children)}</{name}>")


def together(*children: Child) -> Html:
    """Markup and text, one after the other."""
    return Html("".join(_child(child) for child in children))


def markup(value: str | None) -> Html:
    """What a component of HTML is given: markup as it is, and a plain string as the text it is."""
    return together(value)


def fact(title: str, *words: Child) -> Html:
    """A line with its subject in front."""
    return tag("div", tag("b", title), " ", *words, class_="rap-fact")


def note(*words: Child) -> Html:
    """A line that may be passed over."""
    return tag("div", *words, class_="rap-note")


def badge(kind: str, words: str) -> Html:
    """A word that says how things stand."""
    return tag("span", words, class_=f"rap-badge rap-{kind}")


def framed(document: str, title: str) -> Html:
    """Another page within this one, of an origin of its own: its scripts reach nothing outside it."""
    return Html(f'<iframe sandbox="allow-scripts" title="{escape(title)}" srcdoc="{escape(document)}"></iframe>')


def whole_page(title: str, *children: Child, style: str, script: str, is_dark: bool = False) -> Html:
    """A page that needs no server.

    Args:
        style, script: files of ours.

    Raises:
        ValueError: one of these would end its element early.
    """
    if "</" in style + script:
        raise ValueError("style and script must be without '</', which may end them")
    return Html(
        f'<!doctype html><html lang="en"{_attribute("class", "dark" if is_dark else None)}><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{FETCHES_NOTHING}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body>{together(*children)}<script>{script}</script></body></html>"
    )


def _child(child: Child) -> str:
    if child is None:
        return ""
    return child if isinstance(child, Html) else escape(str(child), quote=False)


def _attribute(key: str, value: Any) -> str:
    name = key.rstrip("_").replace("_", "-")
    if name not in ATTRIBUTES and not FAMILY.fullmatch(name):
        raise ValueError(f"attribute must be one of {', '.join(sorted(ATTRIBUTES))}, aria-… or data-…, got {name!r}")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    text = str(value)
    shape = {"src": DATA_ADDRESS, "style": STYLE, "d": DRAWING}.get(name)
    if shape is not None and not shape.fullmatch(text):
        raise ValueError(f"{name} must be as {shape.pattern}, got {text[:40]!r}")
    return f' {name}="{escape(text)}"'
