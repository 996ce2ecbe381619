"""The document: laws of undo and redo over any sequence of edits, drags, takes and stamps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import clip
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rap.geometry import PRESETS, preset, scale_motion, se3
from rap.reconstruction.refine import RefinementReport
from ui.document import document as doc
from ui.document.document import Document, Settings, SoftDrag, Take

CLIP = clip()


def predicted_document() -> Document:
    return doc.with_prediction(doc.with_clip(Document(), CLIP), preset("arc-left", image_size=CLIP.image_size))


def moved(document: Document, index: int, by: float) -> np.ndarray:
    assert document.edited is not None
    T = document.edited.Ts_world_camera[index].copy()
    T[0, 3] += by
    return T


def report(outcome: str) -> RefinementReport:
    return RefinementReport(outcome, "So it is.", "prediction", "model", 2.0, 0.5, 100, 30, 1.0, 0.1)


class History(RuleBasedStateMachine):
    """The document against the obvious twin: a list of paths and a cursor."""

    def __init__(self):
        super().__init__()
        self.document = predicted_document()
        self.predicted, self.refined = self.document.predicted, None
        self.paths = [self.document.edited.hash]
        self.at = 0

    def edited(self):
        now = self.document.edited.hash
        if now != self.paths[self.at]:
            self.paths = [*self.paths[: self.at + 1], now][-doc.HISTORY_LIMIT - 1 :]
            self.at = len(self.paths) - 1

    @rule(name=st.sampled_from(sorted(PRESETS)), amplitude=st.sampled_from([0.5, 1.0]))
    def preset(self, name, amplitude):
        self.document = doc.with_preset(self.document, name, amplitude, 17)
        self.edited()

    @rule(index=st.integers(1, 16), moves=st.lists(st.floats(-0.3, 0.3), max_size=3), soft=st.booleans())
    def drag(self, index, moves, soft):
        self.document = doc.begin_drag(doc.with_soft_drag(self.document, soft, 3.0), index)
        pose = moved(self.document, index, 0.0)
        for by in moves:
            pose[0, 3] += by
            self.document = doc.drag(self.document, index, pose)
        self.document = doc.end_drag(self.document, index, pose)
        np.testing.assert_allclose(self.document.edited.Ts_world_camera[index], pose, atol=1e-9)
        self.edited()

    @rule()
    def reset(self):
        self.document = doc.reset_to_predicted(self.document)
        assert self.document.edited == self.predicted
        self.edited()

    @rule(factor=st.sampled_from([0.8, 1.2]), outcome=st.sampled_from(["refined", "no_parallax", "diverged"]))
    def refine(self, factor, outcome):
        was_untouched = self.document.is_untouched
        assert was_untouched == (self.paths[self.at] in (self.predicted.hash, self.refined))
        self.document = doc.with_refinement(self.document, scale_motion(self.predicted, factor), report(outcome))
        self.refined = None if outcome == "diverged" else self.document.refined.hash
        if was_untouched:
            self.paths[self.at] = self.refined or self.predicted.hash

    @precondition(lambda self: self.refined is not None)
    @rule()
    def reset_to_refined(self):
        self.document = doc.reset_to_refined(self.document)
        assert self.document.edited.hash == self.refined and self.document.follows_clip
        assert self.document.comparison is self.predicted
        self.edited()

    @rule(index=st.one_of(st.none(), st.integers(-3, 30)))
    def select(self, index):
        self.document = doc.select(self.document, index)

    @precondition(lambda self: self.at > 0)
    @rule()
    def undo(self):
        self.document = doc.undo(self.document)
        self.at -= 1

    @precondition(lambda self: self.at < len(self.paths) - 1)
    @rule()
    def redo(self):
        self.document = doc.redo(self.document)
        self.at += 1

    @rule()
    def undo_then_redo_changes_nothing(self):
        if self.document.past:
            again = doc.redo(doc.undo(self.document))
            assert again.edited == self.document.edited and again.past == self.document.past

    @invariant()
    def shows_the_path_at_the_cursor(self):
        assert self.document.edited.hash == self.paths[self.at]
        assert len(self.document.past) == self.at
        assert len(self.document.future) == len(self.paths) - 1 - self.at

    @invariant()
    def prediction_is_untouched(self):
        assert self.document.predicted is self.predicted

    @invariant()
    def the_comparison_is_another_path(self):
        compared = self.document.comparison
        assert compared is None or compared.hash != self.document.edited.hash

    @invariant()
    def selection_exists(self):
        selected = self.document.selected
        assert selected is None or 0 <= selected < len(self.document.edited)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)


def test_history_forgets_the_oldest():
    document = predicted_document()
    for i in range(doc.HISTORY_LIMIT + 5):
        path = preset("truck-left", image_size=CLIP.image_size, amplitude=0.1 + 0.01 * i)
        document = doc.with_path(document, path, follows_clip=False, name="test")
    assert len(document.past) == doc.HISTORY_LIMIT
    for _ in range(doc.HISTORY_LIMIT + 5):
        document = doc.undo(document)
    assert document.edited.hash == preset("truck-left", image_size=CLIP.image_size, amplitude=0.1 + 0.01 * 4).hash


def test_moves_of_one_drag_do_not_add_up():
    document = doc.begin_drag(predicted_document(), 5)
    pose = moved(document, 5, 0.1)
    once = doc.drag(document, 5, pose)
    many = doc.drag(doc.drag(doc.drag(document, 5, moved(document, 5, 0.4)), 5, moved(document, 5, -0.2)), 5, pose)
    assert once.edited == many.edited


def test_soft_drag_takes_neighbours_along_and_hard_drag_does_not():
    document = predicted_document()
    before = document.edited.centres
    soft = doc.end_drag(document, 8, moved(document, 8, 0.3)).edited.centres
    hard = doc.end_drag(doc.with_soft_drag(document, False, 4), 8, moved(document, 8, 0.3)).edited.centres
    assert np.abs(soft - before)[7].max() > 0.1
    np.testing.assert_array_equal(soft[0], before[0])
    np.testing.assert_array_equal(np.delete(hard, 8, axis=0), np.delete(before, 8, axis=0))


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda d: doc.drag(d, 0, se3.exp(np.full(6, 0.1))), "frame 0 is the source camera"),
        (lambda d: doc.drag(Document(), 3, np.eye(4)), "no path to drag; press Predict or apply a preset first"),
        (lambda d: doc.drag(d, 3, np.diag([1.0, 1.0, -1.0, 1.0])), "T_world_camera"),
        (lambda d: doc.with_preset(d, "arc-up", 1.0, 17), "preset must be one of .*; got 'arc-up'"),
        (lambda d: doc.with_preset(Document(), "arc-left", 1.0, 17), "give a video or an image first"),
        (lambda d: doc.reset_to_predicted(Document()), "press Predict first"),
        (lambda d: doc.with_soft_drag(d, True, 0), "radius must be above 0 frames, got 0"),
        (lambda d: doc.show_take(d, 2), "there is no take 2"),
    ],
)
def test_what_cannot_be_done_is_said(act, sentence):
    with pytest.raises(ValueError, match=sentence):
        act(predicted_document())


def test_a_dropped_drag_leaves_nothing():
    document = predicted_document()
    dragged = doc.drag(doc.begin_drag(document, 4), 4, moved(document, 4, 0.2))
    assert doc.drop_drag(dragged).edited == document.edited
    assert doc.drop_drag(dragged).drag_origin is None


def take(document: Document, number: int = 1, **settings) -> Take:
    files = Path("a.mp4"), Path("a.npz")
    return Take(number, "regenerated", *files, document.clip.hash, document.edited, Settings(**settings), seconds=1.0)


def test_take_is_stale_when_the_path_or_the_clip_changes_and_fresh_again_after_undo():
    document = doc.with_take(predicted_document(), take(predicted_document()))
    assert document.take is not None and not document.is_stale(document.take)
    bent = doc.end_drag(document, 8, moved(document, 8, 0.3))
    assert bent.is_stale(bent.take)
    assert not doc.undo(bent).is_stale(bent.take)
    other = replace(document, clip=clip(13))
    assert other.is_stale(document.take)


def test_stamp_names_everything_a_take_is_made_from():
    document = predicted_document()
    stamps = [take(document).stamp, take(document, seed=1).stamp, take(document, steps=4).stamp]
    stamps += [take(document, with_geometry=True).stamp]
    bent = doc.end_drag(document, 8, moved(document, 8, 0.3))
    stamps += [take(bent).stamp, take(replace(document, clip=clip(13))).stamp]
    assert len(set(stamps)) == len(stamps)
    assert take(document, number=2).stamp == take(document).stamp


def test_a_refinement_that_finds_another_lens_gives_it_to_an_edited_path():
    document = predicted_document()
    bent = doc.end_drag(document, 8, moved(document, 8, 0.3))
    refined = replace(document.predicted, intrinsics=document.predicted.intrinsics * [1.25, 1.25, 1, 1])
    found = doc.with_refinement(bent, refined, report("refined"))
    np.testing.assert_allclose(found.edited.intrinsics[:, :2], refined.intrinsics[:, :2])
    assert np.array_equal(found.edited.Ts_world_camera, bent.edited.Ts_world_camera)
    assert doc.undo(found).edited.hash == bent.edited.hash
    held = doc.drag(doc.begin_drag(document, 5), 5, moved(document, 5, 0.1))
    kept = doc.drag(doc.with_refinement(held, refined, report("refined")), 5, moved(document, 5, 0.2))
    np.testing.assert_allclose(kept.edited.intrinsics[:, :2], refined.intrinsics[:, :2])


def test_a_refinement_leaves_the_hand_its_path():
    document = predicted_document()
    refined = scale_motion(document.predicted, 0.9)
    held = doc.drag(document, 5, moved(document, 5, 0.0))
    kept = doc.with_refinement(held, refined, report("refined"))
    assert kept.edited is held.edited and kept.drag_origin is held.drag_origin and kept.refined is refined
    with pytest.raises(ValueError, match="press Predict first"):
        doc.with_refinement(doc.with_clip(Document(), CLIP), refined, report("refined"))
    with pytest.raises(ValueError, match="press Refine first"):
        doc.reset_to_refined(document)
    again = doc.with_prediction(kept, document.predicted)
    assert again.refined is None and again.report is None, "a new prediction is refined anew"


def test_new_clip_starts_anew_and_keeps_the_way_of_dragging():
    document = doc.with_soft_drag(predicted_document(), False, 2.0)
    fresh = doc.with_clip(document, CLIP)
    assert fresh.edited is None and fresh.predicted is None and fresh.past == () and fresh.soft == SoftDrag(False, 2.0)


def test_preset_takes_the_predicted_camera():
    document = predicted_document()
    wide = doc.with_prediction(document, preset("static", image_size=CLIP.image_size, fov_y_rad=1.3))
    path = doc.with_preset(wide, "arc-left", 1.0, 17).edited
    np.testing.assert_allclose(path.fov_y_rad, 1.3)
    assert path.fps == CLIP.fps and path.image_size == CLIP.image_size
