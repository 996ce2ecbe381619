"""How a process's file descriptors are shared out among pages and connections."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from rap import limits

RESERVED_DESCRIPTORS = 64  # weights, log, listening socket, files being read and written
PER_SESSION = 3  # descriptors of a viewport's event loop
PER_WEBSOCKET = 3  # the browser's, and both ends of the pair to viser
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
        sessions = max(1, min(limits.PAGES.value, free // 4 // PER_SESSION))
        connections = free - free // 4
        return cls(sessions, connections, min(limits.OPEN_CONNECTIONS.value, connections // 2 + 1))


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
