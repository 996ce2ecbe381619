"""What the panels of the page are made of: parts that show a session, and events that send it messages.

A panel is a frozen dataclass of components with two methods: `parts()`, what it shows, and `wire(events)`, what it
says. It never sets another widget: a listener dispatches a message, and what comes of it is drawn from the state.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import gradio as gr
from gradio.components import Component
from gradio.data_classes import FileData
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from rap.writing import room_for
from ui.document import messages as msg
from ui.page.common_words import ButtonLook
from ui.page.html import Html, markup

if TYPE_CHECKING:
    from rap.geometry import Trajectory
    from ui.document.edits import AnyMessage
    from ui.document.messages import PlotName
    from ui.session.session import Session
    from ui.session.sessions import Sessions

FIRST_ANSWER_S = 120.0  # how long a page waits for torch to be imported before it says that something is wrong

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Options of every listener; private: the public interface has its own, named functions."""

DOWNLOAD = "() => setTimeout(() => document.querySelector('#%s')?.click(), 100)"
"""A browser downloads only what is clicked: a file is written, given to a hidden link, and that is clicked."""

TO_CLIPBOARD = "(text) => { navigator.clipboard?.writeText(text).catch(() => {}); }"

FIELD_NAMES = {
    "rap-amount": "Amplify, in %,",
    "rap-strength": "Smooth",
    "rap-unrest": "Shake ×",
    "rap-factor": "Scale ×",
}
"""Of number fields whose label is only the unit, as the buttons beside them say it."""

Value = TypeVar("Value")

LARGEST = 1e15  # of a number in any field: what floating point still tells apart from the next whole one

Seen = dict[str, tuple[Any, ...]]
"""What a page shows at present: for each part the values it was drawn from."""


@dataclass(frozen=True)
class Part:
    """A component that shows something of the session.

    Args:
        values: what it depends on; the part is sent again when one of these is another.
        draw: the component's update, from these values; a component of HTML shows what is no markup as text.
    """

    component: Component
    values: Callable[[Session], tuple[Any, ...]]
    draw: Callable[..., Any]

    def drawn(self, *values: Any) -> Any:
        """What is sent to the page."""
        update = self.draw(*values)
        return markup(update) if isinstance(self.component, gr.HTML) else update


def plot_values(name: PlotName, session: Session) -> tuple[Any, ...]:
    """What a plot of the path depends on; nothing while it is not on show: the library that draws it takes seconds."""
    state = session.state
    if name not in state.plots:
        return ()
    return state.document.edited, state.document.comparison, state.document.selected, state.is_dark


def button_part(component: gr.Button, look: Callable[[Session], ButtonLook]) -> Part:
    """A button whose words say what it waits for."""
    return Part(component, lambda s: (look(s),), lambda look: gr.Button(look.label, interactive=look.enabled))


def maybe_button(look: ButtonLook | None) -> Any:
    """A button that is only there with a look."""
    return gr.Button(visible=False) if look is None else gr.Button(look.label, interactive=look.enabled, visible=True)


def html_box(value: Html | None = None, **options: Any) -> gr.HTML:
    """A component of HTML; there are no others."""
    return gr.HTML(value and markup(value), padding=False, **options)


def refusal(sentence: str) -> gr.Error:
    """What the page says, until it is clicked away, where there is no session to say it; Gradio shows that as HTML."""
    return gr.Error(markup(sentence), None, print_exception=False)


def told(session: Session, place: str, sentence: str) -> gr.Error:
    """Have the session say in a panel why something cannot be done. To be raised: what would follow does not."""
    session.dispatch(msg.Refused(place, sentence))
    return gr.Error(markup(sentence), visible=False, print_exception=False)


def _path_of(_: gr.File | gr.UploadButton, file: FileData) -> str:
    return file.path


# Gradio's own leave an empty file behind for each upload that an event names, and refuse what a button's file dialog
# does not offer in words that pass by: the session reads the file and says, to stay, what is wrong. Of the classes,
# since a field that a page has been told to change is made anew for it
gr.File._process_single_file = gr.UploadButton._process_single_file = _path_of


def small_slider(label: str, low: float, high: float, value: float, **options: Any) -> gr.Slider:
    """A slider on one line."""
    return gr.Slider(low, high, value, label=label, buttons=[], elem_classes="rap-slider", **options)


class Panel(Protocol):
    """What the page is made of."""

    def parts(self) -> Sequence[Part]: ...

    def wire(self, events: Events) -> None: ...


@dataclass(frozen=True)
class Events:
    """Binds the page's events to a session.

    Args:
        sessions: may be resolved after the page is served.
        session_id: the page's own, empty before it is loaded.
    """

    sessions: Future[Sessions]
    session_id: gr.State

    def session(self, session_id: str) -> Session:
        """Raises gr.Error, which the page shows, for a session that has ended or not begun."""
        if not session_id:
            raise refusal("The page is still starting; try again in a moment.")
        try:
            return self.sessions.result(timeout=FIRST_ANSWER_S).get(session_id)
        except ValueError as error:  # SessionGone
            raise refusal(str(error)) from error

    def on(
        self,
        event: Callable[..., Any],
        listener: Callable[..., Any],
        inputs: Sequence[Component] = (),
        outputs: Any = None,
        is_typing: bool = False,
        **options: Any,
    ) -> Any:
        """Call `listener(session, *values of the inputs)` at an event, as `gradio.events` name it.

        For a number outside the limits of its field it is not called, and the reason stands at the field; `is_typing`:
        that is not said yet, for the number may not be all of it.
        """
        if any(isinstance(component, (gr.Number, gr.Slider)) for component in inputs):
            # Gradio would refuse such a number without its field's name, and print a traceback
            check = _call_once_typed if is_typing else _call_within_limits
            listener, options = partial(check, listener, tuple(inputs)), {**options, "preprocess": False}
        return event(partial(self._call, listener), [self.session_id, *inputs], outputs, **{**QUIET, **options})

    def on_pick(
        self,
        event: Callable[..., Any],
        listener: Callable[..., None],
        inputs: Sequence[Component] = (),
        **options: Any,
    ) -> Any:
        """Call `listener(session, data, *values of the inputs)` at an event of an HTML component, with what its
        `trigger` was given."""
        told = {**QUIET, **({"preprocess": False} if inputs else {}), **options}  # numbers are checked as by `on`
        return event(_Picked(self, listener, inputs), [self.session_id, *inputs], None, **told)

    def send(self, event: Callable[..., Any], message: AnyMessage, **options: Any) -> Any:
        """Dispatch a message that needs no value of the page."""
        return self.on(event, partial(_dispatch, message), **options)

    def switch(self, event: Callable[..., Any], message: Callable[[Any], AnyMessage], component: Component) -> Any:
        """Dispatch a message whose only field is a component's value."""
        return self.on(event, partial(_dispatch_value, message), [component])

    def _call(self, listener: Callable[..., Any], session_id: str, *values: Any) -> Any:
        return listener(self.session(session_id), *values)


def written(session: Session, place: str, make: Callable[..., Path], *values: Any) -> str:
    """The file that `make(*values)` writes, in the folder that Gradio serves: its own copy would fail without a word.

    Raises gr.Error for what cannot be written, so that nothing is downloaded; why is said in the panel `place`.
    """
    try:
        path = make(*values)
        with room_for(path):
            return save_file_to_cache(path, get_upload_folder())
    except ValueError as error:
        raise told(session, place, str(error)) from error


def lost_words(format_name: str, path: Trajectory | None) -> str:
    """What a file of this format has no place for, as a sentence; empty where that is nothing.

    Args:
        format_name: a key of `rap.formats.FORMATS`.
    """
    from rap.formats import FORMATS

    chosen = FORMATS[format_name]
    lost = () if path is None else chosen.lost(path)
    return f"Exported, but {chosen.title} has no place for: {', '.join(lost)}." if lost else ""


class _Picked:
    """A listener that Gradio hands an event's data: it looks for the annotation, which a `partial` does not have."""

    def __init__(self, events: Events, listener: Callable[..., None], inputs: Sequence[Component] = ()) -> None:
        self._events, self._listener, self._inputs = events, listener, tuple(inputs)
        self.__name__ = getattr(listener, "__name__", "picked")

    def __call__(self, session_id: str, data: gr.EventData, *values: Any) -> None:
        session = self._events.session(session_id)
        if _are_taken(self._inputs, session, values):
            self._listener(session, data._data, *values)


def picked(data: Any, name: str, kind: type[Value]) -> Value:
    """A value of an event's data; raises gr.Error for one that no page of ours sends."""
    value = data.get(name) if isinstance(data, dict) else None
    if type(value) is not kind:
        raise refusal(f"{name} must be of type {kind.__name__}, got {reprlib.repr(value)}; reload the page.")
    return value


def out_of_limits(component: Component, value: Any) -> str | None:
    """What is wrong with the number in a field, in words; None where nothing is."""
    if not isinstance(component, (gr.Number, gr.Slider)) or value is None:
        return None
    name = FIELD_NAMES.get(component.elem_id or "", component.label)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
        return f"{name} must be a number, got {reprlib.repr(value)}; nothing was done. Type another."
    if getattr(component, "precision", None) == 0 and value != int(value):
        return f"{name} must be a whole number, got {value:g}; nothing was done. Type another number."
    low, high = component.minimum, component.maximum
    if (low is None or value >= low) and (high is None or value <= high):
        return None
    limits = f"at least {low:g}" if high is None else f"at most {high:g}" if low is None else f"{low:g} to {high:g}"
    return f"{name} must be {limits}, got {value:g}; nothing was done. Type another number."


def _call_within_limits(
    listener: Callable[..., Any], inputs: Sequence[Component], session: Session, *values: Any
) -> Any:
    return listener(session, *values) if _are_taken(inputs, session, values) else None


def _call_once_typed(listener: Callable[..., Any], inputs: Sequence[Component], session: Session, *values: Any) -> Any:
    if any(out_of_limits(component, value) for component, value in zip(inputs, values, strict=True)):
        return None
    return listener(session, *values)


def _are_taken(inputs: Sequence[Component], session: Session, values: Sequence[Any]) -> bool:
    """Whether all numbers are within the limits of their fields; the session is told of those that are not."""
    found = {
        (component.elem_id or "").removeprefix("rap-"): out_of_limits(component, value)
        for component, value in zip(inputs, values, strict=True)
        if isinstance(component, (gr.Number, gr.Slider))
    }
    wrong = tuple((field, words) for field, words in found.items() if words)
    if wrong or any(one.field in found for one in session.state.wrong):
        session.dispatch(msg.CheckFields(tuple(found), wrong))
    return not wrong


def _dispatch(message: AnyMessage, session: Session) -> None:
    session.dispatch(message)


def _dispatch_value(message: Callable[[Any], AnyMessage], session: Session, value: Any) -> None:
    session.dispatch(message(value))
