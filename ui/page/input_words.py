"""What the Input panel says: the clip, what is at work on its path, what came of the refinement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ui.page.common_words import ButtonLook, capital, duration, progress_card, unless_busy
from ui.page.html import NOTHING, Html, badge, fact, note, tag, together
from ui.session.pictures import inline_jpeg

if TYPE_CHECKING:  # names for the type checker only: this module loads before torch does
    from rap.data import Clip
    from rap.reconstruction.refine import RefinementReport
    from ui.document.document import Document
    from ui.document.state import Geometry, GeometryJob, JobStatus

MAX_TOLD_FPS = 120.0  # a film of five frames stretched to a clip has hundreds
COLOURS = {"good": "fresh", "doubtful": "stale", "failed": "failed"}
FOCAL_SOURCES = {"given": "as given", "model": "the model's", "self-calibrated": "found from the tracks"}


def clip_card(clip: Clip | None) -> Html:
    """Which frames of the upload the clip is of, and what was done to them."""
    if clip is None:
        return tag("div", "No clip yet. One image, several images or a video.", class_="rap-empty")
    h, w = clip.upload_size or clip.image_size
    count = len(clip)
    shown = f"{count} frames"
    if len(set(clip.frame_indices)) > 1 and clip.upload_frames > count:
        spacing = (clip.frame_indices[-1] - clip.frame_indices[0]) / (count - 1)
        shown = f"{count} of {clip.upload_frames} frames, {spacing:.3g} apart"
    facts = f"{shown} · {w} × {h} px"
    if clip.is_stretched:
        kind = "frames" if clip.is_timed else "images"
        facts = f"{len(clip.own_frames)} {kind} · {w} × {h} px · a path of {count} through them"
    if count == 1:
        facts = f"1 image · {w} × {h} px"
    if count > 1 and clip.is_timed and clip.fps <= MAX_TOLD_FPS:
        facts += f" · {clip.fps:.3g} fps"
    used, folded = clip.frame_indices, tag("summary", "How it was read")
    left_out = len(used) > 1 and (used[0] > 0 or used[-1] < clip.upload_frames - 1)  # not everyone has asked for that
    told = tag("details", folded, *map(note, clip.notes), class_="rap-note", open=left_out)
    line = fact(clip.name or "clip", facts)
    return together(line, told if clip.notes else None)


def input_progress(job: JobStatus | None, geometry_job: GeometryJob | None) -> Html:
    """What is at work on the path: prediction or imagination, refinement, depth."""
    shown = job if job is not None and job.panel == "input" else None
    return together(progress_card(shown), geometry_progress(geometry_job))


def geometry_progress(job: GeometryJob | None) -> Html:
    """The refinement or the depth at work; where nothing is counted the bar only says that it moves.

    Of a picture's depth the viewport tells: here it would push the buttons under it away from the pointer.
    """
    if job is None or job.basis.is_picture:
        return NOTHING
    if job.kind == "refine":
        title, detail = "Refining the path", "tracks, then cameras and points together"
    else:
        title, detail = "Depth of the clip", "for points, preview and regeneration"
    if job.phase == "queued":
        detail = "waiting for the jobs before it" + (f" ({job.place} ahead)" if job.place > 1 else "")
    bar = tag("div", tag("i"), class_="rap-bar rap-busy")
    if job.phase == "running" and job.share > 0:
        bar = tag("div", tag("i", style=f"width:{100 * job.share:.0f}%"), class_="rap-bar")
    return tag("div", tag("div", tag("b", title), " ", detail), bar, class_="rap-progress", role="status")


def verdict_card(report: RefinementReport | None, moving: bytes = b"") -> Html:
    """What came of the refinement; all but the first of its figures unfold, and so do the frames that show what moves.

    Args:
        moving: JPEG of these.
    """
    if report is None:
        return NOTHING
    kind = COLOURS.get(report.verdict, "stale")
    facts = [f"{report.num_points} points, seen {report.num_observations} times"]
    if np.isfinite(report.residual_before_px) and np.isfinite(report.residual_after_px):
        facts.insert(0, f"residual {report.residual_before_px:.2f} → {report.residual_after_px:.2f} px")
    facts.append(f"focal length {FOCAL_SOURCES.get(report.focal_source, report.focal_source)}")
    if report.outcome == "refined" and abs(report.focal_change - 1) >= 0.005:
        facts[-1] += f", × {report.focal_change:.2f}"
    if report.outcome == "refined" and report.start == "frames":
        facts.append("started from the frames alone, which fitted better than the prediction")
    facts.append(duration(report.seconds))
    is_good = report.verdict == "good"  # then nobody asks why
    reason = tag("div", report.reason, class_="rap-fact")
    figures = tag(
        "details", tag("summary", "Figures"), reason if is_good else None, " · ".join(facts), class_="rap-note"
    )
    more = [figures]
    if moving:
        shown = tag("img", class_="rap-strip", alt="frames of which all is dim but what moves", src=inline_jpeg(moving))
        more.append(tag("details", tag("summary", "What moves by itself"), shown, class_="rap-note"))
    return tag("div", badge(kind, capital(report.words)), None if is_good else reason, *more, class_="rap-verdict")


def known_line(document: Document) -> Html:
    """How far the path that was found is from the clip's known cameras."""
    from ui.document.known_cameras import against_known

    found = against_known(document)
    if found is None:
        return NOTHING
    name = "Refined" if document.refined is not None else "Predicted"
    return fact(
        f"{name} against known cameras",
        f"off by {found.rotation_deg[1:].mean():.1f}° and {found.translation[1:].mean():.0%} of the path on average "
        "(unit of length fitted).",
    )


def predict_button(document: Document, job: JobStatus | None) -> ButtonLook:
    """Needs a clip of several frames and no job at work."""
    if document.clip is None:
        return ButtonLook("Predict path (needs a video)", False)
    if len(document.clip) < 2:
        return ButtonLook("Predict path (needs more frames)", False)
    return unless_busy("Predict path", job)


def refine_button(document: Document, geometry: Geometry) -> ButtonLook:
    """Needs a path predicted from the clip, and no refinement at work."""
    if document.predicted is None or not document.prediction_follows_clip:
        return ButtonLook("Refine (needs Predict)", False)
    if geometry.job is not None and geometry.job.kind == "refine":
        return ButtonLook("Refining …", False)
    return ButtonLook("Refine now" if document.report is None else "Refine again", True)


def imagine_button(document: Document, job: JobStatus | None, makes_cameras: bool = True) -> ButtonLook:
    """Needs a clip, no job at work, and a model that makes paths of its own."""
    if not makes_cameras:
        return ButtonLook("Imagine (not with this model)", False)
    if document.clip is None:
        return ButtonLook("Imagine (needs an image)", False)
    return unless_busy("Imagine from first frame" if len(document.clip) > 1 else "Imagine path and video", job)


def input_cancel_button(job: JobStatus | None, geometry_job: GeometryJob | None) -> ButtonLook | None:
    """Only there while something is at work on the path."""
    if geometry_job is not None and not geometry_job.basis.is_picture:
        return ButtonLook("Cancel", True)
    if job is None or job.panel != "input":
        return None
    return ButtonLook("Stopping …", False) if job.phase == "cancelling" else ButtonLook("Cancel", True)
