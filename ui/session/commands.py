"""What the viewport's command palette offers (Ctrl K), and the message that each entry sends."""

from __future__ import annotations

from ui.document import messages as msg
from ui.document.edits import AnyMessage
from ui.document.path_edits import Backwards, CloseLoop, LookAt, Mirror, Retime, ToDense, ToKeys

COMMANDS: dict[str, AnyMessage] = {
    "Undo": msg.Undo(),
    "Redo": msg.Redo(),
    "Reset to predicted": msg.ResetToPredicted(),
    "Reset to refined": msg.ResetToRefined(),
    "Gizmo: move only": msg.SetGizmo("move"),
    "Gizmo: turn only": msg.SetGizmo("turn"),
    "Pick a point": msg.SetPicking(True),
    "Look at point": LookAt(),
    "Mirror path": Mirror(),
    "Reverse path": Backwards(),
    "Close loop": CloseLoop(),
    "Constant speed": Retime("constant speed"),
    "Hold by 5 keys": ToKeys(5),
    "Back to dense": ToDense(),
    "Predict path": msg.Predict(),
    "Regenerate": msg.Regenerate(),
    "Verify take": msg.Verify(),
    "Cancel": msg.Cancel(),
}
