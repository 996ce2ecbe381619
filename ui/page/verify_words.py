"""What the page says of a verification: sentences and small charts. No Gradio, no session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ui.page.common_words import ButtonLook, duration
from ui.page.html import NOTHING, Html, badge, fact, note, tag, together

if TYPE_CHECKING:
    from ui.document.document import Document
    from ui.document.state import JobStatus
    from ui.document.verification import KnownPaths, Verification

FOLLOWS, ROUGHLY = (1.5, 0.10), (5.0, 0.30)
"""Means over frames, rotation in degrees and position in parts of the path: up to these a take follows, or roughly."""
CAMERA_ALONE = "how the picture looks is not judged."
STRIP_SIZE = (300, 46)  # width and height of a chart, in the units of its view box


def verify_button(document: Document, job: JobStatus | None) -> ButtonLook:
    """Needs a take and no job at work."""
    take = document.take
    if take is None:
        return ButtonLook("Verify (needs a take)", False)
    if job is not None:
        return ButtonLook("Verifying …" if job.kind == "verify" else "Verify (job running)", False)
    return ButtonLook(f"Verify take {take.number}", True)


def worst_button(document: Document) -> ButtonLook:
    """Needs a verification of the take on show, and a path that still has its frame."""
    found = document.verification
    if found is None:
        return ButtonLook("Go to worst frame (needs a verified take)", False)
    if document.edited is None or found.worst_frame >= len(document.edited):
        return ButtonLook("Go to worst frame (not on this path)", False)
    return ButtonLook(f"Go to worst frame ({found.worst_frame})", True)


def verdict(document: Document, known: KnownPaths | None) -> Html:
    """How far the take on show went astray, beside what the model errs by where the truth is known."""
    take, found = document.take, document.verification
    if take is None:
        return tag("div", "No take yet. Whether a video followed its path is shown here.", class_="rap-empty")
    name = f"Take {take.number}"
    if found is None:
        return fact(name, "has not been verified.")
    turn, shift = _means(found)
    sentence = f"turns are off by {turn:.1f}° on average, positions by {shift:.0%} of the path"
    by = "by points tracked through the video" if found.by_tracks else "by the model's own estimate"
    told = fact(name, f"{sentence}, {by} · {duration(found.seconds)}")
    reason = note(_reason(found)) if found.reason else None
    folded, shown = (reason, None) if found.by_tracks else (None, reason)
    figures = tag("summary", "Figures"), told, folded, _table(take.number, found, known)
    return together(followed_badge(document), shown, tag("details", *figures, class_="rap-note"))


def followed_badge(document: Document) -> Html:
    """Whether the video on show followed its path, as measured in it: a word, how far off it is, and what of it the
    colour is about: a picture can be torn, and its camera go where it was sent."""
    found = document.verification
    if found is None or document.take is None:
        return NOTHING
    if not found.by_tracks:
        return badge("plain", "Whether the camera follows could not be measured")
    turn, shift = _means(found)
    kind, words = "failed", "does not follow"
    for better, better_words, limits in (("stale", "roughly follows", ROUGHLY), ("fresh", "follows", FOLLOWS)):
        if turn <= limits[0] and shift <= limits[1]:
            kind, words = better, better_words
    off = f"Off by {turn:.1f}° and {shift:.0%} of the way; {CAMERA_ALONE}"
    return together(badge(kind, f"The camera {words} its path"), " ", tag("span", off, class_="rap-note"))


def _table(number: int, found: Verification, known: KnownPaths | None) -> Html:
    """The take by tracks and by the model, each over what that way errs by on clips of known cameras."""
    rows: list[tuple[str, ...]] = [("", "R_err", "T_err", "rotation")]
    tracks = None if known is None else known.by_tracks
    of_model = found if found.estimated is None else found.estimated
    ways = [("tracks", found, tracks)] if found.by_tracks else []
    for way, one, errs in (*ways, ("model", of_model, known)):
        rows.append(_row(f"Take {number}, {way}", one.errors.r_err, one.errors.t_err, _means(one)[0]))
        if errs is not None:
            rows.append(_row(f"{errs.clips} known clips, {way}", errs.r_err_rad, errs.t_err, errs.rotation_deg))
    return tag("table", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows), class_="rap-figures")


def _reason(found: Verification) -> str:
    """What the tracks say of the measurement, or why they could not measure and what can be done then."""
    if found.by_tracks:
        return found.reason
    return f"Not measured: {found.reason} Play the take beside the geometry preview to judge it by eye."


def _means(found: Verification) -> tuple[float, float]:
    """Rotation in degrees and translation in parts of the path, means over the frames after the first."""
    return float(found.rotation_deg[1:].mean()), float(found.translation[1:].mean())


def _row(name: str, r_err: float, t_err: float, rotation_deg: float) -> tuple[str, ...]:
    return name, f"{r_err:.2f}", f"{t_err:.2f}", f"{rotation_deg:.1f}°"


def protocol(known: KnownPaths | None) -> Html:
    """How the figures come about, so that they are not taken for more than they are."""
    beside = (
        "The rows of known clips are what the same way errs by on the example clips, whose cameras are known: smaller "
        "differences than that say nothing."
        if known is not None
        else "What this checkpoint errs by on clips of known cameras is not known (rap evaluate --known-paths)."
    )
    words = note(
        tag("b", "Tracks"),
        ": points are followed through the finished video, and cameras fitted to them with the lens that was asked "
        "for; the model only says where to begin. ",
        tag("b", "Model"),
        ": the one that made the video also estimates its cameras, in 2 steps, which is self-consistency. Both paths "
        "start at the source camera; the followed one (orange, dashed) is scaled to the other by least squares. "
        "R_err: sum over frames of the rotation error, in radians; T_err: sum of distances between centres, each path "
        f"divided by its largest (CamI2V). {beside}",
    )
    return tag("details", tag("summary", "How this is measured"), words, class_="rap-note")


def strips(*rows: tuple[str, Html]) -> Html:
    """Charts under their words."""
    return tag("div", *(part for words, chart in rows for part in (note(words), chart)), class_="rap-strips")


def error_strips(found: Verification | None, selected: int | None) -> Html:
    """Two bar charts over the frames: rotation in degrees, translation in parts of the path; worst frame marked."""
    if found is None:
        return NOTHING
    rotation = bars(found.rotation_deg, found.worst_frame, selected)
    translation = bars(100 * found.translation, found.worst_frame, selected)
    return strips(
        (f"Rotation error, up to {found.rotation_deg.max():.1f}°", rotation),
        (f"Position error, up to {found.translation.max():.0%} of the path", translation),
    )


def spread_button(document: Document, job: JobStatus | None, makes_cameras: bool = True) -> ButtonLook:
    """Needs a path predicted from the clip, no job at work, and a model that has more than one to say."""
    if not makes_cameras:
        return ButtonLook("Sample the path (not with this model)", False)
    if document.predicted is None or not document.prediction_follows_clip:
        return ButtonLook("Sample the path (needs Predict)", False)
    if job is not None and job.kind != "verify":
        return ButtonLook("Sampling …" if job.kind == "spread" else "Sample the path (job running)", False)
    return ButtonLook("Sample the path", True)


def spread_strips(document: Document) -> Html:
    """How far the samples lie apart, in words and as two charts."""
    found = document.spread
    if found is None:
        return NOTHING
    turn, shift = found.rotation_deg, found.distance
    words = (
        f"{found.samples} samples of the predicted path lie {turn.mean():.1f}° and {shift.mean():.3f} × the distance "
        "to the subject around their mean; purple in the viewport."
    )
    return together(
        fact("Uncertainty", words),
        strips(
            (f"Rotation, up to {turn.max():.1f}°", bars(turn, None, document.selected)),
            (f"Position, up to {shift.max():.3f}", bars(shift, None, document.selected)),
        ),
    )


def bars(values: Float[np.ndarray, " T"], worst: int | None, selected: int | None) -> Html:
    """A bar for each frame's value, the worst and the selected one marked."""
    width, height = STRIP_SIZE
    top, step = max(float(values.max()), 1e-9), width / len(values)
    bars = []
    for frame, value in enumerate(values):
        tall = max(1.0, height * float(value) / top)
        kind = "worst" if frame == worst else "selected" if frame == selected else "ordinary"
        bars.append(
            tag(
                "rect",
                tag("title", f"frame {frame}: {value:.2f}"),
                class_=f"rap-{kind}",
                x=f"{frame * step + 1:.1f}",
                y=f"{height - tall:.1f}",
                width=f"{step - 2:.1f}",
                height=f"{tall:.1f}",
            )  # fmt: skip
        )
    return tag(
        "svg", *bars, class_="rap-bars", viewBox=f"0 0 {width} {height}", preserveAspectRatio="none", role="img",
        aria_label="error of each frame",
    )  # fmt: skip
