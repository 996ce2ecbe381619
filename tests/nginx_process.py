"""deploy/nginx.conf as a running nginx: its own words, but for places, ports and certificate."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SCRATCH = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # folders that nginx makes at its start


def needed() -> str:
    """The program; without it the test is skipped, or fails where everything must be there."""
    if NGINX is None:
        missing = "no nginx; apt-get install nginx-light"
        if os.environ.get("RAP_REQUIRE_BROWSER"):
            pytest.fail(missing)
        pytest.skip(missing)
    return NGINX


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certificate(folder: Path) -> tuple[Path, Path]:
    """A new one for localhost, signed by itself: chain and key."""
    chain, key = folder / "fullchain.pem", folder / "privkey.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", chain,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return chain, key


def rendered(folder: Path, app_port: int, tls_port: int, plain_port: int) -> Path:
    """The configuration with this machine's places; every replaced text must be there."""
    chain, key = certificate(folder)
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    scratch = "".join(f"    {name}_temp_path {folder / name};\n" for name in SCRATCH)
    for old, new in (
        ("http://app:7860/", f"http://127.0.0.1:{app_port}/"),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{tls_port} ssl http2;"),
        ("listen 80;", f"listen 127.0.0.1:{plain_port};"),
        ("/etc/nginx/certs/fullchain.pem", str(chain)),
        ("/etc/nginx/certs/privkey.pem", str(key)),
        ("/run/nginx.pid", str(folder / "nginx.pid")),
        ("http {\n", f"http {{\n{scratch}"),
    ):
        assert old in text, f"nginx.conf has no {old!r} any more"
        text = text.replace(old, new)
    path = folder / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    return path


@contextmanager
def in_front(folder: Path, app_port: int, tls_port: int) -> Iterator[str]:
    """nginx before the app on this port: the app's public address, under its sub-path."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    conf, log = rendered(folder, app_port, tls_port, free_port()), folder / "nginx.log"
    with log.open("wb") as words:
        process = subprocess.Popen(
            [needed(), "-p", folder, "-c", conf, "-g", f"daemon off; user {'root' if os.geteuid() == 0 else ''};"]
            if os.geteuid() == 0
            else [needed(), "-p", folder, "-c", conf, "-g", "daemon off;"],
            stdout=words,
            stderr=words,
        )
    try:
        end = time.monotonic() + 30
        while not _listens(tls_port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield f"https://localhost:{tls_port}/rays/"
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
