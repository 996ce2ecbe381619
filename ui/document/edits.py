"""Edits of the path as messages: each names itself and knows its own pure change of the document."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ui.document import document as doc
from ui.document.messages import Message

if TYPE_CHECKING:
    from rap.geometry import Trajectory
    from ui.document.document import Document


class PathEdit(ABC):
    """A message that changes the document and nothing else; the session applies it as it comes.

    What cannot be done is a ValueError with its reason, which the person reads beside the viewport.
    """

    @abstractmethod
    def apply(self, document: Document) -> Document:
        """The document after the edit."""


@dataclass(frozen=True, eq=False)
class SetPath(PathEdit):
    """A path made elsewhere (a take's, a file's, a text's) becomes the edited one.

    Args:
        follows_clip: its poses are those of the clip's own frames.
        name: of the edit, in the history.
    """

    trajectory: Trajectory
    follows_clip: bool
    name: str

    def apply(self, document: Document) -> Document:
        """As an edit that can be undone."""
        return doc.with_path(document, self.trajectory, self.follows_clip, self.name)


AnyMessage = Message | PathEdit
"""All that a session takes."""
