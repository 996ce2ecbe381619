"""The public endpoints: the model's tasks and the exports under stable names, for programs.

Each call is a session without a page: the same messages, the same line for the model, the same refusals; its files are
gone when it ends, but for the answer, which lies in Gradio's own cache until that is cleared. Paths go in and out as
the JSON of `ui.document.path_text`.
"""

from __future__ import annotations

import json
import math
import reprlib
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from rap.config import DEFAULT_TAKE_SIDE
from rap.limits import EXPORTED_CAMERAS, PATH_FRAMES, Limit
from ui.document import messages as msg
from ui.page.api_calls import Call, Calls, dispatch, refusal, tell
from ui.page.move_words import MOVES
from ui.page.parts import lost_words

if TYPE_CHECKING:
    from rap.geometry import Trajectory
    from ui.document.document import Document, Take
    from ui.document.edits import SetPath
    from ui.session.session import Session
    from ui.session.sessions import Sessions

ENDPOINTS = ("estimate_trajectory", "generate_video", "generate_joint", "export_cameras")
PATH_KIND = {"type": "object", "description": "a path: OpenCV camera-to-world matrices, lens and rate, as JSON"}
FRAMES_KIND = {"type": "array", "items": {"type": "integer"}}
NO_VERIFICATION = msg.SetVerify(False)


class Api:
    """The endpoints' functions.

    Args:
        sessions: may be resolved after the page is served.
        cache: folder that Gradio serves and clears.
    """

    def __init__(self, sessions: Future[Sessions], cache: str) -> None:
        self._calls, self._cache = Calls(sessions), cache

    async def estimate_trajectory(
        self,
        files: list[str],
        refine: bool = True,
        fov_y_deg: float | None = None,
        steps: float | None = None,
        seed: float = 0,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The cameras of a video or of several images, one for each frame of the clip that is made of them.

        Args:
            files: one video, or images in the order of their names.
            refine: fit the prediction to points that are followed through the clip.
            fov_y_deg: vertical field of view in degrees, where it is known.
            steps: sampling steps; empty: the checkpoint's own.
            seed: of the noise.

        Returns:
            The path, and a report: the clip's name, notes on how it was read, and the refinement's verdict (good,
            doubtful or failed; None without one), the same in words, and its reason.
        """
        asked = msg.Predict(_whole(_own(steps), "steps"), _whole(seed, "seed") or 0)
        known = msg.SetFieldOfView(_number_or_none(fov_y_deg, "fov_y_deg"))
        async with self._calls.call() as call:
            await call.tell(NO_VERIFICATION, msg.SetRefine(_switch(refine, "refine")), _given(files), known)
            await call.finish(asked)
            return await call.do(_estimated, call.session.state.document)

    async def generate_video(
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
        flat_picture: bool = False,
        size: float | None = None,
        frames: float | None = None,
        fps: float | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """A video along a path, from the first frame of what is given or from several.

        A video is rendered by its own frames, whose cameras are found first, and what none of them shows is invented,
        by the model or from the first of them; a single picture by its own depth, and the model is not asked. Where the
        path is elsewhere than the source frames, it is put through their cameras.

        Args:
            files: one video, one image, or images in the order of their names.
            trajectory: a path as `estimate_trajectory` answers; empty: the preset.
            preset: name of a camera move.
            amplitude: of the preset; 1 is its own size, and in a single picture what fits.
            with_geometry: render the input along the path at full size; false: the model alone, at its own size.
            steps: sampling steps; empty: the checkpoint's own.
            seed: of the noise.
            guidance: scale of classifier-free guidance by the path; empty: the model's own.
            source_frames: numbers of the clip's frames to start from, from 0, with geometry; empty: the path's own.
            temperature: share of the noise the video starts from, 0 to 1; empty: the model's own.
            flat_picture: a single picture is a plane at unit depth, shown to the model, instead.
            size: long side in pixels of what is rendered at most; empty: 640.
            frames: how many are rendered; empty: as many as the path has.
            fps: frames a second of what is rendered; empty: it lasts as long as the path.

        Returns:
            The mp4 and the path it was made along.
        """
        geometry, flat = _switch(with_geometry, "with_geometry"), _switch(flat_picture, "flat_picture")
        asked = _regenerate(steps, seed, guidance, temperature, size, frames, fps)
        along = msg.ApplyPreset(_text(preset, "preset"), _number(1.0 if amplitude is None else amplitude, "amplitude"))
        if trajectory:
            from ui.document.edits import SetPath

            along = SetPath(await self._calls.do(_path, trajectory, PATH_FRAMES), False, "given")
        await self._calls.do(_check, asked, along)  # before anything is predicted for it
        async with self._calls.call() as call:
            await call.tell(NO_VERIFICATION, _given(files), msg.SetUseGeometry(geometry))
            await call.finish(msg.SetFlat(flat))  # a picture's depth is there before a preset is fitted to it
            clip = call.session.state.document.clip
            if geometry and clip is not None and len(clip) > 1:
                await call.finish(msg.Predict(None, asked.seed))
            await call.tell(along)
            await call.do(_start_from, call.session, source_frames or [])
            await call.finish(asked)
            return await self._answer(call)

    async def generate_joint(
        self, files: list[str], steps: float | None = None, seed: float = 0
    ) -> tuple[str, dict[str, Any]]:
        """A video and its path, sampled together from one image.

        Args:
            files: the source image; of a video its first frame.
            steps: sampling steps; empty: the checkpoint's own.
            seed: of the noise.

        Returns:
            The mp4 and the path.
        """
        asked = msg.Imagine(_whole(_own(steps), "steps"), _whole(seed, "seed") or 0)
        async with self._calls.call() as call:
            await call.tell(NO_VERIFICATION, _given(files))
            await call.finish(asked)
            return await self._answer(call)

    async def export_cameras(self, trajectory: Any, format: str = "nerfstudio") -> str:
        """A path as a camera file; a format of several files comes as a zip.

        What the format has no place for is told beside the file (and stands in docs/conventions.md).

        Args:
            trajectory: a path as `estimate_trajectory` answers.
            format: a name as `rap convert` takes it: nerfstudio, colmap, npz, tum, usd ...; a wrong one tells them all.

        Returns:
            The file.
        """
        await self._calls.started()
        file = await self._calls.do(_exported, trajectory, _text(format, "format"), self._cache)
        tell(lost_words(format, await self._calls.do(_path, trajectory, EXPORTED_CAMERAS)))
        return file

    async def _answer(self, call: Call) -> tuple[str, dict[str, Any]]:
        take = call.session.state.document.take
        if take is None:  # a job that fails has left its own sentence: this one was ended, as when the app closes
            raise refusal("the call was ended before its video was made; call again, once the app runs")
        return await call.do(_kept, take, self._cache)


def _regenerate(
    steps: Any, seed: Any, guidance: Any, temperature: Any, size: Any, frames: Any, fps: Any
) -> msg.Regenerate:
    """The message for a take; each setting named where it is of the wrong kind."""
    return msg.Regenerate(
        _whole(_own(steps), "steps"),
        _whole(seed, "seed") or 0,
        _number_or_none(_own(guidance), "guidance"),
        _number_or_none(temperature, "temperature"),
        _whole(_own(size), "size") or DEFAULT_TAKE_SIDE,
        _whole(_own(frames), "frames"),
        _number_or_none(_own(fps), "fps"),
    )


def add_endpoints(sessions: Future[Sessions]) -> None:
    """Put the endpoints into the `gr.Blocks` at hand; their components are never drawn."""
    with gr.Column(visible=False):
        files = gr.File(file_count="multiple", label="files")
        path, report = gr.JSON(label="trajectory"), gr.JSON(label="report")
        refine, fov = gr.Checkbox(True, label="refine"), gr.Number(None, label="fov_y_deg")
        preset, amplitude = gr.Textbox("arc-left", label="preset"), gr.Number(1.0, label="amplitude")
        geometry = gr.Checkbox(True, label="with_geometry")
        steps, seed = gr.Number(None, label="steps"), gr.Number(0, label="seed")
        guidance = gr.Number(None, label="guidance")
        source_frames = gr.JSON(label="source_frames")
        temperature, flat = gr.Number(None, label="temperature"), gr.Checkbox(False, label="flat_picture")
        shape = [gr.Number(None, label=name) for name in ("size", "frames", "fps")]
        file_format = gr.Textbox("nerfstudio", label="format")
        video, camera_file, trigger = gr.Video(label="video"), gr.File(label="cameras"), gr.Button()
    for number in (fov, amplitude, steps, seed, guidance, temperature, *shape):
        number.preprocess = _as_given  # Gradio's own fails without a word at what is no number
    path.api_info = partial(dict, PATH_KIND)  # of Gradio's own, "any JSON", no client that checks kinds makes anything
    source_frames.api_info = partial(dict, FRAMES_KIND)
    preset.api_info = partial(dict, type="string", enum=list(MOVES))
    api = Api(sessions, video.GRADIO_CACHE)
    inputs = {
        "estimate_trajectory": ([files, refine, fov, steps, seed], [path, report]),
        "generate_video": (
            [files, path, preset, amplitude, geometry, steps, seed, guidance, source_frames, temperature, flat, *shape],
            [video, path],
        ),
        "generate_joint": ([files, steps, seed], [video, path]),
        "export_cameras": ([path, file_format], camera_file),
    }
    for name in ENDPOINTS:
        trigger.click(getattr(api, name), *inputs[name], api_name=name, show_progress="hidden")


def _as_given(value: Any) -> Any:
    return value


def _start_from(session: Session, frames: list[int]) -> None:
    """Choose exactly these frames, if any, as a user does on the filmstrip."""
    from ui.document import sources

    if not isinstance(frames, list) or not all(type(frame) is int for frame in frames):
        raise refusal(f"source_frames must be a list of numbers of frames, got {reprlib.repr(frames)}")
    PATH_FRAMES.check(len(frames), "source_frames has", "name each frame once")
    for frame in frames:
        document = session.state.document
        path = document.edited
        if path is None or not 0 <= frame < len(path) or not sources.is_start(document, path, frame):
            dispatch(session, msg.ToggleSource(frame))
    for frame in sources.chosen(session.state.document) if frames else ():
        if frame not in frames:
            dispatch(session, msg.ToggleSource(frame))


def _given(files: list[str] | None) -> msg.Upload:
    if not files:
        raise refusal("files must name a video, an image or several images, got none")
    return msg.Upload(tuple(files))


def _path(trajectory: Any, most: Limit) -> Trajectory:
    from ui.document.path_text import read_path

    try:  # agents hand a path on as an object, or as its text
        path = read_path(trajectory if isinstance(trajectory, str) else json.dumps(trajectory), None)
        most.check(len(path), "it has", "keep fewer frames")
    except (ValueError, RecursionError) as error:
        raise refusal(f"trajectory: {error}") from error
    return path


def _check(asked: msg.Regenerate, along: msg.ApplyPreset | SetPath) -> None:
    from rap.geometry import preset
    from rap.pipeline.tasks import check_sampling, check_take

    check_sampling(asked.steps, asked.seed, asked.guidance, asked.temperature)
    check_take((1, 1), asked.side, 2 if asked.frames is None else asked.frames, asked.fps)
    if isinstance(along, msg.ApplyPreset):
        preset(along.name, amplitude=along.amplitude)


def _estimated(document: Document) -> tuple[dict[str, Any], dict[str, Any]]:
    assert document.clip is not None and document.edited is not None
    report: dict[str, Any] = {"clip": document.clip.name, "notes": list(document.clip.notes)}
    report |= dict.fromkeys(("verdict", "words", "reason"))
    if (found := document.report) is not None:
        report |= {"verdict": found.verdict, "words": found.words, "reason": found.reason}
    return _as_json(document.edited), report


def _kept(take: Take, cache: str) -> tuple[str, dict[str, Any]]:
    return save_file_to_cache(take.video, cache), _as_json(take.trajectory)


def _exported(trajectory: Any, format_name: str, cache: str) -> str:
    from rap import formats
    from ui.session.exports import path_file

    if format_name not in formats.writable():
        raise refusal(f"format must be one of {', '.join(formats.writable())}, got {reprlib.repr(format_name)}")
    with TemporaryDirectory(prefix="rap-export-") as folder:
        return save_file_to_cache(path_file(Path(folder), _path(trajectory, EXPORTED_CAMERAS), format_name), cache)


def _own(value: Any) -> Any:
    """None where the checkpoint's own value is asked for, by nothing or by 0."""
    return None if value == 0 and not isinstance(value, bool) else value


def _whole(value: Any, name: str) -> int | None:
    """A whole number, in whatever way JSON writes it; which ones are taken is the session's to say."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise refusal(f"{name} must be a whole number, got {reprlib.repr(value)}")


def _number(value: Any, name: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf:
        try:
            return float(value)
        except OverflowError:  # a whole number of four hundred digits
            pass
    raise refusal(f"{name} must be a number, got {reprlib.repr(value)}")


def _number_or_none(value: Any, name: str) -> float | None:
    return None if value is None else _number(value, name)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise refusal(f"{name} must be a name, got {reprlib.repr(value)}")
    return value


def _switch(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise refusal(f"{name} must be true or false, got {reprlib.repr(value)}")
    return value


def _as_json(path: Trajectory) -> dict[str, Any]:
    from ui.document.path_text import path_text

    return json.loads(path_text(path))
