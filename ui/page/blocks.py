"""Gradio's page, with answers that cost what they change."""

from __future__ import annotations

import copy
from typing import Any

import gradio as gr
from gradio.blocks import BlocksConfig

SKIPPED = gr.skip()


class Blocks(gr.Blocks):
    """Gradio makes a component anew, and its description, for every output of an answer, also for one that is skipped:
    of the hundred of this page next to all, in a tenth of a second in which nothing else of the app goes on. As long
    again it describes all components for every visitor who is new, for links to a page as it stands: there are none.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        config = _PageConfig(self)
        vars(config).update(vars(self.default_config))
        self.default_config = config

    async def postprocess_data(self, block_fn: Any, predictions: list[Any] | dict[Any, Any], state: Any) -> list[Any]:
        """As Gradio has it, for outputs that are not skipped."""
        count = len(block_fn.outputs)
        if count < 2 or isinstance(predictions, dict) or len(predictions) != count:
            return await super().postprocess_data(block_fn, predictions, state)
        changed = [i for i, value in enumerate(predictions) if not _is_skipped(value)]
        answer: list[Any] = [dict(SKIPPED) for _ in predictions]
        if not changed:
            return answer
        some = copy.copy(block_fn)
        some.outputs = [block_fn.outputs[i] for i in changed]
        values = [predictions[i] for i in changed]
        found = await super().postprocess_data(some, values[0] if len(values) == 1 else values, state)
        for i, value in zip(changed, found, strict=True):
            answer[i] = value
        return answer


class _PageConfig(BlocksConfig):
    """Its copies are the visitors', and describe nothing."""

    def __copy__(self) -> BlocksConfig:
        copied = super().__copy__()
        if not copied.renderables:  # whose components would be described by the copy alone
            vars(copied)["config_for_block"] = _nothing
        return copied


def _nothing(*_: Any) -> dict[str, Any]:
    return {}


def _is_skipped(value: Any) -> bool:
    return isinstance(value, dict) and value == SKIPPED
