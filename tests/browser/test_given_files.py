"""What a newcomer does with files in a real browser: a second one, a bad one, an example; and numbers out of range.

Answers of model and geometry are made up; what is tested is what the page says and holds.
"""

from __future__ import annotations

import asyncio

import pytest
from fakes import moving_frames, wait_until
from PIL import Image

from rap.data import write_video
from ui.serve.gate import Gate

CLEAR = "#rap-files button[aria-label='Clear']"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two videos, a file that is none, one that is empty, and three pictures."""
    folder = tmp_path_factory.mktemp("files")
    write_video(folder / "first.mp4", moving_frames(20), 8.0)
    write_video(folder / "second.mp4", moving_frames(33), 8.0)
    (folder / "notes.mp4").write_text("this is not a video")
    (folder / "empty.mp4").touch()
    for i, frame in enumerate(moving_frames(3)):
        Image.fromarray(frame).save(folder / f"view_{i}.png")
    return folder


@pytest.fixture
def closes_late(running, monkeypatch):
    """Gradio's word that its stream of answers has ended comes a second after it was sent: what is asked meanwhile
    overtakes it, as on a busy machine. How often."""
    let_in, held = Gate._let_in, []

    async def late(gate, kind, who, scope, receive, send):
        async def send_late(message):
            if b'"close_stream"' in message.get("body", b""):
                held.append(scope["path"])
                await asyncio.sleep(1.0)
            await send(message)

        await let_in(gate, kind, who, scope, receive, send_late)

    monkeypatch.setattr(Gate, "_let_in", late)
    return held


def add(editor, *paths):
    """Through the icon of a box that holds something already."""
    editor.page.wait_for_selector(CLEAR)
    editor.page.set_input_files("#rap-files input[type=file]", [str(path) for path in paths])


def clip_is(editor, name):
    editor.page.wait_for_selector(f"#rap-clip:has-text('{name}')")


def box_holds(editor, *names):
    """The box lists these files and no others; of none it asks for some."""
    editor.page.wait_for_function(
        "names => JSON.stringify([...document.querySelectorAll('#rap-files td.filename')]"
        ".map(cell => cell.getAttribute('aria-label'))) === JSON.stringify(names)",
        arg=list(names),
    )


def error_is(editor, words):
    editor.page.wait_for_selector(f"#rap-input-notice .rap-error:has-text('{words}')")


def no_error(editor):
    editor.page.wait_for_function("!document.querySelector('#rap-input-notice .rap-error')")


def test_what_is_given_takes_the_place_of_what_was(editor, files, shot):
    page = editor.page
    editor.give(files / "first.mp4")
    clip_is(editor, "first")
    add(editor, files / "second.mp4")
    clip_is(editor, "second")
    box_holds(editor, "second.mp4")
    no_error(editor)

    add(editor, files / "notes.mp4")
    error_is(editor, "notes.mp4")
    box_holds(editor)
    clip_is(editor, "second")
    shot("1-refused")
    for bad, words in (("empty.mp4", "empty.mp4: the file is empty"), ("notes.mp4", "notes.mp4")):
        editor.give(files / bad)
        error_is(editor, words)
        box_holds(editor)
    editor.give(files / "first.mp4")
    clip_is(editor, "first")
    box_holds(editor, "first.mp4")
    no_error(editor)

    add(editor, files / "view_0.png", files / "second.mp4")
    error_is(editor, "one video, or several images")
    assert "view_0.png" in editor.text("rap-input-notice") and "second.mp4" in editor.text("rap-input-notice")
    box_holds(editor)

    before = editor.document.clip  # of the same name: the page tells no difference, and a path of it would go with it
    editor.give(files / "first.mp4")
    wait_until(lambda: editor.document.clip is not before)
    box_holds(editor, "first.mp4")
    clip_is(editor, "first")
    editor.press("rap-apply")
    wait_until(lambda: editor.document.edited is not None and not editor.session.state.busy)
    page.wait_for_selector("#rap-path-line:has-text('17 cameras')")
    path = editor.document.edited
    page.click("#rap-examples [title='arc around a table']")
    clip_is(editor, "arc_around_a_table")
    box_holds(editor)
    page.wait_for_selector("#rap-input-notice:has-text('Undo brings back first: 17 cameras, 0 takes.')")
    page.wait_for_selector("#rap-undo:has-text('Undo: back to first (1)')")
    shot("2-another-clip")
    editor.press("rap-undo")
    clip_is(editor, "first")
    assert editor.document.edited is path
    page.wait_for_selector("#rap-redo:has-text('Redo: on to arc_around_a_table (1)')")
    editor.give(files / "notes.mp4")
    error_is(editor, "notes.mp4")
    assert "brings back" not in editor.text("rap-input-notice")


def test_pictures_join_pictures_and_can_be_taken_out(editor, files):
    page = editor.page
    page.set_input_files("#rap-files input[type=file]", [str(files / "view_0.png"), str(files / "view_1.png")])
    box_holds(editor, "view_0.png", "view_1.png")
    wait_until(lambda: editor.document.clip is not None)
    add(editor, files / "view_2.png")
    wait_until(lambda: "view_2.png" in editor.document.clip.frame_names)
    box_holds(editor, "view_0.png", "view_1.png", "view_2.png")
    page.click("#rap-files button[aria-label='Remove this file'] >> nth=1")
    box_holds(editor, "view_0.png", "view_2.png")
    wait_until(lambda: len(editor.session.state.box.files) == 2)
    add(editor, files / "notes.mp4")
    error_is(editor, "notes.mp4")
    editor.give(files / "first.mp4")
    clip_is(editor, "first")
    page.click(CLEAR)
    box_holds(editor)
    wait_until(lambda: not editor.session.state.box.files)
    clip_is(editor, "first")


def test_a_number_out_of_range_is_refused_by_name_and_leaves_no_traceback(editor, files, capfd):
    page = editor.page
    editor.give(files / "first.mp4")
    clip_is(editor, "first")
    page.fill("#rap-fov input", "400")
    page.press("#rap-fov input", "Enter")
    page.wait_for_selector("#rap-fov .rap-wrong:has-text('must lie between 1 and 170 degrees, got 400')")
    assert page.input_value("#rap-fov input") == "400" and page.get_attribute("#rap-fov input", "aria-invalid")
    page.fill("#rap-fov input", "40")
    page.wait_for_selector(".rap-wrong", state="detached")
    page.press("#rap-fov input", "Enter")
    wait_until(lambda: editor.session.known_fov_y_deg == pytest.approx(40))

    editor.press("rap-apply")
    page.fill("#rap-guidance input", "50")
    page.click("#rap-take-settings > button")
    page.wait_for_function(  # closed, or opened again by what is wrong in it
        "(field) => !field.offsetParent || field.querySelector('.rap-wrong')", arg=page.query_selector("#rap-guidance")
    )
    editor.press("rap-regenerate")
    page.wait_for_selector("#rap-guidance .rap-wrong:has-text('Guidance must be 0 to 20, got 50')")
    page.click("#rap-frames input")
    assert page.is_visible("#rap-guidance .rap-wrong") and page.locator(".toast-body").count() == 0
    assert editor.session.state.job is None and "Traceback" not in capfd.readouterr().err


def test_gradios_own_words_are_words(editor, files):
    editor.give(files / "first.mp4")
    clip_is(editor, "first")
    assert editor.page.get_attribute(f"{CLEAR} >> xpath=.. >> button >> nth=0", "title") == "Upload"
    keys = editor.page.evaluate(
        "[...document.querySelectorAll('body :not(script)')].filter(node => node.title?.startsWith('common.') "
        "|| (!node.children.length && node.textContent.includes('common.'))).map(node => node.outerHTML)"
    )
    assert keys == []


def test_a_page_that_asks_while_its_stream_ends_is_answered(closes_late, editor, files):
    editor.give(files / "first.mp4")
    clip_is(editor, "first")
    editor.press("rap-apply")
    editor.page.wait_for_selector("#rap-path-line:has-text('17 cameras')")
    assert closes_late
