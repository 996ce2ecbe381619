"""What the Result panel says: the takes, what they cost, and the preview by geometry alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.page.common_words import ButtonLook, capital, duration, progress_card, unless_busy
from ui.page.html import NOTHING, Html, badge, fact, note, tag, together
from ui.session.pictures import inline_jpeg, inline_mp4

if TYPE_CHECKING:  # names for the type checker only: this module loads before torch does
    from rap.generators.kinds import Chosen
    from ui.document.document import Document, Take
    from ui.document.state import Cost, Geometry, JobStatus, PreviewClip

KNOWN_FROM = {
    "refined": "refined cameras",
    "predicted": "cameras as predicted, not refined",
    "one image": "one image, its depth by a network",
    "flat image": "one image, as a plane at unit depth",
}
IMAGINED = "its path by the model, its video from the photograph's layers"
FILM = "from the film's own frames, the rest invented"
LAYERS = "from the photograph itself; the model was not asked"
STILL = "from one frame of the film; the model was not asked"


def result_progress(job: JobStatus | None, waiting: int = 0) -> Html:
    """What is at work on a take, and how many takes follow it."""
    if job is None or job.panel != "result":
        return NOTHING
    more = note(f"then {waiting} more take{'s' if waiting > 1 else ''}") if waiting else None
    return together(progress_card(job), more)


def regenerate_button(document: Document, job: JobStatus | None) -> ButtonLook:
    """Needs a path and no job at work."""
    if document.edited is None:
        return ButtonLook("Regenerate (needs a path)", False)
    return unless_busy("Regenerate", job)


def variations_button(document: Document, job: JobStatus | None) -> ButtonLook:
    """Needs a path and no job at work."""
    if document.edited is None:
        return ButtonLook("3 variations (needs a path)", False)
    return unless_busy("3 variations", job)


def cancel_button(job: JobStatus | None) -> ButtonLook:
    """Needs a regeneration that is not already stopping."""
    if job is None or job.panel != "result":
        return ButtonLook("Cancel (no job)", False)
    if job.phase == "cancelling":
        return ButtonLook("Stopping …", False)
    return ButtonLook("Cancel", True)


def cost_line(cost: Cost | None) -> Html:
    """What a take costs on this machine, measured; or that it is not known yet; nothing where there is no path."""
    if cost is None:
        return NOTHING
    unit = "step" if cost.side is None else "frame"
    size = "" if cost.side is None else f" of {cost.side} px"
    steps = "" if cost.steps is None else f"{_steps(cost.steps, unit)}{size}, "
    if cost.seconds_per_step is None:
        return tag("div", f"Cost: {steps}the first such take will tell.", class_="rap-fact")
    memory = "" if cost.memory_bytes is None else f", up to {cost.memory_bytes / 1e9:.1f} GB"
    words = f"Cost: {steps}{cost.seconds_per_step:.2g} s a {unit}{memory}, measured here."
    return tag("div", words, class_="rap-fact")


def generator_line(generator: Chosen) -> Html:
    """Which model of others makes the takes, and under what licence."""
    return tag("div", generator.words, class_="rap-fact")


def preview_on_show(preview: PreviewClip | None, take: Take | None) -> PreviewClip | None:
    """None where the take on show is the same, only larger."""
    if preview is None or take is None or not take.is_full_size or take.trajectory.hash != preview.key[-1]:
        return preview
    return None


def preview_video(preview: PreviewClip | None) -> Html:
    """The geometry preview, playing; empty before there is one."""
    if preview is None:
        return NOTHING
    return tag(
        "video", class_="rap-preview", autoplay=True, loop=True, muted=True, playsinline=True,
        aria_label="geometry preview", src=inline_mp4(preview.mp4),
    )  # fmt: skip


def preview_line(geometry: Geometry, has_path: bool, lens: str = "") -> Html:
    """What the geometry preview shows, or what it waits for.

    Args:
        lens: of a picture, where it is from.
    """
    preview = geometry.preview
    if not has_path:
        facts = "the path by warping the clip alone; it needs a path"
    elif geometry.job is not None:
        facts = "waits for the refinement" if geometry.job.kind == "refine" else "waits for the clip's depth"
    elif preview is None:
        facts = "on its way" if geometry.wanted is not None else "comes when the path has come to rest after an edit"
    else:
        seen = f"{preview.coverage:.0%} of the pixels were seen by the clip"
        source = KNOWN_FROM[preview.known_from]
        if preview.known_from == "one image":
            seen, source = f"{1 - preview.coverage:.0%} of the pixels are invented: no camera saw them", lens or source
        facts = f"{seen} · {source} · made in {duration(preview.seconds)}"
        if geometry.wanted is not None:
            facts += " · updating"
        if preview.warning:
            facts += f". {preview.warning}"
    return fact("Geometry preview", facts)


def lens_words(document: Document, geometry: Geometry) -> str:
    """The lens of a picture: as assumed, as known, or as its path has it."""
    path, clip = document.edited, document.clip
    if path is None or clip is None:
        return ""
    from ui.document.geometry import lens_fov_y_rad, upload_fov_y_deg

    fov_y_rad = float(path.fov_y_rad[path.source])
    degrees = f"{upload_fov_y_deg(clip, fov_y_rad):.0f}° lens"
    if abs(fov_y_rad - lens_fov_y_rad(document, geometry)) > 1e-6:
        return f"{degrees} of the path"
    return f"{degrees} assumed" if geometry.known_fov_y_rad is None else f"{degrees} as given"


def take_caption(document: Document) -> Html:
    """What the shown take was made from, and whether that is still what is on screen."""
    take = document.take
    if take is None:
        return NOTHING
    origin = "" if take.origin == "regenerated" else f", {take.origin}"
    path, along, state = "same", ["made along this path"], NOTHING
    if document.is_stale(take):
        path, along, state = "another", [], together(badge("stale", "Stale: the path has changed since"), " ")
    made_of = " · ".join(
        [*along, *([STILL] if _is_still(document, take) else geometry_words(take)), *source_words(take)]
    )
    title = tag("b", f"Take {take.number}{origin}")
    return together(tag("div", title, " ", made_of, class_="rap-fact", data_path=path), state)


def take_details(document: Document) -> Html:
    """How the shown take was made, for those who want to know."""
    take = document.take
    if take is None:
        return NOTHING
    facts = []
    if take.size is not None and (take.is_full_size or take.settings.generator):
        facts.append(f"{take.size[1]} × {take.size[0]} px, {take.count} frames at {take.fps:.3g} a second")
    if not take.settings.layers or take.origin == "imagined":
        facts += [f"seed {take.settings.seed}", steps_words(take)]
    facts += [*guidance_words(take), *temperature_words(take)]
    facts += [f"made in {duration(take.seconds)}", f"hash of clip, path, seed and settings {take.stamp[:8]}"]
    return tag("details", tag("summary", "Details"), " · ".join(facts), class_="rap-note")


def take_label(document: Document, take: Take) -> str:
    """A take's name in a list of takes."""
    made = _made_of(document, take)
    words = [take.title, *made, *(["stale"] if document.is_stale(take) else [])]
    return " · ".join(words)


def _is_still(document: Document, take: Take) -> bool:
    """Whether a film was walked into as a picture, as its cameras tell no depth."""
    regenerated = take.settings.layers and take.origin == "regenerated"
    return bool(regenerated and document.clip is not None and len(document.clip) > 1)


def _made_of(document: Document, take: Take) -> list[str]:
    """In a word."""
    if take.settings.layers:
        return ["one frame" if _is_still(document, take) else "photograph"]
    return ["film"] if take.settings.film else geometry_words(take)


def take_strip(document: Document) -> Html:
    """All takes as pictures that play under the pointer, with name, settings and what they cost; the one on show is
    marked."""
    cards = []
    for take in document.takes:
        stale = badge("stale", "Stale") if document.is_stale(take) else None
        chosen = "true" if take.number == document.shown_take else "false"
        seed = [] if take.settings.layers else [f"seed {take.settings.seed}"]
        facts = capital(" · ".join([*seed, *_made_of(document, take), duration(take.seconds)]))
        h, w = take.size or take.trajectory.image_size
        shape = f"aspect-ratio: {w} / {h}"
        picture = tag("img", alt="", src=inline_jpeg(take.thumbnail), style=shape) if take.thumbnail else None
        title = tag("b", "★ " if take.starred else "", take.title)
        cards.append(
            tag(
                "button",
                picture,
                tag("span", title, stale, tag("i", facts)),
                type="button",
                class_="rap-take",
                data_take=take.number,
                aria_pressed=chosen,
                title=facts,
            )  # fmt: skip
        )
    return tag("div", *cards, class_="rap-take-strip") if cards else NOTHING


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


def geometry_words(take: Take) -> list[str]:
    """Whether a regenerated take was made with what the clip shows along its path; an imagined one cannot be."""
    if take.settings.generator:
        return [f"by {take.settings.generator}"]
    if take.settings.film:
        return [FILM]
    if take.settings.layers:
        return [LAYERS if take.origin == "regenerated" else IMAGINED]
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


def _steps(count: int, unit: str = "step") -> str:
    return f"{count} {unit}{'s' * (count != 1)}"
