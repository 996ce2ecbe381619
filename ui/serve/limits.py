"""How much of the server one visitor, and all of them together, may hold.

A visitor is an address (`ui.serve.visitors`), so that a lecture hall behind one of them must fit into the share of one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

UPLOAD_BYTES_PER_VISITOR = 2 << 30  # four files of the largest size; they go again after an hour
UPLOAD_BYTES = 16 << 30
UPLOAD_FILES_PER_VISITOR = 2_000  # a folder of frames, some times
UPLOAD_DISK_SHARE = 0.5  # of what is free when an upload begins; the rest is for takes and for everybody else
EVENT_BYTES = 8 << 20  # the body of an event: a path of two thousand cameras as text has two of them
SMALL_BYTES = 16 << 10  # of whatever else is posted
SILENCE_S = 30.0  # between two pieces of a body
EVENT_S = 60.0  # for all of an event's body
SLOWEST_BYTES_PER_S = 2_000  # of an upload, when it has had `SILENCE_S`
JSON_DEPTH = 64  # of an event's body; ours have a dozen levels
CALLS_PER_VISITOR = 24
CALLS = 256
NEW_LINES_BURST, NEW_LINES_PER_S = (
    120,
    1.0,
)  # event streams that a visitor opens: Gradio keeps 2,000 and drops the oldest
HASH_CHARACTERS = 64  # of the name a page gives its event stream; Gradio's have eleven

RESERVED_DESCRIPTORS = 64  # weights, log, listening socket, files being read and written
PER_SESSION = 3  # descriptors of a viewport's event loop
PER_WEBSOCKET = 3  # the browser's, and both ends of the pair to viser
SESSIONS = 200  # a session with a clip takes some 20 MB
OPEN_PER_VISITOR = 240
DESCRIPTORS_WANTED = 4_096
DESCRIPTORS_ELSEWHERE = 512  # where the system does not say (Windows)


@dataclass(frozen=True)
class Room:
    """What the process's descriptors allow.

    Args:
        sessions: pages with a session of their own.
        open: descriptors for requests under way, of all visitors.
        open_per_visitor: of these, for one visitor.
    """

    sessions: int
    open: int
    open_per_visitor: int

    @classmethod
    def of(cls, descriptors: int) -> Room:
        """A quarter of the descriptors is for viewports, the rest for connections."""
        free = max(descriptors - RESERVED_DESCRIPTORS, 16)
        sessions = max(1, min(SESSIONS, free // 4 // PER_SESSION))
        connections = free - free // 4
        return cls(sessions, connections, min(OPEN_PER_VISITOR, connections // 2 + 1))


def descriptors(wanted: int = DESCRIPTORS_WANTED) -> int:
    """How many descriptors the process may have, after asking the system for as many as are `wanted`."""
    if sys.platform == "win32":
        return DESCRIPTORS_ELSEWHERE
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return wanted if soft == resource.RLIM_INFINITY else soft
