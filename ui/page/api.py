"""The public endpoints: the model's tasks and the exports under stable names, for programs.

Each call is a session without a page: the same messages, the same line for the model, the same refusals; its files are
gone when it ends, but for the answer, which lies in Gradio's own cache until that is cleared. Paths go in and out as
the JSON of `ui.document.path_text`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from ui.document import messages as msg
from ui.page.parts import FIRST_ANSWER_S

if TYPE_CHECKING:
    from ui.session.session import Session
    from ui.session.sessions import Sessions

POLL_S = 0.02
ENDPOINTS = ("estimate_trajectory", "generate_video", "generate_joint", "export_cameras")


class Api:
    """The endpoints' functions.

    Args:
        sessions: may be resolved after the page is served.
        cache: folder that Gradio serves and clears.
    """

    def __init__(self, sessions: Future[Sessions], cache: str) -> None:
        self._sessions, self._cache = sessions, cache

    def estimate_trajectory(
        self,
        files: list[str],
        refine: bool = True,
        fov_y_deg: float | None = None,
        steps: float | None = None,
        seed: float = 0,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The cameras of a video or of several images.

        Args:
            files: one video, or images in the order of their names.
            refine: fit the prediction to tracks of the clip.
            fov_y_deg: vertical field of view where it is known.
            steps: sampling steps; None: the checkpoint's own.
            seed: of the noise.

        Returns:
            The path, and a report: the clip's name, notes on how it was read, and the refinement's verdict and reason.
        """
        with self._session() as session:
            _dispatch(session, msg.SetRefine(bool(refine)))
            _give(session, files)
            if fov_y_deg:
                _dispatch(session, msg.SetFieldOfView(float(fov_y_deg)))
            _finish(session, msg.Predict(_count(steps), int(seed)))
            document = session.state.document
            assert document.clip is not None and document.edited is not None
            report = {"clip": document.clip.name, "notes": list(document.clip.notes), "verdict": None, "reason": None}
            if document.report is not None:
                report |= {"verdict": document.report.verdict, "reason": document.report.reason}
            return _as_json(document.edited), report

    def generate_video(
        self,
        files: list[str],
        trajectory: Any = None,
        preset: str = "arc-left",
        amplitude: float = 1.0,
        with_geometry: bool = True,
        steps: float | None = None,
        seed: float = 0,
        guidance: float | None = None,
        source_frames: list[int] | None = None,
        temperature: float | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """A video along a path, from the first frame of what is given or from several.

        Args:
            files: one video, one image, or images in the order of their names.
            trajectory: a path as `estimate_trajectory` answers; empty: the preset.
            preset: name of a camera move.
            amplitude: of the preset.
            with_geometry: hand the model what the input shows along the path; of a video its cameras are found first.
            steps, seed: as in `estimate_trajectory`.
            guidance: scale of classifier-free guidance by the path; empty: the model's own.
            source_frames: numbers of the clip's frames the video starts from, from 0; where the path is elsewhere it is
                put through their cameras. They need `with_geometry`, which finds these. Empty: the path's own source.
            temperature: share of the noise the video starts from, 0 to 1; empty: the model's own.

        Returns:
            The mp4 and the path it was made along.
        """
        with self._session() as session:
            _give(session, files)
            _dispatch(session, msg.SetUseGeometry(bool(with_geometry)))
            clip = session.state.document.clip
            if with_geometry and clip is not None and len(clip) > 1:
                _finish(session, msg.Predict(None, int(seed)))
            if trajectory:
                _set_path(session, trajectory)
            else:
                _dispatch(session, msg.ApplyPreset(preset, float(amplitude)))
            _start_from(session, source_frames or [])
            _finish(session, msg.Regenerate(_count(steps), int(seed), guidance or None, temperature))
            return self._take(session)

    def generate_joint(
        self, files: list[str], steps: float | None = None, seed: float = 0
    ) -> tuple[str, dict[str, Any]]:
        """A video and its path, sampled together from one image.

        Args:
            files: the source image; of a video its first frame.
            steps, seed: as in `estimate_trajectory`.

        Returns:
            The mp4 and the path.
        """
        with self._session() as session:
            _give(session, files)
            _finish(session, msg.Imagine(_count(steps), int(seed)))
            return self._take(session)

    def export_cameras(self, trajectory: Any, format: str = "nerfstudio") -> str:
        """A path as a camera file.

        Args:
            trajectory: a path as `estimate_trajectory` answers.
            format: a name of `rap.formats.FORMATS`; a format of several files comes as a zip.

        Returns:
            The file.
        """
        from rap import formats

        if format not in formats.FORMATS:
            raise _refusal(f"format must be one of {', '.join(formats.FORMATS)}, got {format!r}")
        with self._session() as session:
            _set_path(session, trajectory)
            return save_file_to_cache(session.export(format), self._cache)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        session = self._sessions.result(timeout=FIRST_ANSWER_S).without_page()
        try:
            _dispatch(session, msg.SetVerify(False))
            yield session
        finally:
            session.close()

    def _take(self, session: Session) -> tuple[str, dict[str, Any]]:
        take = session.state.document.take
        assert take is not None  # a job that makes none has left an error
        return save_file_to_cache(take.video, self._cache), _as_json(take.trajectory)


def add_endpoints(sessions: Future[Sessions]) -> None:
    """Put the endpoints into the `gr.Blocks` at hand; their components are never drawn."""
    with gr.Column(visible=False):
        files = gr.File(file_count="multiple", label="files")
        path, report = gr.JSON(label="trajectory"), gr.JSON(label="report")
        refine, fov = gr.Checkbox(True, label="refine"), gr.Number(None, label="fov_y_deg")
        preset, amplitude = gr.Textbox("arc-left", label="preset"), gr.Number(1.0, label="amplitude")
        geometry = gr.Checkbox(True, label="with_geometry")
        steps, seed = gr.Number(None, label="steps", precision=0), gr.Number(0, label="seed", precision=0)
        guidance = gr.Number(None, label="guidance")
        source_frames = gr.JSON(label="source_frames")
        temperature = gr.Number(None, label="temperature")
        file_format = gr.Textbox("nerfstudio", label="format")
        video, camera_file, trigger = gr.Video(label="video"), gr.File(label="cameras"), gr.Button()
    api = Api(sessions, video.GRADIO_CACHE)
    inputs = {
        "estimate_trajectory": ([files, refine, fov, steps, seed], [path, report]),
        "generate_video": (
            [files, path, preset, amplitude, geometry, steps, seed, guidance, source_frames, temperature],
            [video, path],
        ),
        "generate_joint": ([files, steps, seed], [video, path]),
        "export_cameras": ([path, file_format], camera_file),
    }
    for name in ENDPOINTS:
        trigger.click(getattr(api, name), *inputs[name], api_name=name, show_progress="hidden")


def _start_from(session: Session, frames: list[int]) -> None:
    """Choose exactly these frames, if any, as a user does on the filmstrip."""
    from ui.document import sources

    if not isinstance(frames, list) or not all(type(frame) is int for frame in frames):
        raise _refusal(f"source_frames must be a list of numbers of frames, got {frames!r}")
    for frame in frames:
        document = session.state.document
        path = document.edited
        if path is None or not 0 <= frame < len(path) or not sources.is_start(document, path, frame):
            _dispatch(session, msg.ToggleSource(frame))
    for frame in sources.chosen(session.state.document) if frames else ():
        if frame not in frames:
            _dispatch(session, msg.ToggleSource(frame))


def _give(session: Session, files: list[str] | None) -> None:
    if not files:
        raise _refusal("files must name a video, an image or several images, got none")
    _dispatch(session, msg.Upload(tuple(files)))


def _set_path(session: Session, trajectory: Any) -> None:
    from ui.document.edits import SetPath
    from ui.document.path_text import read_path

    try:
        path = read_path(json.dumps(trajectory), None)
    except ValueError as error:
        raise _refusal(f"trajectory: {error}") from error
    _dispatch(session, SetPath(path, False, "given"))


def _dispatch(session: Session, message: Any) -> None:
    """Raises gr.Error with the session's sentence where it refuses."""
    session.dispatch(message)
    notice = session.state.notice
    if notice is not None and notice.is_error:
        raise _refusal(notice.text)


def _finish(session: Session, message: Any) -> None:
    """Dispatch what starts a job, and wait until all that comes of it is done."""
    _dispatch(session, message)
    while session.state.busy:
        time.sleep(POLL_S)
    notice = session.state.notice
    if notice is not None and notice.is_error:
        raise _refusal(notice.text)


def _refusal(sentence: str) -> gr.Error:
    return gr.Error(sentence, print_exception=False)


def _count(steps: float | None) -> int | None:
    return int(steps) if steps else None


def _as_json(path: Any) -> dict[str, Any]:
    from ui.document.path_text import path_text

    return json.loads(path_text(path))
