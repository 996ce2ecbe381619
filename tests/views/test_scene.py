"""The 3D cache of a clip, on an example clip of known cameras."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from rap import metrics
from rap.config import ASSETS
from rap.data import Clip, load_clip
from rap.formats import read
from rap.geometry import Trajectory, preset, se3
from rap.views import beyond
from rap.views import scene as scene_module
from rap.views.depth import DepthMaps
from rap.views.fill import smooth_fill
from rap.views.hints import as_hints
from rap.views.layers import lift
from rap.views.preview import preview_size
from rap.views.scene import Scene, build_scene, picture_scene, refine

DEPTH = DepthMaps(torch.ones(1, 2, 2), torch.ones(1, 2, 2))
EXAMPLE = ASSETS / "examples" / "arc_around_a_table"


@pytest.fixture(scope="module", autouse=True)
def smoothly() -> Iterator[None]:
    """What is invented is filled smoothly, in a tenth of the time; how it is filled is tested in test_fill."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (scene_module, beyond):
            patch.setattr(module, "lift", partial(lift, fill=smooth_fill))
        yield


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load_clip(EXAMPLE.with_suffix(".mp4"))


@pytest.fixture(scope="module")
def truth(clip: Clip) -> Trajectory:
    """The cameras of the clip's frames."""
    on_upload = read(EXAMPLE.with_suffix(".transforms.json")).relative_to(0)
    return replace(clip.on_frames(on_upload.resized(clip.footage_size)), fps=clip.fps)


@pytest.fixture(scope="module")
def scene(clip: Clip, truth: Trajectory) -> Scene:
    return build_scene(clip, truth)


def rotation_error_deg(trajectory: Trajectory, truth: Trajectory) -> float:
    return float(np.median(metrics.pose_errors(trajectory.Ts_world_camera, truth.Ts_world_camera).rotation_deg))


def disturbed(trajectory: Trajectory, degrees: float) -> Trajectory:
    """A drift that grows along the path."""
    twist = np.array([0.02, -0.03, 0.02, 0.6, 0.7, -0.4])
    amount = np.linspace(0, 1, len(trajectory))[:, None] * np.radians(degrees)
    return replace(trajectory, Ts_world_camera=trajectory.Ts_world_camera @ se3.exp(amount * twist))


def test_frames_that_were_not_lifted_are_seen_again(clip, truth, scene):
    assert scene.source_indices == tuple(range(0, 17, 2)) and scene.frames.shape[2:] == (179, 224)
    hints = scene.hints(truth)
    hidden = list(range(1, 17, 2))
    warped = metrics.psnr(hints.frames_u8[hidden], clip.frames_u8[hidden])
    assert warped > 24 and warped > metrics.psnr(clip.frames_u8[[i - 1 for i in hidden]], clip.frames_u8[hidden]) + 4
    assert hints.mask.shape == (17, *clip.image_size) and hints.mask.min() >= 0 and hints.mask.mean() > 0.97


def test_holes_are_shown_as_holes(truth, scene):
    turned = preset("pan-left", num_frames=5, image_size=truth.image_size, fov_y_rad=truth.fov_y_rad[0])
    seen = scene.preview(turned)
    assert seen.frames_u8.shape == (5, *preview_size(scene.clip.footage_size), 3), "whole frames"
    assert 0.05 < seen.mask[-1].mean() < seen.mask[0].mean() and seen.coverage == pytest.approx(seen.mask.mean())
    holes = seen.frames_u8[~seen.mask]
    assert set(np.unique(holes)) == {52, 68} and (holes == holes[:, :1]).all()


def test_a_path_may_have_its_world_at_any_source(truth, scene):
    here = scene.preview(truth)
    for source in (0, 6):
        there = scene.preview(truth.relative_to(source))
        assert (here.mask == there.mask).mean() > 0.999
        assert np.abs(here.frames_u8.astype(int) - there.frames_u8).mean() < 0.5


def test_refinement_undoes_a_drift_and_speaks_of_the_clips_frames(clip, truth):
    start = disturbed(truth, 4.0)
    found = refine(clip, start)
    assert found.report.outcome == "refined"
    assert found.trajectory.image_size == clip.image_size and found.trajectory.source == truth.source
    assert rotation_error_deg(found.trajectory, truth) < 0.3 * rotation_error_deg(start, truth)
    fov_y_rad = float(truth.fov_y_rad[0])
    given = refine(clip, start, known_fov_y_rad=fov_y_rad)
    assert given.report.focal_source == "given"
    np.testing.assert_allclose(given.trajectory.fov_y_rad, fov_y_rad, rtol=1e-6)


def test_the_cloud_lies_where_the_tracks_are(truth, scene):
    xyz, colours = scene.coloured_points(max_points=3000)
    assert 1000 < len(xyz) <= 3000 and colours.dtype == np.uint8 and colours.shape == xyz.shape
    depths, tracked = (points[:, 2] for points in (xyz, scene.points.xyz))
    assert np.median(depths) == pytest.approx(np.median(tracked), rel=0.2)
    few, _ = scene.coloured_points(min_confidence=1.1)
    assert len(few) == 0


def test_the_cloud_of_a_plane_is_a_plane(clip):
    picture = picture_scene(clip, preset("static", image_size=clip.image_size), flat=True)
    xyz, colours = picture.coloured_points(max_points=10**6, min_confidence=0.0)
    np.testing.assert_allclose(xyz[:, 2], 1, atol=1e-5)
    assert np.array_equal(colours[0], (picture.frames[0, :, 0, 0] * 255).round().to(torch.uint8).numpy())


def test_a_flat_picture_is_a_plane_at_unit_depth(clip):
    path = preset("truck-right", num_frames=3, image_size=clip.image_size, fov_y_rad=0.9)
    rendered = picture_scene(clip, path, flat=True).render(path)
    size = preview_size(clip.image_size)
    still = rendered.colour[0].permute(1, 2, 0).numpy()
    moved = rendered.colour[2].permute(1, 2, 0).numpy()
    shift = path.resized(size).intrinsics[2, 0] * path.centres[2, 0]  # px, at depth 1
    shifted = cv2.warpAffine(still, np.array([[1, 0, -shift], [0, 1, 0]]), size[::-1])
    seen = rendered.mask[2].numpy()
    assert seen.mean() == pytest.approx(1 - shift / size[1], abs=0.03)
    seen[:, -3:] = False
    assert np.abs(shifted - moved)[seen].mean() < 0.02


@pytest.fixture(scope="module")
def picture(clip: Clip) -> Scene:
    return picture_scene(clip, preset("static", image_size=clip.image_size, fov_y_rad=0.9))


def test_a_picture_gets_layers_from_its_own_depth(clip, picture):
    assert picture.layers is not None and picture.source_indices == (0,)
    assert picture.median_depth(0) == pytest.approx(1, abs=0.02)
    xyz, _ = picture.coloured_points()
    near, far = np.quantile(xyz[:, 2], (0.02, 0.98))
    assert far > 1.5 * near, "no plane"
    path = preset("arc-left", num_frames=5, image_size=clip.image_size, fov_y_rad=0.9, amplitude=0.5)
    shown = picture.preview(path)
    size = preview_size(clip.full_size, max(clip.footage_size))
    assert shown.frames_u8.shape == (5, *size, 3), "the whole picture, in its own shape"
    whole = cv2.resize(clip.footage[0], size[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(shown.frames_u8[0].astype(int) - whole).mean() < 2
    assert shown.mask[0].mean() > 0.995 and 0.5 < shown.mask[-1].mean() < 0.98
    holes = shown.frames_u8[~shown.mask]
    assert len(np.unique(holes)) > 50, "what no camera saw is filled"
    assert np.array_equal(np.stack(list(picture.walk(path, 200))), picture.preview(path, 200).frames_u8)
    hints = picture.hints(path)
    assert hints.frames_u8.shape[1:3] == clip.image_size and (hints.mask[0] > 0.99).all()
    assert hints.inverse_depth is not None and (hints.inverse_depth[hints.mask == 0] == 0).all()
    assert hints.inverse_depth.max() < 3 * picture.depth.inverse_depth.max(), "no depth in parts of a share of nothing"
    differs = (hints.frames_u8 != as_hints(picture.render(path), clip.image_size).frames_u8).any(axis=-1)
    assert differs[hints.mask == 0].mean() > 0.8, "the model is shown holes, not what was invented"
    assert not differs[hints.mask == 1].any()


@pytest.mark.parametrize("of", ["film", "picture"])
def test_a_glimpse_is_a_frame_of_the_preview_only_sharper(clip, scene, picture, of, monkeypatch):
    monkeypatch.setattr(beyond, "LEFT", 2.0)  # a film's own frames show it, come what may
    path = preset("arc-left", num_frames=5, image_size=clip.image_size, fov_y_rad=0.9, amplitude=0.5)
    seen = replace(scene) if of == "film" else picture
    whole, one = seen.preview(path), seen.glimpse(path, 3)
    side = max(clip.full_size) if of == "film" else 640
    assert one.shape == (*preview_size(clip.full_size, side), 3), "a film is not enlarged, layers are at their own size"
    small = cv2.resize(one, whole.frames_u8.shape[2:0:-1], interpolation=cv2.INTER_AREA)
    known = cv2.erode(whole.mask[3].astype(np.uint8), np.ones((7, 7))) > 0
    assert np.abs(small.astype(int) - whole.frames_u8[3])[known].mean() < 4
    others = [np.abs(small.astype(int) - frame)[known].mean() for frame in whole.frames_u8]
    assert int(np.argmin(others)) == 3
    detail = [cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std() for frame in (
        one, cv2.resize(whole.frames_u8[3], one.shape[1::-1], interpolation=cv2.INTER_CUBIC),
    )]  # fmt: skip
    assert of == "picture" or detail[0] > 1.2 * detail[1], "with the detail of the frames as uploaded"
    if of == "film":
        assert set(np.unique(one[-1, -1])) <= {52, 68} or whole.mask[3, -1, -1], "holes are shown as holes"


def test_a_film_is_walked_through_at_its_own_size_whole_frames_in_view(clip, truth, scene):
    frames = list(scene.walk(truth, 640, 5))
    assert len(frames) == 5 and frames[0].shape == (*preview_size(clip.footage_size, max(clip.footage_size)), 3)
    whole = cv2.resize(clip.footage[0], frames[0].shape[1::-1], interpolation=cv2.INTER_AREA)
    assert metrics.psnr(frames[0][None], whole[None]) > 32, "the first camera of the path is that of the first frame"
    small = next(scene.walk(truth, 100))
    assert max(small.shape[:2]) == 100 and all(side % 2 == 0 for side in small.shape[:2])
    cameras = scene.cameras_of_walk(truth, small.shape[:2])
    assert cameras.image_size == small.shape[:2]
    np.testing.assert_allclose(cameras.intrinsics, clip.on_footage(truth).resized(small.shape[:2]).intrinsics)


def test_a_walk_shows_the_path_of_a_later_source_in_any_number_of_frames(truth, scene):
    here = np.stack(list(scene.walk(truth, 128, 9)))
    there = np.stack(list(scene.walk(truth.relative_to(8), 128, 9)))
    assert np.abs(here.astype(int) - there).mean() < 1


def test_where_the_camera_rests_one_moment_is_shown(clip):
    frames_u8 = np.repeat(clip.frames_u8[:1], 9, axis=0)
    for i in range(9):
        frames_u8[i, 20:50, 8 * i : 8 * i + 24] = 255  # something walks by
    rests = Clip(frames_u8, clip.fps)
    still = preset("static", num_frames=9, image_size=clip.image_size)
    scene = build_scene(rests, still)
    for source in (0, 6):
        shown = list(scene.walk(replace(still, source=source), 640))
        assert np.abs(shown[4].astype(int) - frames_u8[source]).mean() < 2, "and what moves is seen once"


def test_presets_turn_about_what_is_in_the_middle(picture):
    h, w = picture.depth.inverse_depth.shape[1:]
    middle = 1 / picture.depth.inverse_depth[0, h // 2 - 3 : h // 2 + 3, w // 2 - 3 : w // 2 + 3]
    assert middle.min() * 0.7 < picture.centre_depth() < middle.max() * 1.4


def test_a_path_is_told_how_near_it_comes_to_what_was_lifted(clip, picture):
    path = preset("dolly-in", num_frames=9, image_size=clip.image_size, fov_y_rad=0.9, amplitude=10)
    clearance = picture.clearance(path)
    assert clearance[0] == pytest.approx(1 / float(picture.depth.inverse_depth.max()), rel=0.3)
    assert clearance[0] > 0.2 and clearance[-1] == 0, "three depths ahead all is behind"
    first = int(np.flatnonzero(clearance == 0)[0])
    assert (clearance[first:] == 0).all() and clearance[first - 1] < clearance[0]


def test_the_blend_network_is_asked_where_there_is_something_to_blend(clip, truth, scene, picture, monkeypatch):
    plain = replace(scene, frames=scene.frames.clone())
    with_network = scene.render(truth)
    asked = []
    monkeypatch.setattr(scene_module, "embedded_blend_network", lambda device: asked.append(device))
    without = plain.render(truth)
    assert asked == ["cpu"] and not torch.equal(with_network.colour, without.colour)
    assert torch.equal(with_network.mask, without.mask)
    path = preset("truck-right", num_frames=3, image_size=clip.image_size, fov_y_rad=0.9)
    picture.render(path)
    picture_scene(clip, path, flat=True).render(path)
    assert asked == ["cpu"], "one picture is shown as it is"
    replace(scene, depth=replace(scene.depth, confidence=torch.zeros_like(scene.depth.confidence))).render(path)
    assert asked == ["cpu"], "and so are planes"


def test_a_clip_without_parallax_is_a_plane_at_unit_depth(clip):
    rests = Clip(np.repeat(clip.frames_u8[:1], 17, axis=0), clip.fps)
    truck = preset("truck-right", image_size=clip.image_size, fov_y_rad=0.9)
    still = replace(truck, Ts_world_camera=np.tile(np.eye(4), (17, 1, 1)))
    scene = build_scene(rests, still)
    torch.testing.assert_close(scene.depth.inverse_depth, torch.ones_like(scene.depth.inverse_depth))
    assert scene.points is None and scene.render(truck).mask[-1].float().mean() < 0.9


def test_frames_of_a_stretched_upload_are_lifted_once(clip, truth):
    short = load_clip(EXAMPLE.with_suffix(".mp4"), start=12)
    assert len(set(short.frame_indices)) == 5
    cameras = replace(truth, Ts_world_camera=truth.Ts_world_camera[list(short.frame_indices)])
    indices = build_scene(short, cameras.relative_to(0)).source_indices
    assert sorted(short.frame_indices[i] for i in indices) == sorted(set(short.frame_indices[::2]))


def test_three_photographs_are_three_cameras_and_the_path_leads_smoothly_through_them(clip, truth, tmp_path):
    shots = [tmp_path / f"{i}.png" for i in (0, 8, 16)]
    for i, path in zip((0, 8, 16), shots, strict=True):
        Image.fromarray(clip.footage[i]).save(path)
    photographs = load_clip(shots)
    still = replace(truth, Ts_world_camera=np.tile(np.eye(4), (17, 1, 1)))
    found = refine(photographs, still)
    assert found.report.outcome == "refined" and len(found.trajectory) == 17
    three = found.trajectory.Ts_world_camera[list(photographs.own_frames)]
    assert metrics.pose_errors(three, truth.Ts_world_camera[[0, 8, 16]]).auc30 > 0.9
    steps = np.linalg.norm(np.diff(found.trajectory.centres, axis=0), axis=1)
    assert steps.max() < 2 * steps.min(), "it goes on between them"
    assert found.points is not None and set(np.unique(found.points.span)) <= {0, 8, 16}
    scene = build_scene(photographs, found.trajectory, found.points)
    assert scene.source_indices == (0, 8, 16)


def test_photographs_that_show_nothing_in_common_are_called_by_the_frames_they_are_at(clip, truth, tmp_path):
    shots = [tmp_path / f"{i}.png" for i in range(4)]
    for path, picture in zip(shots, [*clip.footage[[0, 4, 8]], np.full_like(clip.footage[0], 90)], strict=True):
        Image.fromarray(picture).save(path)
    photographs = load_clip(shots)
    found = refine(photographs, replace(truth, Ts_world_camera=np.tile(np.eye(4), (17, 1, 1))))
    assert found.report.lost == (16,) and "Frames [16] could not be tied" in found.report.reason


def test_all_frames_of_a_clip_that_is_spread_over_a_film_are_lifted(clip, truth, monkeypatch):
    monkeypatch.setattr(scene_module, "film_depth", lambda *given: DEPTH)
    spread = replace(clip, frame_indices=tuple(range(0, 51, 3)))
    assert spread.is_spread and build_scene(spread, truth).source_indices == tuple(range(17))
    assert not clip.is_spread and build_scene(clip, truth).source_indices == tuple(range(0, 17, 2))


def test_points_are_those_of_all_frames_unless_some_are_asked_for(clip, truth, scene):
    half = build_scene(clip, truth, source_indices=tuple(range(0, 9, 2)))
    assert scene.points is not None and half.points is not None
    assert scene.points.span.max() == 16 and len(scene.points) > len(half.points)
    assert half.points.span.max() == 4, "numbers of the five frames that were lifted: nothing of the others is known"


def test_points_of_a_stretched_upload_are_known_where_they_were_seen(clip, truth, monkeypatch):
    short = load_clip(EXAMPLE.with_suffix(".mp4"), start=12)
    cameras = replace(truth, Ts_world_camera=truth.Ts_world_camera[list(short.frame_indices)])
    asked = {}
    monkeypatch.setattr(
        scene_module, "film_depth", lambda *given: asked.update(zip("fTipsn", given, strict=True)) or DEPTH
    )
    indices = build_scene(short, cameras.relative_to(0)).source_indices
    assert asked["s"] == [short.frame_indices[i] - short.frame_indices[0] for i in indices]


def test_a_camera_for_each_frame_is_needed(clip, truth):
    with pytest.raises(ValueError, match="one camera for each of the 17 frames, got 1"):
        build_scene(clip, replace(truth, Ts_world_camera=np.eye(4)[None], intrinsics=truth.intrinsics[:1]))


def test_what_no_frame_has_seen_is_the_first_one_continued(scene, truth, monkeypatch):
    scene = replace(scene)  # without what is remembered of its paths
    monkeypatch.setattr(beyond, "LEFT", 2.0)
    monkeypatch.setattr(beyond, "lift", lift)
    back = preset("zoom-out", num_frames=3, amplitude=0.5, image_size=truth.image_size)
    whole = list(scene.walk(back, 160))
    monkeypatch.setattr(beyond, "OPEN", 2.0)
    fog = list(scene.walk(back, 160))
    assert (whole[0] == fog[0]).all(), "the first frame has no holes"
    changed = (whole[-1] != fog[-1]).any(axis=-1)
    assert 0.1 < changed.mean() < 0.9
    rows, columns = np.nonzero(changed[:-1, :-1])
    steps = [np.abs(np.diff(one[-1].astype(float).mean(axis=-1), axis=0))[rows, columns].mean() for one in (whole, fog)]
    assert steps[0] > 1.2 * steps[1], "with something in it"


def test_a_path_that_leaves_the_film_shows_one_frame_alone(clip, truth, scene, monkeypatch):
    far = preset("truck-right", num_frames=5, amplitude=3.0, image_size=truth.image_size, fov_y_rad=truth.fov_y_rad[0])
    assert scene.leaves(far) and scene.is_open(far) and not scene.leaves(truth) and not scene.is_open(truth)
    shown, walked = scene.preview(far, 100), np.stack(list(scene.walk(far, 100)))
    assert np.array_equal(shown.frames_u8, walked), "what the preview shows is what the take is"
    assert set(np.unique(shown.frames_u8[~shown.mask])) != {52, 68}, "nothing is open"
    glimpsed = scene.glimpse(far, 4)
    small = cv2.resize(glimpsed, walked.shape[2:0:-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - walked[4]).mean() < 6
    held = scene.glimpse(far, 4, truth)
    assert (held != glimpsed).any(axis=-1).mean() > 0.1, "as long as a hand holds it, as it was when that took it"
    assert scene.depths_of_walk(far, 100).shape == walked.shape[:3] == scene.seen_on_walk(far, 100).shape
    monkeypatch.setattr(beyond, "DEARER", -1.0)
    again = replace(scene)
    assert again.is_open(far) and not again.leaves(far), "where all together show more, they do"
    assert (np.unique(again.preview(far).frames_u8[~again.preview(far).mask]) == [52, 68]).all()


def test_hints_know_shares_of_pixels(scene, truth):
    rendered = scene.render(truth)
    rendered.mask[:] = False
    rendered.mask[:, :, : rendered.mask.shape[2] // 2] = True
    hints = as_hints(rendered, truth.image_size)
    assert hints.mask.mean() == pytest.approx(0.5, abs=0.01) and hints.frames_u8.dtype == np.uint8


def test_preview_sizes_are_even_and_keep_the_shape():
    assert preview_size((96, 128)) == (168, 224) and preview_size((160, 96)) == (224, 134)


def test_a_scene_knows_its_depth(scene):
    assert isinstance(scene.depth, DepthMaps) and scene.depth.inverse_depth.shape == scene.frames[:, 0].shape
    assert ((scene.depth.confidence >= 0) & (scene.depth.confidence <= 1)).all()


def test_the_median_depth_of_a_view(clip, scene):
    plane = picture_scene(clip, preset("static", image_size=clip.image_size), flat=True)
    assert plane.median_depth(0) == plane.median_depth(16) == pytest.approx(1, abs=1e-5)
    assert scene.median_depth(0) == pytest.approx(1, abs=0.15), "the unit of length of the clip's own cameras"
    nearer = replace(scene, depth=replace(scene.depth, inverse_depth=2 * scene.depth.inverse_depth))
    assert nearer.median_depth(8) == pytest.approx(scene.median_depth(8) / 2)
    last = scene.source_indices[-1]
    assert scene.median_depth(99) == scene.median_depth(last)
