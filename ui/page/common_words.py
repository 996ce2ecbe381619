"""What all panels say alike: notices, progress, spans of time, and how a button looks.

Words are pure functions from a session's values to HTML and button labels: no Gradio, no session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from ui.page.html import NOTHING, Html, tag
from ui.session.pictures import inline_jpeg, strip_jpeg

if TYPE_CHECKING:  # names for the type checker only: this module loads before torch does
    from ui.document.state import JobStatus, Notice

STRIP_HEIGHT_PX = 44
STRIP_FRAMES = 5
JOB_TITLES = {
    "predict": "Predicting the camera path",
    "imagine": "Imagining",
    "regenerate": "Regenerating",
    "verify": "Verifying the take",
    "spread": "Sampling the path",
}


@dataclass(frozen=True)
class ButtonLook:
    """A button's words, and whether it can be pressed; when it cannot, the words say what it waits for."""

    label: str
    enabled: bool


def notice_line(notice: Notice | None, place: str) -> Html:
    """The session's message, if it belongs in this panel."""
    if notice is None or notice.place != place:
        return NOTHING
    kind, role = ("error", "alert") if notice.is_error else ("info", "status")
    return tag("div", sentence(notice.text), class_=f"rap-notice rap-{kind}", role=role)


def strip_image(frames_u8: UInt8[np.ndarray, "T h w 3"], alt: str) -> Html:
    """Up to `STRIP_FRAMES` frames side by side as one small inline picture, first and last included."""
    source = inline_jpeg(strip_jpeg(frames_u8, STRIP_FRAMES, STRIP_HEIGHT_PX))
    return tag("img", class_="rap-strip", alt=alt, src=source)


def progress_card(job: JobStatus | None) -> Html:
    """Bar, step, time left and the current estimate of the job; empty without one."""
    if job is None:
        return NOTHING
    if job.phase == "queued":
        ahead = "" if job.place == 0 else f" ({job.place} ahead)"
        detail, share = f"waiting for {job.waiting_for}{ahead}" if job.waiting_for else "begins", 0.0
    elif job.phase == "cancelling":
        detail, share = "stopping after this step", job.step / max(job.steps, 1)
    else:
        left = "" if job.eta_s is None else f" · {duration(job.eta_s)} left"
        detail, share = f"step {job.step} of {job.steps}{left}", job.step / max(job.steps, 1)
    preview = None if job.preview_u8 is None else strip_image(job.preview_u8, "current estimate")
    title = tag("div", tag("b", JOB_TITLES[job.kind]), " ", detail)
    bar = tag("div", tag("i", style=f"width:{100 * min(max(share, 0.0), 1.0):.0f}%"), class_="rap-bar")
    return tag("div", title, bar, preview, class_="rap-progress", role="status")


def capital(words: str) -> str:
    """Words as the beginning of a line."""
    return words[:1].upper() + words[1:]


def sentence(words: str) -> str:
    """A refusal as a sentence of its own; one that begins with a name, of a file or a value, stays as it is."""
    first = words.partition(" ")[0]
    return capital(words) if first.isalpha() else words


def duration(seconds: float) -> str:
    """A time span as one reads it: 0.4 s, 12 s, 3 min 20 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def unless_busy(label: str, job: JobStatus | None) -> ButtonLook:
    """A verification makes way for whatever is asked for."""
    free = job is None or job.kind == "verify"
    return ButtonLook(label, True) if free else ButtonLook(f"{label} (job running)", False)
