"""The path in a session: what is drawn of it, drags, samples, export."""

from __future__ import annotations

import zipfile

import gradio as gr
import numpy as np
import pytest
from editing import finish, moved, predicted
from fakes import wait_until

from rap import formats
from rap.config import VERIFY_STEPS
from rap.geometry import preset
from ui.document import messages as msg
from ui.document.path_edits import Shake
from ui.page import sketch_panel

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # viser leaves its listening socket to the collector


def test_viewport_shows_the_very_path(session, video):
    drawn = []
    session.viewport.draw = drawn.append
    predicted(session, video)
    session.dispatch(msg.Select(4))
    session.dispatch(msg.DragStart(4))
    session.dispatch(msg.Drag(4, moved(session, 4)))
    document, scene = session.state.document, drawn[-1]
    assert scene.trajectory is document.edited and scene.ghost is document.predicted
    assert (scene.selected, scene.source, scene.soft_radius) == (4, 0, document.soft.radius)
    assert scene.thumbnails is drawn[-2].thumbnails, "pictures are encoded anew when they are other objects"
    session.dispatch(msg.SetSoftDrag(False, 3.0))
    assert drawn[-1].soft_radius == 0


def test_only_the_clips_own_path_carries_its_pictures(session, video):
    drawn = []
    session.viewport.draw = drawn.append

    def pictured():
        frames, pictures = session.state.document.clip.frames_u8, drawn[-1].thumbnails
        pairs = [] if pictures is None else zip(pictures, frames, strict=True)  # None: of before the path
        return sum(np.array_equal(picture, frame) for picture, frame in pairs)

    predicted(session, video)
    wait_until(lambda: pictured() == 17)  # the worker's thread sets the state first and draws then
    session.dispatch(msg.DragEnd(4, moved(session, 4)))
    assert pictured() == 17, "a bent prediction is still the clip's path"
    session.dispatch(msg.ApplyPreset("arc-left"))
    session.dispatch(msg.DragEnd(4, moved(session, 4)))
    assert pictured() == 1, "a preset shows the source's picture alone"
    session.dispatch(msg.Undo())
    session.dispatch(msg.Undo())
    assert pictured() == 17
    session.dispatch(msg.Redo())
    assert pictured() == 1
    session.dispatch(msg.ResetToPredicted())
    assert pictured() == 17
    session.dispatch(msg.Imagine())
    finish(session)
    wait_until(lambda: pictured() == 1)  # an imagined path is another video's
    session.dispatch(msg.ApplyPreset("static"))
    session.dispatch(msg.ResetToPredicted())
    assert pictured() == 1


def test_the_source_stays_and_the_drag_leaves_no_trace(session, video):
    predicted(session, video)
    before = session.state.document.edited
    for message in (msg.DragStart(0), msg.Drag(0, moved(session, 0)), msg.DragEnd(0, moved(session, 0))):
        session.dispatch(message)
    state = session.state
    assert "source camera" in state.notice.text and state.document.edited == before and not state.document.past


def test_samples_of_the_path_tell_their_spread_and_set_the_reach(session, app, video):
    session.dispatch(msg.SampleSpread())
    assert session.state.notice.place == "spread" and "press Predict first" in session.state.notice.text
    predicted(session, video)
    count = len(app.pipeline.tasks)
    session.dispatch(msg.SampleSpread())
    wait_until(lambda: session.state.document.spread is not None)
    tasks = app.pipeline.tasks[count:]
    assert len(tasks) == 8 == session.state.document.spread.samples and len({task.seed for task in tasks}) == 8
    assert all(task.steps == VERIFY_STEPS for task in tasks) and session.state.job is None
    np.testing.assert_allclose(session.state.document.spread.distance, 0, atol=1e-9)
    assert session.state.document.soft.radius == 1.5 and session.state.sampled == ()
    nodes = session.viewport.started().server.scene._handle_from_node_name
    wait_until(lambda: "/tube" in nodes)
    session.dispatch(msg.Predict(seed=4))
    finish(session)
    assert session.state.document.spread is None, "of another prediction"
    wait_until(lambda: "/tube" not in nodes)


@pytest.mark.parametrize("name", list(formats.writable()))
def test_export(session, video, name):
    predicted(session, video)
    path = session.export(name)
    assert path.is_file() and path.stat().st_size > 100
    if name in ("nerfstudio", "npz"):
        np.testing.assert_allclose(
            formats.read(path).Ts_world_camera, session.state.document.edited.Ts_world_camera, atol=1e-6
        )
    if name == "colmap":
        assert {"cameras.txt", "images.txt"} <= {entry.split("/")[-1] for entry in zipfile.ZipFile(path).namelist()}


def test_export_needs_a_path(session):
    with pytest.raises(ValueError, match="no path to export yet; press Predict"):
        session.export("npz")


def test_a_stroke_on_the_floor_becomes_a_path_of_keys(session, video):
    session.dispatch(msg.Sketch(((0.0, 0.0), (0.1, 0.3)), "ahead"))
    assert "no clip yet" in session.state.notice.text
    predicted(session, video)
    session.dispatch(msg.Sketch(((2.0, 0.0), (2.2, 0.1), (2.4, 0.5)), "ahead"))
    document = session.state.document
    assert document.keys is not None and not document.follows_clip and document.past[-1].name == "sketch"
    np.testing.assert_allclose(document.edited.centres[-1], [0.4, 0, 0.5], atol=1e-6)
    before = document.edited
    session.dispatch(msg.Sketch(((2.0, 0.0), (2.0, 0.0)), "ahead"))
    assert "goes nowhere" in session.state.notice.text and session.state.document.edited is before
    session.dispatch(Shake(1.0, 4))
    assert session.state.document.edited != before and session.state.document.keys is None
    session.dispatch(msg.Undo())
    assert session.state.document.edited == before and session.state.document.keys is not None


def test_what_the_page_draws_is_measured_from_the_camera(session, video):
    predicted(session, video)
    sketch_panel.sketch(session, {"points": [[7500, 7800], [8000, 6000], [9000, 5300]]}, "subject")
    np.testing.assert_allclose(session.state.document.edited.centres[-1], [0.3, 0, 0.5], atol=1e-6)
    for points in ([[1.5, 2]], [[10**9, 0]], [7], "x"):
        with pytest.raises(gr.Error):
            sketch_panel.sketch(session, {"points": points}, "subject")


def test_the_motion_of_the_view_becomes_the_path(session, video):
    predicted(session, video)
    with pytest.raises(gr.Error):
        sketch_panel.record(session)
    assert "not connected" in session.state.notice.text and not session.state.recording
    arc = preset("arc-left", num_frames=30)
    session.viewport.begin_recording = lambda: True
    session.viewport.end_recording = lambda: (np.linspace(3.0, 4.0, 30), arc.Ts_world_camera)
    sketch_panel.record(session)
    assert session.state.recording and sketch_panel.record_button(session.state).label.startswith("Stop")
    sketch_panel.record(session)
    edited = session.state.document.edited
    assert not session.state.recording and session.state.document.keys is not None
    np.testing.assert_allclose(edited.Ts_world_camera[-1], arc.Ts_world_camera[-1], atol=1e-6)
