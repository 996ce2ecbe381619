"""A page to share: what was given, the path in space and the take, all in one file that plays without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rap.config import ASSETS
from rap.errors import InputError
from ui.page.html import Html, framed, tag, whole_page
from ui.page.stage_words import clip_picture
from ui.session.pictures import inline_mp4

if TYPE_CHECKING:
    from ui.document.document import Document, Take
    from ui.session.session import Session


def write(session: Session) -> Path:
    """The file, made of what is on show.

    Raises:
        InputError: there is no path, or the take's video cannot be read any more.
    """
    state = session.state
    if state.document.edited is None:
        raise InputError("there is no path to share yet; choose a move first")
    return session.export_page(share_page(state.document, session.scene_page(), state.is_dark))


def share_page(document: Document, scene: str, is_dark: bool) -> Html:
    """The whole page.

    Args:
        document: with a path.
        scene: HTML of the 3D view.
    """
    from ui.document.path_text import path_text

    path, clip = document.edited, document.clip
    assert path is not None
    name = clip.name if clip is not None and clip.name else "A camera path"
    pictures = [] if clip is None else [_figure(clip_picture(clip), "What was given")]
    if document.take is not None:
        pictures.append(_take_figure(document, document.take))
    space = tag("figure", framed(scene, "The path in space"), tag("figcaption", _path_words(document)), id="space")
    numbers = tag("details", tag("summary", "The path in numbers"), tag("div", path_text(path), id="path"))
    return whole_page(
        f"{name} · Rays as Pixels",
        tag("header", tag("h1", name), tag("span", "Filmed anew along another path, with Rays as Pixels")),
        tag("main", *pictures, space),
        numbers,
        style=(ASSETS / "share.css").read_text(encoding="utf-8"),
        script=(ASSETS / "share.js").read_text(encoding="utf-8"),
        is_dark=is_dark,
    )


def _take_figure(document: Document, take: Take) -> Html:
    try:
        data = take.video.read_bytes()
    except OSError as error:
        raise InputError(
            f"{take.title}: its video cannot be read any more ({error.strerror}); make it again"
        ) from error
    words = "what was made along an earlier path" if document.is_stale(take) else "what was made along the path"
    film = tag(
        "video", autoplay=True, loop=True, muted=True, playsinline=True, aria_label=take.title, src=inline_mp4(data)
    )
    return _figure(film, f"{take.title}: {words}", "take")


def _figure(picture: Html, words: str, name: str = "given") -> Html:
    return tag("figure", picture, tag("figcaption", words), id=name)


def _path_words(document: Document) -> str:
    path = document.edited
    assert path is not None
    return f"The path: {len(path)} cameras. Drag to look around it"
