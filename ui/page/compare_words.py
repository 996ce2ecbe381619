"""What the page says of two takes: the players with their wipe, and the difference of the paths. No Gradio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ui.document.comparison import GIVEN, PREVIEW
from ui.page.common_words import ButtonLook
from ui.page.html import NOTHING, Html, tag, together
from ui.page.result_words import take_label
from ui.page.stage_words import page_film
from ui.page.verify_words import bars, strips
from ui.session.pictures import inline_mp4

if TYPE_CHECKING:
    from ui.document.comparison import PathDifference
    from ui.document.document import Document
    from ui.document.state import State

GIVEN_WORDS = "What was given"
PREVIEW_WORDS = "The preview"


class Side(NamedTuple):
    """One of what is compared; two are equal while its source is the same object.

    Args:
        source: a clip for `GIVEN`, a preview for `PREVIEW`, else a take.
    """

    number: int
    title: str
    source: Any
    image_size: tuple[int, int]

    def mp4(self) -> bytes:
        """The video's file."""
        if self.number == GIVEN:
            return page_film(self.source)
        return self.source.mp4 if self.number == PREVIEW else self.source.video.read_bytes()


def compare_button(document: Document) -> ButtonLook:
    """Needs a take."""
    return ButtonLook("Compare", True) if document.takes else ButtonLook("Compare (needs a take)", False)


def side_button(document: Document, compared: tuple[int, int] | None) -> ButtonLook:
    """Needs a comparison of two takes."""
    ready = compared is not None and min(compared) > 0
    return ButtonLook("Side by side MP4", True) if ready else ButtonLook("Side by side MP4 (needs two takes)", False)


def choices(document: Document, has_preview: bool) -> list[tuple[str, int]]:
    """(words, number) of what was given, of the preview, and of every take."""
    if not document.takes:
        return []
    others = [(GIVEN_WORDS, GIVEN)] + ([(PREVIEW_WORDS, PREVIEW)] if has_preview else [])
    return others + [(take_label(document, take), take.number) for take in document.takes]


def wipe_player(a: Side | None, b: Side | None) -> Html:
    """Both videos in one place, A left of the wipe and B right of it; `assets/compare.js` keeps them together."""
    if a is None or b is None:
        return tag("div", "A take and what it is compared with play here in step.", class_="rap-empty")
    h, w = a.image_size
    names = [tag("span", side.title, class_=f"rap-wipe-name-{name}") for name, side in (("a", a), ("b", b))]
    picture = tag(
        "div", _video("b", b), _video("a", a), tag("i", class_="rap-wipe-line"), *names, class_="rap-wipe",
        style=f"aspect-ratio: {w} / {h}",
    )  # fmt: skip
    at = tag(
        "input", class_="rap-wipe-at", type="range", min=0, max=100, value=50, aria_label="where the wipe is"
    )  # fmt: skip
    return together(picture, at)


def _video(name: str, side: Side) -> Html:
    return tag(
        "video", class_=f"rap-wipe-{name}", loop=True, muted=True, playsinline=True, preload="auto",
        aria_label=side.title, src=inline_mp4(side.mp4()),
    )  # fmt: skip


def side_of(state: State, number: int) -> Side | None:
    """What is compared, by its number; None where it is not there any more."""
    document, preview = state.document, state.geometry.preview
    if number == GIVEN and document.clip is not None:
        return Side(number, GIVEN_WORDS, document.clip, document.clip.footage_size)
    if number == PREVIEW and preview is not None and document.clip is not None:
        return Side(number, PREVIEW_WORDS, preview, document.clip.image_size)
    take = next((take for take in document.takes if take.number == number), None)
    return None if take is None else Side(number, take.title, take, take.size or take.trajectory.image_size)


def difference(found: PathDifference | None) -> Html:
    """In words and as two charts over the frames."""
    if found is None:
        return NOTHING
    if found.is_none:
        return tag("div", "Both takes were made along the same path.", class_="rap-fact")
    turn, shift = found.rotation_deg, found.distance
    words = f"The paths are {turn.mean():.1f}° and {shift.mean():.3f} × the distance to the subject apart on average."
    return together(
        tag("div", words, class_="rap-fact"),
        strips(
            (f"Rotation, up to {turn.max():.1f}°", bars(turn, None, None)),
            (f"Position, up to {shift.max():.3f}", bars(shift, None, None)),
        ),
    )
