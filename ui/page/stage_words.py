"""What the stage shows of a clip before there is a path, and the switch between its views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.page.html import Html, tag
from ui.session.pictures import inline_jpeg, inline_mp4, strip_jpeg

if TYPE_CHECKING:
    from rap.data import Clip

VIEWS = (
    ("clip", "Original", "What was given"),
    ("preview", "Preview", "The path as its cameras see it, by geometry alone"),
    ("take", "Take", "The video that was made along the path"),
    ("compare", "A | B", "Two takes in step, with a wipe between them"),
)
CORNERS = "M1 5 L1 1 L5 1 M9 1 L13 1 L13 5 M13 9 L13 13 L9 13 M5 13 L1 13 L1 9"
PICTURE_HEIGHT_PX = 360  # half of what is sent: sharp displays
SHOWN_PICTURES = 6  # side by side


def switch() -> Html:
    """Which of the views is large; `assets/stage.js` offers those that there are."""
    buttons = [
        tag("button", words, type="button", class_="rap-view-button", data_view=view, title=title, disabled=True)
        for view, words, title in VIEWS
    ]
    swap = tag(
        "button", "⇄", type="button", id="rap-swap", title="Picture and 3D view change places (X)",
        aria_label="picture and 3D view change places",
    )  # fmt: skip
    corners = tag("svg", tag("path", d=CORNERS), viewBox="0 0 14 14", width=12, height=12, aria_hidden="true")
    full = tag("button", corners, type="button", id="rap-full", title="Full screen (F)", aria_label="full screen")
    return tag("div", *buttons, tag("i"), swap, full, class_="rap-switch", role="group", aria_label="what is shown")


def glimpse() -> Html:
    """The place of a single frame of the path, newer than the preview (`assets/stage.js`)."""
    return tag("img", alt="what the camera at the playhead sees")


def clip_picture(clip: Clip | None) -> Html:
    """The clip, playing; a picture as it is, several side by side; an invitation before there is one."""
    if clip is None:
        words = (
            tag("b", "Give a film or a photograph"),
            tag("span", "See its cameras, move them, make the video again."),
        )
        return tag("div", *words, tag("button", "Choose a file", type="button"), class_="rap-invitation")
    if len(clip) == 1:
        return tag("img", alt=clip.name or "the picture", src=inline_jpeg(_still(clip)))
    if clip.is_stretched and not clip.is_timed:
        return tag("img", class_="rap-pictures", alt=clip.name or "the pictures", src=inline_jpeg(_still(clip)))
    return tag(
        "video", autoplay=True, loop=True, muted=True, playsinline=True, aria_label=clip.name or "the clip",
        src=inline_mp4(page_film(clip)),
    )  # fmt: skip


def _still(clip: Clip) -> bytes:
    """The picture, or the first of several side by side."""
    count = min(len(clip.own_frames), SHOWN_PICTURES)
    return strip_jpeg(clip.footage[list(clip.own_frames)], count, PICTURE_HEIGHT_PX // count)


def page_film(clip: Clip) -> bytes:
    """With the frames between the clip's own where it has them, at the speed it was filmed at."""
    from rap.data import playback_fps
    from rap.data.encoding import film_for_a_page

    frames, fps = clip.frames_u8 if clip.footage_u8 is None else clip.footage_u8, clip.fps
    if clip.film is not None:
        frames, fps = clip.film.frames_u8, clip.fps * len(clip.film.frames_u8) / len(clip)
    return film_for_a_page(frames, playback_fps(fps))
