"""What the command line decides for all sessions."""

from __future__ import annotations

from dataclasses import dataclass

from rap.config import NUM_FRAMES
from rap.generators.kinds import Chosen
from rap.geometry.motion import MotionLimits
from ui.document.messages import Regenerate
from ui.document.verification import KnownPaths


@dataclass(frozen=True)
class Options:
    """What the command line decides for all sessions.

    Args:
        known_paths: what the checkpoint's estimates err by on clips of known cameras, where that has been measured.
        motion_limits: how the cameras of its training clips move, where that was written.
        default_steps: of a take, as the checkpoint has it.
        predict_at_once: a film's cameras are found as soon as it has been read.
        asked: what the fields of a take's settings begin with.
        depth_model: name or folder of another model of a picture's depth (`rap.views.depth_model`); "": none was named.
        generator: the model of others that makes takes; None: our own does, and finds cameras.
        prompt: what it is told where the page says nothing.
    """

    num_frames: int = NUM_FRAMES
    known_paths: KnownPaths | None = None
    motion_limits: MotionLimits | None = None
    default_steps: int | None = None
    predict_at_once: bool = False
    depth_model: str = ""
    generator: Chosen | None = None
    prompt: str = ""
    asked: Regenerate = Regenerate()
