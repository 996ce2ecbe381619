"""What the page says, in words and small pictures: pure functions from a session's values to HTML and button labels.

Everything that comes from outside (file names, error sentences) is escaped here. No Gradio, no session.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from ui.session.pictures import inline_jpeg, strip_jpeg

if TYPE_CHECKING:  # names for the type checker only: this module loads before torch does
    from rap.data import Clip
    from rap.reconstruction.refine import RefinementReport
    from ui.document.document import Document, Take
    from ui.document.messages import GizmoMode
    from ui.document.state import Cost, Geometry, GeometryJob, JobStatus, Notice, PreviewClip, Work

STRIP_HEIGHT_PX = 44
STRIP_FRAMES = 5
MAX_TOLD_FPS = 120.0  # two pictures stretched to a clip would have hundreds
SHORT_NAME = 20  # letters of a clip's name on a button
NO_PATH = '<div class="rap-note">No path yet</div>'
JOB_TITLES = {
    "predict": "Predicting the camera path",
    "imagine": "Imagining",
    "regenerate": "Regenerating",
    "verify": "Verifying the take",
    "spread": "Sampling the path",
}
VERDICTS = {
    "refined": "Refined",
    "no_parallax": "Turns refined: no parallax",
    "too_few_tracks": "Not refined: too few tracks",
    "diverged": "Not refined: no better fit",
}
IN_PIECES = "Refined, but not in one piece"
FOCAL_SOURCES = {"given": "as given", "model": "the model's", "self-calibrated": "found from the tracks"}
KNOWN_FROM = {
    "refined": "refined cameras",
    "predicted": "cameras as predicted, not refined",
    "one image": "one image, as a plane at unit depth",
}


@dataclass(frozen=True)
class ButtonLook:
    """A button's words, and whether it can be pressed; when it cannot, the words say what it waits for."""

    label: str
    enabled: bool


def clip_card(clip: Clip | None) -> str:
    """The clip as a film strip, with which frames of the upload these are and what was done to them."""
    if clip is None:
        return '<div class="rap-empty">No clip yet. One image, several images or a video.</div>'
    h, w = clip.image_size
    count = len(clip)
    facts = f"{count} frames · {w} × {h} px" if count > 1 else f"1 image · {w} × {h} px"
    if count > 1 and clip.fps <= MAX_TOLD_FPS:
        facts += f" · {clip.fps:.3g} fps"
    lines = [f'<div class="rap-fact"><b>{escape(clip.name or "clip")}</b> {facts}</div>']
    lines += [f'<div class="rap-note">{escape(note)}</div>' for note in clip.notes]
    return strip_image(clip.frames_u8, "frames of the clip") + "".join(lines)


def strip_image(frames_u8: UInt8[np.ndarray, "T h w 3"], alt: str) -> str:
    """Up to `STRIP_FRAMES` frames side by side as one small inline picture, first and last included."""
    source = inline_jpeg(strip_jpeg(frames_u8, STRIP_FRAMES, STRIP_HEIGHT_PX))
    return f'<img class="rap-strip" alt="{escape(alt)}" src="{source}">'


def notice_line(notice: Notice | None, place: str) -> str:
    """The session's message, if it belongs in this panel."""
    if notice is None or notice.place != place:
        return ""
    kind, role = ("error", "alert") if notice.is_error else ("info", "status")
    return f'<div class="rap-notice rap-{kind}" role="{role}">{escape(notice.text)}</div>'


def progress_card(job: JobStatus | None) -> str:
    """Bar, step, time left and the current estimate of the job; empty without one."""
    if job is None:
        return ""
    if job.phase == "queued":
        ahead = "" if job.place == 0 else f" ({job.place} ahead)"
        detail, share = f"waiting for {job.waiting_for}{ahead}" if job.waiting_for else "begins", 0.0
    elif job.phase == "cancelling":
        detail, share = "stopping after this step", job.step / max(job.steps, 1)
    else:
        left = "" if job.eta_s is None else f" · {duration(job.eta_s)} left"
        detail, share = f"step {job.step} of {job.steps}{left}", job.step / max(job.steps, 1)
    preview = "" if job.preview_u8 is None else strip_image(job.preview_u8, "current estimate")
    return (
        f'<div class="rap-progress" role="status"><div><b>{JOB_TITLES[job.kind]}</b> {escape(detail)}</div>'
        f'<div class="rap-bar"><i style="width:{100 * share:.0f}%"></i></div>{preview}</div>'
    )


def input_progress(job: JobStatus | None, geometry_job: GeometryJob | None) -> str:
    """What is at work on the path: prediction or imagination, refinement, depth."""
    shown = job if job is not None and job.panel == "input" else None
    return progress_card(shown) + geometry_progress(geometry_job)


def result_progress(job: JobStatus | None, waiting: int = 0) -> str:
    """What is at work on a take, and how many takes follow it."""
    shown = job if job is not None and job.panel == "result" else None
    more = "" if not waiting else f'<div class="rap-note">then {waiting} more take{"s" if waiting > 1 else ""}</div>'
    return progress_card(shown) + (more if shown is not None else "")


def geometry_progress(job: GeometryJob | None) -> str:
    """The refinement or the depth at work: too short to be counted, so the bar only says that it moves."""
    if job is None:
        return ""
    if job.kind == "refine":
        title, detail = "Refining the path", "tracks, then cameras and points together"
    else:
        title, detail = "Depth of the clip", "for points, preview and regeneration"
    if job.phase == "queued":
        detail = "waiting for the jobs before it" + (f" ({job.place} ahead)" if job.place > 1 else "")
    return (
        f'<div class="rap-progress" role="status"><div><b>{title}</b> {detail}</div>'
        '<div class="rap-bar rap-busy"><i></i></div></div>'
    )


def verdict_card(report: RefinementReport | None) -> str:
    """What came of the refinement; all but the first of its figures unfold."""
    if report is None:
        return ""
    kind = "fresh" if report.verdict == "refined" and not report.weak_joints else "stale"
    title = IN_PIECES if report.weak_joints else VERDICTS.get(report.verdict, escape(report.verdict))
    facts = [f"{report.num_points} points, seen {report.num_observations} times"]
    summary = "figures"
    if np.isfinite(report.residual_before_px) and np.isfinite(report.residual_after_px):
        summary = f"residual {report.residual_before_px:.2f} → {report.residual_after_px:.2f} px"
    facts.append(f"focal length {FOCAL_SOURCES.get(report.focal_source, report.focal_source)}")
    if report.verdict == "refined" and abs(report.focal_change - 1) >= 0.005:
        facts[-1] += f", × {report.focal_change:.2f}"
    if report.verdict == "refined" and report.start == "frames":
        facts.append("started from the frames alone, which fitted better than the prediction")
    facts.append(duration(report.seconds))
    badge = f'<span class="rap-badge rap-{kind}">{title}</span>'
    reason = f'<div class="rap-fact">{escape(report.reason)}</div>'
    more = f'<details class="rap-note"><summary>{summary}</summary>{" · ".join(facts)}</details>'
    return f'<div class="rap-verdict">{badge}{reason}{more}</div>'


def known_line(document: Document) -> str:
    """How far the path that was found is from the clip's known cameras."""
    from ui.document.verification import against_known

    found = against_known(document)
    if found is None:
        return ""
    name = "Refined" if document.refined is not None else "Predicted"
    return (
        f'<div class="rap-fact"><b>{name} against known cameras</b> off by {found.rotation_deg[1:].mean():.1f}° and '
        f"{found.translation[1:].mean():.0%} of the path on average (unit of length fitted).</div>"
    )


def preview_video(preview: PreviewClip | None) -> str:
    """The geometry preview, playing; empty before there is one."""
    if preview is None:
        return ""
    source = base64.b64encode(preview.mp4).decode()
    return (
        '<video class="rap-preview" autoplay loop muted playsinline controls aria-label="geometry preview" '
        f'src="data:video/mp4;base64,{source}"></video>'
    )


def preview_line(geometry: Geometry, has_path: bool) -> str:
    """What the geometry preview shows, or what it waits for."""
    preview = geometry.preview
    if not has_path:
        facts = "the path by warping the clip alone; it needs a path"
    elif geometry.job is not None:
        facts = "waits for the refinement" if geometry.job.kind == "refine" else "waits for the clip's depth"
    elif preview is None:
        facts = "on its way" if geometry.wanted is not None else "comes when the path has come to rest after an edit"
    else:
        seen = f"{preview.coverage:.0%} of the pixels were seen by the clip"
        facts = f"{seen} · {KNOWN_FROM[preview.known_from]} · {duration(preview.seconds)}"
        if geometry.wanted is not None:
            facts += " · updating"
    return f'<div class="rap-fact"><b>Geometry preview</b> {facts}</div>'


def duration(seconds: float) -> str:
    """A time span as one reads it: 0.4 s, 12 s, 3 min 20 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def cost_line(cost: Cost) -> str:
    """What a take costs on this machine, measured; or that it is not known yet."""
    steps = "" if cost.steps is None else f"{_steps(cost.steps)}, "
    if cost.seconds_per_step is None:
        return f'<div class="rap-fact">Cost: {steps}the first take will tell.</div>'
    memory = "" if cost.memory_bytes is None else f", up to {cost.memory_bytes / 1e9:.1f} GB"
    return f'<div class="rap-fact">Cost: {steps}{cost.seconds_per_step:.2g} s a step{memory}, measured here.</div>'


def take_caption(document: Document) -> str:
    """What the shown take was made from, and whether that is still what is on screen."""
    take = document.take
    if take is None:
        return ""
    origin = "" if take.origin == "regenerated" else f", {take.origin}"
    facts = [f"Take {take.number}{origin}", f"seed {take.settings.seed}", steps_words(take)]
    facts += [
        *guidance_words(take),
        *temperature_words(take),
        *source_words(take),
        *geometry_words(take),
        duration(take.seconds),
    ]
    mark = f'<span class="rap-note" title="hash of clip, path, seed and settings">{take.stamp[:8]}</span>'
    state = '<span class="rap-badge rap-fresh">made along this path</span>'
    if document.is_stale(take):
        state = '<span class="rap-badge rap-stale">stale: the path has changed since</span>'
    return f'<div class="rap-fact">{" · ".join(facts)}</div>{state} {mark}'


def take_label(document: Document, take: Take) -> str:
    """A take's name in a list of takes."""
    words = [take.title, *geometry_words(take), *(["stale"] if document.is_stale(take) else [])]
    return " · ".join(words)


def take_strip(document: Document) -> str:
    """All takes as thumbnails with name, settings and what they cost; the one on show is marked."""
    cards = []
    for take in document.takes:
        stale = '<span class="rap-badge rap-stale">stale</span>' if document.is_stale(take) else ""
        chosen = "true" if take.number == document.shown_take else "false"
        facts = " · ".join([f"seed {take.settings.seed}", *geometry_words(take), duration(take.seconds)])
        picture = f'<img alt="" src="{inline_jpeg(take.thumbnail)}">' if take.thumbnail else ""
        cards.append(
            f'<button type="button" class="rap-take" data-take="{take.number}" aria-pressed="{chosen}" '
            f'title="{escape(facts)}">{picture}<span>{"★ " if take.starred else ""}{escape(take.title)}</span>{stale}'
            f"<i>{escape(facts)}</i></button>"
        )
    return f'<div class="rap-take-strip">{"".join(cards)}</div>' if cards else ""


def take_button(label: str, document: Document) -> ButtonLook:
    """Needs a take on show."""
    return ButtonLook(label, True) if document.take is not None else ButtonLook(f"{label} (no take)", False)


def star_button(document: Document) -> ButtonLook:
    """Marks the take on show, or takes the mark back."""
    take = document.take
    return take_button("Unstar" if take is not None and take.starred else "Star", document)


def delete_button(document: Document, doomed: int | None) -> ButtonLook:
    """Asks once more before it deletes."""
    take = document.take
    if take is not None and take.number == doomed:
        return ButtonLook("Really delete?", True)
    return take_button("Delete", document)


def variations_button(document: Document, job: JobStatus | None) -> ButtonLook:
    """Needs a path and no job at work."""
    if document.edited is None:
        return ButtonLook("3 variations (needs a path)", False)
    return _unless_busy("3 variations", job)


def geometry_words(take: Take) -> list[str]:
    """Whether a regenerated take was made with what the clip shows along its path; an imagined one cannot be."""
    if take.origin != "regenerated":
        return []
    return ["geometry" if take.settings.with_geometry else "model only"]


def temperature_words(take: Take) -> list[str]:
    """The share of noise that a take began with, where it is not the checkpoint's own."""
    return [] if take.settings.temperature is None else [f"noise {take.settings.temperature:g}"]


def guidance_words(take: Take) -> list[str]:
    """The guidance of a take, where it is not the checkpoint's own."""
    return [] if take.settings.guidance is None else [f"guidance {take.settings.guidance:g}"]


def source_words(take: Take) -> list[str]:
    """Which frames of the clip a take starts from, where others were chosen than the path's own."""
    frames = take.settings.sources
    return [f"from frame{'s' if len(frames) > 1 else ''} {', '.join(map(str, frames))}"] if frames else []


def steps_words(take: Take) -> str:
    """How many steps a take took."""
    return "default steps" if take.settings.steps is None else _steps(take.settings.steps)


def _steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


def viewport_hint(clip: Clip | None, has_path: bool) -> str:
    """What to do so that the viewport shows a path; empty once it does."""
    if has_path:
        return ""
    if clip is None:
        text = "Give a video or an image on the left, or take one of the examples."
    elif len(clip) > 1:
        text = "Press <b>Predict path</b> to see here how the camera moved, or apply a preset."
    else:
        text = "Press <b>Imagine path and video</b>, or apply a preset and bend it here."
    return f'<div class="rap-hint"><span>{text}</span></div>'


def legend(document: Document) -> str:
    """What the lines beside the path mean; empty where there are none."""
    entries = []
    if document.edited is not None and document.best is not None and document.best is not document.edited:
        entries.append(("ghost", "as refined" if document.refined is not None else "as predicted"))
    if document.refined is not None:
        entries.append(("raw", "as predicted"))
    if document.clip is not None and document.clip.trajectory is not None and document.predicted is not None:
        entries.append(("known", "known cameras"))
    if document.spread is not None:
        entries.append(("tube", "samples"))
    if document.verification is not None:
        entries.append(("followed", f"followed by take {document.verification.take}"))
    words = "".join(f'<span><i class="rap-line-{kind}"></i>{text}</span>' for kind, text in entries)
    return f'<div class="rap-legend">{words}</div>' if entries else ""


def path_line(document: Document) -> str:
    """What path is shown and how far it is from the prediction."""
    path = document.edited
    if path is None:
        return NO_PATH
    origin = "not predicted"
    if document.predicted is not None:
        untouched = "as predicted" if document.prediction_follows_clip else "as imagined"
        origin = untouched if path.hash == document.predicted.hash else "edited"
    if document.refined is not None and path.hash == document.refined.hash:
        origin = "as refined"
    chosen = "click a frustum to select it" if document.selected is None else f"frame {document.selected} selected"
    if document.selected is not None and document.selected == path.source:
        chosen += " (the source: it stays at the origin)"
    fov = np.degrees(path.fov_y_rad[path.source])
    facts = " · ".join([origin, f"{fov:.1f}° vertical field of view", chosen])
    return f'<div class="rap-fact"><b>{len(path)} cameras</b> {facts}</div>'


def predict_button(document: Document, job: JobStatus | None) -> ButtonLook:
    """Needs a clip of several frames and no job at work."""
    if document.clip is None:
        return ButtonLook("Predict path (needs a video)", False)
    if len(document.clip) < 2:
        return ButtonLook("Predict path (needs more frames)", False)
    return _unless_busy("Predict path", job)


def refine_button(document: Document, geometry: Geometry) -> ButtonLook:
    """Needs a path predicted from the clip, and no refinement at work."""
    if document.predicted is None or not document.prediction_follows_clip:
        return ButtonLook("Refine (needs Predict)", False)
    if geometry.job is not None and geometry.job.kind == "refine":
        return ButtonLook("Refining …", False)
    return ButtonLook("Refine now" if document.report is None else "Refine again", True)


def imagine_button(document: Document, job: JobStatus | None) -> ButtonLook:
    """Needs a clip and no job at work."""
    if document.clip is None:
        return ButtonLook("Imagine (needs an image)", False)
    return _unless_busy("Imagine from first frame" if len(document.clip) > 1 else "Imagine path and video", job)


def preset_button(document: Document) -> ButtonLook:
    """Needs a clip, whose size and camera the preset takes."""
    if document.clip is None:
        return ButtonLook("Apply preset (needs a clip)", False)
    return ButtonLook("Apply preset", True)


def regenerate_button(document: Document, job: JobStatus | None) -> ButtonLook:
    """Needs a path and no job at work."""
    if document.edited is None:
        return ButtonLook("Regenerate (needs a path)", False)
    return _unless_busy("Regenerate", job)


def cancel_button(job: JobStatus | None) -> ButtonLook:
    """Needs a regeneration that is not already stopping."""
    if job is None or job.panel != "result":
        return ButtonLook("Cancel (no job)", False)
    if job.phase == "cancelling":
        return ButtonLook("Stopping …", False)
    return ButtonLook("Cancel", True)


def input_cancel_button(job: JobStatus | None, geometry_job: GeometryJob | None) -> ButtonLook | None:
    """Only there while something is at work on the path."""
    if geometry_job is not None:
        return ButtonLook("Cancel", True)
    if job is None or job.panel != "input":
        return None
    return ButtonLook("Stopping …", False) if job.phase == "cancelling" else ButtonLook("Cancel", True)


def gizmo_button(label: str, mode: GizmoMode, now: GizmoMode) -> ButtonLook:
    """Marked while it is in force; pressed once more, moving and turning are both there again."""
    return ButtonLook(f"✓ {label}" if mode == now else label, True)


def undo_button(document: Document, earlier: Sequence[Work] = ()) -> ButtonLook:
    """Names the edit that would be undone, or the clip that would come back, and says how many there are."""
    return _step_button("Undo", "back to", [entry.name for entry in document.past], earlier)


def redo_button(document: Document, later: Sequence[Work] = ()) -> ButtonLook:
    """Names the edit that would be redone, or the clip that was left, and says how many there are."""
    return _step_button("Redo", "on to", [entry.name for entry in document.future], later)


def _step_button(verb: str, way: str, edits: Sequence[str], works: Sequence[Work]) -> ButtonLook:
    if edits:
        return ButtonLook(f"{verb} {edits[-1]} ({len(edits)})", True)
    if works:
        return ButtonLook(f"{verb}: {way} {_short_name(works[-1].document)} ({len(works)})", True)
    return ButtonLook(f"{verb} (none)", False)


def _short_name(document: Document) -> str:
    name = (document.clip.name if document.clip is not None else "") or "the clip"
    return name if len(name) <= SHORT_NAME else name[: SHORT_NAME - 1] + "…"


def reset_button(document: Document) -> ButtonLook:
    """Needs a prediction that differs from the path."""
    if document.predicted is None:
        return ButtonLook("Reset (needs Predict)", False)
    if document.edited is not None and document.edited.hash == document.predicted.hash:
        return ButtonLook("As predicted", False)
    return ButtonLook("To predicted", True)


def refined_button(document: Document) -> ButtonLook | None:
    """Only there when a refinement has succeeded; needs a path that differs from it."""
    if document.refined is None:
        return None
    if document.edited is not None and document.edited.hash == document.refined.hash:
        return ButtonLook("As refined", False)
    return ButtonLook("To refined", True)


def save_button(document: Document) -> ButtonLook:
    """Needs a clip."""
    if document.clip is None:
        return ButtonLook("Save session (needs a clip)", False)
    return ButtonLook("Save session", True)


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
    return ButtonLook("Export cameras", True)


def _unless_busy(label: str, job: JobStatus | None) -> ButtonLook:
    """A verification makes way for whatever is asked for."""
    free = job is None or job.kind == "verify"
    return ButtonLook(label, True) if free else ButtonLook(f"{label} (job running)", False)
