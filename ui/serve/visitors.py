"""Who asks, and whether the name and the page they come by are the app's own.

A page of another site can make its visitor's browser post to an app on this machine, and a name that an attacker owns
can be made to mean this machine (DNS rebinding): the first shows in Origin, the second in Host, and neither can be
forged by a page.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
IPV6_PREFIX = 64  # bits that a home or a server is given: whoever has one has all addresses below it


def visitor(scope: Mapping[str, Any]) -> str:
    """The address behind a connection, of IPv6 the network; uvicorn puts what a known proxy says in its place."""
    host = (scope.get("client") or ("unknown", 0))[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))


@dataclass(frozen=True)
class Names:
    """The names under which the app is reached, beside its addresses and those of this machine.

    Args:
        hosts: such as "app.example.com", or "*.example.com" for whatever ends like this.
    """

    hosts: tuple[str, ...] = ()

    def knows(self, host: str) -> bool:
        """Whether a Host header names this app. An address does: rebinding needs a name."""
        parsed = host_and_port(f"//{host}")
        if parsed is None:
            return False
        name = parsed[0].rstrip(".")
        if name == "localhost" or name in (own := socket.gethostname().lower(), f"{own}.local") or _is_address(name):
            return True
        return any(_matches(name, pattern.lower()) for pattern in self.hosts)

    def is_own(self, origin: str, host: str) -> bool:
        """Whether an Origin header names a page of this app, asked under the Host header `host`.

        A name that was given in full counts as well: a proxy may put its own in the place of Host. A pattern does not,
        for what else it fits may belong to others.
        """
        page = host_and_port(origin)
        if page is None:
            return False
        return page == host_and_port(f"{origin.partition('://')[0]}://{host}") or page[0] in self.hosts


def host_and_port(url: str) -> tuple[str, int] | None:
    """Of an address; None for one without a host, such as "null", the origin of sandboxed frames and local files."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port that is no number, brackets that do not match
        return None
    if not parts.hostname:
        return None
    return parts.hostname, port or DEFAULT_PORTS.get(parts.scheme, 0)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))
