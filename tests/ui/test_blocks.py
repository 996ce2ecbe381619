"""What an answer does not change is not made anew, and all else goes as Gradio has it."""

from __future__ import annotations

import asyncio
import copy
import gc
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from ui.page.blocks import Blocks

pytestmark = [  # Gradio leaves an event loop to the collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def loop():
    """Gradio takes the thread's, or makes one that it never closes."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.close()
    asyncio.set_event_loop_policy(None)  # as if there had been none
    gc.collect()  # what Gradio left, here, where it is no fault


def ended(answer):
    """Its result, by a thread whose event loop is closed in the end: the test's own is Gradio's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, answer).result()


def page(kind: type[gr.Blocks], count: int):
    with kind(analytics_enabled=False) as demo:
        boxes = [gr.Textbox(f"begin {i}", interactive=True) for i in range(count)]
        gr.Button().click(lambda: None, None, boxes)
    return demo, next(iter(demo.fns.values()))


def answered(kind: type[gr.Blocks], given: list, count: int = 3):
    """What the browser is told, and how many boxes were made for it."""
    demo, fn = page(kind, count)
    state, made, begin = SessionState(demo), [], gr.Textbox.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            gr.Textbox, "__init__", lambda self, *given, **options: made.append(begin(self, *given, **options))
        )
        told = ended(demo.postprocess_data(fn, given[0] if count == 1 else given, state))
    return told, len(made)


def test_a_new_visitor_costs_no_description_of_the_page(monkeypatch):
    demo, _ = page(Blocks, 3)
    described, theirs = [], gr.Textbox.get_config
    monkeypatch.setattr(gr.Textbox, "get_config", lambda box: described.append(box) or theirs(box))
    state = SessionState(demo)
    key = next(key for key, block in state.blocks_config.blocks.items() if isinstance(block, gr.Textbox))
    state[key] = gr.Textbox("another")
    assert not described and state[key].value == "another"
    assert len(demo.get_config_file()["components"]) == len(demo.blocks) and described


@pytest.mark.parametrize(
    "given",
    [
        [gr.skip(), "other", gr.skip()],
        ["a", gr.skip(), gr.update(value="b", interactive=False)],
        ["a", "b", "c"],
        [gr.skip()] * 3,
    ],
    ids=["one", "a value and an update", "all", "none"],
)
def test_the_browser_is_told_what_gradio_would_tell_it(given):
    ours, made = answered(Blocks, copy.deepcopy(given))  # Gradio takes updates apart
    theirs, made_by_gradio = answered(gr.Blocks, given)
    assert ours == theirs
    skipped = sum(value == gr.skip() for value in given)
    assert made_by_gradio - made == skipped, "Gradio makes what is skipped, too"


def test_a_single_output_is_gradios_own():
    assert answered(Blocks, ["x"], 1) == answered(gr.Blocks, ["x"], 1)


def test_an_update_is_kept_for_the_next_answer():
    demo, fn = page(Blocks, 3)
    state = SessionState(demo)
    ended(demo.postprocess_data(fn, [gr.update(interactive=False), gr.skip(), gr.skip()], state))
    assert state[fn.outputs[0]._id].interactive is False and state[fn.outputs[1]._id].interactive is True
