"""What the Keep tab says."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from ui.page.common_words import ButtonLook
from ui.page.html import Html, note, tag, together
from ui.session.pictures import inline_jpeg

if TYPE_CHECKING:  # names for the type checker only: this module loads before torch does
    from ui.document.document import Document
    from ui.document.state import BuiltScene


def save_button(document: Document) -> ButtonLook:
    """Needs a clip."""
    if document.clip is None:
        return ButtonLook("Save session (needs a clip)", False)
    return ButtonLook("Save session", True)


def share_button(document: Document) -> ButtonLook:
    """Needs a path."""
    ready = document.edited is not None
    return ButtonLook("Share as page" if ready else "Share as page (needs a path)", ready)


def command_button(document: Document) -> ButtonLook:
    """Needs a path."""
    ready = document.edited is not None and document.clip is not None
    return ButtonLook("Copy as command" if ready else "Copy as command (needs a path)", ready)


def link_button(document: Document) -> ButtonLook:
    """Needs a path."""
    ready = document.edited is not None and document.clip is not None
    return ButtonLook("Copy link" if ready else "Copy link (needs a path)", ready)


def figure_button(document: Document) -> ButtonLook:
    """Needs a path predicted from the clip."""
    ready = document.predicted is not None and document.prediction_follows_clip
    return ButtonLook("Export figure" if ready else "Export figure (needs Predict)", ready)


def export_take_button(document: Document) -> ButtonLook:
    """Needs a take on show."""
    take = document.take
    return ButtonLook("Export take (no take)", False) if take is None else ButtonLook(f"Export {take.title}", True)


def export_button(document: Document) -> ButtonLook:
    """Needs a path."""
    if document.edited is None:
        return ButtonLook("Export (needs a path)", False)
    return ButtonLook("Export the path", True)


def take_cameras_button(document: Document) -> ButtonLook:
    """Needs a take on show: its frames may be more, larger and wider than the model's along the path."""
    take = document.take
    if take is None:
        return ButtonLook("Export a take's cameras (no take)", False)
    return ButtonLook(f"Export {take.title}'s cameras", True)


def depth_button(scene: BuiltScene | None) -> ButtonLook:
    """Needs a picture whose depth has been found."""
    ready = scene is not None and scene.depth_map is not None
    return ButtonLook("Export depth, 16-bit PNG" if ready else "Export depth (needs a picture)", ready)


def depth_picture(scene: BuiltScene | None) -> Html:
    """The depth map of the picture, or why there is none."""
    if scene is None or scene.depth_map is None:
        return note("One picture has a depth map, unless it is taken for flat; it is there as soon as it is found.")
    by = PurePath(scene.basis.depth_by).name or "a network"
    return together(
        tag(
            "img", class_="rap-depth", alt="depth of the picture, near is bright", src=inline_jpeg(scene.depth_map.jpeg)
        ),
        note(
            f"Near is bright. By {by} from this one picture: relative, in units of its median depth; what is "
            "farther than two of them, such as a sky, is put at two."
        ),
    )
