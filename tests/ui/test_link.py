"""Links: what is written is read again, whatever else is refused, and the path waits for its own clip."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import asdict, replace

import pytest
from editing import App
from fakes import clip, wait_until
from hypothesis import given
from hypothesis import strategies as st

from rap.errors import InputError
from rap.geometry import preset
from rap.limits import PATH_CHARACTERS
from ui.document import document as doc
from ui.document import messages as msg
from ui.document.document import Document
from ui.document.link import link_text, read_link
from ui.document.path_text import path_text
from ui.page.move_words import last_move
from ui.session.options import Options

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # viser leaves its listening socket to the collector

CLIP = clip()
PATH = preset("arc-left", image_size=CLIP.image_size, amplitude=0.7)
ASKED = msg.Regenerate(steps=4, seed=11, side=320, frames=24, fps=12.0)
DOCUMENT = doc.with_path(doc.with_clip(Document(), CLIP), PATH, False, "preset arc-left")
HELD = {"clip": CLIP.hash, "name": "made", "move": "arc-left", "take": asdict(ASKED), "path": path_text(PATH)}


def packed(held):
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(held).encode())).decode()


def test_what_is_written_is_read_again():
    words = link_text(DOCUMENT, "arc-left", ASKED)
    assert set(words) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") and len(words) < 4000
    found = read_link(words)
    assert found.path == PATH and found.asked == ASKED and (found.move, found.clip_hash) == ("arc-left", CLIP.hash)
    with pytest.raises(InputError, match="no path to make a link of yet"):
        link_text(Document(), "", ASKED)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"move": "loop-the-loop"}, "move is .*loop-the-loop"),
        ({"take": asdict(replace(ASKED, steps=10**6))}, "steps is 1000000"),
        ({"take": asdict(ASKED) | {"seed": True}}, "seed is"),
        ({"take": []}, "cut off or was changed"),
        ({"name": "x" * 300}, "name has 300 characters"),
        ({"path": "{}"}, "cut off or was changed"),
        ({"path": path_text(PATH).replace('"source": 0', '"source": 99')}, "cut off or was changed"),
    ],
)
def test_what_no_page_would_write_is_refused(change, sentence):
    with pytest.raises(InputError, match=sentence):
        read_link(packed(HELD | change))


def test_a_link_that_unpacks_to_too_much_is_not_unpacked():
    bomb = base64.urlsafe_b64encode(zlib.compress(b" " * (4 * PATH_CHARACTERS.value), 9)).decode()
    assert len(bomb) < 50_000
    with pytest.raises(InputError, match="at most 2,000,000"):
        read_link(bomb)


@given(st.text(max_size=60))
def test_noise_is_refused(words):
    with pytest.raises(InputError, match="the link in the address"):
        read_link(words)


@pytest.fixture
def session():
    app = App(options=Options())
    yield app.sessions.open()
    app.close()


def test_a_links_path_waits_for_its_clip(session):
    session.dispatch(msg.OpenLink("no link"))
    assert session.state.notice.is_error and session.state.linked is None
    session.dispatch(msg.OpenLink(link_text(DOCUMENT, "arc-left", ASKED)))
    assert "17 cameras. Give made and" in session.state.notice.text and session.state.asked == ASKED
    session.dispatch(msg.ClipRead(clip(9)))
    assert "not the clip of the link" in session.state.notice.text and session.state.document.edited is None
    session.dispatch(msg.ClipRead(CLIP))
    document = session.state.document
    assert document.edited == PATH and session.state.linked is None and "is there" in session.state.notice.text
    session.dispatch(msg.Undo())
    assert session.state.document.edited is not None, "there is nothing before it on this clip"


def test_a_links_path_comes_after_the_films_own():
    app = App(options=Options(predict_at_once=True))
    session = app.sessions.open()
    session.dispatch(msg.OpenLink(link_text(DOCUMENT, "arc-left", ASKED)))
    session.dispatch(msg.ClipRead(CLIP))
    wait_until(lambda: session.state.linked is None)
    document = session.state.document
    assert document.refined is not None and document.edited == PATH and last_move(document) == "arc-left"
    session.dispatch(msg.Undo())
    assert session.state.document.edited == document.refined
    app.close()
