"""A film that is cut is two films; one that is shaken, goes dark or moves far is one."""

import numpy as np
import pytest
from films import write_film

from rap.config import ASSETS
from rap.data import load_clip
from rap.data.shots import lit, shots

EXAMPLES = ASSETS / "examples"


@pytest.fixture(scope="module")
def table():
    return load_clip(EXAMPLES / "arc_around_a_table.mp4").footage


@pytest.fixture(scope="module")
def room(table):
    h, w = table.shape[1:3]
    return load_clip(EXAMPLES / "dolly_through_a_room.mp4").footage[:, :h, :w]


def test_one_shot(table):
    assert shots(table) == [(0, 16)]
    assert shots(table[::4]) == [(0, 4)]  # wide steps
    shaken = np.stack([np.roll(frame, 60 * (-1) ** i, axis=1) for i, frame in enumerate(table)])
    assert shots(shaken) == [(0, 16)]


def test_frames_that_show_nothing_are_no_cut(table):
    dark = table.copy()
    dark[4:12] = 0
    assert shots(dark) == [(0, 16)]
    assert shots(np.zeros_like(table)) == [(0, 16)]


def test_a_jump_cut_is_said_and_the_first_shot_is_used(table, room, tmp_path):
    both = np.concatenate([table[:10], room[:8]])
    assert shots(both) == [(0, 9), (10, 17)]
    clip = load_clip(write_film(tmp_path / "cut.mp4", both), num_frames=5, film=True)
    assert clip.frame_indices == (0, 2, 5, 7, 9)
    assert clip.notes[0] == (
        "cut: 2 shots (frames 0 to 9; frames 10 to 17); the first is used. For the second one, start at 10 and end "
        "at 17"
    )
    second = load_clip(tmp_path / "cut.mp4", num_frames=5, start=10, end=17, film=True)
    assert second.frame_indices == (10, 12, 14, 15, 17) and "shots" not in "".join(second.notes)
    strided = load_clip(tmp_path / "cut.mp4", num_frames=5, stride=4, film=True)
    assert strided.frame_indices == (0, 4, 8, 12, 16) and "choose one by start and end" in strided.notes[0]


def test_a_title_before_the_first_shot_that_moves_is_passed_over(table, tmp_path):
    title = table[:1].repeat(8, axis=0) // np.array([4, 2, 1, 1, 1, 1, 2, 4], np.uint8)[:, None, None, None]
    later = load_clip(EXAMPLES / "dolly_through_a_room.mp4").footage
    film = write_film(tmp_path / "titled.mp4", np.concatenate([title, later[:, : table.shape[1], : table.shape[2]]]))
    clip = load_clip(film, num_frames=5, film=True)
    assert clip.frame_indices[0] >= 8 and clip.frame_indices[-1] == 24
    assert "the first stands still, the second is used. For the first one, start at 0 and end at " in clip.notes[0]
    assert load_clip(film, num_frames=5, end=7, film=True).frame_indices[0] == 0


def faded(frames, light):
    return (frames * np.asarray(light)[:, None, None, None]).astype(np.uint8)


def test_a_fade_begins_and_ends_where_the_film_is_lit(table):
    rise = [0, 0.2, 0.4, 0.6]
    both = faded(table, [*rise, *[1] * 9, *rise[::-1]])
    assert lit(both) == (4, 12) and lit(both[:13]) == (4, 12) and lit(both[4:]) == (0, 8)
    assert lit(table) == (0, 16)


@pytest.mark.parametrize(
    "light",
    [
        np.linspace(0.5, 1, 17),  # it grows brighter, and shows itself from the first frame on
        [0, 0, 0, *np.linspace(0, 0.2, 13), 1],  # dark but for its end
        [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # black in between
        np.zeros(17),
    ],
)
def test_what_is_dark_otherwise_is_no_fade(table, light):
    assert lit(faded(table, light)) == (0, 16)


def test_a_film_without_anything_in_it_has_no_fade():
    assert lit(np.arange(0, 170, 10, dtype=np.uint8)[:, None, None, None].repeat(20, 1).repeat(30, 2).repeat(3, 3)) == (
        0,
        16,
    )


def test_a_film_is_read_between_its_fades_and_says_so(table, tmp_path):
    film = write_film(tmp_path / "fades.mp4", faded(table, [0, 0, 0.1, 0.5, *[1.0] * 11, 0.4, 0]))
    clip = load_clip(film, num_frames=5, film=True)
    assert (clip.frame_indices[0], clip.frame_indices[-1]) == (4, 14)
    assert clip.notes[0] == "fades: begins or ends in black; frames 4 to 14 are used"
    assert load_clip(film, num_frames=5, stride=4).frame_indices == (0, 4, 8, 12, 16)
    assert load_clip(film, num_frames=5, size=(96, 128)).frame_indices == (0, 4, 8, 12, 16)
