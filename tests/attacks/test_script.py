"""Scripts in names, notes and sentences: whatever a file says, the page shows it as the text it is.

What a browser makes of it is tested in `tests/browser/test_hostile_words.py`; here every part of the page is drawn.
"""

from __future__ import annotations

import gc
import sys
from concurrent.futures import Future
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))
from editing import App
from hostile_words import HOSTILE, hostile_document

from rap.data import write_video
from rap.errors import InputError
from ui.document import messages as msg
from ui.document.document import Edit, Settings
from ui.document.importing import Import
from ui.document.state import JobStatus, Notice
from ui.page import keep_panel, layout
from ui.page.html import ATTRIBUTES, FAMILY, TAGS
from ui.page.parts import Events

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PLAIN_TEXT = (gr.Button, gr.DownloadButton, gr.Dropdown, gr.Textbox, gr.Video)
"""What Gradio shows as text, whatever it holds."""


class Read(HTMLParser):
    """Elements and text, as a browser sees them."""

    def __init__(self, markup):
        super().__init__(convert_charrefs=True)
        self.elements, self.text = [], []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page():
    """All parts of the page, around one session."""
    app = App()
    sessions: Future[Any] = Future()
    sessions.set_result(app.sessions)
    pages = []

    class Kept(layout.Page):
        def __init__(self, events, parts):
            super().__init__(events, parts)
            pages.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "Page", Kept)
        layout.build(sessions)
    (page,) = pages
    yield SimpleNamespace(parts=page.parts, session=app.sessions.open())
    app.close()
    gc.collect()


def states(state, folder):
    """The same hostile document at all that can be at work and be said."""
    document: Any = hostile_document(folder, enumerations=HOSTILE)
    path = document.edited
    found = Import(HOSTILE, HOSTILE, HOSTILE, path, (HOSTILE,))
    state = replace(
        state,
        document=replace(document, past=(Edit(path, False, HOSTILE),)),
        importing=found,
        imported=path,
        compared=(1, 2),
    )
    for place in ("input", "path", "result", "keep", "compare", "spread"):
        yield replace(state, notice=Notice(place, f"{HOSTILE} ", is_error=place == "input"))
    for kind in ("predict", "regenerate"):
        yield replace(state, job=JobStatus(1, kind, Settings(), phase="queued", place=1, waiting_for=HOSTILE))


def test_no_part_of_the_page_makes_markup_of_what_a_file_says(page, tmp_path):
    shown, texts = set(), set()
    for state in states(page.session.state, tmp_path):
        page.session._state = state
        for part in page.parts:
            drawn, name = part.drawn(*part.values(page.session)), part.component.elem_id
            if not isinstance(part.component, gr.HTML):
                if "onerror" in f"{drawn}{getattr(drawn, 'value', '')}{getattr(drawn, 'choices', '')}":
                    assert isinstance(part.component, PLAIN_TEXT), name
                    texts.add(name)
                continue
            read = Read(drawn)
            assert {element for element, _ in read.elements} <= {tag.lower() for tag in TAGS}, name
            attributes = {attribute for _, found in read.elements for attribute in found}
            strange = {one for one in attributes if one not in {a.lower() for a in ATTRIBUTES}}
            assert all(FAMILY.fullmatch(attribute) for attribute in strange), name
            assert "window.fired" not in "".join(read.text).replace(HOSTILE, ""), f"{name}: shown, but not as it was"
            if any(HOSTILE in text for text in read.text):
                shown.add(name)
    assert shown >= {
        "rap-clip", "rap-verdict", "rap-caption", "rap-takes", "rap-wipe", "rap-followed", "rap-import-report",
        "rap-progress", "rap-input-progress", "rap-input-notice", "rap-path-notice", "rap-result-notice",
        "rap-keep-notice", "rap-compare-notice", "rap-spread-notice",
    }  # fmt: skip
    assert {"rap-undo", "rap-compare-a"} <= texts, "and where Gradio shows text it is as it was"


def test_a_component_of_html_shows_a_plain_string_as_text(page):
    """Whoever forgets the builder makes an ugly page, and no hole."""
    (part,) = [part for part in page.parts if part.component.elem_id == "rap-clip"]
    forgetful = replace(part, draw=lambda: f"<b>{HOSTILE}</b>")
    assert Read(forgetful.drawn()).elements == []


def test_sentences_that_gradio_pops_up_as_html_are_escaped(page):
    """`gr.Error` is shown by `innerHTML`; its words may be those of a file."""
    told: list[Any] = []
    refused = lambda name: (_ for _ in ()).throw(InputError(f"format {name}"))  # noqa: E731
    session = SimpleNamespace(export=refused, dispatch=told.append)
    with pytest.raises(gr.Error) as caught:
        keep_panel.export(session, HOSTILE)  # type: ignore[arg-type]
    assert Read(str(caught.value.message)).elements == [] and HOSTILE in told[0].text
    events = Events(Future(), gr.State(""))
    events.sessions.set_result(SimpleNamespace(get=lambda _: (_ for _ in ()).throw(ValueError(HOSTILE))))  # type: ignore
    with pytest.raises(gr.Error) as caught:
        events.session(HOSTILE)
    assert Read(caught.value.message).elements == []


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>.txt", "a\"onmouseover='x'.mp4", "${1+1}{{7*7}}.png"])
def test_names_of_files_that_are_refused_are_said_as_they_are(page, tmp_path, name):
    (tmp_path / name).write_text("no film")
    page.session.dispatch(msg.Upload((str(tmp_path / name),)))
    (part,) = [part for part in page.parts if part.component.elem_id == "rap-input-notice"]
    read = Read(part.drawn(*part.values(page.session)))
    assert [element for element, _ in read.elements] == ["div"] and name in "".join(read.text)


def test_a_film_with_a_hostile_name_is_a_clip_with_that_name(page, tmp_path):
    from fakes import moving_frames

    film = tmp_path / '"><img src=x onerror=alert(1)>.mp4'
    write_video(film, moving_frames(8), 8.0)
    page.session.dispatch(msg.Upload((str(film),)))
    assert page.session.state.document.clip.name == film.stem
    card, stage = (part for part in page.parts if part.component.elem_id in ("rap-clip", "rap-stage-clip"))
    read = Read(card.drawn(*card.values(page.session)))
    assert {element for element, _ in read.elements} == {"div", "b", "details", "summary"} and film.stem in read.text
    assert all("onerror" not in attributes for _, attributes in read.elements)
    ((element, attributes),) = Read(stage.drawn(*stage.values(page.session))).elements
    assert element == "video" and attributes["aria-label"] == film.stem and "onerror" not in attributes
