"""Films of kinds that are hard: what comes of them is right, or it is not called good."""

from dataclasses import replace

import numpy as np
from analytic_scenes import FOV_Y_RAD, Plane, Sphere, World, path

from rap.geometry import intrinsics_from_fov, se3
from rap.geometry.trajectory import Trajectory
from rap.metrics import pose_errors
from rap.reconstruction.film import refine_film

SIZE = (96, 128)
SCENE = World((Plane((0.3, 0.1, 1.0), 1.6), Sphere((-0.25, 0.1, 1.0), 0.25), Sphere((0.3, -0.1, 1.2), 0.3)))


def found_in(frames_u8, truth, at, known=True):
    """What is found of the frames `at`, from cameras at rest, and how far off it is."""
    lens = np.tile(intrinsics_from_fov(np.deg2rad(60), SIZE), (len(at), 1))
    start = Trajectory(np.tile(np.eye(4), (len(at), 1, 1)), lens, SIZE)
    found = refine_film(frames_u8, at, start, known_fov_y_rad=FOV_Y_RAD if known else None)
    poses = found.trajectory.Ts_world_camera, truth.Ts_world_camera[at]
    return found, pose_errors(*poses, found.report.lost)


def test_a_loop_closes():
    there = path((0.4, -0.05, 0.1), (0.05, -0.35, 0.02), num_frames=9, size=SIZE)
    loop = replace(
        there,
        Ts_world_camera=np.concatenate([there.Ts_world_camera, there.Ts_world_camera[-2::-1]]),
        intrinsics=there.intrinsics[[*range(9), *range(7, -1, -1)]],
    )
    at = np.arange(0, 17, 2)
    found, errors = found_in(SCENE.look(loop)[0], loop, at)
    assert found.report.verdict == "good" and errors.auc30 > 0.85
    gap = se3.inverse(found.trajectory.Ts_world_camera[0]) @ found.trajectory.Ts_world_camera[-1]
    assert np.linalg.norm(gap[:3, 3]) < 0.02 and se3.rotation_angle(gap[None, :3, :3])[0] < np.deg2rad(0.5)


def test_half_the_frames_black():
    truth = path((0.4, -0.05, 0.1), (0.05, -0.35, 0.02), num_frames=18, size=SIZE)
    frames_u8 = SCENE.look(truth)[0]
    frames_u8[9:] = 0
    found, errors = found_in(frames_u8, truth, np.arange(0, 18, 2))
    assert found.report.lost == (5, 6, 7, 8) and found.report.verdict == "doubtful"
    assert "Frames [5, 6, 7, 8] could not be tied" in found.report.reason
    assert errors.auc30 < 0.5


def test_a_fast_shake_is_right_or_not_called_good():
    steady = path((0.4, -0.05, 0.1), (0.05, -0.2, 0.02), num_frames=13, size=SIZE)
    jerks = np.deg2rad(5) * np.random.default_rng(0).normal(size=(13, 3)) * (np.arange(13) > 0)[:, None]
    shaken = steady.Ts_world_camera @ se3.exp(np.concatenate([np.zeros((13, 3)), jerks], axis=1))
    truth = replace(steady, Ts_world_camera=shaken)
    found, errors = found_in(SCENE.look(truth)[0], truth, np.arange(13))
    assert errors.auc30 > 0.8 or found.report.verdict != "good"


def test_straight_ahead_the_lens_cannot_be_known():
    wall = World(
        (Plane((0, 0, 1.0), 3.0), Plane((0, -1.0, 0), -0.5), Plane((1.0, 0, 0), 0.8), Plane((-1.0, 0, 0), 0.8))
    )
    truth = path((0, 0, 0.5), None, num_frames=9, size=SIZE)
    found, errors = found_in(wall.look(truth)[0], truth, np.arange(9), known=False)
    assert found.report.outcome == "refined" and np.median(errors.direction_deg) < 5
    assert "The lens cannot be known from these frames" in found.report.reason
    low, high = found.report.fov_y_interval_rad
    assert low < FOV_Y_RAD < high
