"""Which of the box's files are meant, and what is said of those that cannot be one clip."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from fakes import moving_frames
from PIL import Image

from rap import formats
from rap.data import write_video
from rap.errors import InputError
from rap.geometry import Trajectory
from ui.session.uploads import meant, read_clip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Path by short name: videos a and b, pictures 0 to 2, a moving picture, broken ones, and cameras."""
    folder = tmp_path_factory.mktemp("files")
    frames = moving_frames(5)
    write_video(folder / "a.mp4", frames, 8.0)
    write_video(folder / "b.mp4", frames, 8.0)
    pictures = [Image.fromarray(frame) for frame in frames]
    for i in range(3):
        pictures[i].save(folder / f"{i}.png")
    pictures[0].save(folder / "moving.gif", save_all=True, append_images=pictures[1:], duration=100)
    (folder / "broken.mp4").write_text("no video")
    (folder / "broken.png").write_text("no picture")
    (folder / "cameras.json").write_text("{}")
    (folder / "other.json").write_text("{}")
    path = Trajectory(np.tile(np.eye(4), (3, 1, 1)), np.tile([90.0, 90.0, 64.0, 48.0], (3, 1)), (96, 128), fps=8.0)
    formats.write(folder / "model/sparse/0", path, [f"{i}.png" for i in range(3)], format_name="colmap_binary")
    formats.write(folder / "re10k.txt", path)
    formats.write(folder / "alone/transforms_train.json", path, [f"./train/{i}" for i in range(3)])
    document = json.loads((folder / "alone/transforms_train.json").read_text())
    del document["w"], document["h"]  # as Blender's scripts write it, and away from its pictures as an upload is
    (folder / "blender.json").write_text(json.dumps(document))
    for text in ("cameras.txt", "images.txt"):
        (folder / text).write_text("1")
    for name, pictures_too in (("model.zip", False), ("whole.zip", True), ("saved.rap.zip", False)):
        with zipfile.ZipFile(folder / name, "w") as packed:
            for file in (folder / "model").rglob("*.bin"):
                packed.write(file, file.relative_to(folder))
            for i in range(3 * pictures_too):
                packed.write(folder / f"{i}.png", f"model/images/{i}.png")
    return {path.name: str(path) for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("before", "new", "expected"),
    [
        ("", "a.mp4", "a.mp4"),
        ("a.mp4", "b.mp4", "b.mp4"),
        ("a.mp4", "a.mp4", "a.mp4"),
        ("a.mp4", "0.png 1.png", "0.png 1.png"),
        ("0.png 1.png", "2.png", "0.png 1.png 2.png"),
        ("0.png 1.png", "1.png", "0.png 1.png"),
        ("0.png", "a.mp4", "a.mp4"),
        ("0.png", "moving.gif", "moving.gif"),
        ("moving.gif", "0.png", "0.png"),
        ("0.png", "broken.png", "0.png broken.png"),
        ("0.png", "broken.mp4", "broken.mp4"),
        ("a.mp4", "cameras.json", "a.mp4 cameras.json"),
        ("a.mp4 cameras.json", "other.json", "a.mp4 other.json"),
        ("a.mp4 cameras.json", "b.mp4", "b.mp4"),
        ("0.png cameras.json", "1.png", "0.png cameras.json 1.png"),
        ("a.mp4", "0.png b.mp4", "0.png b.mp4"),
        ("0.png 1.png", "model.zip", "0.png 1.png model.zip"),
        ("a.mp4", "re10k.txt", "a.mp4 re10k.txt"),
        ("a.mp4", "whole.zip", "whole.zip"),
        ("model.zip", "0.png 1.png", "model.zip 0.png 1.png"),
    ],
)
def test_what_is_given_joins_or_takes_the_place_of_what_was(files, before, new, expected):
    held, given = ([files[name] for name in names.split()] for names in (before, new))
    assert meant(held, (*held, *given)) == tuple(files[name] for name in expected.split())


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("0.png a.mp4", r"^a\.mp4, 0\.png: 2 files at once; give one video, or several images$"),
        ("a.mp4 b.mp4", r"^a\.mp4, b\.mp4: 2 files at once; give one video, or several images$"),
        ("0.png 1.png 2.png broken.png a.mp4 b.mp4", r"^a\.mp4, b\.mp4, 0\.png, 1\.png and 2 more: 6 files at once"),
        ("0.png broken.png", r"^broken\.png: not a picture that can be read"),
        ("cameras.json", r"^cameras\.json: cameras without what they have seen; give the video or the images with"),
        ("re10k.txt", r"^re10k\.txt: cameras without what they have seen"),
        (
            "0.png cameras.txt images.txt",
            r"^cameras\.txt: one file of a COLMAP model; give the model's folder as a zip",
        ),
        ("model.zip", r"^model\.zip: cameras without what they have seen"),
        ("0.png whole.zip", r"^whole\.zip, 0\.png: 2 files at once"),
        ("saved.rap.zip", r"^saved\.rap\.zip: a saved session; press Open session"),
    ],
)
def test_what_cannot_be_one_clip_is_refused_by_name(files, names, sentence):
    with pytest.raises(InputError, match=sentence):
        read_clip([files[name] for name in names.split()], 17)


def test_one_video_and_several_images_are_clips(files):
    assert read_clip([files["a.mp4"]], 5).name == "a"
    assert read_clip([files["moving.gif"]], 5).name == "moving"
    assert read_clip([files["0.png"], files["1.png"]], 5).frame_names[0] == "0.png"


@pytest.mark.parametrize(
    "given", ["0.png 1.png 2.png model.zip", "whole.zip", "a.mp4 re10k.txt", "0.png 1.png 2.png blender.json"]
)
def test_cameras_come_with_what_they_have_seen(files, given):
    clip = read_clip([files[name] for name in given.split()], 3)
    assert clip.trajectory is not None and len(clip) == 3
    np.testing.assert_allclose(clip.trajectory.intrinsics[0], [90.0, 90.0, 64.0, 48.0], rtol=1e-6)
    assert clip.frame_names == (() if "mp4" in given else ("0.png", "1.png", "2.png"))
