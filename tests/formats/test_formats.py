"""The registry: names choose formats, content decides where names do not, and all formats agree on one path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from camera_files import made
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trajectory_strategies import assert_close, orbit

import rap.formats as formats
from rap.errors import InputError
from rap.formats import checks
from rap.formats.table import name_for_writing

NAMES = {
    "transforms.json": "nerfstudio",
    "other.JSON": "nerfstudio",
    "model": "colmap",
    "a.tum": "tum",
    "groundtruth.txt": "tum",
    "re10k.txt": "realestate10k",
    "x.realestate10k.txt": "realestate10k",
    "a.npz": "npz",
}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_by_name_is_read_by_name(name: str, tmp_path: Path) -> None:
    formats.write(tmp_path / name, orbit())
    assert formats.detect(tmp_path / name).name == NAMES[name]
    found = formats.read(tmp_path / name, image_size=(128, 128), fov_y_rad=1.0)
    assert_close(found, orbit(), intrinsics=NAMES[name] != "tum", fps_rtol=1e-4)
    assert found.image_size == (128, 128)


FOLDERS = {"colmap", "colmap_binary", "stable_virtual_camera", "polycam"}
READ = [name for name, entry in formats.FORMATS.items() if entry.read is not None]


@pytest.mark.parametrize("format_name", [name for name in READ if name not in FOLDERS])
def test_content_decides_where_the_suffix_says_nothing(format_name: str, tmp_path: Path) -> None:
    made(tmp_path / "upload.dat", orbit(), format_name)
    assert formats.detect(tmp_path / "upload.dat").name == format_name
    assert len(formats.read(tmp_path / "upload.dat")) == 4


@pytest.mark.parametrize("format_name", formats.FORMATS)
def test_registry_is_complete(format_name: str, tmp_path: Path) -> None:
    entry = formats.FORMATS[format_name]
    assert entry.name == format_name and entry.title and entry.convention
    assert entry.read is not None or entry.write is not None
    path = made(tmp_path / entry.default_name, orbit(), format_name)
    assert formats.detect(path) is entry
    if entry.write is not None:
        assert name_for_writing(Path(entry.default_name)) == format_name
    else:
        with pytest.raises(InputError, match="cannot be written; choose one of nerfstudio, camera_path"):
            formats.write(path, orbit(), format_name=format_name)
    if entry.read is None:
        with pytest.raises(
            InputError, match=f"{path.name}: .* cannot be read back; give one of nerfstudio, camera_path"
        ):
            formats.read(path)


def test_a_folder_is_read_by_what_it_holds(tmp_path: Path) -> None:
    formats.write(tmp_path / "clip" / "transforms.json", orbit(), ["a", "b", "c", "d"])
    assert formats.read(tmp_path / "clip") == formats.read(tmp_path / "clip" / "transforms.json")
    assert formats.read_frame_names(tmp_path / "clip") == ("a", "b", "c", "d")
    formats.write(tmp_path / "model", orbit())
    assert len(formats.read(tmp_path / "model" / "cameras.txt")) == 4
    formats.write(tmp_path / "a.tum", orbit())
    assert formats.read_frame_names(tmp_path / "a.tum") == ()


def test_one_path_through_all_formats(tmp_path: Path) -> None:
    """A chain through every format that keeps intrinsics ends where it began."""
    path = orbit()
    for name in ("a.npz", "transforms.json", "model", "re10k.txt"):
        formats.write(tmp_path / name, path)
        path = formats.read(tmp_path / name, image_size=(128, 128))
    assert_close(path, orbit(), fps_rtol=1e-4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "pose.xyz: is empty"),
        (b"\xff\xfe\x00", "pose.xyz: byte 0 is not UTF-8"),
        (
            b"hello world\n",
            "pose.xyz: looks like no known camera file, its first line is 'hello world'; expected one of",
        ),
        (b"# comment\n", "looks like no known camera file, its first line is ''"),
        (b"PK\x03\x04", "pose.xyz: is damaged, cut off, or not what it claims to be"),
    ],
)
def test_unknown_content_is_refused_by_name(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "pose.xyz").write_bytes(content)
    with pytest.raises(InputError) as error:
        formats.read(tmp_path / "pose.xyz")
    assert words in str(error.value)


def test_names_that_fit_no_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent.txt: no such file"):
        formats.read(tmp_path / "absent.txt")
    with pytest.raises(InputError, match="has no images.txt"):
        formats.read(tmp_path)
    with pytest.raises(ValueError, match=r"a.bvh: the suffix .bvh belongs to no format; end the name in .json, .tum"):
        formats.write(tmp_path / "a.bvh", orbit())
    with pytest.raises(ValueError, match="format_name is 'obj', expected one of nerfstudio"):
        formats.read(tmp_path, format_name="obj")


@given(st.binary(min_size=1, max_size=300), st.sampled_from(["a.json", "a.npz", "a.tum", "a.txt", "a.dat"]))
@example(b'{"frames": [{"file_path": "a", "transform_matrix": [[1e308]]}]}', "a.json")
@example(b"PK\x05\x06" + bytes(18), "a.npz")
@settings(max_examples=150, deadline=None)
def test_garbage_is_refused_as_input_error(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        formats.read(path)
    assert name in str(error.value) and "\n" not in str(error.value)


@given(st.lists(st.text(max_size=8), max_size=8))
def test_natural_order_is_an_order(names: list[str]) -> None:
    order = checks.natural_order(names)
    assert sorted(order) == list(range(len(names)))
    resorted = [names[i] for i in order]
    assert [resorted[i] for i in checks.natural_order(resorted)] == resorted


def test_natural_order_counts() -> None:
    names = ["r_10", "r_2", "r_02", "a", "10"]
    assert [names[i] for i in checks.natural_order(names)] == ["10", "a", "r_02", "r_2", "r_10"]


def test_values_a_trajectory_refuses_are_reported_with_the_file() -> None:
    with pytest.raises(InputError, match=r"^x\.tum: image_size must be"):
        checks.build_trajectory(Path("x.tum"), [np.eye(4)], [np.ones(4)], (0, 0))
