"""Cameras from files: every format that is read comes back as the path it was, and what is wrong can be set right."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest
from camera_files import made
from fakes import moving_frames

from rap import formats
from rap.data import write_video
from rap.errors import InputError
from rap.geometry import preset, se3
from ui.document import messages as msg
from ui.document.importing import FLIP, Import, as_path, read_import
from ui.page.import_panel import _report

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

SIZE = (96, 128)
PATH = preset("arc-left", num_frames=17, image_size=SIZE)
READABLE = sorted(name for name, entry in formats.FORMATS.items() if entry.read is not None)


def written(folder, name, path=PATH):
    """The path as a file of a format; one of several files as a zip."""
    file = folder / formats.FORMATS[name].default_name
    made(file, path, name)
    return shutil.make_archive(str(file), "zip", file) if file.is_dir() else file


@pytest.mark.parametrize("name", READABLE)
def test_every_format_that_is_read_comes_back_as_the_path_it_was(tmp_path, name):
    found = read_import(type(tmp_path)(written(tmp_path, name)), SIZE)
    path = as_path(found, 17, SIZE, float(PATH.fov_y_rad[0]), PATH.fps)
    np.testing.assert_allclose(path.Ts_world_camera, PATH.Ts_world_camera, atol=1e-5)
    np.testing.assert_allclose(path.fov_y_rad, PATH.fov_y_rad, rtol=1e-5)
    np.testing.assert_array_equal(path.Ts_world_camera[0], np.eye(4))


def given(poses, **changes):
    from dataclasses import replace

    return Import("cameras.json", "made", "OpenCV", replace(PATH, Ts_world_camera=poses), **changes)


def test_flipped_axes_inverted_poses_and_other_units_are_set_right():
    opengl = PATH.Ts_world_camera @ FLIP
    for found in (
        given(opengl, flipped=True),
        given(se3.inverse(PATH.Ts_world_camera), inverted=True),
        given(PATH.scaled(4.0).Ts_world_camera, scale=0.25),
        given(se3.exp(np.arange(6.0)) @ PATH.Ts_world_camera),  # another world
    ):
        path = as_path(found, 17, SIZE, None, PATH.fps)
        np.testing.assert_allclose(path.Ts_world_camera, PATH.Ts_world_camera, atol=1e-9)


def test_another_number_of_frames_is_resampled_and_the_zoom_kept():
    longer = preset("dolly-zoom", num_frames=33, image_size=(480, 640), fov_y_rad=1.2)
    found = Import("x.npz", "made", "OpenCV", longer)
    path = as_path(found, 17, SIZE, 0.8, 8.0)
    assert len(path) == 17 and path.image_size == SIZE and path.fov_y_rad[0] == pytest.approx(0.8)
    np.testing.assert_allclose(path.centres, longer.centres[::2], atol=1e-3)
    zoom = np.tan(longer.fov_y_rad[[0, -1]] / 2)
    assert np.tan(path.fov_y_rad[-1] / 2) / np.tan(0.4) == pytest.approx(zoom[1] / zoom[0], rel=1e-6)


def test_what_is_no_camera_file_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK nonsense")
    with pytest.raises(InputError, match="a.zip: is damaged, cut off, or not what it claims to be"):
        read_import(tmp_path / "a.zip", SIZE)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("../../evil.txt", "x")
    with pytest.raises(InputError, match="holds none of cameras.txt"):
        read_import(tmp_path / "b.zip", SIZE)
    with pytest.raises(ValueError, match="scale must be above 0"):
        given(PATH.Ts_world_camera, scale=0.0)


@pytest.fixture
def session(app, tmp_path):
    session = app.sessions.open()
    write_video(tmp_path / "clip.mp4", moving_frames(17), 8.0)
    session.dispatch(msg.Upload((str(tmp_path / "clip.mp4"),)))
    return session


def test_an_import_is_shown_then_used_or_discarded(session, tmp_path):
    session.dispatch(msg.ImportCameras(str(written(tmp_path, "nerfstudio"))))
    state = session.state
    assert state.imported is not None and state.document.edited is None
    assert session.viewport.started().server.scene._handle_from_node_name["/pending"] is not None
    assert "17 frames; turns by up to 30°" in _report(state.importing, state.imported)
    session.dispatch(msg.AdjustImport(True, False, 2.0))
    assert session.state.importing.flipped
    np.testing.assert_allclose(session.state.imported.centres, (2 * PATH.centres) * [1, -1, -1], atol=1e-6)
    session.dispatch(msg.AdjustImport(False, False, -1.0))
    assert session.state.notice.is_error and session.state.notice.place == "keep"
    session.dispatch(msg.AdjustImport(False, False, 1.0))
    session.dispatch(msg.UseImport())
    np.testing.assert_allclose(session.state.document.edited.centres, PATH.centres, atol=1e-6)
    assert session.state.importing is None
    session.dispatch(msg.ImportCameras(str(written(tmp_path, "npz"))))
    session.dispatch(msg.DropImport())
    assert (
        session.state.imported is None
        and "/pending" not in session.viewport.started().server.scene._handle_from_node_name
    )


def test_the_report_says_which_lens_the_path_gets():
    def words(fov_y_rad, path=PATH):
        found = Import("x.npz", "made", "OpenCV", path)
        return _report(found, as_path(found, 17, SIZE, fov_y_rad, 8.0))

    assert "field of view 55.0° at the start of the file: the path has it, too" in words(None)
    assert "the path has it, too" in words(float(PATH.fov_y_rad[0]))
    other = words(np.radians(39.9))
    assert (
        "field of view 55.0° at the start of the file; <b>the path keeps the clip's 39.9°</b>, the file's is" in other
    )
    assert "type it as Field of view in the Input tab" in other
    zoomed = words(np.radians(39.9), preset("dolly-zoom", image_size=SIZE, fov_y_rad=0.8))
    assert "of the file's only the zoom is taken" in zoomed and "at the start of the file, up to" in zoomed


def test_a_mirrored_file_is_refused_by_name_and_frame(session, tmp_path):
    import json

    file = written(tmp_path, "nerfstudio")
    fields = json.loads(file.read_text())
    fields["frames"][3]["transform_matrix"][0][0] *= -1
    file.write_text(json.dumps(fields))
    session.dispatch(msg.ImportCameras(str(file)))
    notice = session.state.notice
    assert notice.is_error and notice.place == "keep" and "frames[3]" in notice.text.replace("frame 3", "frames[3]")
    assert session.state.importing is None
