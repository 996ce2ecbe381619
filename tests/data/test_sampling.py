"""Which frames of an upload become a clip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rap.data.sampling import Sampling, choose_frames
from rap.errors import InputError


@given(st.integers(2, 3000), st.integers(1, 65), st.integers(0, 3000))
def test_even_cover_law(count: int, num_frames: int, start: int) -> None:
    if start > count - min(2, num_frames):
        with pytest.raises(InputError, match=f"largest usable start is {count - min(2, num_frames)}$"):
            choose_frames(count, num_frames, start, None, name="x")
        return
    indices = choose_frames(count, num_frames, start, None, name="x")
    assert len(indices) == num_frames and indices[0] == start
    assert num_frames == 1 or indices[-1] == count - 1
    steps = np.diff(indices)
    assert num_frames == 1 or (steps.min() >= 0 and steps.max() - steps.min() <= 1)


@given(st.integers(1, 400), st.integers(2, 33), st.integers(0, 400), st.integers(1, 40))
def test_stride_law_and_its_remedies(count: int, num_frames: int, start: int, stride: int) -> None:
    try:
        indices = choose_frames(count, num_frames, start, stride, name="x")
    except InputError as error:
        sentence = str(error)
        assert f"x has {count} frame" in sentence
        if "largest usable stride from there is " in sentence:
            best = int(sentence.split("largest usable stride from there is ")[1].split(";")[0])
            choose_frames(count, num_frames, start, best, name="x")
        if "largest usable start at this stride is " in sentence:
            best = int(sentence.split("largest usable start at this stride is ")[1])
            choose_frames(count, num_frames, best, stride, name="x")
    else:
        assert indices == tuple(start + i * stride for i in range(num_frames)) and indices[-1] < count


@given(st.integers(2, 300), st.integers(2, 33), st.integers(0, 300), st.integers(0, 300))
def test_an_end_is_the_end_of_a_shorter_upload(count: int, num_frames: int, start: int, end: int) -> None:
    if end < start:
        with pytest.raises(InputError, match=f"end {end} lies before start {start}"):
            Sampling(num_frames, start, end=end)
        return
    sampling = Sampling(num_frames, start, end=end)
    if end >= count:
        with pytest.raises(InputError, match=f"x has {count} frames; the largest usable end is {count - 1}$"):
            sampling.of(count, "x")
    elif start < end:
        assert sampling.of(count, "x") == choose_frames(end + 1, num_frames, start, None, name="x")


@pytest.mark.parametrize(("count", "read"), [(300, 300), (301, 159), (600, 212), (3000, 288)])
def test_a_film_is_thinned_only_where_it_is_longer_than_is_followed(count: int, read: int) -> None:
    sampling = Sampling(17, film=True)
    found = sampling.read(sampling.of(count, "x"))
    assert len(found) == read <= 300 and (found[0], found[-1]) == (0, count - 1)


def test_a_film_reads_what_lies_between() -> None:
    sampling = Sampling(5, start=2, end=10, film=True)
    assert sampling.of(20, "x") == (2, 4, 6, 8, 10) and sampling.read((2, 4, 6, 8, 10)) == list(range(2, 11))
    assert Sampling(5).read((2, 4, 6, 8, 10)) == [2, 4, 6, 8, 10]
