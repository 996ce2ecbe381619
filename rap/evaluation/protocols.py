"""What is measured on one clip of known cameras. Never compare figures across protocols, nor with other papers'.

pose      cameras from the frames, over all pairs i < j: RRA and RTA, the shares of pairs whose rotation and whose
          direction of translation are less than 5, 15 and 30 degrees off, and AUC, the mean over thresholds up to there
          of the share whose worse one is (`rap.metrics`, VGGT's binning). A table's RRA is the mean over the windows of
          a recording and then over recordings, which papers call mRRA. "still" is the score of not moving, whose
          directions are 90 degrees off. Frames that a peer leaves out count as 180 and 90 degrees off. The peer
          "frames" is our refinement begun with nothing; with --refine its windows below AUC@30 0.7 stand in rows of
          their own ("hard"), beside the same windows refined from the prediction.
generate  a video from frame 0 along the true cameras: PSNR and SSIM against the true frames without frame 0, and R_err
          and T_err of the cameras it shows (CamI2V's sums over the frames, `rap.metrics.path_errors`), as the model
          estimates them (so that the model judges itself) or as tracks through the video show them; where these tell
          no path there is no figure, and the share of clips where they do stands beside it. What the model is
          shown of frame 0 beside it: "none"; "plane", the frame as a plane at unit depth; "warp", its own layers by the
          depth of one picture. The peer of the same name is that warp alone, finished; "warp + model" has the low
          frequencies of the model's video where nothing was seen, which is how it enters takes. --hints judges leaving
          the path: the even frames of the first half are shown to the geometry under true cameras, and the second half
          is judged, as a whole and where nothing was seen, for the warp alone (its holes filled smoothly, or, as
          the peer "continued", with the first frame's layers), the model alone, the model with the warp as its hint,
          and its low frequencies in the holes of the warp.
loop      cameras estimated from the clip, a video from frame 0 along them, and the cameras that this shows against
          those it was made along. PSNR and SSIM are against the clip.
joint     paths sampled from frame 0 alone, and as the page has them, shortened by the picture's own depth: the share of
          paths none of whose cameras has passed a surface (which true cameras and parallax tell), whose every frame
          moves and turns no faster than recorded films do, and of which both hold. It stands by
          itself: `all` is the first three.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rap import metrics
from rap.data import Clip
from rap.evaluation import peers
from rap.evaluation.rows import Figures
from rap.geometry import Trajectory
from rap.geometry.motion import motion
from rap.pipeline import RaPPipeline
from rap.reconstruction.followed import MEASURED, followed_path
from rap.views.fine import with_content
from rap.views.fitting import fitted_path
from rap.views.hints import VideoHints
from rap.views.scene import build_scene, picture_scene, refine

Videos = dict[str, UInt8[np.ndarray, "T h w 3"]]

PROTOCOLS = ("pose", "generate", "loop")
THRESHOLDS_DEG = (5, 15, 30)
UNSEEN = 0.5
"""Share of a pixel that was seen, below which it is a hole."""

HARD_AUC = 0.7
SAMPLES = 4
"""Paths sampled from each frame."""

FILM_SPEED, FILM_TURN_DEG = 0.17, 10.0
"""Median depths and degrees from frame to frame: the most of eleven recorded films (0.165 and 9.9)."""


@dataclass(frozen=True)
class Protocol:
    """Choices of a run; None takes the checkpoint's own.

    Attributes:
        ray_steps: of estimates, each a method of its own; the first one judges videos.
        given: what the model is shown beside frame 0: "none", "plane", "warp".
        peers: of `peers.POSE_PEERS` and `peers.VIDEO_PEERS`.
        refine: also fit each estimate to tracks.
        hints: also judge leaving the path.
        tracks: also judge videos by tracks.
        known_lens: peers, and tracks of a refinement, are told the focal length.
    """

    ray_steps: tuple[int, ...] = (1, 2)
    steps: int | None = None
    guidance_scale: float | None = None
    temperature: float | None = None
    hint_level: float | None = None
    given: tuple[str, ...] = ("plane",)
    peers: tuple[str, ...] = ()
    refine: bool = False
    hints: bool = False
    tracks: bool = False
    known_lens: bool = False
    seed: int = 0

    @property
    def sampling(self) -> dict[str, Any]:
        """Options of a generation."""
        chosen = {"steps": self.steps, "guidance_scale": self.guidance_scale, "temperature": self.temperature}
        return {**chosen, "seed": self.seed}

    def peers_of(self, kinds: tuple[str, ...]) -> Iterator[str]:
        """Those chosen of some, without those that cannot run here."""
        yield from (peer for peer in kinds if peer in self.peers and not peers.missing((peer,)))


def measure(protocol: str, pipe: RaPPipeline, clip: Clip, chosen: Protocol) -> tuple[Figures, Videos]:
    """Figures of a clip, whose `trajectory` is the truth, and the videos that were made, by method."""
    if protocol == "pose":
        return pose_figures(pipe, clip, chosen), {}
    assert clip.trajectory is not None
    if protocol == "joint":
        return joint_figures(pipe, clip, chosen), {}
    if protocol == "generate":
        figures, videos = along(pipe, clip, clip.trajectory, chosen)
        return figures | (_leaving(pipe, clip, chosen) if chosen.hints else {}), videos
    estimate = _estimated(pipe, clip, chosen.ray_steps[0], chosen.seed)
    figures, videos = along(pipe, clip, estimate, chosen)
    return figures, videos


def pose_figures(pipe: RaPPipeline, clip: Clip, chosen: Protocol) -> Figures:
    """Errors of the cameras found by the model, by a fit to tracks, by peers and by not moving."""
    truth = clip.trajectory
    assert truth is not None
    figures = _cameras("still", np.tile(np.eye(4), (len(truth), 1, 1)), truth)
    for steps in chosen.ray_steps:
        name, found = f"model, {steps} {'step' if steps == 1 else 'steps'}", _estimated(pipe, clip, steps, chosen.seed)
        figures |= _cameras(name, found.Ts_world_camera, truth)
        figures[f"{name}/focal_error_percent"] = _off(found.intrinsics[0, 1], truth.intrinsics[0, 1])
        if chosen.refine:
            figures |= _refined(clip, found, truth, name, chosen.known_lens)
    for peer in chosen.peers_of(peers.POSE_PEERS):
        cameras = peers.find_cameras(peer, clip, truth, chosen.known_lens)
        figures |= _cameras(peer, cameras.Ts_world_camera, truth, cameras.lost)
        figures[f"{peer}/registered_share"] = 1 - len(cameras.lost) / len(truth)
        if cameras.focal_px is not None:
            figures[f"{peer}/focal_error_percent"] = _off(cameras.focal_px, clip.on_footage(truth).intrinsics[0, 1])
    return figures | _of_hard(figures)


def _of_hard(figures: Figures) -> Figures:
    """AUC@30 of all that is refined, again, where refinement from nothing fails."""
    from_nothing = figures.get("frames/auc30")
    if from_nothing is None or from_nothing >= HARD_AUC:
        return {}
    return {f"hard: {key}": value for key, value in figures.items() if key.endswith(("refined/auc30", "frames/auc30"))}


def _estimated(pipe: RaPPipeline, clip: Clip, steps: int, seed: int) -> Trajectory:
    found = pipe.estimate_trajectory(clip.frames_u8, steps=steps, seed=seed, flow_frames_u8=clip.detailed_u8)
    assert found.trajectory is not None
    return found.trajectory


def _refined(clip: Clip, found: Trajectory, truth: Trajectory, name: str, known_lens: bool) -> Figures:
    name = f"{name}, refined"
    refinement = refine(clip, found, float(truth.fov_y_rad[0]) if known_lens else None)
    fitted = refinement.trajectory
    figures = _cameras(name, fitted.Ts_world_camera, truth, refinement.report.lost)
    figures[f"{name}/focal_error_percent"] = _off(fitted.intrinsics[0, 1], truth.intrinsics[0, 1])
    figures[f"{name}/refined_share"] = float(refinement.report.outcome == "refined")
    return figures


def _off(found_px: float, truth_px: float) -> float:
    return 100 * abs(float(found_px) / float(truth_px) - 1)


def _cameras(name: str, Ts: np.ndarray, truth: Trajectory, lost: tuple[int, ...] = ()) -> Figures:
    """All errors of a path."""
    pairs = metrics.pose_errors(Ts, truth.Ts_world_camera, lost)
    path = metrics.path_errors(Ts, truth.Ts_world_camera, lost)
    figures: Figures = {}
    for degrees in THRESHOLDS_DEG:
        figures[f"{name}/rra{degrees}"] = pairs.rra(degrees)
        figures[f"{name}/rta{degrees}"] = _or_none(pairs.rta(degrees))
        figures[f"{name}/auc{degrees}"] = pairs.auc(degrees)
    figures[f"{name}/auc30_signed"] = pairs.auc30_signed
    figures[f"{name}/rotation_deg_median"] = float(np.median(pairs.rotation_deg))
    figures[f"{name}/r_err"], figures[f"{name}/t_err"] = path.r_err, path.t_err
    return figures


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


# --- videos -----------------------------------------------------------------------------------------------------------


def along(pipe: RaPPipeline, clip: Clip, path: Trajectory, chosen: Protocol) -> tuple[Figures, Videos]:
    """Videos from frame 0 along a path, by the model and by peers, and their figures."""
    videos: Videos = {}
    takes_warp = pipe.transformer.config.warp_hint != "none"
    for given in chosen.given if takes_warp else ("none",):
        if given == "none":
            videos["model"] = _generated(pipe, clip, path, None, chosen)
            continue
        hints, shown = peers.video_hints(given, clip, path)
        made = videos[f"model, {given}"] = _generated(pipe, clip, path, hints, chosen)
        if given in chosen.peers:  # the same warp is not made twice
            videos[given] = shown
        if given == "warp":
            videos["warp + model"] = with_content(shown, 1 - hints.mask, made)
    for peer in chosen.peers_of(peers.VIDEO_PEERS):
        if peer not in videos:
            videos[peer] = peers.peer_video(peer, clip, path)
    figures: Figures = {}
    for name, video in videos.items():
        figures |= _likeness(name, video[1:], clip.frames_u8[1:]) | _followed(pipe, name, video, path, chosen)
    return figures, {"truth": clip.frames_u8, **videos}


def _generated(
    pipe: RaPPipeline, clip: Clip, path: Trajectory, hints: VideoHints | None, chosen: Protocol
) -> UInt8[np.ndarray, "T h w 3"]:
    made = pipe.generate_video(
        clip.frames_u8[:1], path, hints=hints, hint_level=chosen.hint_level, **chosen.sampling
    ).frames_u8
    assert made is not None
    return made


def _likeness(name: str, video_u8: np.ndarray, truth_u8: np.ndarray) -> Figures:
    return {f"{name}/psnr_db": metrics.psnr(video_u8, truth_u8), f"{name}/ssim": metrics.ssim(video_u8, truth_u8)}


def _followed(pipe: RaPPipeline, name: str, video_u8: np.ndarray, path: Trajectory, chosen: Protocol) -> Figures:
    """Errors of the cameras that a video shows against those it was made along."""
    shown = pipe.estimate_trajectory(video_u8, steps=chosen.ray_steps[0], seed=chosen.seed).trajectory
    assert shown is not None
    figures = _of_judge(f"{name}/model", _cameras("", shown.Ts_world_camera, path))
    if not chosen.tracks:
        return figures
    found = followed_path(video_u8, shown, path)
    told = found.report.outcome in MEASURED
    figures[f"{name}/tracks_share"] = float(told)
    if told:
        errors = _cameras("", found.trajectory.Ts_world_camera, path, found.report.lost)
        figures |= _of_judge(f"{name}/tracks", errors)
    return figures


def _of_judge(prefix: str, errors: Figures) -> Figures:
    return {f"{prefix}_{name}": errors[f"/{name}"] for name in ("r_err", "t_err", "rotation_deg_median", "auc30")}


def _leaving(pipe: RaPPipeline, clip: Clip, chosen: Protocol) -> Figures:
    """The second half of a clip from the even frames of its first half."""
    truth = clip.trajectory
    assert truth is not None
    half = len(clip) // 2
    scene = build_scene(clip, truth, source_indices=tuple(range(0, half + 1, 2)))
    hints = scene.hints(truth)
    made = _generated(pipe, clip, truth, hints, chosen)
    videos = {"warp": hints.frames_u8, "model alone": _generated(pipe, clip, truth, None, chosen), "model, warp": made}
    videos["warp + model"] = with_content(hints.frames_u8, 1 - hints.mask, made)
    if "continued" in chosen.peers:
        videos["continued"] = peers.continued_video(scene, hints, truth)
    judged = slice(half + 1, None)
    is_hole = hints.mask[judged] < UNSEEN
    seen = 1 - float(is_hole.mean())
    figures: Figures = {}
    for name, video in videos.items():
        name, shown, true = f"leaving: {name}", video[judged], clip.frames_u8[judged]
        figures |= _likeness(name, shown, true)
        # All pixels of holes are one picture: a mean over frames would count few pixels as much as many.
        figures[f"{name}/hole_psnr_db"] = metrics.psnr(shown[is_hole][None], true[is_hole][None]) if seen < 1 else None
        figures[f"{name}/seen_share"] = seen
    return figures


# --- sampled paths ----------------------------------------------------------------------------------------------------


def joint_figures(pipe: RaPPipeline, clip: Clip, chosen: Protocol) -> Figures:
    """Of paths sampled from frame 0: shares that lead through nothing, that are no faster than films, and both."""
    truth = clip.trajectory
    assert truth is not None
    scene, picture = build_scene(clip, truth), picture_scene(clip, truth)
    found: dict[str, list[tuple[bool, bool]]] = {"sampled": [], "sampled, as the page has it": []}
    for k in range(SAMPLES):
        path = pipe.generate_joint(clip.frames_u8[:1], steps=1, seed=chosen.seed + k).trajectory
        assert path is not None
        shortened = fitted_path(picture, path.scaled(picture.median_depth(0))).trajectory
        for name, one in zip(found, (path, shortened), strict=True):
            found[name].append((bool((scene.clearance(one) > 0).all()), is_as_films(one)))
    figures: Figures = {}
    for name, shares in found.items():
        columns = {"clear": [clear for clear, _ in shares], "slow": [slow for _, slow in shares]}
        columns["both"] = [clear and slow for clear, slow in shares]
        figures |= {f"{name}/{column}_share": float(np.mean(values)) for column, values in columns.items()}
    return figures


def is_as_films(path: Trajectory) -> bool:
    """Whether a path, in median depths, moves and turns between no frames faster than films do."""
    found = motion(path)
    return bool((found.speed <= FILM_SPEED).all() and (found.turn <= FILM_TURN_DEG).all())
