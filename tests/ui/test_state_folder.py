"""What is kept of pages, for how long, and how much of it; and that keeping it holds nobody up."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import replace

import pytest
from editing import App, finish, give, made, moved, predicted
from fakes import wait_until

from rap import limits
from rap.errors import InputError
from ui.document import messages as msg
from ui.serve.in_use import LOCK
from ui.session import kept_session, state_folder
from ui.session.session_archive import MANIFEST, PARTS
from ui.session.state_folder import APP_PREFIX, KEPT, StateFolder, key

DAY = limits.KEPT_SECONDS.value


@pytest.fixture
def root(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def app(root, monkeypatch):
    monkeypatch.setattr(kept_session, "REST_S", 0.05)
    app = App(StateFolder(root))
    yield app
    app.close()


def worked(app, video, takes=1):
    """A session with work that has been written."""
    session = app.sessions.open()
    session.dispatch(msg.SetRefine(False))
    predicted(session, video)
    session.dispatch(msg.SetUseGeometry(False))  # by the model, so that each seed gives another
    made(session, takes)
    return session


def left(app, session):
    """Close its tab, and wait for a preview that is being written."""
    app.sessions.free(session.id)
    wait_until(lambda: not session.folder.exists())


def kept(root):
    return {path.name: path for path in (root / KEPT).iterdir()}


def at_rest(session):
    """Wait until the manifest does not change any more, and give its bytes."""
    before = b""
    while (now := (session.folder / MANIFEST).read_bytes()) != before:
        before = now
        time.sleep(0.3)
    return now


# --- a session and its tab --------------------------------------------------------------------------------------------


def test_everything_that_is_kept_is_found_again(app, video):
    session = worked(app, video, 2)
    session.dispatch(msg.RenameTake(1, "the good one"))
    session.dispatch(msg.StarTake(2, True))
    session.dispatch(msg.DragEnd(5, moved(session, 5)))
    session.dispatch(msg.SetFieldOfView(50.0))
    before = session.state
    app.sessions.free(session.id)
    again = app.sessions.open(session.id)
    after = again.state
    assert again.id == session.id and again is not session and session.closed
    assert after.document.edited == before.document.edited and after.document.clip.hash == before.document.clip.hash
    rows = [[(t.number, t.name, t.starred, t.stamp, t.thumbnail) for t in s.document.takes] for s in (before, after)]
    assert rows[0] == rows[1] and rows[1][0][1] == "the good one"
    assert after.geometry.known_fov_y_rad == pytest.approx(before.geometry.known_fov_y_rad)
    lacking = (
        "Of the film it keeps these 17 frames, up to 128 px: give the film again for larger takes, or to find its path"
    )
    kept = f"Your session of before is open: 17 cameras, 2 takes. {lacking} in all of its frames."
    assert after.notice.text == kept
    again.dispatch(msg.Regenerate(steps=1, seed=8))
    assert [take.number for take in finish(again).document.takes] == [1, 2, 3]


def test_a_closed_tab_leaves_its_manifest_and_what_that_names(app, root, video):
    session = worked(app, video)
    session.export("nerfstudio")
    left(app, session)
    folder = kept(root)[key(session.id)]
    assert {entry.name for entry in folder.iterdir()} == {MANIFEST, PARTS}
    assert not session.folder.exists() and session.state.document.clip is None
    assert [path.stat().st_mode & 0o777 for path in (root, root / KEPT, folder, folder / PARTS)] == [0o700] * 4


def test_a_page_without_work_and_a_program_leave_nothing(app, root, video):
    left(app, app.sessions.open())
    program = app.sessions.without_page()
    give(program, video)
    assert program.folder.parent.name.startswith(APP_PREFIX), "where the next app finds it, if this one is killed"
    program.close()
    assert kept(root) == {} and not program.folder.exists() and not list(root.rglob(MANIFEST))


def test_two_tabs_that_ask_for_one_session_get_it(app, video):
    session_id = worked(app, video).id
    app.sessions.free(session_id)
    found = []
    threads = [threading.Thread(target=lambda: found.append(app.sessions.open(session_id))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6 and len(set(map(id, found))) == 1 and found[0].state.document.take is not None


def test_a_page_that_comes_back_while_its_session_ends_waits_for_it(app, video, monkeypatch):
    session = worked(app, video)
    begun, go_on = threading.Event(), threading.Event()
    close = kept_session.KeptSession.close

    def slow_close(self):
        begun.set()
        assert go_on.wait(20)
        close(self)

    monkeypatch.setattr(kept_session.KeptSession, "close", slow_close)
    ending = threading.Thread(target=app.sessions.free, args=(session.id,))
    ending.start()
    assert begun.wait(20)
    found = []
    coming = threading.Thread(target=lambda: found.append(app.sessions.open(session.id)))
    coming.start()
    assert app.sessions.open() is not session, "others do not wait"
    go_on.set()
    for thread in (ending, coming):
        thread.join(60)
    assert found[0].id == session.id and found[0].state.document.take is not None


def test_a_session_is_found_though_a_worker_was_still_writing_when_it_ended(app, root, video):
    session = worked(app, video)
    with session._folder.writing():
        app.sessions.free(session.id)
        assert kept(root) == {}
        found = []
        coming = threading.Thread(target=lambda: found.append(app.sessions.open(session.id)))
        coming.start()
    coming.join(60)
    assert found[0].id == session.id and found[0].state.document.take is not None


# --- writing ----------------------------------------------------------------------------------------------------------


def test_writing_never_holds_up_who_works(app, video, monkeypatch):
    session = worked(app, video)
    at_rest(session)
    begun, go_on = threading.Event(), threading.Event()
    write = kept_session.write_text

    def slow_write(*args):
        begun.set()
        assert go_on.wait(20)
        write(*args)

    monkeypatch.setattr(kept_session, "write_text", slow_write)
    session.dispatch(msg.DragEnd(5, moved(session, 5)))
    assert begun.wait(20), "it is written at rest, by itself"
    until = time.monotonic() + 5
    for step in range(50):
        session.dispatch(msg.DragEnd(5, moved(session, 5, 0.01)))
        session.dispatch(msg.SetPlayhead(step % 17, False))
    assert time.monotonic() < until and not go_on.is_set()
    newest = session.state.document.edited
    go_on.set()
    app.sessions.free(session.id)
    assert app.sessions.open(session.id).state.document.edited == newest, "the last write wins"


def test_a_clip_is_written_once_however_often_its_path_is(app, video):
    session = worked(app, video)
    session.dispatch(msg.DragEnd(5, moved(session, 5)))
    before = at_rest(session)
    times = {part.name: part.stat().st_mtime_ns for part in (session.folder / PARTS).iterdir()}
    session.dispatch(msg.DragEnd(5, moved(session, 5)))
    assert at_rest(session) != before
    now = {part.name: part.stat().st_mtime_ns for part in (session.folder / PARTS).iterdir()}
    assert len(now) == len(times), "the path of before has gone"
    assert len(now.items() & times.items()) == len(times) - 1, "and nothing but the path was written"


def test_a_take_is_announced_when_it_can_be_found_again(app, video, monkeypatch):
    """At every word the session says of a take, another app could open it."""
    session = worked(app, video, 0)
    seen = []
    publish = app.hub.publish

    def heard(sid, event):
        for take in session.state.document.takes:
            seen.append(f'"number": {take.number}' in (session.folder / MANIFEST).read_text())
        publish(sid, event)

    monkeypatch.setattr(app.hub, "publish", heard)
    made(session, 3)
    assert len(seen) >= 3 and all(seen)


def test_a_deleted_take_is_gone_from_the_disk(app, video):
    session = worked(app, video, 2)
    video_bytes = session.state.document.takes[0].video.read_bytes()
    for _ in range(2):
        session.dispatch(msg.DeleteTake(1))
    at_rest(session)
    assert video_bytes not in [path.read_bytes() for path in session.folder.rglob("*") if path.is_file()]


# --- how long, how much -----------------------------------------------------------------------------------------------


def test_orphans_of_apps_that_were_killed_are_taken_over_and_go_after_a_day(root, video):
    app = App(StateFolder(root))
    old, young = worked(app, video), worked(app, video)
    for session in (old, young):
        at_rest(session)
        session._kept._rest.close()
    program = app.sessions.without_page()
    left = old.folder.parent
    os.close(app.sessions._state._locks.pop())  # what the kernel does when a process is killed
    os.utime(old.folder, (time.time(), time.time() - DAY - 60))
    os.utime(young.folder, (time.time(), time.time() - DAY + 600))
    second = StateFolder(root)
    assert not left.exists() and not program.folder.exists() and set(kept(root)) == {key(young.id)}
    os.utime(kept(root)[key(young.id)], (0, time.time() - DAY - 1))
    second.sweep()
    assert kept(root) == {}
    second.close()
    assert [path.name for path in root.iterdir()] == [KEPT]
    app.sessions._state = None  # killed: it does nothing any more
    app.close()


def test_apps_that_start_together_share_what_a_killed_one_has_left(root):
    left = root / f"{APP_PREFIX}killed"
    for number in range(40):
        session = left / key(f"{number:043d}")
        (session / PARTS).mkdir(parents=True)
        (session / MANIFEST).write_text(str(number))
    (left / LOCK).touch()
    states = []
    threads = [threading.Thread(target=lambda: states.append(StateFolder(root))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(states) == 4 and not left.exists()
    found = {(folder / MANIFEST).read_text() for folder in kept(root).values()}
    assert found == {str(number) for number in range(40)}
    won = [[state.claim(f"{number:043d}") for state in states[:1]] for number in range(40)]
    assert all(folder is not None for (folder,) in won) and kept(root) == {}
    for state in states:
        state.close()
    assert len(kept(root)) == 40


def test_what_another_app_has_just_taken_over_is_gone_and_no_error(root, monkeypatch):
    gone = root / f"{APP_PREFIX}killed"
    monkeypatch.setattr(state_folder, "left_folders", lambda *_: [gone])
    state = StateFolder(root)
    state.sweep()
    assert kept(root) == {} and not gone.exists()
    state.close()


def test_a_clock_that_was_set_back_keeps_nothing_for_ever(app, root, video):
    left(app, worked(app, video))
    (folder,) = kept(root).values()
    os.utime(folder, (0, time.time() + 400 * DAY))
    app.sessions._state.sweep()
    assert folder.stat().st_mtime <= time.time()


def test_a_cache_that_is_cleared_under_a_running_app(app, root, video):
    session = worked(app, video)
    at_rest(session)
    shutil.rmtree(root)
    session.dispatch(msg.Regenerate(steps=1, seed=5))
    notice = finish(session).notice
    assert notice is not None
    app.sessions.free(session.id)
    fresh = app.sessions.open(session.id)
    give(fresh, video)
    assert fresh.state.document.clip is not None


def test_the_day_of_an_open_page_begins_when_its_app_is_killed(app, video):
    session = worked(app, video)
    at_rest(session)
    os.utime(session.folder, (0, 0))
    app.sessions._state.sweep()
    assert time.time() - session.folder.stat().st_mtime < 60


def test_a_page_that_has_its_share_is_refused_and_old_exports_go_first(app, video, monkeypatch):
    session = worked(app, video, 2)
    at_rest(session)
    held = state_folder._bytes(session.folder)
    export = session.export("nerfstudio")
    size = export.stat().st_size
    monkeypatch.setattr(state_folder, "KEPT_BYTES", replace(limits.KEPT_BYTES, value=held + size // 2))
    with pytest.raises(InputError, match=r"this page's takes and exports have [\d,]+ bytes, at most .*; delete takes"):
        session.export("tum")
    session.dispatch(msg.Regenerate(steps=1, seed=77))
    state = finish(session)
    assert len(state.document.takes) == 2 and "this page's takes and exports have" in state.notice.text
    os.utime(export, (0, time.time() - limits.EXPORT_SECONDS.value - 1))
    assert session.export("tum").is_file() and not export.exists(), "the page offers it no more"
    assert all(take.video.is_file() and take.cameras.is_file() for take in session.state.document.takes)


def test_takes_that_the_page_has_no_more_go_before_anything_is_refused(app, video, monkeypatch):
    session = worked(app, video)
    at_rest(session)
    loose = session.folder / "takes" / "take-9-lost.mp4"
    loose.write_bytes(bytes(100_000))
    monkeypatch.setattr(
        state_folder, "KEPT_BYTES", replace(limits.KEPT_BYTES, value=state_folder._bytes(session.folder) - 1)
    )
    with pytest.raises(InputError, match="this page's takes"):
        session.export("tum")
    hour = time.time() - limits.EXPORT_SECONDS.value - 1
    for file in session.folder.rglob("*"):
        os.utime(file, (hour, hour))
    os.utime(loose, (0, hour - 60))
    assert session.export("tum").is_file() and not loose.exists() and session.state.document.take.video.is_file()


def test_closed_pages_go_oldest_first_when_all_have_too_much_then_it_is_said(app, root, video, monkeypatch):
    pages = [worked(app, video) for _ in range(3)]
    closed = [page.id for page in pages]
    for age, page in zip((300, 900, 600), pages, strict=True):
        left(app, page)
        os.utime(kept(root)[key(page.id)], (0, time.time() - age))
    one = state_folder._bytes(kept(root)[key(closed[0])])
    session = worked(app, video)
    at_rest(session)
    mine = state_folder._bytes(session.folder)
    monkeypatch.setattr(state_folder, "KEPT_BYTES_IN_ALL", replace(limits.KEPT_BYTES_IN_ALL, value=mine + 2 * one + 99))
    session.export("tum")
    assert set(kept(root)) == {key(closed[0]), key(closed[2])}, "the one that was closed first is gone"
    monkeypatch.setattr(state_folder, "KEPT_BYTES_IN_ALL", replace(limits.KEPT_BYTES_IN_ALL, value=mine // 2))
    with pytest.raises(InputError, match="no room for more takes and exports; delete takes, or try again"):
        session.export("tum")
    assert kept(root) == {}


def test_a_disk_that_runs_full_loses_closed_pages_and_not_open_ones(app, root, video, monkeypatch):
    left(app, worked(app, video))
    session = worked(app, video)
    assert len(kept(root)) == 1
    monkeypatch.setattr(StateFolder, "_spare", lambda self: 0)
    assert session.export("tum").is_file() and kept(root) == {}


# --- where ------------------------------------------------------------------------------------------------------------


def test_the_folder_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert state_folder.default_root() == tmp_path / "cache" / "rays-as-pixels"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder.default_root() == tmp_path / ".cache" / "rays-as-pixels"


@pytest.mark.parametrize("home", ["", "/", "/dev/null", "/proc/nowhere"])
def test_without_a_home_what_is_kept_ends_with_the_app_and_that_is_said(monkeypatch, tmp_path, capsys, home):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    state = state_folder.opened(None)
    words = capsys.readouterr().err
    assert words.count("\n") == 1 and "what pages work on ends with the app; name a folder with --state DIR" in words
    assert state.root.parent == tmp_path and state.root.stat().st_mode & 0o777 == 0o700
    for descriptor in (state._locks.pop(), state._locks.pop()):
        os.close(descriptor)  # killed
    again = state_folder.opened(None)
    assert not state.root.exists() and again.root.is_dir()
    again.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_named_must_do(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"--state .*file: cannot be written \(File exists\); name another folder"):
        state_folder.opened(str(tmp_path / "file"))
