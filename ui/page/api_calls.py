"""A program's call while it is answered: a session of its own that ends with it, and no thread held while it waits.

What takes a moment of the processor (reading, drawing, writing) goes to a few threads; for the model a call waits on
the event loop, until its session says that nothing is at work any more, or whoever asked has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import gradio as gr
from anyio import to_thread
from gradio.context import LocalContext

from ui.page.parts import FIRST_ANSWER_S
from ui.serve.visitors import visitor

if TYPE_CHECKING:
    from ui.session.session import Session
    from ui.session.sessions import Sessions

Answer = TypeVar("Answer")

THREADS = 4  # for what all calls read, draw and write at a time
TOLD: ContextVar[list[str] | None] = ContextVar("told", default=None)  # of a call that Gradio does not know of
LOOK_S = 0.5  # how often a call that waits looks whether its client is still there


class Calls:
    """Makes calls, and has the threads that they share.

    Args:
        sessions: may be resolved after the page is served.
    """

    def __init__(self, sessions: Future[Sessions]) -> None:
        self._sessions = sessions

    @cached_property
    def _threads(self) -> anyio.CapacityLimiter:
        return anyio.CapacityLimiter(THREADS)  # belongs to the event loop, which is not there when the page is built

    async def do(self, work: Callable[..., Answer], *values: Any) -> Answer:
        """`work(*values)` in a thread; ValueError is what a client reads.

        Raises:
            gr.Error: with the sentence of a refusal.
        """
        try:
            return await to_thread.run_sync(partial(work, *values), limiter=self._threads)
        except gr.Error:  # a ValueError, too, whose text is the sentence in quotes
            raise
        except ValueError as error:
            raise refusal(str(error)) from error

    @asynccontextmanager
    async def call(self) -> AsyncIterator[Call]:
        """A session for one call; it is closed however the call ends, also while it is being opened."""
        await self.started()
        opening = asyncio.ensure_future(self.do(self._sessions.result().without_page, who_asks()))
        try:
            yield Call(await asyncio.shield(opening), self)
        finally:
            with anyio.CancelScope(shield=True):
                session = await opening
                await to_thread.run_sync(session.close)  # not behind what others read

    async def started(self) -> None:
        """Wait until the app can open sessions."""
        ready = asyncio.wrap_future(self._sessions)  # shielded: a call that is cancelled must not cancel them
        await asyncio.wait_for(asyncio.shield(ready), FIRST_ANSWER_S)


class Call:
    """One call.

    Args:
        session: its own.
        calls: whose threads it uses.
    """

    def __init__(self, session: Session, calls: Calls) -> None:
        self.session, self._calls = session, calls

    async def do(self, work: Callable[..., Answer], *values: Any) -> Answer:
        """As `Calls.do`."""
        return await self._calls.do(work, *values)

    async def tell(self, *messages: Any) -> None:
        """Dispatch them; raises gr.Error with the session's sentence where it refuses one."""
        await self.do(dispatch, self.session, *messages)

    async def finish(self, message: Any) -> None:
        """Dispatch what starts a job, and wait until all that comes of it is done.

        Raises:
            gr.Error: the job was refused or has failed, or nobody waits for the answer any more.
        """
        await self.tell(message)
        idle = asyncio.Event()
        self.session.when_idle(partial(_set, asyncio.get_running_loop(), idle))
        while not idle.is_set():
            if not is_wanted():
                raise refusal("The connection was closed; the job has been stopped.")
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(idle.wait(), LOOK_S)
        refuse_if_told(self.session)


def who_asks() -> str:
    """Whose call is at hand; nobody's outside of one."""
    request = LocalContext.request.get(None)
    return "" if request is None else visitor(request.request.scope)


def is_wanted() -> bool:
    """Whether the client of the call at hand is still there; Gradio marks the event of one that has gone."""
    blocks, number = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if blocks is None or number is None:
        return True
    return all(event.alive for jobs in blocks._queue.active_jobs for event in jobs or () if event._id == number)


def dispatch(session: Session, *messages: Any) -> None:
    """Raises gr.Error with the session's sentence where it refuses one."""
    for message in messages:
        session.dispatch(message)
        refuse_if_told(session)


def refuse_if_told(session: Session) -> None:
    """Raises gr.Error with what the session says is wrong."""
    notice = session.state.notice
    if notice is not None and notice.is_error:
        raise refusal(notice.text)
    if session.state.wrong:
        raise refusal(session.state.wrong[0].text)


def tell(sentence: str) -> None:
    """For the log of the call, or for `TOLD` where there is none; nothing where there is nothing to say."""
    told = TOLD.get()
    if sentence and told is not None:
        told.append(sentence)
    elif sentence:
        gr.Info(sentence)


def refusal(sentence: str) -> gr.Error:
    """What a program reads of something that cannot be done; no page shows it."""
    return gr.Error(sentence, print_exception=False)


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the app ends, and its event loop has ended before
        loop.call_soon_threadsafe(event.set)
