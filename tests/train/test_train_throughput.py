"""What a step costs, and the line that says so."""

from __future__ import annotations

import pytest
import torch

from rap.train import throughput
from rap.train.throughput import Throughput, count_flop, duration


def test_flop_of_a_linear_layer_and_of_attention_with_their_gradients() -> None:
    layer = torch.nn.Linear(8, 16)
    assert count_flop(lambda: layer(torch.zeros(4, 8))) == 2 * 4 * 8 * 16
    q, k = torch.zeros(2, 3, 5, 8, requires_grad=True), torch.zeros(2, 3, 7, 8)  # batch, heads, length, width
    attend = torch.nn.functional.scaled_dot_product_attention
    product = (2 * 5 * 7 * 8) * 2 * 3
    with torch.no_grad():
        assert count_flop(lambda: attend(q, k, k)) == 2 * product
    assert count_flop(lambda: attend(q, k, k).sum().backward()) == 7 * product


def test_a_line_says_losses_samples_share_and_the_time_left() -> None:
    lines: list[str] = []
    meter = Throughput(peak_flop_per_s=1e9, say=lines.append, every_s=0.0)
    assert meter.run(4, 10**6, lambda: "done") == "done"
    assert meter.run(4, 10**6, lambda: "again") == "again"
    meter.report(7, (0.5, 0.25), 3723.0)
    assert lines[0].startswith("step 7: video 0.5000, rays 0.2500, ") and lines[0].endswith("1:02:03 left")
    assert meter.total_flop == 2 * 10**6 and meter.summary()["share_of_matmul"] > 0
    quiet = Throughput(1e9, lines.append, every_s=60.0)
    quiet.report(8, (0.5, 0.25), 1.0)
    assert len(lines) == 1
    assert duration(61.4) == "1:01" and duration(-3) == "0:00"


def test_a_device_that_is_slow_in_its_type_is_measured_by_a_small_product(monkeypatch):
    sides = []

    def seconds(run, _device):
        sides.append(run.args[0].shape[0])
        return 2 * sides[-1] ** 3 / 1e9  # 16 bits on a processor that has no instructions for them

    monkeypatch.setattr(throughput, "_seconds", seconds)
    throughput.matmul_flop_per_s.cache_clear()
    assert throughput.matmul_flop_per_s(torch.device("cpu"), torch.bfloat16) == pytest.approx(1e9)
    throughput.matmul_flop_per_s.cache_clear()
    assert set(sides) == {throughput.TRIAL_SIDE}
