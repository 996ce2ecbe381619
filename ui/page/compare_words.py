"""What the page says of two takes: the players with their wipe, and the difference of the paths. No Gradio."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from ui.page.common_words import ButtonLook
from ui.page.result_words import take_label
from ui.page.verify_words import bars

if TYPE_CHECKING:
    from ui.document.comparison import PathDifference
    from ui.document.document import Document, Take


def compare_button(document: Document) -> ButtonLook:
    """Needs two takes."""
    if len(document.takes) < 2:
        return ButtonLook(f"Compare (needs 2 takes, there {'is 1' if document.takes else 'are none'})", False)
    return ButtonLook("Compare", True)


def side_button(document: Document, compared: tuple[int, int] | None) -> ButtonLook:
    """Needs a comparison."""
    return ButtonLook("Side by side MP4", True) if compared else ButtonLook("Side by side MP4 (needs Compare)", False)


def choices(document: Document) -> list[tuple[str, int]]:
    """(words, number) of every take."""
    return [(take_label(document, take), take.number) for take in document.takes]


def wipe_player(a: Take | None, b: Take | None) -> str:
    """Both videos in one place, A left of the wipe and B right of it; `assets/compare.js` keeps them together."""
    if a is None or b is None:
        return '<div class="rap-empty">Two takes play here in step, with a wipe between them.</div>'
    h, w = a.trajectory.image_size
    videos = "".join(
        f'<video class="rap-wipe-{side}" loop muted playsinline preload="auto" aria-label="{escape(take.title)}" '
        f'src="data:video/mp4;base64,{base64.b64encode(take.video.read_bytes()).decode()}"></video>'
        for side, take in (("b", b), ("a", a))
    )
    return (
        f'<div class="rap-wipe" style="aspect-ratio: {w} / {h}">{videos}<i class="rap-wipe-line"></i>'
        f'<span class="rap-wipe-name-a">{escape(a.title)}</span><span class="rap-wipe-name-b">{escape(b.title)}</span>'
        '</div><input class="rap-wipe-at" type="range" min="0" max="100" value="50" aria-label="where the wipe is">'
    )


def difference(found: PathDifference | None) -> str:
    """In words and as two charts over the frames."""
    if found is None:
        return ""
    if found.is_none:
        return '<div class="rap-fact">Both takes were made along the same path.</div>'
    turn, shift = found.rotation_deg, found.distance
    return (
        f'<div class="rap-fact">The paths are {turn.mean():.1f}° and {shift.mean():.3f} median depths apart on average.'
        f'</div><div class="rap-strips"><div class="rap-note">Rotation, up to {turn.max():.1f}°</div>'
        f'{bars(turn, None, None)}<div class="rap-note">Position, up to {shift.max():.3f}</div>'
        f"{bars(shift, None, None)}</div>"
    )
