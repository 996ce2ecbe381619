"""The timeline: what the strip and its sentence say of paths whose motion is known, and what the playhead does."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from fakes import moving_frames, wait_until

from rap.config import EMBEDDED_CHECKPOINT
from rap.data import write_video
from rap.geometry import preset, scale_motion, se3
from rap.geometry.motion import MotionLimits
from ui.document import messages as msg
from ui.document.path_edits import SetKeyTime, ToKeys
from ui.page.timeline_words import health, motion_warning, timeline

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

LIMITS = MotionLimits(9, (0, 0, 0.02, 0.05, 0.1), (0, 0, 2, 6, 9), (0, 0, 0, 0.02, 0.05), (30, 35, 55, 75, 80))


def sentence(path, limits=LIMITS) -> str:
    return re.search(r'id="rap-health">(.*)</div>', health(path, limits)).group(1)


def cells(path, row: int) -> list[str]:
    """Levels of one row of the strip."""
    rows = re.findall(r"<span>\w+</span><div>(.*?)</div>", health(path, LIMITS))
    return re.findall(r'class="rap-(\w+)"', rows[row])


def test_a_path_within_what_is_known_says_so():
    slow = preset("truck-left", num_frames=17, amplitude=0.5)
    assert "as the 9 training clips do" in sentence(slow) and motion_warning(slow, LIMITS) == ""


def test_what_leaves_it_is_named_with_frames_value_and_limit():
    pan = preset("pan-right", num_frames=6, amplitude=2.0)  # 10 degrees a frame
    assert motion_warning(pan, LIMITS).startswith("Frames 1–5: fast turns. Expect softer pictures")
    assert sentence(pan) == "Frames 1–5 turn by up to 10 ° a frame; 99 % of what the model was trained on stay below 9."
    assert cells(pan, 1) == ["usual", *["unknown"] * 5] and set(cells(pan, 0)) == {"usual"}
    wild = replace(pan, Ts_world_camera=pan.Ts_world_camera @ se3.exp(np.eye(6)[0] * (-0.5) ** np.arange(6)[:, None]))
    assert ": fast motion, fast turns and shaky motion. Expect" in motion_warning(wild, LIMITS)
    rare = preset("pan-right", num_frames=6, amplitude=1.5)
    assert "95 % of what the model was trained on stay below 6." in sentence(rare)
    long = preset("static", num_frames=5, fov_y_rad=np.radians(20))
    assert sentence(long) == "Frames 0–4 see 20 ° field of view; 99 % of what the model was trained on stay above 30."


def test_a_checkpoint_without_limits_says_so_and_no_path_says_nothing():
    assert "not known" in sentence(preset("static"), None) and health(None, LIMITS) == timeline(None, LIMITS) == ""


def test_the_embedded_models_limits_are_there_and_a_damaged_file_is_named(tmp_path):
    limits = MotionLimits.of_checkpoint(EMBEDDED_CHECKPOINT)
    assert limits is not None and limits.clips >= 400
    assert "training clips" in sentence(scale_motion(preset("arc-left"), 0.5), limits)
    assert MotionLimits.of_checkpoint(tmp_path) is None
    (tmp_path / "motion_limits.json").write_text('{"clips": 3}')
    with pytest.raises(ValueError, match="holds no motion limits"):
        MotionLimits.of_checkpoint(tmp_path)


@pytest.fixture
def session(app, tmp_path):
    session = app.sessions.open()
    write_video(tmp_path / "clip.mp4", moving_frames(17), 8.0)
    session.dispatch(msg.Upload((str(tmp_path / "clip.mp4"),)))
    session.dispatch(msg.ApplyPreset("arc-left"))
    return session


def test_the_playhead_flies_the_view_and_asks_for_no_new_page(session, monkeypatch):
    flown, published = [], []
    monkeypatch.setattr(session.viewport.started(), "_fly", lambda *pose: flown.append(pose))
    monkeypatch.setattr(session._hub, "publish", lambda *event: published.append(event))
    session.dispatch(msg.SetPlayhead(4, False))
    assert not flown and session.viewport.started()._frusta._handles[4].thickness == 4.5
    session.dispatch(msg.SetPlayhead(5, True))
    session.dispatch(msg.SetPlayhead(5, True))
    session.dispatch(msg.SetPlayhead(99, True))
    assert session.state.playhead == 16 and not published
    poses = session.state.document.edited.Ts_world_camera
    np.testing.assert_array_equal([pose[0] for pose in flown], poses[[5, 16], :3, 3])
    assert not session.viewport.started()._frusta._parent.visible, "one of them is around the camera"
    session.dispatch(msg.SetPlayhead(16, False))
    assert len(flown) == 3 and session.viewport.started()._frusta._parent.visible


def test_selecting_a_frame_puts_the_playhead_there(session):
    session.dispatch(msg.Select(7))
    assert 'data-selected="7"' in timeline(session.state.document.edited, LIMITS, session.state.document.selected)
    session.dispatch(msg.Select(None))
    assert session.state.playhead == 7
    session.dispatch(ToKeys(5))
    key = session.state.document.keys.frames[2]
    session.dispatch(msg.Select(key))
    session.dispatch(SetKeyTime(key, key + 1))
    assert session.state.playhead == session.state.document.selected == key + 1


def test_the_gizmo_moves_turns_or_does_both(session):
    session.dispatch(msg.Select(7))
    gizmo = session.viewport.started()._gizmo._handle
    session.dispatch(msg.SetGizmo("move"))
    assert gizmo.disable_rotations and not gizmo.disable_axes
    session.dispatch(msg.SetGizmo("turn"))
    assert gizmo.disable_axes and gizmo.disable_sliders and not gizmo.disable_rotations
    session.dispatch(msg.SetGizmo("turn"))
    assert not (gizmo.disable_axes or gizmo.disable_sliders or gizmo.disable_rotations)


def test_a_path_must_be_there_to_be_played(app):
    session = app.sessions.open()
    session.dispatch(msg.SetPlayhead(3, True))
    assert session.state.notice.is_error and "no path to play" in session.state.notice.text


def test_the_command_palette_says_what_the_page_says(session):
    import asyncio

    handles = {
        handle.label: handle for handle in session.viewport.started().server.gui._command_handle_from_uuid.values()
    }
    asyncio.run(handles["Mirror path"]._impl.trigger_cb[0](None))
    assert session.state.document.past[-1].name == "mirror"
    asyncio.run(handles["Undo"]._impl.trigger_cb[0](None))
    wait_until(lambda: not session.state.document.past)
    assert session.state.document.future
