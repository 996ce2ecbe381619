"""deploy/ without Docker, for there is no daemon here: what its files say, and what they would do step by step."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml
from nginx_process import DEPLOY, free_port, needed, rendered

from rap import limits
from rap.cli.model import device_name
from ui.serve import descriptors, ending, startup

sys.path.insert(0, str(DEPLOY.parent / "tests" / "attacks"))
from app_process import running

ROOT = DEPLOY.parent
KNOWN = {
    "FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
    "ENTRYPOINT",
}  # fmt: skip


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, comments left out and lines joined."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line.strip()]  # type: ignore[misc]


def last(name: str) -> str:
    return [value for word, value in instructions() if word == name][-1]


def compose() -> dict:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def app_options() -> list[str]:
    """What the container is started with, its variables filled in."""
    entry = json.loads(last("ENTRYPOINT"))
    assert entry[:4] == ["tini", "--", "rap", "app"]
    given = [re.sub(r"\$\{RAP_HOST.*\}", "rays.example.com", word) for word in compose()["services"]["app"]["command"]]
    return [*entry[4:], *given]


def test_the_dockerfile_has_only_instructions_that_there_are():
    assert {word for word, _ in instructions()} <= KNOWN
    for word in ("VOLUME", "ENTRYPOINT"):
        json.loads(last(word))
    json.loads(last("HEALTHCHECK").partition("CMD ")[2])


def test_what_is_copied_is_there_and_what_need_not_be_is_left_out():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    needed_there = {"rap", "ui", "assets", "pyproject.toml", "README.md", "LICENSE", "deploy"}
    assert not needed_there & set(ignored) and {"tests", ".git", "deploy/certs"} <= set(ignored)


def test_its_commands_are_shell():
    for word, value in instructions():
        if word == "RUN":
            subprocess.run(["sh", "-n", "-c", value], check=True)


def test_it_runs_as_nobody_in_particular():
    user = last("USER")
    assert user == "10001:10001" and "--uid 10001" in dict(instructions())["RUN"]
    order = [word for word, _ in instructions()]
    assert order.index("USER") < order.index("ENTRYPOINT") and "root" not in user


def test_the_options_are_the_apps():
    options = startup.parser("").parse_args(app_options())
    assert (options.host, options.port, options.root_path) == ("0.0.0.0", 7860, "/rays")
    assert options.trusted_proxy == [compose()["services"]["nginx"]["networks"]["inside"]["ipv4_address"]]
    assert options.allowed_host == ["rays.example.com"]


def test_compose_gives_the_limits_that_the_readme_says():
    app, nginx = (compose()["services"][name] for name in ("app", "nginx"))
    for service in (app, nginx):
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["mem_limit"] and service["pids_limit"] and service["security_opt"] == ["no-new-privileges:true"]
    assert app["ulimits"]["nofile"] == descriptors.DESCRIPTORS_WANTED
    assert int(app["stop_grace_period"].removesuffix("s")) > ending.ALARM_S
    assert compose()["networks"]["inside"]["internal"], "the app downloads nothing"
    words = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for flag in ("--read-only", "--memory 12g", "--pids-limit 512", "--ulimit nofile=4096", "--cap-drop ALL"):
        assert flag in words
    assert (app["mem_limit"], app["pids_limit"]) == ("12g", 512)


def test_the_proxys_limits_are_the_apps():
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    sizes = {int(n) << {"m": 20, "g": 30}[unit] for n, unit in re.findall(r"client_max_body_size (\d+)([mg]);", text)}
    assert sizes == {limits.EVENT_BYTES.value, limits.UPLOADED_BYTES.value}
    assert f"client_body_timeout {limits.SILENCE_SECONDS.value}s;" in text


def test_nginx_takes_the_file(tmp_path):
    path = rendered(tmp_path, 7860, free_port(), free_port())
    done = subprocess.run([needed(), "-t", "-p", tmp_path, "-c", path], capture_output=True, text=True)
    assert done.returncode == 0 and "warn" not in done.stderr.replace("could not open error log", ""), done.stderr


def test_the_cpu_is_what_a_container_without_a_gpu_gets():
    assert device_name(None) == "cpu" or os.environ.get("CUDA_VISIBLE_DEVICES") != ""


@pytest.mark.slow  # starts the app in a process of its own
@pytest.mark.timeout(400)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
@pytest.mark.skipif(shutil.which("setpriv") is None or shutil.which("unshare") is None, reason="util-linux is missing")
def test_it_starts_as_another_user_from_a_root_that_cannot_be_written(tmp_path):
    """The container's start without the container: user 10001, nothing to write to but /tmp and the home folder."""
    tmp_path.chmod(0o755)
    home, tmp = tmp_path / "home", tmp_path / "tmp"
    for folder in (home, tmp):
        folder.mkdir()
        os.chown(folder, 10001, 10001)
    outside = tmp_path / "start.sh"
    outside.write_text(
        "set -e\n"
        f"mount --bind {home} {home} && mount --bind {tmp} {tmp} && mount -o remount,bind,ro /\n"
        f"cd {home}\n"
        # may read everything, for this Python and checkout may lie in root's own folders; may write what is its own
        "exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all,+dac_read_search "
        "--inh-caps=-all,+dac_read_search --ambient-caps=+dac_read_search "
        f'env HOME={home} TMPDIR={tmp} RAP_STATE={home}/state HF_HUB_OFFLINE=1 {sys.executable} -B -c "$@"\n',
        encoding="utf-8",
    )
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no rights to make a mount namespace in this container")
    code = (
        "import sys, os\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "assert os.getuid() == 10001 and not os.access('/', os.W_OK)\n"
        "from ui.app import main\n"
        "main()\n"
    )
    with running(tmp_path, command=["unshare", "-m", "sh", str(outside), code]) as app:
        check = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
        probe = [sys.executable, *(word.replace("http://127.0.0.1:7860", app.url) for word in check[1:])]
        subprocess.run(probe, check=True, timeout=60)
        assert app.ended()[0] == 143
        assert shlex.join(probe) and "Read-only file system" not in app.words()


def test_the_health_check_is_cheap():
    """A page of a few bytes, not the one that visitors get."""
    assert "/robots.txt" in last("HEALTHCHECK")
