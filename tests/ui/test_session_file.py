"""Session files: what is saved comes back bit for bit, and what could do harm is refused by name."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from fakes import clip, cloud

from rap.data import write_video
from rap.errors import InputError
from rap.formats import archive
from rap.geometry import preset, replace_pose, scale_motion
from rap.geometry.spread import path_spread
from rap.limits import ARCHIVE_ENTRIES, SESSION_BYTES
from rap.reconstruction.refine import RefinementReport
from rap.reconstruction.tracks import PointCloud
from ui.document import document as doc
from ui.document.document import Document, Settings, Take
from ui.document.path_edits import KeyStyle, ToKeys
from ui.document.verification import verified
from ui.session import session_archive
from ui.session.session_archive import MANIFEST
from ui.session.session_file import open_session, save

REPORT = RefinementReport(
    "refined", "It fits.", "frames", "self-calibrated", 6.5, float("nan"), 900, 120, 1.04, 2.0, ((3, 4), (7, 8)), (2,),
    "good", 1.2, (0.8, 1.1),
)  # fmt: skip


@pytest.fixture
def document(tmp_path) -> Document:
    """A clip, a refined prediction, an edited path, two takes of which the first is verified and shown."""
    document = doc.with_prediction(doc.with_clip(Document(), clip()), preset("arc-left", image_size=(96, 128)))
    assert document.predicted is not None
    document = doc.with_refinement(document, scale_motion(document.predicted, 0.9), REPORT)
    document = KeyStyle(0.4, "ease in-out", False).apply(ToKeys(5).apply(doc.with_preset(document, "spiral", 0.7, 17)))
    document = replace(doc.with_target(document, (0.1, 0.25, 1.5)), sources=(0, 8))
    assert document.clip is not None and document.edited is not None and document.best is not None
    samples = [scale_motion(document.best, amplitude) for amplitude in (0.8, 1.0, 1.3)]
    bent = [replace_pose(path, 9, path.Ts_world_camera[9 + i]) for i, path in enumerate(samples)]
    document = replace(document, spread=path_spread(bent, document.best))
    for number in (1, 2):
        video = tmp_path / f"made-{number}.mp4"
        write_video(video, document.clip.frames_u8, 8.0)
        settings = Settings(seed=number, steps=4, with_geometry=True, sources=(0, 8) if number == 1 else ())
        take = Take(
            number,
            "regenerated",
            video,
            video,
            document.clip.hash,
            document.edited,
            settings,
            1.5,
            b"jpeg",
            f"number {number}",
            number == 2,
        )
        document = doc.with_take(document, take)
    of_model = verified(1, document.edited, scale_motion(document.edited, 0.7))
    measured = replace(verified(1, document.edited, document.edited.scaled(2.0), 0.5), reason="It fits.")
    document = doc.with_verification(document, replace(measured, estimated=of_model))
    return doc.show_take(document, 1)


@pytest.fixture
def saved(document, tmp_path) -> Path:
    path = tmp_path / "work.rap.zip"
    save(path, document, 0.8, cloud())
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "session"
    folder.mkdir()
    return folder


def rewritten(path, change=None, drop=(), add=()):
    """The same archive with its manifest changed, files left out or added: (ZipInfo or name, bytes)."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name not in drop}
    if change is not None:
        manifest = json.loads(files[MANIFEST])
        change(manifest)
        files[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [*files.items(), *add]:
            archive.writestr(name, data)


def test_a_session_comes_back_bit_for_bit(document, saved, folder) -> None:
    opened = open_session(saved, folder)
    found = opened.document
    assert opened.known_fov_y_rad == 0.8
    for column in fields(PointCloud):
        np.testing.assert_array_equal(getattr(opened.cloud, column.name), getattr(cloud(), column.name))
    assert found.clip.hash == document.clip.hash and found.clip.name == document.clip.name
    for name in ("predicted", "refined", "edited"):
        assert getattr(found, name).hash == getattr(document, name).hash
    assert (found.follows_clip, found.prediction_follows_clip) == (False, True)
    assert found.report.outcome == "refined" and np.isnan(found.report.residual_after_px)
    assert found.report.weak_joints == ((3, 4), (7, 8)) and found.report.fov_y_interval_rad == (0.8, 1.1)
    assert [take.stamp for take in found.takes] == [take.stamp for take in document.takes]
    assert [take.video.read_bytes() for take in found.takes] == [take.video.read_bytes() for take in document.takes]
    assert all(folder in take.video.parents for take in found.takes)
    assert found.shown_take == 1 and not found.is_stale(found.take) and found.past == ()
    np.testing.assert_allclose(found.verification.translation, document.verification.translation, atol=1e-12)
    assert found.verification.by_tracks and found.verification.reason == "It fits."
    estimated = found.verification.estimated, document.verification.estimated
    np.testing.assert_allclose(*(one.rotation_deg for one in estimated), atol=1e-9)
    assert found.soft == document.soft and found.target == document.target and found.sources == (0, 8)
    assert found.spread.samples == 3 and found.spread.reach == document.spread.reach
    assert np.array_equal(found.spread.distance, document.spread.distance) and document.spread.distance.max() > 0
    assert np.array_equal(found.spread.rotation_deg, document.spread.rotation_deg)
    assert [take.settings for take in found.takes] == [take.settings for take in document.takes]
    assert found.keys.times == document.keys.times and found.keys.trajectory == document.edited
    assert (found.keys.tension, found.keys.easing) == (0.4, "ease in-out")
    kept = [(take.name, take.starred, take.thumbnail) for take in found.takes]
    assert kept == [("number 1", False, b"jpeg"), ("number 2", True, b"jpeg")]


def test_a_clip_alone_can_be_saved_and_nothing_cannot(tmp_path, folder) -> None:
    save(tmp_path / "clip.zip", doc.with_clip(Document(), clip(1)))
    opened = open_session(tmp_path / "clip.zip", folder)
    found = opened.document
    assert opened.cloud is None
    assert len(found.clip) == 1 and found.edited is None and found.takes == ()
    with pytest.raises(InputError, match="nothing to save"):
        save(tmp_path / "none.zip", Document())
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["clip.zip"], "no unfinished file is left"


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("takes/link.mp4")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


HARM = {
    "leaves the folder": ({"add": [("../evil.npz", b"x")]}, "no name that a session has"),
    "absolute": ({"add": [("/tmp/evil.npz", b"x")]}, "no name that a session has"),
    "drive": ({"add": [("C:/evil.npz", b"x")]}, "no name that a session has"),
    "link": ({"add": [(link(), b"/etc/passwd")]}, "is a link"),
    "stowaway": ({"add": [("takes/more.mp4", b"x")]}, "takes/more.mp4 is not named in manifest.json"),
    "missing": ({"drop": ["takes/take-2.mp4"]}, "takes/take-2.mp4 is missing"),
    "no manifest": ({"drop": [MANIFEST]}, "manifest.json is missing"),
    "foreign": ({"change": lambda m: m.update(kind="holiday")}, "a zip of something else"),
    "newer": ({"change": lambda m: m.update(version=2)}, "version 2"),
    "larger": ({"change": lambda m: m["files"]["clip/frames.npz"].update(bytes=3)}, "larger than the 3 bytes"),
    "changed": ({"change": lambda m: m["files"]["takes/take-1.mp4"].update(sha256="0" * 64)}, "SHA-256 differs"),
    "type": ({"change": lambda m: m["takes"][0].update(number="1")}, "number is '1', expected a whole number"),
    "key": ({"change": lambda m: m.pop("soft_drag")}, "soft_drag"),
    "other keys": ({"change": lambda m: m["keys"].update(tension=0.9)}, "its keys do not hold its edited path"),
    "no keys": ({"change": lambda m: m["keys"].update(times=[0, 1])}, "times must"),
    "strange setting": ({"change": lambda m: m["takes"][0]["settings"].update(evil=1)}, "evil"),
    "unknown take": ({"change": lambda m: m.update(shown_take=9)}, "no take 9"),
    "unverified": ({"change": lambda m: m["verified"][0].update(take=2)}, "take 2 is verified but not there"),
}


@pytest.mark.parametrize("name", HARM)
def test_what_could_do_harm_is_refused(saved, folder, name: str) -> None:
    how, said = HARM[name]
    rewritten(saved, **how)
    with pytest.raises(InputError, match=said) as refused:
        open_session(saved, folder)
    assert "work.rap.zip" in str(refused.value)
    assert list(folder.iterdir()) == [] and not (folder.parent / "evil.npz").exists()


def test_a_bomb_is_not_unpacked(saved, folder, monkeypatch) -> None:
    rewritten(saved, add=[("takes/bomb.mp4", bytes(1 << 20))])
    monkeypatch.setattr(session_archive, "SESSION_BYTES", replace(SESSION_BYTES, value=1 << 19))
    with pytest.raises(InputError, match="unpacks to"):
        session_archive.unpacked(str(saved), str(folder))
    monkeypatch.setattr(archive, "ARCHIVE_ENTRIES", replace(ARCHIVE_ENTRIES, value=3))
    with pytest.raises(InputError, match="at most 3 are taken"):
        session_archive.unpacked(str(saved), str(folder))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 10, 2000])
def test_a_torn_file_is_refused(saved, folder, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(InputError, match="not what it claims to be|is empty"):
        open_session(saved, folder)
    assert list(folder.iterdir()) == []


def test_pickles_are_not_read(document, tmp_path, folder) -> None:
    path = tmp_path / "pickle.zip"
    save(path, replace(document, takes=(), verifications=(), shown_take=None))
    np.savez(tmp_path / "evil.npz", frames_u8=np.array([{"a": 1}], dtype=object))
    data = (tmp_path / "evil.npz").read_bytes()

    told = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    rewritten(
        path,
        lambda m: m["files"].update({"clip/frames.npz": told}),
        drop=["clip/frames.npz"],
        add=[("clip/frames.npz", data)],
    )
    with pytest.raises(InputError, match=r"objects are never unpickled"):
        open_session(path, folder)


def test_a_session_from_before_source_frames_could_be_chosen_opens(saved, folder) -> None:
    def older(manifest):
        del manifest["sources"], manifest["spread"]
        for take in manifest["takes"]:
            del take["settings"]["sources"]

    rewritten(saved, older)
    found = open_session(saved, folder).document
    assert found.spread is None and found.sources == () and {take.settings.sources for take in found.takes} == {()}


def test_a_session_of_before_tracks_were_asked_opens(saved, folder) -> None:
    name = "takes/estimated-1.npz"
    rewritten(saved, lambda m: (m["verified"][0].pop("reason"), m["files"].pop(name)), drop=(name,))
    found = open_session(saved, folder).document.verification
    assert found is not None and not found.by_tracks and found.reason == ""


def test_a_session_from_before_joints_were_judged_opens(saved, folder) -> None:
    rewritten(saved, lambda manifest: _as_of_old(manifest["report"]))
    report = open_session(saved, folder).document.report
    assert report.outcome == "refined" and report.weak_joints == () and report.verdict == "doubtful"


def _as_of_old(report: dict) -> None:
    for name in ("weak_joints", "lost", "verdict", "error_deg", "fov_y_interval_rad"):
        report.pop(name)
    report["verdict"] = report.pop("outcome")


@pytest.mark.parametrize(
    "change",
    [{"weak_joints": 3}, {"weak_joints": [[1]]}, {"weak_joints": [["a", 2]]}, {"fov_y_interval_rad": [1.0]},
     {"fov_y_interval_rad": [1, "a"]}, {"error_deg": -1}, {"verdict": "refined"}],
)  # fmt: skip
def test_reports_of_nothing_that_is_known_are_refused(saved, folder, change) -> None:
    rewritten(saved, lambda manifest: manifest["report"].update(change))
    with pytest.raises(InputError):
        open_session(saved, folder)


@pytest.mark.parametrize("sources", [["0"], [-1], [1.5], 3, [True]])
def test_source_frames_that_are_none_are_refused(saved, folder, sources) -> None:
    rewritten(saved, lambda manifest: manifest.update(sources=sources))
    with pytest.raises(InputError, match="sources is .* expected a list of frame numbers"):
        open_session(saved, folder)


@pytest.mark.parametrize("distance", [[0.1], [-1.0] * 17, [float("nan")] * 17, ["x"] * 17])
def test_a_spread_that_is_none_is_refused(saved, folder, distance) -> None:
    rewritten(saved, lambda manifest: manifest["spread"].update(distance=distance))
    with pytest.raises(InputError, match="work.rap.zip: "):
        open_session(saved, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "column", [{"xyz": np.zeros((3, 2))}, {"colours_u8": np.zeros((200, 3))}, {"point": np.arange(7)}]
)
def test_points_that_are_none_are_refused(document, tmp_path, folder, column) -> None:
    path = tmp_path / "odd.rap.zip"
    save(path, document, cloud=replace(cloud(), **column))
    with pytest.raises(InputError, match=r"odd.rap.zip: points: .* points do not have"):
        open_session(path, folder)
    assert list(folder.iterdir()) == []
