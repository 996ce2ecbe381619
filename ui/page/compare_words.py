"""What the page says of two takes: the players with their wipe, and the difference of the paths. No Gradio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.page.common_words import ButtonLook
from ui.page.html import NOTHING, Html, tag, together
from ui.page.result_words import take_label
from ui.page.verify_words import bars, strips
from ui.session.pictures import inline_mp4

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


def wipe_player(a: Take | None, b: Take | None) -> Html:
    """Both videos in one place, A left of the wipe and B right of it; `assets/compare.js` keeps them together."""
    if a is None or b is None:
        return tag("div", "Two takes play here in step, with a wipe between them.", class_="rap-empty")
    h, w = a.trajectory.image_size
    names = [tag("span", take.title, class_=f"rap-wipe-name-{side}") for side, take in (("a", a), ("b", b))]
    picture = tag(
        "div", _video("b", b), _video("a", a), tag("i", class_="rap-wipe-line"), *names, class_="rap-wipe",
        style=f"aspect-ratio: {w} / {h}",
    )  # fmt: skip
    at = tag(
        "input", class_="rap-wipe-at", type="range", min=0, max=100, value=50, aria_label="where the wipe is"
    )  # fmt: skip
    return together(picture, at)


def _video(side: str, take: Take) -> Html:
    return tag(
        "video", class_=f"rap-wipe-{side}", loop=True, muted=True, playsinline=True, preload="auto",
        aria_label=take.title, src=inline_mp4(take.video.read_bytes()),
    )  # fmt: skip


def difference(found: PathDifference | None) -> Html:
    """In words and as two charts over the frames."""
    if found is None:
        return NOTHING
    if found.is_none:
        return tag("div", "Both takes were made along the same path.", class_="rap-fact")
    turn, shift = found.rotation_deg, found.distance
    words = f"The paths are {turn.mean():.1f}° and {shift.mean():.3f} median depths apart on average."
    return together(
        tag("div", words, class_="rap-fact"),
        strips(
            (f"Rotation, up to {turn.max():.1f}°", bars(turn, None, None)),
            (f"Position, up to {shift.max():.3f}", bars(shift, None, None)),
        ),
    )
