"""Verification: what a followed path's errors are in cases that can be worked out by hand, and what is said of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import clip
from scipy.spatial.transform import Rotation

from rap import formats
from rap.config import ASSETS, EMBEDDED_CHECKPOINT, KNOWN_PATHS
from rap.data import load_clip
from rap.geometry import preset, se3
from ui.document import document as doc
from ui.document.document import Document, Settings, Take
from ui.document.state import JobStatus
from ui.document.verification import KnownPaths, tracked, verified
from ui.page import verify_words as words
from ui.session.model_tasks import measured_size

ARC = preset("arc-left", image_size=(96, 128))
EXTENT = float(np.linalg.norm(ARC.centres, axis=1).max())
EXAMPLES = ASSETS / "examples"
KNOWN = KnownPaths(4, 2.0, 5.0, 7.0)


def turned(trajectory, frame, angle_deg):
    """The path with one camera turned on the spot."""
    poses = trajectory.Ts_world_camera.copy()
    poses[frame, :3, :3] = poses[frame, :3, :3] @ Rotation.from_euler("y", angle_deg, degrees=True).as_matrix()
    return replace(trajectory, Ts_world_camera=poses)


def with_take(path=ARC):
    document = doc.with_path(doc.with_clip(Document(), clip()), path, True, "test")
    take = Take(1, "regenerated", Path("take.mp4"), Path("take.npz"), "", path, Settings(), 1.0)
    return doc.with_take(document, take)


def test_the_same_path_in_another_unit_has_no_error() -> None:
    found = verified(1, ARC, ARC.scaled(3.0))
    assert found.rotation_deg.max() < 1e-6 and found.translation.max() < 1e-9
    assert np.allclose(found.followed.centres, ARC.centres)
    assert found.errors.r_err < 1e-6 and found.errors.t_err < 1e-9


def test_one_turned_camera_is_the_worst_frame() -> None:
    found = verified(1, ARC, turned(ARC, 5, 12.0))
    assert found.worst_frame == 5
    assert found.rotation_deg[5] == pytest.approx(12.0)
    assert np.delete(found.rotation_deg, 5).max() < 1e-6
    assert found.errors.r_err == pytest.approx(np.radians(12.0))


def test_a_shifted_camera_is_told_in_parts_of_the_path() -> None:
    """Shifted upwards, off the arc's plane: the scale by least squares is |goal|^2 / (|goal|^2 + shift^2)."""
    poses = ARC.Ts_world_camera.copy()
    poses[8, 1, 3] += 0.5 * EXTENT
    found = verified(1, ARC, replace(ARC, Ts_world_camera=poses))
    assert found.worst_frame == 8
    square = (ARC.centres**2).sum()
    scale = square / (square + (0.5 * EXTENT) ** 2)
    off = np.hypot(0.5 * EXTENT * scale, (1 - scale) * np.linalg.norm(ARC.centres[8])) / EXTENT
    assert found.translation[8] == pytest.approx(off)


@pytest.mark.parametrize("name", ["static", "pan-left"])
def test_a_path_without_translation_is_measured_in_depths(name: str) -> None:
    found = verified(1, preset(name, image_size=(96, 128)), ARC)
    assert np.allclose(found.translation, np.linalg.norm(ARC.centres, axis=1))
    assert np.isfinite(found.errors.t_err)


def test_the_opposite_move_is_not_mirrored_into_the_right_one() -> None:
    found = verified(1, ARC, preset("arc-right", image_size=(96, 128)))
    assert found.translation[-1] >= 1 - 1e-5
    assert found.rotation_deg[-1] == pytest.approx(60.0)


def known_clip(name="dolly_through_a_room"):
    """Frames of an example, its cameras on them, and an estimate that is some degrees off."""
    film = EXAMPLES / f"{name}.mp4"
    clip = load_clip(film)
    truth = clip.on_frames(formats.read(film.with_suffix(".transforms.json")))
    drift = np.linspace(0, 1, len(truth))[:, None] * np.array([0.02, 0.02, 0.02, 0.05, 0.1, 0.05])
    return clip.frames_u8, truth, replace(truth, Ts_world_camera=truth.Ts_world_camera @ se3.exp(drift))


def test_tracks_tell_what_the_model_does_not() -> None:
    """The model's estimate is 3.7 degrees off on average, the video is not."""
    frames_u8, truth, estimated = known_clip()
    found = tracked(3, truth, estimated, frames_u8)
    assert found.take == 3 and found.by_tracks and "agree with the path" in found.reason and found.seconds > 0
    assert found.rotation_deg.mean() < 0.5 and found.translation.mean() < 0.05
    assert found.estimated is not None and found.estimated.rotation_deg.mean() > 3
    assert found.estimated.rotation_deg == pytest.approx(verified(3, truth, estimated).rotation_deg)


def test_a_video_of_another_path_is_found_out_though_the_model_believes_it() -> None:
    """Asked for was a turn beside the dolly; the estimate says that it came."""
    frames_u8, truth, _ = known_clip()
    turn = se3.exp(np.linspace(0, 1, len(truth))[:, None] * np.array([0, 0, 0, 0, np.deg2rad(20), 0]))
    asked = replace(truth, Ts_world_camera=truth.Ts_world_camera @ turn)
    found = tracked(1, asked, asked, frames_u8)
    assert found.by_tracks and found.estimated is not None and found.estimated.rotation_deg.max() < 1e-6
    assert found.rotation_deg[-1] == pytest.approx(20, abs=1)


def test_without_tracks_the_estimate_remains() -> None:
    found = tracked(1, ARC, turned(ARC, 5, 12.0), np.zeros((len(ARC), 96, 128, 3), dtype=np.uint8))
    assert not found.by_tracks and "Too few points" in found.reason
    assert found.rotation_deg[5] == pytest.approx(12.0)


def test_a_video_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape of the path's images \(96, 128\), got \(48, 96\)"):
        tracked(1, ARC, ARC, np.zeros((len(ARC), 48, 96, 3), dtype=np.uint8))


def test_larger_frames_tell_the_same_path() -> None:
    frames_u8, truth, estimated = known_clip()
    h, w = truth.image_size
    small = tuple(side // 2 for side in (h, w))
    found = tracked(1, truth.resized(small), estimated.resized(small), frames_u8)
    assert found.by_tracks and found.followed.image_size == small and found.rotation_deg.mean() < 0.5


def test_points_are_followed_in_as_many_pixels_as_a_take_has(tmp_path) -> None:
    settings = Settings(0, layers=True)
    take = Take(1, "regenerated", tmp_path / "a.mp4", tmp_path / "a.npz", "", ARC, settings, 1.0)
    assert [measured_size(replace(take, size=size)) for size in (None, (96, 128), (240, 320), (960, 1280))] == [
        (96, 128), (96, 128), (192, 256), (192, 256),
    ]  # fmt: skip


def test_paths_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="17 cameras.*9 estimated"):
        verified(1, ARC, preset("arc-left", image_size=(96, 128), num_frames=9))


def test_a_verification_belongs_to_its_take() -> None:
    document = with_take()
    document = doc.with_verification(document, verified(1, ARC, turned(ARC, 3, 5.0)))
    assert document.verification is not None and document.verification.worst_frame == 3
    again = doc.with_verification(document, verified(1, ARC, turned(ARC, 9, 5.0)))
    assert len(again.verifications) == 1 and again.verification.worst_frame == 9
    assert doc.with_verification(document, verified(7, ARC, ARC)) is document, "there is no take 7"
    other = doc.with_take(document, replace(document.take, number=2))
    assert other.verification is None and doc.show_take(other, 1).verification is not None


def test_what_is_said() -> None:
    document = with_take()
    assert "No take yet" in words.verdict(Document(), KNOWN)
    assert "not been verified" in words.verdict(document, KNOWN)
    assert words.verify_button(document, None).label == "Verify take 1"
    assert not words.verify_button(document, JobStatus(1, "verify", Settings())).enabled
    assert not words.worst_button(document).enabled
    document = doc.with_verification(document, verified(1, ARC, turned(ARC, 5, 16.0)))
    said = words.verdict(document, KNOWN)
    assert "off by 1.0° on average" in said and "4 known clips" in said and "7.0°" in said
    assert words.worst_button(document).label == "Go to worst frame (5)"
    strips = words.error_strips(document.verification, 2)
    assert strips.count("<rect") == 2 * len(ARC) and strips.count("rap-worst") == 2
    assert "by the model's own estimate" in said and "tracks" not in said
    assert "self-consistency" in words.protocol(KNOWN) and "is not known" in words.protocol(None)


def test_what_is_said_of_a_measured_path() -> None:
    """Both ways have a row, each over what it errs by where the truth is known."""
    of_model = verified(1, ARC, turned(ARC, 5, 16.0))
    measured = replace(verified(1, ARC, turned(ARC, 5, 8.0)), reason="97% fit.", estimated=of_model)
    document = doc.with_verification(with_take(), measured)
    said = words.verdict(document, replace(KNOWN, by_tracks=KnownPaths(4, 0.1, 0.5, 0.4)))
    assert "off by 0.5° on average" in said and "by points tracked through the video" in said
    rows = re.findall(r"<tr><td>(.*?)</td>.*?<td>([^<]*)</td></tr>", said)
    assert rows[1:] == [
        ("Take 1, tracks", "0.5°"), ("4 known clips, tracks", "0.4°"),
        ("Take 1, model", "1.0°"), ("4 known clips, model", "7.0°"),
    ]  # fmt: skip
    failed = doc.with_verification(with_take(), replace(of_model, reason="Too few <points>"))
    assert "97% fit." in said and "Not measured" not in said
    said = words.verdict(failed, KNOWN)
    assert "Not measured: Too few &lt;points&gt;" in said and "beside the geometry preview" in said
    assert "could not be measured" in words.followed_badge(failed)


@pytest.mark.parametrize(
    ("degrees", "kind", "words_"),
    [
        (8.0, "fresh", "camera follows its path<"),
        (48.0, "stale", "camera roughly follows its path<"),
        (160.0, "failed", "camera does not follow its path"),
    ],
)
def test_a_take_gets_a_word_and_only_what_follows_is_green(degrees, kind, words_) -> None:
    of_model = verified(1, ARC, turned(ARC, 5, 16.0))
    measured = replace(verified(1, ARC, turned(ARC, 5, degrees)), estimated=of_model)
    badge = words.followed_badge(doc.with_verification(with_take(), measured))
    assert f"rap-{kind}" in badge and words_ in badge


def test_known_paths_lie_beside_the_weights(tmp_path) -> None:
    assert KnownPaths.of_checkpoint(tmp_path) is None
    figures = [{"r_err_rad": 1.0 + k, "t_err": 2.0 + k, "rotation_deg": 3.0 + k} for k in (0, 2)]
    (tmp_path / KNOWN_PATHS).write_text(json.dumps({"clips": figures}))
    assert KnownPaths.of_checkpoint(tmp_path) == KnownPaths(2, 2.0, 3.0, 4.0)
    for row in figures:
        row |= {f"tracks_{key}": value / 10 for key, value in row.items()}
    (tmp_path / KNOWN_PATHS).write_text(json.dumps({"clips": figures}))
    found = KnownPaths.of_checkpoint(tmp_path)
    assert found is not None and found.by_tracks is not None and found.by_tracks.t_err == pytest.approx(0.3)
    shipped = KnownPaths.of_checkpoint(EMBEDDED_CHECKPOINT)
    assert shipped is not None and shipped.clips == 4 and shipped.by_tracks is not None
    assert shipped.by_tracks.rotation_deg < shipped.rotation_deg / 4
