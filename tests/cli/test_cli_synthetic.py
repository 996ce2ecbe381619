"""`rap synthetic`: shards that training reads, a contact sheet, the app's example clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rap import cli, formats
from rap.cli import synthetic
from rap.config import ASSETS, SIZE_BUCKETS
from rap.data import load_clip
from rap.data.dataset import ClipStore, read_shard
from rap.geometry import Trajectory, intrinsics_from_fov, se3
from rap.synthetic import SyntheticConfig, render_clips
from rap.synthetic.examples import CONFIG, EXAMPLES, plan_example
from rap.train.monocular_data import read_clips

SMALL = ("--frames", "5", "--texture-size", "16")


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert cli.main(["synthetic", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_build_makes_what_training_reads(capsys, tmp_path: Path) -> None:
    sizes = ("--size", "32x64", "--size", "32x32")
    result = run_json(capsys, "build", "--out", tmp_path, "--count", 5, "--seed", 3, *sizes, *SMALL)
    assert result["clips"] == {"32x64": 3, "32x32": 2}
    assert len(ClipStore(tmp_path)) == 5
    (file,) = tmp_path.glob("32x64/*.npz")
    clips = read_shard(file)
    config = SyntheticConfig(size=(32, 64), num_frames=5, texture_size=16, supersample_share=0.1)
    whole = render_clips(synthetic.clip_seed(3, (32, 64)), 3, config)
    for name in ("frames_u8", "Ts_world_camera", "intrinsics", "median_depth"):
        assert np.array_equal(getattr(clips, name), getattr(whole, name).numpy()), name
    before = file.stat().st_mtime_ns
    again = run_json(capsys, "build", "--out", tmp_path, "--count", 6, "--seed", 3, *sizes, *SMALL)
    assert again["clips"] == {"32x64": 3, "32x32": 3} and file.stat().st_mtime_ns == before
    assert len(ClipStore(tmp_path)) == 6


def test_seeds_share_no_scene_across_sizes_and_splits() -> None:
    names = [*range(200), *synthetic.FIXED_SPLITS]
    seeds = [synthetic.clip_seed(name, size) for name in names for size in SIZE_BUCKETS]
    assert len(set(seeds)) == len(seeds)


def test_fixed_splits_are_the_same_clips_whatever_the_seed(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(synthetic, "SIZE_BUCKETS", ((32, 32), (32, 64)))
    monkeypatch.setattr(synthetic, "BUCKET_SHARES", {(32, 32): 1, (32, 64): 2})
    monkeypatch.setattr(synthetic, "FIXED_CLIPS", 3)
    for name, seed in (("a", 0), ("b", 7)):
        result = run_json(
            capsys, "build", "--split", "val", "--seed", seed, "--out", tmp_path / name, "--depth", *SMALL
        )
        assert result["clips"] == {"32x32": 1, "32x64": 2} and result["seed"] == "val"
    a, b = (read_shard(next((tmp_path / name).glob("32x64/*.npz"))) for name in "ab")
    assert np.array_equal(a.frames_u8, b.frames_u8) and a.depth is not None and a.depth.min() > 0
    run_json(capsys, "build", "--split", "test", "--out", tmp_path / "c", *SMALL)
    other = read_shard(next((tmp_path / "c").glob("32x64/*.npz")))
    assert not np.array_equal(a.frames_u8, other.frames_u8) and other.depth is None


def test_shards_of_another_renderer_are_refused(capsys, tmp_path: Path, monkeypatch) -> None:
    build = ["synthetic", "build", "--out", str(tmp_path), "--count", "1", "--size", "32x32", *SMALL]
    assert cli.main(build) == 0
    monkeypatch.setattr("rap.synthetic.dataset.RENDERER_VERSION", 99)
    assert cli.main(build) == 2
    assert "was made with renderer" in capsys.readouterr().err


def test_statistics_of_motions(capsys, tmp_path: Path) -> None:
    """A turn of 2 degrees a frame and a step of 0.1 are found in a folder, beside what the clips of a seed do."""
    turned = se3.exp(np.arange(33)[:, None] * [0, 0, 0, 0, np.radians(1.0), 0])
    turned[:, 0, 3] = 0.05 * np.arange(33)
    path = Trajectory(turned, np.tile(intrinsics_from_fov(np.radians(50), (96, 128)), (33, 1)), (96, 128))
    formats.write(tmp_path / "transforms.json", path, [f"{i:02d}.png" for i in range(33)])
    for i in range(33):
        Image.new("RGB", (128, 96), (i, 0, 0)).save(tmp_path / f"{i:02d}.png")
    motions = run_json(capsys, "stats", "--count", 4, "--clips", tmp_path)["motions"]
    real, made = motions[str(tmp_path)], motions["synthetic"]
    assert real["clips"] == 1 and made["clips"] == 4
    np.testing.assert_allclose(real["rotation_deg"], 32, atol=0.01)
    np.testing.assert_allclose(real["rotation_per_frame_deg"], 2, atol=0.01)
    np.testing.assert_allclose(real["translation_per_frame"], 0.1, atol=0.01)
    np.testing.assert_allclose(real["fov_y_deg"], 50, atol=0.01)
    for row in (real, made):
        assert all(a <= b <= c for a, b, c in (row[key] for key in row if key != "clips"))


@pytest.mark.parametrize("count", [1, 7, 33, 1000])
def test_clips_are_dealt_out_by_share(count: int) -> None:
    assert set(synthetic.BUCKET_SHARES) == set(SIZE_BUCKETS)
    dealt = synthetic.deal_out(count, synthetic.BUCKET_SHARES)
    assert sum(dealt.values()) == count
    total = sum(synthetic.BUCKET_SHARES.values())
    assert all(abs(n - count * synthetic.BUCKET_SHARES[size] / total) < 1 for size, n in dealt.items())


def test_preview(capsys, tmp_path: Path) -> None:
    result = run_json(capsys, "preview", "--out", tmp_path / "a" / "b.png", "--count", 3, "--size", "32x64", *SMALL)
    assert len(result["kinds"]) == 3 and all("/" in kind for kind in result["kinds"])
    with Image.open(tmp_path / "a" / "b.png") as sheet:
        assert sheet.size == (2 * (5 * 64 + 6) + 6, 2 * (32 + 6) + 6)
        assert np.asarray(sheet)[: 32 + 6, : 5 * 64].std() > 10


def test_stills_are_pictures_of_their_own_that_teach_depth(capsys, tmp_path: Path) -> None:
    small = ("--stills", "--size", "32x64", "--texture-size", 16, "--seed", 3)
    run_json(capsys, "build", "--out", tmp_path / "stills", "--count", 3, "--depth", *small)
    (file,) = tmp_path.glob("stills/32x64/*.npz")
    config = SyntheticConfig(size=(32, 64), num_frames=1, stills=True, texture_size=16, supersample_share=0.1)
    whole = render_clips(synthetic.clip_seed(3, (32, 64)), 3, config)
    assert np.array_equal(np.load(file)["frames_u8"], whole.frames_u8.numpy())
    assert len(read_clips(tmp_path / "stills")) == 3
    result = run_json(capsys, "preview", "--out", tmp_path / "sheet.png", "--count", 2, *small)
    assert result["kinds"] == list(whole.kinds[:2])
    result = run_json(capsys, "preview", "--out", tmp_path / "sheet.png", "--count", 2, "--family", "corridor", *small)
    assert result["kinds"] == 2 * ["corridor/photograph"]


def test_photographs_are_flown_through_instead_of_scenes(capsys, tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((64, 64)).save(tmp_path / "photographs" / "a.png")
    given = ("--photographs", tmp_path / "photographs", "--size", "32x32", "--frames", 5)
    run_json(capsys, "build", "--out", tmp_path / "clips", "--count", 2, "--depth", *given)
    (clips,) = ClipStore(tmp_path / "clips").all_clips()
    assert clips.frames_u8.shape == (2, 5, 32, 32, 3) and clips.depth is not None and (clips.depth > 0).all()
    index = json.loads((tmp_path / "clips" / "32x32" / "index.json").read_text())
    assert index["photographs"] == "photographs", "no folder of whoever made them"
    sheet = run_json(capsys, "preview", "--out", tmp_path / "sheet.png", "--count", 1, *given)
    assert sheet["kinds"][0].startswith("photograph/")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("build", "--out", "x"), "one of the arguments --count --split is required"),
        (("build", "--out", "x", "--split", "val", "--size", "32x32"), "leave --size out"),
        (("build", "--out", "x", "--count", "0"), "must be at least 1, got 0"),
        (
            ("build", "--out", "x", "--count", "3", "--size", "100x128"),
            "multiples of 32 pixels, as 96x160, got 100x128",
        ),
        (("build", "--out", "x", "--count", "3", "--size", "big"), "height x width, as 96x160, got 'big'"),
        (("build", "--out", "x", "--count", "3", "--size", "32x32", "--buckets"), "not allowed with argument --size"),
        (("build", "--out", "x", "--count", "3", "--supersample", "2"), "share from 0 to 1, got 2"),
        (("build", "--out", "x", "--count", "3", "--textures", "nowhere"), "nowhere holds no image"),
        (("build", "--out", "x", "--count", "3", "--photographs", "nowhere"), "nowhere: holds no photographs"),
        (("preview", "--out", "x.png", "--photographs", ".", "--textures", "."), "--textures is of procedural scenes"),
        (("build", "--out", "x", "--count", "3", "--stills", "--frames", "5"), "not allowed with argument"),
        (("build", "--out", "taken", "--count", "3"), "--out taken: is a file; name a folder"),
        (("preview", "--out", "x.txt"), "x.txt: must end in .png"),
        (("preview", "--out", "x.png", "--family", "castle"), "--family castle: must be one of room, table, "),
        (("preview", "--out", "x.png", "--texture-size", "100"), "power of two from 16 to 1024, got 100"),
    ],
)
def test_bad_options_are_sentences(arguments, words, capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("")
    try:
        status = cli.main(["synthetic", *arguments])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_another_seed_in_the_same_folder_is_refused(capsys, tmp_path: Path) -> None:
    build = ["synthetic", "build", "--out", str(tmp_path), "--count", "1", "--size", "32x32", *SMALL]
    assert cli.main(build) == 0
    assert cli.main([*build, "--seed", "1"]) == 2
    assert "was made with seed" in capsys.readouterr().err


# --- the example clips ------------------------------------------------------------------------------------------------


def test_examples_are_clips_with_cameras() -> None:
    folder = ASSETS / "examples"
    assert sorted(p.stem for p in folder.glob("*.mp4")) == sorted(example.name for example in EXAMPLES)
    for example in EXAMPLES:
        film = folder / f"{example.name}.mp4"
        assert film.stat().st_size < 300_000
        clip = load_clip(film, size=CONFIG.size)
        trajectory = formats.read(folder / f"{example.name}.transforms.json")
        assert len(clip) == len(trajectory) == CONFIG.num_frames and clip.notes == ()
        assert trajectory.image_size == CONFIG.size and trajectory.fps == clip.fps == synthetic.EXAMPLE_FPS
        assert clip.frames_u8.std() > 25


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_examples_are_made_by_the_committed_code(example) -> None:
    """The path is planned again (the pictures, which take long, are not rendered); its unit is the depth seen."""
    views = plan_example(example, SyntheticConfig(size=CONFIG.size, texture_size=16)).views
    Ts = np.linalg.inv(views.Ts_scene_camera[0]) @ views.Ts_scene_camera
    known = formats.read(ASSETS / "examples" / f"{example.name}.transforms.json")
    np.testing.assert_allclose(known.Ts_world_camera[:, :3, :3], Ts[:, :3, :3], atol=1e-9)
    np.testing.assert_allclose(known.intrinsics, views.intrinsics, rtol=1e-9)
    planned, centres = Ts[:, :3, 3], known.centres
    unit = np.linalg.norm(planned) / np.linalg.norm(centres)
    np.testing.assert_allclose(centres * unit, planned, atol=1e-6)


def test_examples_of_a_size_are_folders_of_frames(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("rap.synthetic.examples.EXAMPLES", EXAMPLES[:1])
    told = run_json(capsys, "examples", "--size", "32x64", "--out", tmp_path)
    (name,) = told["examples"]
    clip = load_clip(tmp_path / name)
    assert clip.full_size == (32, 64) and clip.trajectory is not None and len(clip.trajectory) == CONFIG.num_frames
    assert not list(tmp_path.glob("*.mp4"))
