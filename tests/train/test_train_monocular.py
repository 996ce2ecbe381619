"""`rap train monocular`: what is held out, cut-outs and their lenses, a loss of known invariances, a short training."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rap.bench.picture import correlation, depth_row, fitted, share_within
from rap.bench.picture import main as bench
from rap.errors import InputError
from rap.train import main, monocular
from rap.train import monocular_data as data
from rap.train.monocular import MonocularTraining, gradients, monocular_loss, over_median, starting_network
from rap.views.monocular import USUAL_FOCAL, MonocularConfig, MonocularNetwork, load_network, save_network
from tests.views.test_monocular import TINY

# --- held out ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "index", "expected"),
    [
        ("depth/permissive/tartanair_hospital_P000/000000.jpg", 0, True),
        ("depth/permissive/tum_fr3_cabinet", 5, True),
        ("depth/permissive/tum_fr3_sitting_static", 5, False),
        ("depth/permissive/icl_nuim_lr_traj0", 0, False),
        ("depth/research_only/nyuv2_labeled/001229.jpg", 1229, False),
        ("depth/research_only/nyuv2_labeled/001230.jpg", 1230, True),
        ("depth/research_only/mvs_yingze_train_c", 0, True),
        ("depth/research_only/mvs_another_scene", 0, False),
        ("posed/research_only/couloir", 3, True),
        ("clips/toy_orbit/frames/0001.jpg", 1, True),
        ("paper_page/scene_0/input", 0, True),
        ("posed/permissive/tartanair_hospital_P000", 0, True),
    ],
)
def test_what_judges_does_not_teach(path: str, index: int, expected: bool):
    assert data.is_held_out(path, index) is expected
    assert data.is_held_out(Path("anywhere") / path, index) is expected


def write_pair(folder: Path, index: int, unit: str = "m") -> None:
    """8 x 12 pixels: inverse depth 0.5 on the left, 1 on the right, unknown in one corner."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = np.random.default_rng(index).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    codes = np.full((96, 128), 1000, np.uint16)
    codes[:, 64:], codes[:8, :8] = 2000, 0
    cv2.imwrite(str(folder / f"{index:06d}.jpg"), frame)
    cv2.imwrite(str(folder / f"{index:06d}.png"), codes)
    (folder / "meta.json").write_text(json.dumps({"unit": unit, "png_scale": 2000}))


def test_no_reader_hands_out_what_is_held_out(tmp_path: Path):
    for name, index in (("nyuv2_labeled", 1229), ("nyuv2_labeled", 1230), ("mvs_binbin", 0), ("tum_fr3_cabinet", 0)):
        write_pair(tmp_path / name, index)
    assert [len(data.read_pairs(folder)) for folder in data.pair_folders(tmp_path)] == [0, 1, 0]
    sources = monocular.pair_sources(tmp_path.rename(tmp_path.with_name("research_only")))
    assert {source.name: len(source.pictures) for source in sources} == {"nyuv2_labeled": 1}


def test_pairs_are_read_in_both_encodings(tmp_path: Path):
    write_pair(tmp_path / "metric", 0)
    pair = data.read_pair(tmp_path / "metric" / "000000.jpg")
    assert sorted(set(pair.inverse_depth.ravel().tolist())) == [0, 0.5, 1] and not pair.is_relative
    write_pair(tmp_path / "ranged", 3, unit="relative")
    entry = {"i": 3, "inv_min": 1.0, "inv_max": 1.0 + 65534.0}
    (tmp_path / "ranged" / "meta.json").write_text(json.dumps({"unit": "relative", "frames": [entry]}))
    pair = data.read_pair(tmp_path / "ranged" / "000003.jpg")
    assert sorted(set(pair.inverse_depth.ravel().tolist())) == [0, 1000, 2000] and pair.is_relative


def test_unreadable_pairs_are_named(tmp_path: Path):
    write_pair(tmp_path / "a", 0)
    (tmp_path / "a" / "000000.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="000000.png: must be a 16-bit PNG"):
        data.read_pairs(tmp_path / "a")
    write_pair(tmp_path / "b", 0)
    (tmp_path / "b" / "meta.json").write_text("{}")
    with pytest.raises(InputError, match="meta.json: must say the unit"):
        data.read_pairs(tmp_path / "b")


# --- cut-outs ---------------------------------------------------------------------------------------------------------


def picture_of_a_gradient(focal: float = 0.9) -> data.Picture:
    """Brightness and inverse depth are both 0.2 + 0.6 x, so that a cut-out's colours tell its depth."""
    x = 0.2 + 0.6 * (np.arange(160, dtype=np.float32) + 0.5) / 160
    frame = np.repeat((x * 255 + 0.5).astype(np.uint8)[None, :, None], 120, axis=0).repeat(3, axis=2)
    return data.Picture(frame, x[None].repeat(120, axis=0).astype(np.float16), focal)


def test_colours_and_depth_stay_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(data, "recoloured", lambda frame_u8, rng: frame_u8)
    rng, picture = np.random.default_rng(0), picture_of_a_gradient()
    for size in ((96, 128), (128, 96), (64, 160)):
        for _ in range(10):
            frame, inverse, _, _ = data.cut_out(picture, rng, size)
            assert frame.shape[:2] == size and inverse.shape == (size[0] // 2, size[1] // 2)
            seen = cv2.resize(frame[..., 0], (size[1] // 2, size[0] // 2), interpolation=cv2.INTER_AREA)
            known = inverse > 0
            assert np.abs(seen / 255 - inverse)[known].max() < 0.012


def test_the_lens_follows_the_cut(monkeypatch: pytest.MonkeyPatch):
    """The gradient's slope tells how many pixels of the picture a cut-out shows; roll is left out."""
    monkeypatch.setattr(data, "ROLLS_RAD", (0.0, 0.0))
    rng, picture = np.random.default_rng(1), picture_of_a_gradient(focal=0.9)
    for size in ((96, 128), (128, 96)):
        for _ in range(20):
            _, inverse, focal, _ = data.cut_out(picture, rng, size)
            row = inverse[inverse.shape[0] // 2].astype(np.float64)
            span = abs(row[-4] - row[3]) / (len(row) - 7) * len(row) / 0.6 * 160  # pixels of the picture, across
            expected = 0.9 * 160 / (span * max(size) / size[1])
            assert focal == pytest.approx(expected, rel=0.03)
    assert data.cut_out(picture, rng, (120, 160), plain=True)[2] == pytest.approx(0.9), "all of it"
    assert data.cut_out(picture, rng, (120, 120), plain=True)[2] == pytest.approx(0.9 * 160 / 120), "its middle"
    assert math.isnan(data.cut_out(replace(picture, focal=math.nan), rng, (96, 128))[2])


def test_unknown_lenses_do_not_count():
    rng = np.random.default_rng(2)
    known, unknown = picture_of_a_gradient(), replace(picture_of_a_gradient(), focal=math.nan)
    cuts = data.stack_cuts([data.cut_out(p, rng, (64, 96)) for p in (known, unknown)])
    assert cuts.lens_weight[0] > 0 and cuts.lens_weight[1] == 0 and torch.isfinite(cuts.log_focal).all()
    assert cuts.picture.shape == (2, 3, 64, 96) and cuts.picture.min() >= 0 and cuts.picture.max() <= 1


def test_a_cut_out_of_the_sky_has_no_unit():
    """More than half of the picture is sky: cut-outs keep to where the median is of something, or count for nothing."""
    inverse = np.full((120, 160), 0.004, np.float16)
    assert data.has_unit(inverse) and not data.has_unit(np.zeros_like(inverse)), "a plane has one"
    inverse[66:] = 1.0
    assert not data.has_unit(inverse) and data.has_unit(inverse[60:])
    picture = replace(picture_of_a_gradient(), inverse_depth=inverse)
    rng = np.random.default_rng(3)
    cuts = data.stack_cuts([data.cut_out(picture, rng, (64, 96)) for _ in range(40)])
    telling = torch.tensor([data.has_unit(row.numpy()) for row in cuts.inverse_depth])
    assert torch.equal(cuts.known.flatten(1).any(1), telling)
    drawn = [data.has_unit(data.cut_out(picture, rng, (64, 96), plain=True)[1]) for _ in range(5)]
    assert telling.float().mean() > np.mean(drawn) + 0.2, "they were looked for"


def test_the_usual_lens_counts_most():
    weights = data.usual(torch.tensor([0.75, 0.5, 1.1, 3.0])).tolist()
    assert weights[0] == pytest.approx(1) and max(weights[1:3]) < 0.8 and weights[3] < 0.01


def test_what_counts_of_lenses_after_cutting_is_about_the_one_wanted():
    rng, found = np.random.default_rng(5), []
    for _ in range(800):
        own = float(np.clip(0.75 * math.exp(0.36 * rng.normal()), 0.38, 2.5))  # as stills are rendered
        part = data._drawn_part(picture_of_a_gradient(own), rng, (96, 128), False)
        found.append(own * 160 / (part.scale * 128))
    focal = np.sort(found)
    counted = np.cumsum(data.usual(torch.tensor(focal)).numpy())
    median = focal[np.searchsorted(counted, counted[-1] / 2)]
    assert median == pytest.approx(USUAL_FOCAL, rel=0.08) and np.median(focal) > 1.05 * data.FOCAL_MEDIAN
    assert (focal < 0.55).mean() > 0.04, "wide views are seen too"


def test_cut_outs_are_of_pictures_held_alike():
    upright, across = (replace(picture_of_a_gradient(), frame_u8=np.zeros(s, np.uint8)) for s in ((9, 6, 3), (6, 9, 3)))
    rng = np.random.default_rng(0)
    for size, expected in (((128, 96), upright), ((96, 128), across)):
        found = [data._of_the_shape((upright, across), rng, size) for _ in range(30)]
        assert sum(picture is expected for picture in found) > 28
    assert data._of_the_shape((across,), rng, (128, 96)) is across, "rather than none"


# --- loss -------------------------------------------------------------------------------------------------------------


def some_cuts(is_relative: bool = False) -> tuple[torch.Tensor, data.Cuts]:
    generator = torch.Generator().manual_seed(4)
    truth = 0.2 + 2 * torch.rand(2, 24, 32, generator=generator)
    found = 0.2 + 2 * torch.rand(2, 24, 32, generator=generator)
    known = torch.rand(2, 24, 32, generator=generator) < 0.7
    zeros = torch.zeros(2)
    relative, picture = torch.tensor([is_relative] * 2), torch.zeros(2, 3, 48, 64)
    return found, data.Cuts(picture, truth * known, known, zeros, zeros, relative, torch.ones(2))


def without_scale(found: torch.Tensor, cuts: data.Cuts) -> torch.Tensor:
    """The loss but for what holds the scale."""
    anchored = monocular_loss(over_median(found, cuts.known), torch.zeros(2), cuts)
    moved = monocular_loss(found, torch.zeros(2), cuts)
    medians = torch.stack([row[known].median() for row, known in zip(found, cuts.known, strict=True)])
    torch.testing.assert_close(
        moved - anchored, monocular.ANCHOR_WEIGHT * medians.log().abs().mean(), rtol=1e-3, atol=1e-4
    )
    return anchored


@pytest.mark.parametrize("is_relative", [False, True])
def test_the_loss_is_least_at_the_truth_and_blind_to_scale_but_for_the_anchor(is_relative: bool):
    found, cuts = some_cuts(is_relative)
    truth = torch.where(cuts.known, cuts.inverse_depth, 5.0)  # what is not known does not count
    assert without_scale(truth, cuts) == pytest.approx(0, abs=1e-5)
    assert without_scale(3 * truth, cuts) == pytest.approx(0, abs=1e-5)
    loss = without_scale(found, cuts)
    assert loss > 0.05
    torch.testing.assert_close(without_scale(7 * found, cuts), loss, rtol=1e-4, atol=1e-5)


def test_a_shift_counts_where_depth_is_metric_and_only_there():
    _, metric = some_cuts()
    relative = replace(metric, is_relative=torch.tensor([True, True]))
    shifted = over_median(torch.where(metric.known, metric.inverse_depth, 1.0), metric.known) + 0.5
    assert without_scale(shifted, relative) == pytest.approx(0, abs=1e-5)
    assert without_scale(shifted, metric) > 0.05


def test_edges_of_sensors_count_less_than_rendered_ones():
    found, cuts = some_cuts()
    losses = [without_scale(found, replace(cuts, edges=torch.full((2,), edges))) for edges in (0.0, 0.25, 1.0)]
    assert losses[0] < losses[1] < losses[2]
    torch.testing.assert_close(losses[1] - losses[0], (losses[2] - losses[0]) / 4, rtol=1e-3, atol=1e-5)


def test_pictures_without_known_depth_teach_nothing_but_the_lens():
    found, cuts = some_cuts()
    found.requires_grad_(True)
    nothing = replace(cuts, known=torch.zeros_like(cuts.known), lens_weight=torch.ones(2))
    loss = monocular_loss(found, torch.full((2,), 0.2), nothing)
    assert loss.item() == pytest.approx(monocular.LENS_WEIGHT * 0.2)
    loss.backward()
    assert found.grad is None or not found.grad.abs().any()


def test_gradients_see_edges_and_not_constants():
    error, known = torch.zeros(1, 16, 16), torch.ones(1, 16, 16, dtype=torch.bool)
    assert gradients(error + 3, known).item() == 0
    error[:, :, 8:] = 0.5
    assert gradients(error, known).item() > 0
    known[:, :, 8:] = False
    assert gradients(error, known).item() == 0, "edges of what is known are none"


def test_the_median_is_that_of_known_pixels():
    values, known = torch.tensor([[[1.0, 2.0, 3.0, 100.0]]]), torch.tensor([[[True, True, True, False]]])
    assert over_median(values, known)[0, 0, :3].tolist() == [0.5, 1, 1.5]


# --- figures ----------------------------------------------------------------------------------------------------------


def test_figures_of_the_truth_are_full_and_fits_free_scale_and_shift():
    truth = np.random.default_rng(0).uniform(0.2, 1, (30, 40))
    truth[:5, :5] = 0
    row = depth_row(np.where(truth > 0, 4 * truth, 9), truth)
    assert row["share"] == row["correlation"] == row["unfitted"] == pytest.approx(1)
    row = depth_row(2 * truth + 1.0, truth)
    assert row["share"] == row["correlation"] == pytest.approx(1) and row["unfitted"] < 0.8, "a shift is seen unfitted"
    assert abs(row["ramp_correlation"]) < 0.2
    x = np.linspace(0, 1, 50)
    np.testing.assert_allclose(fitted(-x, 3 * x + 2), 3 * x + 2)
    assert correlation(np.ones(5), np.arange(5.0)) == 0
    assert share_within(np.array([1.2, 1.3, 0.81, 0.7]), np.ones(4)) == 0.5


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def materials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clips, pairs and photographs of a few pixels, a tiny network and small cut-outs."""
    monkeypatch.setattr(monocular, "MonocularConfig", lambda **values: replace(TINY, **values))
    monkeypatch.setattr(monocular, "SIZES", ((96, 128), (128, 96)))
    monkeypatch.setattr(monocular, "SMALLER", ((0.5, 32), (math.inf, 0)))
    monkeypatch.setattr(monocular, "EVERY", 3)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (4, 2, 64, 96, 3), dtype=np.uint8)
    depth = rng.uniform(1, 3, (4, 2, 64, 96)).astype(np.float16)
    (tmp_path / "data").mkdir()
    intrinsics = np.full((4, 2, 4), 80.0)
    np.savez(tmp_path / "data" / "clips-00000000.npz", frames_u8=frames, depth=depth, intrinsics=intrinsics)
    write_pair(tmp_path / "pairs" / "permissive" / "somewhere", 0)
    write_pair(tmp_path / "pairs" / "research_only" / "nyuv2_labeled", 7)
    (tmp_path / "textures").mkdir()
    rows = ["file,kind,licence", "a.jpg,photo (flowers),x", "b.jpg,texture,x"]
    (tmp_path / "textures" / "manifest.csv").write_text("\n".join(rows))
    cv2.imwrite(str(tmp_path / "textures" / "a.jpg"), frames[0, 0])
    return tmp_path


def train(folder: Path, *more: str) -> int:
    common = ["--data", str(folder / "data"), "--pairs", str(folder / "pairs"), "--batch", "2", "--threads", "1"]
    return main(["monocular", *common, *more])


def test_a_teacher_labels_and_a_student_learns_and_goes_on(materials: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(data, "LEAST_RELIEF", 1.0)  # a teacher of two steps
    teacher, labels, student = (str(materials / name) for name in ("teacher", "labels", "student"))
    assert train(materials, "--research", "--out", teacher, "--steps", "2") == 0
    textures = str(materials / "textures")
    assert main(["monocular-labels", "--teacher", f"{teacher}/network", "--textures", textures, "--out", labels]) == 0
    labelled = data.read_labelled(Path(labels), Path(textures))["photo (flowers)"]
    assert len(labelled) == 1 and labelled[0].inverse_depth.shape == (64, 96)
    assert math.isnan(labelled[0].focal) and labelled[0].edges == 0 and not labelled[0].is_relative
    more = ("--out", student, "--labels", labels, "--textures", textures)
    assert train(materials, *more, "--steps", "4") == 0
    assert train(materials, *more, "--steps", "6", "--resume") == 0
    with (materials / "student" / "log.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [3, 4, 6]
    assert json.loads((materials / "student" / "network" / "config.json").read_text())["research_only"] is False


def test_photographs_that_a_teacher_says_are_flat_teach_nothing(materials: Path):
    flat, deep = np.ones((64, 96)), np.broadcast_to(np.linspace(0.4, 1.6, 96), (64, 96)).copy()
    flat[:2, :10] = 0.01  # less than a fiftieth: a speck is no relief
    assert data.has_relief(deep) and not data.has_relief(flat)
    labels, textures = materials / "labels", materials / "textures"
    labels.mkdir()
    np.savez(labels / data.LABELS, names=["a.jpg", "a.jpg"], inverse_depth=np.float16([deep, flat]))
    assert {kind: len(found) for kind, found in data.read_labelled(labels, textures).items()} == {"photo (flowers)": 1}
    np.savez(labels / data.LABELS, names=["a.jpg"], inverse_depth=np.float16([flat]))
    with pytest.raises(InputError, match="all 1 photographs are said to be flat"):
        data.read_labelled(labels, textures)


def test_published_weights_never_begin_with_a_teachers(tmp_path: Path):
    save_network(MonocularNetwork(replace(TINY, research_only=True)), tmp_path)
    with pytest.raises(InputError, match="taught by pairs without a licence"):
        starting_network(MonocularTraining(init=str(tmp_path)))
    assert starting_network(MonocularTraining(init=str(tmp_path), research=True)).config.research_only
    save_network(MonocularNetwork(TINY), tmp_path)
    assert not starting_network(MonocularTraining(init=str(tmp_path))).config.research_only


def test_the_mean_of_networks_is_that_of_their_weights(tmp_path: Path):
    for k, research in enumerate((False, False, True)):
        torch.manual_seed(k)
        save_network(MonocularNetwork(replace(TINY, research_only=research)), tmp_path / str(k))
    one, other = (load_network(tmp_path / str(k)).state_dict() for k in range(2))
    assert main(["monocular-mean", "--runs", f"{tmp_path}/0,{tmp_path}/1", "--out", str(tmp_path / "mean")]) == 0
    for name, value in load_network(tmp_path / "mean").state_dict().items():
        torch.testing.assert_close(value, (one[name] + other[name]) / 2, rtol=2e-3, atol=2e-3)
    with pytest.raises(InputError, match="of which a teacher is one"):
        main(["monocular-mean", "--runs", f"{tmp_path}/0,{tmp_path}/2", "--out", str(tmp_path / "mean")])


def test_parts_of_a_kind_share_by_the_roots_of_their_sizes():
    picture = picture_of_a_gradient()
    sources = monocular.shared_out("labels", {"few": (picture,) * 4, "many": (picture,) * 36})
    assert [source.name for source in sources] == ["few", "many"]
    assert sources[1].share == pytest.approx(3 * sources[0].share)
    assert sum(source.share for source in sources) == pytest.approx(monocular.SHARES["labels"])


def test_students_do_not_see_pairs_without_a_licence(materials: Path):
    settings = MonocularTraining(data=str(materials / "data"), pairs=str(materials / "pairs"))
    names = [source.name for source in monocular.read_sources(settings)[0]]
    assert names == ["clips", "somewhere"]
    names = [source.name for source in monocular.read_sources(replace(settings, research=True))[0]]
    assert names == ["clips", "somewhere", "nyuv2_labeled"]


def test_missing_materials_are_named(tmp_path: Path):
    with pytest.raises(InputError, match="holds no clips"):
        data.read_clips(tmp_path)
    with pytest.raises(InputError, match="has no manifest.csv"):
        data.photograph_kinds(tmp_path)
    with pytest.raises(InputError, match="holds no labels.npz"):
        data.read_labelled(tmp_path, tmp_path)
    with pytest.raises(InputError, match="--encoder .* is missing"):
        starting_network(MonocularTraining(encoder=str(tmp_path / "none.pth")))


def test_the_bench_runs_on_pairs_and_posed_scenes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.manual_seed(0)
    save_network(MonocularNetwork(TINY), tmp_path / "network")
    write_pair(tmp_path / "pairs" / "tum_fr3_cabinet", 0)
    write_pair(tmp_path / "pairs" / "elsewhere", 0)
    scene = tmp_path / "posed" / "couloir"
    scene.mkdir(parents=True)
    cv2.imwrite(str(scene / "0.jpg"), np.zeros((96, 128, 3), np.uint8))
    camera = {"h": 96, "w": 128, "fl_x": 108.8, "fl_y": 108.8, "frames": [{"file_path": "0.jpg"}]}
    (scene / "transforms.json").write_text(json.dumps(camera))
    common = ["--network", str(tmp_path / "network"), "--depth", str(tmp_path / "pairs"), "--json"]
    assert bench([*common, "--posed", str(tmp_path / "posed")]) == 1, "a goal is missed"
    figures = json.loads(capsys.readouterr().out)["benchmarks"]
    columns = {f"depth, tum_fr3_cabinet, {column}" for column in ("correlation", "share")}
    assert set(figures) == {*columns, "lens, held out"}
    assert figures["depth, tum_fr3_cabinet, share"]["limit"] == 0.6
    lens = figures["lens, held out"]["figures"]
    assert lens["error_deg"] == pytest.approx(0, abs=0.1), "an untrained network says the usual lens, which this is"
    assert lens["usual_deg"] == pytest.approx(0, abs=1e-6) and lens["constant_deg"] == pytest.approx(7.4, abs=0.1)
    assert bench([*common, "--all"]) == 1
    assert "depth, elsewhere (trained on), share" in json.loads(capsys.readouterr().out)["benchmarks"]
    assert bench(["--network", str(tmp_path)]) == 2
    assert MonocularConfig.from_json(TINY.to_json()) == TINY
