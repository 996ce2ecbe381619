"""The committed checkpoint: loads, keeps cameras exact, and is described by its card."""

import json
import math

import numpy as np
import pytest
import torch

from rap.config import ASSETS, EMBEDDED_CHECKPOINT, SIZE_BUCKETS
from rap.data import load_clip
from rap.formats import read
from rap.geometry import intrinsics_from_fov, raxels_to_cameras, se3
from rap.metrics import pose_errors
from rap.pipeline import RaPPipeline


@pytest.fixture(scope="module")
def pipe() -> RaPPipeline:
    pipe = RaPPipeline.from_pretrained(EMBEDDED_CHECKPOINT)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("size", SIZE_BUCKETS)
def test_cameras_survive_its_codec(pipe, size):
    """The gate of the design: 0.1 degrees and 0.5 % of focal length, at every size the model is trained at."""
    rng = np.random.default_rng(0)
    xi = rng.normal(size=(17, 6)) * ([0.3] * 3 + [0.5] * 3)
    xi[0] = 0
    for fov_y_deg in (35, 55, 80):
        K = torch.from_numpy(np.tile(intrinsics_from_fov(math.radians(fov_y_deg), size), (1, 17, 1))).float()
        Ts = torch.from_numpy(se3.exp(xi)).float()[None]
        decoded = pipe.codec.decode_rays(pipe.codec.encode_rays(pipe.codec.camera_maps(Ts, K, size)))
        Ts_back, K_back = raxels_to_cameras(decoded[0].double())
        relative = np.swapaxes(se3.exp(xi)[:, :3, :3], 1, 2) @ Ts_back[:, :3, :3].numpy()
        assert np.degrees(se3.rotation_angle(relative)).max() < 0.1
        assert abs(float(K_back[0, 1]) * 2 / float(K[0, 0, 1]) - 1) < 0.005


def test_source_frames_survive_its_codec(pipe):
    for path in sorted((ASSETS / "examples").glob("*.mp4")):
        frame = load_clip(path).frames_u8[:1]
        video = pipe._to_model(frame)
        error = (pipe.codec.decode_video(pipe.codec.encode_video(video)) - video).square().mean()
        assert 10 * math.log10(4 / float(error)) > 43, path.name


def test_predicted_rotations_are_better_than_none(pipe):
    """Weak weights, but not blind: over the example clips the rotation error is below that of not turning at all."""
    predicted, still = [], []
    for path in sorted((ASSETS / "examples").glob("*.mp4")):
        clip = load_clip(path)
        truth = read(path.with_suffix(".transforms.json")).relative_to(0).Ts_world_camera
        found = pipe.estimate_trajectory(clip.frames_u8).trajectory
        assert found is not None
        predicted.append(np.mean(pose_errors(found.Ts_world_camera, truth).rotation_deg))
        still.append(np.mean(pose_errors(np.tile(np.eye(4), (len(truth), 1, 1)), truth).rotation_deg))
    assert np.mean(predicted) < np.mean(still)


def test_its_card_states_the_shape_of_the_network(pipe):
    card = (EMBEDDED_CHECKPOINT / "README.md").read_text(encoding="utf-8")
    config = json.loads((EMBEDDED_CHECKPOINT / "transformer" / "config.json").read_text(encoding="utf-8"))
    width = config["num_attention_heads"] * config["attention_head_dim"]
    assert f"width {width}" in card and f"{config['num_layers']} blocks" in card
    assert f"k = {config['in_channels']}" in card
