"""A session's folder goes with the session, whoever is writing into it at that moment."""

from __future__ import annotations

import pytest

from ui.session.folder import SessionFolder


def test_the_folder_goes_with_its_session():
    folder = SessionFolder()
    with folder.writing() as path:
        (path / "takes").mkdir()
        (path / "takes" / "1.txt").write_text("one")
    assert folder.path.is_dir()
    folder.close()
    folder.close()
    assert not folder.path.exists()
    with pytest.raises(ValueError, match="session has ended"), folder.writing():
        pass
    assert not folder.path.exists()


def test_a_writer_that_outlives_the_session_removes_the_folder():
    folder = SessionFolder()
    with folder.writing() as outer:
        with folder.writing() as path:
            folder.close()
            (path / "late.txt").write_text("late")
        assert outer.is_dir(), "the other one still writes"
    assert not folder.path.exists()


def test_a_writer_that_fails_removes_the_folder_too():
    folder = SessionFolder()
    with pytest.raises(OSError, match="disk full"), folder.writing():
        folder.close()
        raise OSError("disk full")
    assert not folder.path.exists()
