"""Source frames of a take: which can be handed to the model, and what choosing one does to the path."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import clip

from rap.geometry import preset
from rap.geometry.reshape import set_field_of_view
from ui.document import document as doc
from ui.document import sources
from ui.document.document import Document, Settings
from ui.document.path_edits import ToKeys
from ui.page import input_words, stage_words, timeline_words
from ui.session.pictures import frame_jpegs

CLIP = clip()


def predicted_document(name: str = "arc-left") -> Document:
    return doc.with_prediction(doc.with_clip(Document(), CLIP), preset(name, image_size=CLIP.image_size))


def dragged(document: Document, index: int, by: float) -> Document:
    T = document.edited.Ts_world_camera[index].copy()
    T[0, 3] += by
    return doc.end_drag(doc.begin_drag(document, index), index, T)


def test_a_take_starts_from_the_paths_source_until_others_are_chosen():
    document = predicted_document()
    assert sources.chosen(document) == (0,) and sources.used(document, document.edited) == (0,)
    assert all(sources.held(document, document.edited))
    document = sources.toggled(sources.toggled(document, 16), 8)
    assert sources.used(document, document.edited) == (0, 8, 16) and not document.past, "the path was there already"
    document = sources.toggled(document, 0)
    assert sources.used(document, document.edited) == (8, 16)
    document = sources.toggled(document, 8)
    with pytest.raises(ValueError, match="16 is the last"):
        sources.toggled(document, 16)


def test_the_paths_own_source_comes_first():
    document = predicted_document()
    at_eight = document.predicted.relative_to(8)
    document = doc.with_prediction(document, at_eight)
    document = sources.toggled(sources.toggled(document, 3), 12)
    assert sources.used(document, document.edited) == (8, 3, 12)


def test_a_chosen_frame_stays_under_soft_drags_and_can_be_dragged_itself():
    document = sources.toggled(predicted_document(), 8)
    moved = dragged(document, 11, 0.2)
    assert np.array_equal(moved.edited.Ts_world_camera[8], document.edited.Ts_world_camera[8])
    assert not np.array_equal(moved.edited.Ts_world_camera[9], document.edited.Ts_world_camera[9])
    assert sources.used(moved, moved.edited) == (0, 8)
    away = dragged(document, 8, 0.2)
    assert not sources.held(away, away.edited)[8] and sources.used(away, away.edited) == (0,)
    assert sources.chosen(away) == (0, 8), "the choice outlives the edit, and undo brings it back"
    assert sources.used(away, doc.undo(away).edited) == (0, 8)


@pytest.mark.parametrize("soft", [True, False])
def test_choosing_a_frame_the_path_has_left_puts_it_through(soft):
    document = doc.with_soft_drag(dragged(predicted_document(), 8, 0.3), soft, 3.0)
    chosen = sources.toggled(document, 8)
    assert np.array_equal(chosen.edited.Ts_world_camera[8], document.predicted.Ts_world_camera[8])
    followed = not np.array_equal(chosen.edited.Ts_world_camera[9], document.edited.Ts_world_camera[9])
    assert followed == soft, "neighbours follow as in a drag"
    assert chosen.past[-1].name == "through frame 8" and doc.undo(chosen).edited == document.edited


def test_a_chosen_frame_that_is_held_elsewhere_is_put_through_again_before_it_is_taken_away():
    document = dragged(sources.toggled(predicted_document(), 8), 8, 0.3)
    document = sources.toggled(document, 8)
    assert sources.used(document, document.edited) == (0, 8)
    assert sources.used(sources.toggled(document, 8), document.edited) == (0,)


def test_another_lens_is_another_camera():
    document = predicted_document()
    wide = set_field_of_view(document.edited, 8, float(document.edited.fov_y_rad[8]) * 1.2)
    document = doc.with_path(document, wide, True, "field of view")
    assert [k for k, one in enumerate(sources.held(document, wide)) if not one] == [8]
    document = sources.toggled(document, 8)
    np.testing.assert_allclose(document.edited.intrinsics[8], document.predicted.intrinsics[8])


def test_a_path_held_by_keys_gets_a_key_there():
    document = ToKeys(3).apply(predicted_document("lemniscate"))
    assert not sources.held(document, document.edited)[5], "three keys do not hold an eight"
    document = sources.toggled(document, 5)
    assert document.keys is not None and document.keys.key_at(5) is not None
    assert sources.used(document, document.edited) == (0, 5)
    np.testing.assert_allclose(
        document.edited.Ts_world_camera[5], document.predicted.Ts_world_camera[5], atol=sources.POSE_TOLERANCE
    )


def test_without_a_predicted_path_only_the_source_frame_is_known():
    document = doc.with_preset(doc.with_clip(Document(), CLIP), "arc-left", 1.0, 17)
    assert sources.held(document, document.edited) == (True, *[False] * 16)
    with pytest.raises(ValueError, match="frame 4 is not known on this path; press Predict first"):
        sources.toggled(document, 4)
    with pytest.raises(ValueError, match="0 to 16, got 17"):
        sources.toggled(document, 17)
    with pytest.raises(ValueError, match="no path yet"):
        sources.toggled(Document(), 0)
    imagined = doc.with_prediction(document, preset("arc-left", image_size=CLIP.image_size), follows_clip=False)
    assert sources.held(imagined, imagined.edited) == (True, *[False] * 16)


def test_takes_from_other_frames_are_other_takes():
    path = predicted_document().edited
    stamps = {doc.stamp("clip", path, replace(Settings(), sources=frames)) for frames in ((), (0, 8), (8,))}
    assert len(stamps) == 3


def test_the_filmstrip_says_what_each_frame_is():
    pictures = dict(enumerate(frame_jpegs(CLIP.frames_u8[:3], 20)))
    html = timeline_words.filmstrip(pictures, (0, 2), (True, True, False), 0)
    assert html.count("<img") == 3 and html.count('aria-pressed="true"') == 2
    assert html.index("rap-source-on") < html.index("rap-source-off") < html.index("rap-source-away")
    assert timeline_words.filmstrip({}, (0,), (True,), 0) == ""


def test_of_a_few_photographs_only_their_own_cameras_hold_a_picture():
    few = replace(CLIP, frame_indices=tuple([0] * 5 + [1] * 7 + [2] * 5), is_timed=False)
    document = doc.with_prediction(doc.with_clip(Document(), few), preset("arc-left", image_size=CLIP.image_size))
    assert few.own_frames == (0, 8, 16)
    assert np.flatnonzero(sources.held(document, document.edited)).tolist() == [0, 8, 16]
    assert sources.used(sources.toggled(document, 8), document.edited) == (0, 8)
    with pytest.raises(
        ValueError, match="no picture was taken at frame 6 of this path; the nearest one was at frame 8"
    ):
        sources.toggled(document, 6)
    assert "3 images" in input_words.clip_card(few) and "fps" not in input_words.clip_card(few)
    assert "<img" in stage_words.clip_picture(few) and "<video" in stage_words.clip_picture(CLIP)
