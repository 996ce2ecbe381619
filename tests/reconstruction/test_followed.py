"""What a video shows of the path that was asked for: a frame that cannot be tied to the others has not followed it."""

import numpy as np
import pytest
from analytic_scenes import Plane, Sphere, World, path

from rap import metrics
from rap.reconstruction.followed import MEASURED, followed_path

SCENE = World((Plane((0.3, 0.1, 1.0), 1.6), Sphere((-0.25, 0.1, 1.0), 0.25), Sphere((0.3, -0.1, 1.2), 0.3)))
ASKED = path((0.35, -0.05, 0.1), (0.03, -0.25, 0.02), num_frames=9)
VIDEO_U8 = SCENE.look(ASKED)[0]


def auc(video_u8):
    """Of the path that the video shows against the one asked for, as `rap generate` reports it; 0 without a path."""
    found = followed_path(video_u8, ASKED, ASKED)
    if found.report.outcome not in MEASURED:
        return 0.0, found.report
    errors = metrics.pose_errors(found.trajectory.Ts_world_camera, ASKED.Ts_world_camera, found.report.lost)
    return errors.auc30, found.report


def test_a_video_that_follows():
    score, report = auc(VIDEO_U8)
    assert score > 0.9 and report.lost == ()


def test_grey_frames_have_not_followed():
    video_u8 = VIDEO_U8.copy()
    video_u8[3:] = 128
    score, report = auc(video_u8)
    assert score < 0.1 and report.verdict == "failed"
    assert report.outcome not in MEASURED or report.lost == (3, 4, 5, 6, 7, 8)


def test_one_grey_frame_is_named():
    video_u8 = VIDEO_U8.copy()
    video_u8[5] = 128
    score, report = auc(video_u8)
    assert report.lost == (5,) and "Frames [5] could not be tied" in report.reason
    assert 0.6 < score < 0.8 and report.verdict != "good"


@pytest.mark.parametrize("kind", ["noise", "frozen", "reversed"])
def test_another_video_has_not_followed(kind):
    noise = np.random.default_rng(0).integers(0, 256, VIDEO_U8.shape, dtype=np.uint8)
    videos = {"noise": noise, "frozen": np.repeat(VIDEO_U8[:1], 9, axis=0), "reversed": VIDEO_U8[::-1]}
    found = followed_path(videos[kind], ASKED, ASKED)
    if found.report.outcome in MEASURED:
        errors = metrics.pose_errors(found.trajectory.Ts_world_camera, ASKED.Ts_world_camera, found.report.lost)
        assert errors.auc30_signed < 0.1
    assert kind != "noise" or found.report.verdict == "failed"
