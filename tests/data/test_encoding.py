"""Films as files: what is written can be played, and is what it says it is."""

import os
import sys
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
import pytest
from PIL import Image

from rap.data import encoding, write_video
from rap.data.encoding import KINDS, kind_of, write_film
from rap.errors import InputError


def frames(count=6, size=(36, 50)):
    y, x = np.indices(size)
    return np.stack([np.stack([x * 5 % 256, y * 7 % 256, 0 * x + 30 * i], axis=-1) for i in range(count)]).astype(
        np.uint8
    )


CODECS = {"mp4": "h264", "webm": "av1", "ffv1": "ffv1", "prores": "prores"}
PIXELS = {"mp4": "yuv420p", "webm": "yuv420p", "ffv1": "bgr0", "prores": "yuv422p10le"}


@pytest.mark.parametrize("kind", CODECS)
def test_a_film_has_the_codec_the_size_and_the_rate_it_is_to_have(tmp_path: Path, kind):
    given = frames(size=(64, 96))
    path = tmp_path / f"a{KINDS[kind].suffix}"
    write_film(path, given, 12.5, kind)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.codec_context.pix_fmt == PIXELS[kind] and float(stream.average_rate) == pytest.approx(12.5, 0.01)
        assert CODECS[kind] in (stream.codec_context.name, stream.codec_context.codec.canonical_name)
    assert len(found) == 6 and found[0].shape == given.shape[1:]
    if kind == "ffv1":
        np.testing.assert_array_equal(np.stack(found), given, err_msg="without loss")
    assert np.abs(np.stack(found).astype(int) - given).mean() < 12


class Watched:
    """Tells, picture by picture, how every thread of the process is scheduled while a codec works."""

    seen: ClassVar[set[int]] = set()

    @classmethod
    def from_ndarray(cls, *given, **more):
        cls.seen |= {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}
        return av.VideoFrame.from_ndarray(*given, **more)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how a thread is scheduled")
@pytest.mark.parametrize("kind", CODECS)
def test_no_codec_leaves_a_thread_that_goes_before_all_others(tmp_path: Path, monkeypatch, kind):
    """Under root SVT-AV1 made the whole app real-time, and with it every browser of these tests."""
    monkeypatch.setattr(av.video.frame, "VideoFrame", Watched)
    write_film(tmp_path / f"a{KINDS[kind].suffix}", frames(size=(64, 96)), 12.5, kind)
    assert Watched.seen == {os.SCHED_OTHER} and os.sched_getscheduler(0) == os.SCHED_OTHER


def test_an_mp4_can_be_played_while_it_comes(tmp_path: Path):
    write_film(tmp_path / "a.mp4", frames(), 8, "mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_odd_sizes_are_made_even_where_they_must_be(tmp_path: Path):
    for kind, size in (("mp4", (36, 52)), ("ffv1", (35, 51))):
        path = tmp_path / f"odd{KINDS[kind].suffix}"
        write_film(path, frames(2, (35, 51)), 8, kind)
        with av.open(str(path)) as container:
            assert (container.streams.video[0].height, container.streams.video[0].width) == size


def test_a_lower_quality_is_a_smaller_file(tmp_path: Path):
    given = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    for crf in (10, 40):
        write_film(tmp_path / f"{crf}.mp4", given, 8, "mp4", crf)
    assert (tmp_path / "40.mp4").stat().st_size < 0.5 * (tmp_path / "10.mp4").stat().st_size


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_animations_keep_frames_and_time(tmp_path: Path, kind):
    path = tmp_path / f"a.{kind}"
    write_film(path, frames(), 10, kind)
    with Image.open(path) as picture:
        assert picture.n_frames == 6 and picture.size == (50, 36)
        picture.load()
        assert picture.info["duration"] == 100


def test_names_tell_kinds(tmp_path: Path):
    assert {kind_of(Path(f"a{kind.suffix}")) for kind in KINDS.values()} == set(KINDS)
    with pytest.raises(ValueError, match="must end in one of .mp4"):
        write_video(tmp_path / "a.avi", frames(), 8)
    with pytest.raises(ValueError, match="kind must be one of mp4"):
        write_film(tmp_path / "a.mp4", frames(), 8, "avi")


def test_a_codec_that_is_lacking_is_told(tmp_path: Path, monkeypatch):
    lacking = encoding.FilmKind("video, none", ".mp4", "mp4", {"no-such-codec": {}})
    monkeypatch.setitem(KINDS, "none", lacking)
    with pytest.raises(InputError, match="FFmpeg lacks no-such-codec; take another kind"):
        write_film(tmp_path / "a.mp4", frames(), 8, "none")
    assert not (tmp_path / "a.mp4").exists()
