"""Of the Keep tab: cameras from a file become the path, after they have been looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui.document import messages as msg
from ui.page.common_words import ButtonLook
from ui.page.html import NOTHING, Html, tag, together
from ui.page.parts import Events, Part, button_part, html_box

if TYPE_CHECKING:
    from rap.geometry import Trajectory
    from ui.document.importing import Import
    from ui.session.session import Session

LENS_TOLERANCE_DEG = 0.05  # what one decimal of the report shows
SUFFIXES = [".json", ".npz", ".npy", ".txt", ".tum", ".chan", ".usda", ".usd", ".usdc", ".r3d", ".zip"]


@dataclass(frozen=True)
class ImportPanel:
    """A file, what was understood of it, and what can be set right with one click."""

    open: gr.UploadButton
    report: gr.HTML
    flip: gr.Button
    invert: gr.Button
    scale: gr.Number
    use: gr.Button
    drop: gr.Button

    def parts(self) -> Sequence[Part]:
        """What the panel shows; nothing but the upload while there is no file."""
        return (
            Part(self.report, lambda s: (s.state.importing, s.state.imported), _report),
            button_part(self.flip, lambda s: _switch("OpenGL ↔ OpenCV", s.state.importing, "flipped")),
            button_part(self.invert, lambda s: _switch("Invert poses", s.state.importing, "inverted")),
            Part(self.scale, lambda s: (s.state.importing,), _scale_field),
            button_part(self.use, lambda s: _needs_file("Use this path", s.state.importing)),
            button_part(self.drop, lambda s: _needs_file("Discard", s.state.importing)),
        )

    def wire(self, events: Events) -> None:
        """Every listener of the panel."""
        events.on(self.open.upload, import_cameras, [self.open], show_progress="minimal", show_progress_on=self.report)
        events.on(self.flip.click, flip)
        events.on(self.invert.click, invert)
        for event in (self.scale.submit, self.scale.blur):
            events.on(event, set_scale, [self.scale])
        events.send(self.use.click, msg.UseImport())
        events.send(self.drop.click, msg.DropImport())


def import_panel() -> ImportPanel:
    """Upload, report, corrections."""
    open_ = gr.UploadButton("Import cameras", file_types=SUFFIXES, size="sm", elem_id="rap-import")
    report = html_box(elem_id="rap-import-report")
    with gr.Row(elem_classes=["rap-pair", "rap-import-tools"]):
        flip_ = gr.Button("Starting …", size="sm", interactive=False, min_width=100, elem_id="rap-import-flip")
        invert_ = gr.Button("Starting …", size="sm", interactive=False, min_width=90, elem_id="rap-import-invert")
        scale = gr.Number(
            1.0, label="Units ×", minimum=0, step=0.1, min_width=90, elem_id="rap-import-scale",
            elem_classes="rap-inline",
        )  # fmt: skip
    with gr.Row(elem_classes=["rap-pair", "rap-import-tools"]):
        use = gr.Button(
            "Starting …", interactive=False, size="sm", variant="primary", min_width=100, elem_id="rap-import-use"
        )
        drop = gr.Button("Starting …", interactive=False, size="sm", min_width=80, elem_id="rap-import-drop")
    return ImportPanel(open_, report, flip_, invert_, scale, use, drop)


def import_cameras(session: Session, path: str | None) -> None:
    """A camera file was chosen."""
    if path:
        session.dispatch(msg.ImportCameras(path))


def flip(session: Session) -> None:
    """The cameras' axes are the others."""
    found = session.state.importing
    if found is not None:
        session.dispatch(msg.AdjustImport(not found.flipped, found.inverted, found.scale))


def invert(session: Session) -> None:
    """The poses go the other way."""
    found = session.state.importing
    if found is not None:
        session.dispatch(msg.AdjustImport(found.flipped, not found.inverted, found.scale))


def set_scale(session: Session, scale: float | None) -> None:
    """Another unit of length."""
    found = session.state.importing
    if found is not None and scale and scale != found.scale:
        session.dispatch(msg.AdjustImport(found.flipped, found.inverted, float(scale)))


def _report(found: Import | None, path: Trajectory | None) -> Html:
    if found is None or path is None:
        return NOTHING
    import numpy as np

    from rap.geometry import se3

    turn = float(np.degrees(se3.rotation_angle(path.Ts_world_camera[:, :3, :3])).max())
    away = float(np.linalg.norm(path.centres, axis=1).max())
    ahead = float(path.centres[-1] @ [0, 0, 1])
    count = len(found.cameras)
    frames = f"{count} frames" + ("" if count == len(path) else f", resampled to {len(path)}")
    rows = [
        together(tag("b", found.name), f" {found.format}, read as {found.convention}"),
        "Every pose is rigid: orthonormal, determinant 1.",
        f"{frames}; turns by up to {turn:.0f}°, goes up to {away:.2f} × the distance to the subject away, "
        f"{abs(ahead):.2f} of it {'forwards' if ahead >= 0 else 'backwards'} at the end",
        _lens_words(found, path),
        *found.notes,
        "It is drawn in teal. If it looks the wrong way, the cameras' axes or the poses are the others.",
    ]
    return tag("div", *(tag("div", row, class_="rap-fact") for row in rows), class_="rap-import")


def _lens_words(found: Import, path: Trajectory) -> Html:
    """Which of the file's lenses the path gets: of the clip's pictures only their own can be true."""
    import numpy as np

    lenses_deg, kept_deg = np.degrees(found.cameras.fov_y_rad), float(np.degrees(path.fov_y_rad[0]))
    given_deg = float(lenses_deg[0])
    if not found.has_lens:
        return together(
            "The file has no lens; ",
            tag("b", f"the path has {kept_deg:.1f}°"),
            " from top to bottom, which the file does not tell.",
        )
    zoom = f", up to {lenses_deg.max():.1f}°" if np.ptp(lenses_deg) > LENS_TOLERANCE_DEG else ""
    told = f"Vertical field of view {given_deg:.1f}° at the start of the file{zoom}"
    if abs(given_deg - kept_deg) <= LENS_TOLERANCE_DEG:
        return together(f"{told}: the path has it, too.")
    kept = "; of the file's only the zoom is taken" if zoom else ", the file's is not taken"
    return together(
        f"{told}; ",
        tag("b", f"the path keeps the clip's {kept_deg:.1f}°"),
        f"{kept}. If {given_deg:.1f}° is what the clip was filmed with, type it as Field of view in the Input tab, "
        "press Predict path, and import again.",
    )


def _switch(label: str, found: Import | None, field: str) -> ButtonLook:
    if found is None:
        return ButtonLook(label, False)
    return ButtonLook(f"✓ {label}" if getattr(found, field) else label, True)


def _needs_file(label: str, found: Import | None) -> ButtonLook:
    return ButtonLook(label if found is not None else f"{label} (needs a file)", found is not None)


def _scale_field(found: Import | None) -> Any:
    return gr.Number(1.0 if found is None else found.scale, interactive=found is not None)
