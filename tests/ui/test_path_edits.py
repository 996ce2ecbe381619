"""The edits of the Edit tab: each does what its words say, is one step of the history, and what it gives is what the
viewport shows and the model gets, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeGeometry, FakePipeline, clip, moving_frames, wait_until
from hypothesis import given
from hypothesis import strategies as st

from rap.data import write_video
from rap.geometry import preset, se3
from rap.geometry.reshape import EASINGS, angles_from_rotation
from ui.document import document as doc
from ui.document import messages as msg
from ui.document import path_edits as edits
from ui.document import path_text
from ui.document.document import Document
from ui.document.edits import SetPath
from ui.page import edit_words, keys_words
from ui.serve.hub import Hub
from ui.serve.jobs import Worker
from ui.session.geometry_worker import GeometryWorker
from ui.session.options import Options
from ui.session.sessions import Sessions

CLIP = clip()
PATH = preset("spiral", image_size=CLIP.image_size)


def dense(selected: int | None = 5) -> Document:
    document = doc.with_prediction(doc.with_clip(Document(), CLIP), PATH)
    return doc.with_target(doc.select(document, selected), (0.4, 0.1, 2.0))


def keyed(count: int = 5, selected: int | None = None) -> Document:
    document = edits.ToKeys(count).apply(dense())
    return doc.select(document, document.keys.frames[2] if selected is None else selected)


def pose(x: float = 0.3, yaw: float = 0.2) -> np.ndarray:
    return se3.exp(np.array([x, -0.1, 0.2, 0.0, yaw, 0.05]))


WHOLE = [
    edits.Amplify(150), edits.Mirror(), edits.Backwards(), edits.CloseLoop(), edits.Smooth(0.6),
    edits.MoveAll((0.1, 0.0, -0.2)), edits.RotateAll((10.0, 5.0, -3.0)), edits.RotateAll((10.0, 0, 0), "source camera"),
    edits.ScaleAll(1.4, "path centre"), edits.LookAt(), *(edits.Retime(easing) for easing in EASINGS[1:]),
]  # fmt: skip
ONE_FRAME = [
    edits.PlaceFrame(5, pose()), edits.PlaceFrame(16, pose(), 40.0), edits.PlaceFrame(5, None, 35.0),
    edits.PlaceFrame(5, pose(), soft=False), edits.SnapFrame(5), edits.SnapFrame(16),
]  # fmt: skip
OF_KEYS = [
    edits.ToDense(), edits.ToKeys(8), edits.KeyStyle(0.6, "linear", False), edits.KeyStyle(0.0, "ease in-out", False),
    edits.KeyStyle(0.0, "linear", True), edits.InsertKey(1), edits.Retime("constant speed"),
]  # fmt: skip


@pytest.mark.parametrize("start", [dense, keyed])
@pytest.mark.parametrize("edit", [*WHOLE, *ONE_FRAME], ids=repr)
def test_an_edit_is_one_step_that_can_be_undone_and_leaves_the_source(start, edit):
    document = start()
    after = edit.apply(document)
    assert len(after.past) == len(document.past) + 1 and after.past[-1].name
    path, source = after.edited, document.edited.source
    assert len(path) == 17 and path.source == source and after.drag_origin is None
    np.testing.assert_array_equal(path.Ts_world_camera[source], np.eye(4))
    np.testing.assert_array_equal(path.intrinsics[source], document.edited.intrinsics[source])
    assert after.keys is None or after.keys.trajectory == path
    undone = doc.undo(after)
    assert undone.edited == document.edited and undone.keys is document.keys
    redone = doc.redo(undone)
    assert redone.edited == path and redone.keys is after.keys


@pytest.mark.parametrize("edit", OF_KEYS, ids=repr)
def test_an_edit_of_keys_is_undone_with_its_keys(edit):
    document = keyed()
    after = edit.apply(document)
    assert len(after.past) == len(document.past) + 1
    assert doc.undo(after).keys is document.keys and doc.redo(doc.undo(after)).keys is after.keys


@pytest.mark.parametrize(
    "edit", [edits.Amplify(100), edits.MoveAll((0, 0, 0)), edits.RotateAll((0, 0, 0)), edits.ScaleAll(1)]
)
@pytest.mark.parametrize("start", [dense, keyed])
def test_an_edit_by_nothing_is_no_step(start, edit):
    document = start()
    assert edit.apply(document) is document


@pytest.mark.parametrize("action", ["duplicate", "delete", "earlier", "later"])
def test_keys_are_changed_where_they_are_selected(action):
    document = keyed(6)
    key = document.keys.key_at(document.selected)
    after = edits.ChangeKey(document.selected, action).apply(document)
    count = {"duplicate": 7, "delete": 5}.get(action, 6)
    assert len(after.keys.times) == count and after.past[-1].name == f"key {key} {action}"
    if action == "later":
        assert after.keys.key_at(after.selected) == key + 1, "the selection goes with the camera"


def test_a_key_gets_another_time():
    document = keyed()
    key = document.keys.key_at(document.selected)
    after = edits.SetKeyTime(document.selected, document.keys.times[key] + 1).apply(document)
    assert after.selected == document.selected + 1 and after.keys.key_at(after.selected) == key


def test_a_drag_of_a_path_of_keys_moves_a_key_or_makes_one_and_is_dropped_whole():
    document = keyed()
    frame = document.selected
    moved = doc.drag(doc.drag(document, frame, pose(0.1)), frame, pose(0.5))
    assert len(moved.keys.times) == len(document.keys.times) and moved.keys.trajectory == moved.edited
    np.testing.assert_array_equal(moved.edited.Ts_world_camera[frame], pose(0.5))
    assert doc.drop_drag(moved).keys is document.keys and doc.drop_drag(moved).edited == document.edited
    ended = doc.end_drag(moved, frame, pose(0.5))
    assert doc.undo(ended).keys is document.keys and ended.past[-1].name == f"drag frame {frame}"
    between = next(i for i in range(1, 16) if document.keys.key_at(i) is None)
    made = doc.end_drag(document, between, pose())
    assert made.keys.key_at(between) is not None and len(made.keys.times) == len(document.keys.times) + 1


def test_a_preset_on_a_path_of_keys_is_held_by_as_many():
    after = doc.with_preset(keyed(6), "truck-left", 1.0, 17)
    assert len(after.keys.times) == 6 and not after.follows_clip
    assert doc.with_preset(dense(), "truck-left", 1.0, 17).keys is None


def test_the_pivot_distance_is_the_presets():
    near, far = (doc.with_preset(dense(), "orbit-left", 1.0, 17, distance).edited for distance in (0.5, 2.0))
    np.testing.assert_allclose(far.centres, 4 * near.centres, atol=1e-9)


def test_a_refined_lens_is_given_to_the_keys_too():
    from test_document import report

    document = edits.MoveAll((0.1, 0, 0)).apply(keyed())
    wider = replace(PATH, intrinsics=PATH.intrinsics * [1.2, 1.2, 1, 1])
    after = doc.with_refinement(document, wider, report("refined"))
    assert after.keys is not None and after.keys.trajectory == after.edited
    np.testing.assert_allclose(after.edited.intrinsics[:, 0], document.edited.intrinsics[:, 0] * 1.2)


@given(st.sampled_from([0, 1, 2, 3]), st.floats(-170, 170), st.floats(-80, 80), st.floats(-2, 2))
def test_what_is_typed_is_read_back_and_the_rest_keeps_its_digits(start, yaw, pitch, x):
    document = doc.with_soft_drag([dense, keyed][start % 2](), start > 1, 3.0)
    index = document.selected
    shown = edits.frame_fields(document.edited, index)
    yaw, pitch, x = round(yaw, 2), round(pitch, 2), round(x, 3)
    after = edits.TypeFrame(index, replace(shown, yaw=yaw, pitch=pitch, x=x)).apply(document)
    T, before = after.edited.Ts_world_camera[index], document.edited.Ts_world_camera[index]
    found = np.degrees(angles_from_rotation(T[:3, :3]))
    if yaw != shown.yaw:
        assert found[0] == pytest.approx(yaw, abs=1e-6)
    if pitch != shown.pitch:
        assert found[1] == pytest.approx(pitch, abs=1e-6)
    assert T[0, 3] == (x if x != shown.x else before[0, 3])
    np.testing.assert_array_equal(T[1:3, 3], before[1:3, 3])
    assert edits.TypeFrame(index, edits.frame_fields(after.edited, index)).apply(after) is after, "nothing was typed"


def test_a_typed_quaternion_and_typed_lenses():
    document = dense()
    shown = edits.frame_fields(PATH, 5)
    T = edits.TypeFrame(5, replace(shown, quaternion="0, 0, 2, 0")).apply(document).edited.Ts_world_camera[5]
    np.testing.assert_allclose(T[:3, :3], np.diag([-1, 1, -1]), atol=1e-12)
    lens = edits.TypeFrame(5, replace(shown, fov_y_deg=40.0)).apply(document).edited
    assert np.degrees(lens.fov_y_rad[5]) == pytest.approx(40)
    np.testing.assert_array_equal(lens.Ts_world_camera, PATH.Ts_world_camera)
    by_mm = edits.TypeFrame(5, replace(shown, focal_mm=24.0)).apply(document).edited
    assert np.degrees(by_mm.fov_y_rad[5]) == pytest.approx(2 * np.degrees(np.arctan(0.5)))


def test_snapped_numbers_are_round():
    after = edits.SnapFrame(7).apply(dense()).edited.Ts_world_camera[7]
    tenths, fives = after[:3, 3] / 0.1, np.degrees(angles_from_rotation(after[:3, :3])) / 5
    np.testing.assert_allclose(tenths, tenths.round(), atol=1e-9)
    np.testing.assert_allclose(fives, fives.round(), atol=1e-9)


def test_all_look_at_the_picked_point():
    document = doc.with_target(doc.with_soft_drag(dense(), False, 1.0), (0.5, 0.2, 2.0))
    path = edits.LookAt().apply(document).edited
    for T in path.Ts_world_camera[1:]:
        seen = T[:3, :3].T @ (np.array(document.target) - T[:3, 3])
        np.testing.assert_allclose(seen[:2], 0, atol=1e-9)


@pytest.mark.parametrize("start", [dense, keyed])
def test_copied_and_pasted_is_the_same_to_the_bit(start):
    document = start()
    text = path_text.path_text(document.edited)
    elsewhere = edits.Mirror().apply(document)
    assert edits.Paste(text).apply(elsewhere).edited == document.edited
    index = document.selected
    pasted = edits.Paste(path_text.pose_text(document.edited, index)).apply(doc.select(elsewhere, index))
    np.testing.assert_array_equal(pasted.edited.Ts_world_camera[index], document.edited.Ts_world_camera[index])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hello", "must be JSON as Copy gives it"),
        ("[1, 2]", 'JSON object with "rap": "path"'),
        ('{"rap": "path"}', "lacks image_size, fps, source, intrinsics, Ts_world_camera"),
        ('{"rap": "pose"}', "lacks T_world_camera"),
        ('{"rap": "pose", "T_world_camera": [[1, 2], [3, 4]]}', r"shape \(4, 4\), got \(2, 2\)"),
        ('{"rap": "pose", "T_world_camera": [["a"]]}', "must be numbers"),
        (path_text.path_text(preset("arc-left", num_frames=9)), "holds 9 frames, and this path has 17"),
        (path_text.path_text(PATH).replace('"source": 0', '"source": true'), "source must be a frame number"),
        (path_text.path_text(PATH).replace('"source": 0', '"source": 3'), "frame 3 is the source"),
        (path_text.path_text(PATH).replace('"image_size": [96', '"image_size": [-96'), "image_size"),
    ],
)
def test_a_text_that_is_no_path_is_refused_in_words(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        edits.Paste(text).apply(dense())


def bare() -> Document:
    return doc.with_clip(Document(), CLIP)


@pytest.mark.parametrize(
    ("edit", "document", "sentence"),
    [
        (edits.Mirror(), bare(), "there is no path to edit yet"),
        (edits.Amplify(300), dense(), "0 to 200 %, got 300"),
        (edits.RotateAll((1, 2, 3), "nowhere"), dense(), "pivot must be one of"),
        (edits.ScaleAll(0), dense(), "factor must be above 0"),
        (edits.PlaceFrame(0, pose()), dense(), "frame 0 is the source"),
        (edits.PlaceFrame(0, pose()), keyed(), "frame 0 is the source"),
        (edits.PlaceFrame(5, None, 200.0), dense(), "between 0 and 180 degrees, got 200"),
        (edits.SnapFrame(99), dense(), "0 to 16, got 99"),
        (edits.TypeFrame(5, replace(edits.frame_fields(PATH, 5), quaternion="1 2 3")), dense(), "four numbers w x y z"),
        (edits.TypeFrame(5, replace(edits.frame_fields(PATH, 5), quaternion="a b c d")), dense(), "four numbers"),
        (edits.TypeFrame(5, replace(edits.frame_fields(PATH, 5), focal_mm=0.0)), dense(), "above 0 mm"),
        (edits.ToKeys(1), dense(), "keys must be 2 to 17"),
        (edits.ToDense(), dense(), "no keys yet"),
        (edits.InsertKey(0), keyed(), "frame 0 is key 0 already"),
        (edits.ChangeKey(1, "delete"), keyed(), "frame 1 is no key"),
        (edits.ChangeKey(16, "later"), keyed(), "is the last key already"),
        (edits.ChangeKey(0, "delete"), keyed(), "cannot be deleted"),
        (edits.Paste(path_text.pose_text(PATH, 3)), dense(None), "click a frustum first"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(edit, document, sentence):
    with pytest.raises(ValueError, match=sentence):
        edit.apply(document)


def test_buttons_say_what_they_wait_for():
    free, held, source = dense(), keyed(), keyed(selected=0)
    assert not edit_words.frame_button("Snap", dense(0)).enabled and edit_words.frame_button("Snap", free).enabled
    assert edit_words.frame_button("Snap", dense(None)).label == "Snap (needs a frame)"
    assert keys_words.insert_button(free).label == "Key at playhead (needs keys)"
    assert keys_words.insert_button(held).enabled
    assert keys_words.key_button("Delete", source).label == "Delete (source)"
    assert keys_words.key_button("Duplicate", source, for_source=True).enabled
    assert keys_words.key_button("Delete", doc.select(held, None)).label == "Delete (needs a key)"
    assert keys_words.dense_button(held).enabled and not keys_words.dense_button(free).enabled
    assert edit_words.path_button("Mirror", bare()).label == "Mirror (needs a path)"
    assert "hold 17 frames; at most" in keys_words.keys_line(
        held
    ) and "distance to the subject" in keys_words.keys_line(held)
    assert len(keys_words.key_choices(held.keys)) == 5 and keys_words.key_choices(None) == []
    assert "becomes a key" in edit_words.frame_line(doc.select(held, 1)) and "source" in edit_words.frame_line(source)
    assert "picked at (0.50" in edit_words.target_line(doc.with_target(free, (0.5, 0, 1)))


# --- what is shown is what the model gets -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app():
    pipeline, backend = FakePipeline(), FakeGeometry()
    sessions = Sessions(Worker(lambda: pipeline), GeometryWorker(lambda: backend), Hub(grace_s=60.0), Options())
    yield sessions, pipeline
    sessions.close()


@pytest.fixture(scope="module")
def session(app, tmp_path_factory):
    session = app[0].open()
    video = tmp_path_factory.mktemp("video") / "slide.mp4"
    write_video(video, moving_frames(17), 8.0)
    for message in (msg.SetVerify(False), msg.SetRefine(False), msg.SetUseGeometry(False), msg.Upload((str(video),))):
        session.dispatch(message)
    session.dispatch(msg.Predict())
    wait_until(lambda: session.state.document.edited is not None)
    return session


@pytest.mark.parametrize(
    "edit",
    [
        *WHOLE, *ONE_FRAME, edits.ToKeys(5), *OF_KEYS[:5], edits.Mirror(), edits.RotateAll((5, 5, 5)),
        edits.InsertKey(2), edits.PlaceFrame(3, pose()), msg.DragEnd(6, pose()), msg.DragEnd(16, pose()),
        msg.ApplyPreset("orbit-left", 0.7), msg.Undo(), msg.Redo(), SetPath(PATH, False, "elsewhere"),
        msg.ResetToPredicted(), msg.DragEnd(9, pose()), msg.ToggleSource(9), edits.ToKeys(4), msg.ToggleSource(12),
    ],
    ids=repr,
)  # fmt: skip
def test_the_viewport_shows_what_the_model_gets_to_the_bit(app, session, edit):
    session.dispatch(edit)
    assert session.state.notice is None or not session.state.notice.is_error, session.state.notice
    session.dispatch(msg.Regenerate(steps=1))
    wait_until(lambda: session.state.job is None)
    given = app[1].tasks[-1].trajectory
    handles = session.viewport.started()._frusta._handles
    assert len(handles) == len(given) == 17
    np.testing.assert_array_equal([handle.position for handle in handles], given.centres)
    np.testing.assert_array_equal(
        [handle.wxyz for handle in handles], se3.quaternion_wxyz(given.Ts_world_camera[:, :3, :3])
    )
    np.testing.assert_array_equal([handle.fov for handle in handles], given.fov_y_rad)
    assert session.state.document.take.trajectory == given == session.state.document.edited


def test_a_click_picks_a_point_of_the_scene_or_of_the_picture(session):
    session.dispatch(msg.SetPicking(True))
    assert session.state.picking
    session.dispatch(msg.PickPoint((0.2, 0.0, 0.0), (0.0, 0.0, 1.0)))
    assert session.state.document.target == (0.2, 0.0, 1.0) and not session.state.picking
    session.dispatch(msg.SetPicking(True))
    session.dispatch(msg.PickPoint((0.2, 0.0, 0.0), (0.0, 0.0, -1.0)))
    assert session.state.notice.is_error and "no point under the pointer" in session.state.notice.text
    assert session.state.picking, "one may click again"
