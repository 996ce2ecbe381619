"""Flow matching: the laws of path, loss and sampler, with oracle networks."""

import pytest
import torch

from rap import flow
from rap.flow import Pair, Prediction

FLOW = Prediction()
VIDEO, RAYS = (2, 4, 3, 4, 4), (2, 4, 5, 2, 2)


def random_pair(seed: int, batch: int = 2) -> Pair:
    g = torch.Generator().manual_seed(seed)
    return Pair(torch.randn((batch, *VIDEO[1:]), generator=g), torch.randn((batch, *RAYS[1:]), generator=g))


def mask_pair(video: bool, rays: bool, batch: int = 2) -> Pair:
    return Pair(torch.full((batch, VIDEO[2]), video), torch.full((batch, RAYS[2]), rays))


class Oracle:
    """Knows the data: answers with the exact velocity or the exact sample."""

    def __init__(self, data: Pair, prediction: Prediction) -> None:
        self.data, self.prediction, self.calls = data, prediction, 0

    def __call__(self, x: Pair, t: Pair) -> Pair:
        self.calls += 1
        kinds = (self.prediction.video, self.prediction.rays)
        return Pair(*(self._answer(k, kind, x[k], t[k]) for k, kind in enumerate(kinds)))

    def _answer(self, k: int, kind: str, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if kind == "sample":
            return self.data[k]
        return (x - self.data[k]) / t[:, None, :, None, None].clamp(min=1e-6)


def run(network, clean, known, levels, prediction=FLOW, seed=1, **options) -> list[flow.Sample]:
    return list(flow.sample(network, random_pair(seed), clean, known, levels, prediction, **options))


@pytest.mark.parametrize("kind", ["flow", "sample"])
@pytest.mark.parametrize("mode", ["estimate", "generate", "joint"])
def test_each_mode_with_an_oracle_recovers_the_data(mode, kind):
    data, prediction = random_pair(0), Prediction(kind, kind)
    known = mask_pair(mode == "estimate", mode == "generate")
    states = run(Oracle(data, prediction), data, known, flow.plan(mode, 6, 2), prediction)
    torch.testing.assert_close(states[-1].estimate.video, data.video, atol=1e-4, rtol=0)
    torch.testing.assert_close(states[-1].estimate.rays, data.rays, atol=1e-4, rtol=0)
    assert [s.step for s in states] == list(range(1, states[0].steps + 1))


def test_known_frames_leave_the_sampler_bit_identical():
    clean = random_pair(0)
    known = Pair(torch.tensor([[True, False, True]] * 2), torch.tensor([[False, True, False, True, False]] * 2))

    def careless(x: Pair, t: Pair) -> Pair:
        return Pair(torch.full_like(x.video, 7.0), torch.full_like(x.rays, -3.0))

    for state in run(careless, clean, known, flow.plan("joint", 4, 2)):
        for value, truth, mask in zip(state.estimate, clean, known, strict=True):
            assert torch.equal(value.transpose(1, 2)[mask], truth.transpose(1, 2)[mask])


def test_the_network_sees_time_zero_and_clean_values_on_known_frames():
    clean, known = random_pair(0), Pair(torch.tensor([[True, False, False]] * 2), torch.ones(2, 5, dtype=torch.bool))
    seen = []

    def spy(x: Pair, t: Pair) -> Pair:
        seen.append((x, t))
        return x

    run(spy, clean, known, flow.plan("generate", 3, 1))
    for (x, t), sigma in zip(seen, [1.0, 2 / 3, 1 / 3], strict=True):
        assert torch.equal(x.video[:, :, 0], clean.video[:, :, 0]) and torch.equal(x.rays, clean.rays)
        assert t.rays.abs().max() == 0 and t.video[0].tolist() == pytest.approx([0, sigma, sigma])


def test_batch_of_two_equals_two_singles():
    clean, noise = random_pair(0), random_pair(1)
    known, levels = mask_pair(False, True), flow.plan("generate", 3, 1)

    def network(x: Pair, t: Pair) -> Pair:
        return Pair(x.video.tanh() * (1 + t.video[:, None, :, None, None]), x.rays)

    def last(rows: slice) -> Pair:
        parts = (Pair(*(v[rows] for v in pair)) for pair in (noise, clean, known))
        return list(flow.sample(network, *parts, levels, Prediction()))[-1].estimate

    both = last(slice(0, 2))
    for i in range(2):
        assert torch.equal(both.video[i], last(slice(i, i + 1)).video[0])


def test_closing_the_sampler_stops_calling_the_network():
    data = random_pair(0)
    oracle = Oracle(data, Prediction())
    levels = flow.plan("generate", 9, 1)
    sampler = flow.sample(oracle, random_pair(1), data, mask_pair(False, True), levels, FLOW)
    next(sampler)
    sampler.close()
    assert oracle.calls == 1


def test_guidance_one_is_off_and_larger_moves_away_from_the_unconditional():
    data, known, levels = random_pair(0), mask_pair(False, True), flow.plan("generate", 1, 1)

    def network(x: Pair, t: Pair) -> Pair:
        return Pair(torch.ones_like(x.video) * (1 + t.rays.mean()), x.rays)  # 1 with rays, 2 without

    base, noise = run(network, data, known, levels)[-1].estimate.video, random_pair(1)
    guided = run(network, data, known, levels, guidance_scale=3.0, null_rays=random_pair(5).rays)[-1].estimate.video
    torch.testing.assert_close(base, noise.video - 1)
    torch.testing.assert_close(guided, noise.video + 1)  # v = 2 + 3 (1 - 2) = -1
    with pytest.raises(ValueError, match="null_rays"):
        run(network, data, known, levels, guidance_scale=3.0)


@pytest.mark.parametrize("kind", ["flow", "sample"])
def test_the_loss_of_an_oracle_is_zero_and_of_a_wrong_answer_is_not(kind):
    x0, noise, prediction = random_pair(0), random_pair(1), Prediction(kind, kind)
    t = Pair(torch.rand(2, 3).clamp(min=0.1), torch.rand(2, 5).clamp(min=0.1))
    losses = flow.training_loss(Oracle(x0, prediction), x0, noise, t, prediction)
    assert max(losses) < 1e-6
    wrong = flow.training_loss(Oracle(noise, prediction), x0, noise, t, prediction)
    assert min(wrong) > 0.5


def test_clean_frames_carry_no_loss():
    x0, noise = random_pair(0), random_pair(1)
    t = Pair(torch.zeros(2, 3), torch.ones(2, 5))
    video, rays = flow.training_loss(lambda x, t: Pair(x.video + 9, x.rays), x0, noise, t, Prediction())
    assert video == 0 and rays > 0


def test_cosine_term_is_the_papers():
    v, u = torch.tensor([[[[[3.0]]], [[[4.0]]]]]), torch.tensor([[[[[3.0]]], [[[-4.0]]]]])  # (1, 2, 1, 1, 1)
    noised = torch.ones(1, 1, dtype=torch.bool)
    cosine = (9 - 16) / 25
    assert flow.flow_loss(v, u, noised, 0.5).item() == pytest.approx(64 / 2 + 0.5 * (1 - cosine))
    assert flow.flow_loss(v, u, noised, 0.0).item() == pytest.approx(32)


def test_schedules():
    assert flow.shifted_sigmas(2, 3.0) == pytest.approx([1, 0.75, 0])
    assert flow.plan("estimate", 20, 2) == [(0.0, 1.0), (0.0, 0.5), (0.0, 0.0)]
    assert flow.plan("generate", 2, 9) == [(1.0, 0.0), (0.5, 0.0), (0.0, 0.0)]
    assert flow.plan("joint", 2, 2) == [(1.0, 1.0), (1.0, 0.5), (1.0, 0.0), (0.5, 0.0), (0.0, 0.0)]
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        flow.plan("generate", 0, 1)


def hint(weight: torch.Tensor, level: float) -> flow.Hint:
    return flow.Hint(random_pair(8).video, weight, level)


def full_weight(value: float = 1.0) -> torch.Tensor:
    return torch.full((VIDEO[0], 1, *VIDEO[2:]), value)


def test_a_hint_held_to_the_end_is_the_result_where_it_weighs_and_only_there():
    data, known, levels = random_pair(0), mask_pair(False, True), flow.plan("generate", 4, 1)
    weight = full_weight()
    weight[..., 2:] = 0
    held = hint(weight, 0.0)
    result = run(Oracle(data, FLOW), data, known, levels, hint=held)[-1].estimate.video
    torch.testing.assert_close(result[..., :2], held.latents[..., :2])
    torch.testing.assert_close(result[..., 2:], data.video[..., 2:], atol=1e-4, rtol=0)


def test_a_hint_ends_at_its_level():
    data, known = random_pair(0), mask_pair(False, True)
    levels = flow.snapped(flow.plan("generate", 4, 1), 0.6)
    assert [video for video, _ in levels] == pytest.approx([1, 0.75, 0.6, 0.25, 0])
    seen = []

    def spy(x: Pair, t: Pair) -> Pair:
        seen.append(x.video)
        return Pair(torch.zeros_like(x.video), x.rays)  # nothing moves but by the hint

    held = hint(full_weight(), 0.6)
    run(spy, data, known, levels, hint=held)
    noise = random_pair(1).video
    for video, sigma in zip(seen, [1.0, 0.75, 0.6, 0.6], strict=True):  # at 0.25 as at 0.6: no longer held
        torch.testing.assert_close(video, (1 - sigma) * held.latents + sigma * noise)


def test_a_hint_of_no_weight_or_above_all_levels_changes_nothing_and_known_frames_win():
    data, levels = random_pair(0), flow.plan("generate", 3, 1)
    known = Pair(torch.tensor([[True, False, False]] * 2), torch.ones(2, 5, dtype=torch.bool))
    plain = run(Oracle(data, FLOW), data, known, levels)[-1].estimate.video
    weightless = run(Oracle(data, FLOW), data, known, levels, hint=hint(full_weight(0.0), 0.0))
    assert torch.equal(weightless[-1].estimate.video, plain)
    held = run(Oracle(data, FLOW), data, known, levels, hint=hint(full_weight(), 0.0))[-1].estimate.video
    assert torch.equal(held[:, :, 0], data.video[:, :, 0]) and not torch.equal(held[:, :, 1], plain[:, :, 1])


def test_a_level_outside_the_walk_leaves_it_as_it_is():
    levels = flow.plan("generate", 3, 1)
    assert flow.snapped(levels, 0.0) == levels and flow.snapped(levels, 1.0) == levels
    assert flow.snapped(flow.plan("generate", 1, 1), 0.5) == flow.plan("generate", 1, 1)
