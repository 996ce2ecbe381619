"""`rap bench`: the arithmetic of its ratios and counts, and what it prints. No time is asserted."""

import json
import math
import re
import subprocess
import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rap.bench import speed as bench
from rap.bench.measure import Figure, Pairs
from rap.errors import InputError
from rap.train.budget import Load
from rap.train.settings import ModelTraining
from rap.train.throughput import count_flop


def figure(value: float = 0.5, relation: str = ">=", limit: float = 0.35) -> Figure:
    return Figure("denoise", "share", value, relation, limit, {"cores": 2.0})


def test_the_ratio_is_the_median_over_pairs_and_forgets_a_slow_moment():
    # the machine is ten times slower in the third pair: both members are
    assert Pairs((1.0, 2.0, 10.0), (0.5, 1.0, 5.0)).ratio == 0.5
    assert Pairs((1.0, 1.0, 1.0), (0.5, 0.5, 50.0)).ratio == 0.5


def test_in_turns_puts_every_candidate_between_two_references():
    calls = []
    pairs = bench.in_turns(lambda: calls.append("r"), lambda: calls.append("c"), 3)
    assert calls == ["r", "c", "r", "c", "r", "c", "r"]
    assert len(pairs.reference_s) == len(pairs.candidate_s) == 3
    assert all(s >= 0 for s in (*pairs.reference_s, *pairs.candidate_s))


@pytest.mark.parametrize(
    ("value", "relation", "limit", "reached"),
    [
        (0.35, ">=", 0.35, True),
        (0.34, ">=", 0.35, False),
        (0.1, "<=", 0.1, True),
        (0.11, "<=", 0.1, False),
        (10.0, "<", 10.0, False),
        (9.9, "<", 10.0, True),
    ],
)
def test_a_demand_is_reached_on_its_own_side_of_the_limit(value, relation, limit, reached):
    assert figure(value, relation, limit).reached is reached
    assert ("reached" if reached else "MISSED") in figure(value, relation, limit).lines()[0]


def test_one_generate_step_is_one_call_of_the_network():
    seen = []

    def stream(task):
        for i in range(task.steps):
            seen.append(i)
            yield i

    pipeline: Any = SimpleNamespace(stream=stream)
    step = bench.generate_step(pipeline)
    assert (step(), step(), seen) == (0, 1, [0, 1])


def test_memory_of_sessions_is_per_session_beyond_the_first():
    seen = {"count": 10, "first_mb": 400, "full_mb": 450, "closed_mb": 410, "again_mb": 452, "alive": 0}
    found = bench.session_figure(seen)
    assert found.value == 5 and found.reached
    assert found.figures["left_by_each_closed_mb"] == 1
    assert math.isclose(found.figures["growth_by_each_reopened_mb"], 0.2)


def test_a_program_of_the_checkout_is_asked_for_where_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "DRAG_PROGRAM", tmp_path / "drag.py")
    with pytest.raises(InputError, match=r"drag\.py is not there: .* run it from one"):
        bench.main(["drag"])


def test_status_and_json_follow_the_demands(monkeypatch, capsys):
    monkeypatch.setitem(bench.BENCHMARKS, "denoise", lambda options: figure(0.2))
    assert bench.main(["denoise", "--json", "--threads", "1"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["threads"] == 1
    assert printed["benchmarks"]["denoise"]["reached"] is False
    assert printed["benchmarks"]["denoise"]["figures"] == {"cores": 2.0}
    monkeypatch.setitem(bench.BENCHMARKS, "denoise", lambda options: figure(0.5))
    assert bench.main(["denoise"]) == 0
    assert "cores = 2" in capsys.readouterr().out


def test_all_runs_every_benchmark(monkeypatch, capsys):
    ran = []
    for name in bench.BENCHMARKS:
        monkeypatch.setitem(bench.BENCHMARKS, name, lambda options, name=name: ran.append(name) or figure())
    assert bench.main(["--json"]) == 0
    assert ran == ["denoise", "estimate", "page", "session", "drag", "scrub", "train", "render"]
    assert json.loads(capsys.readouterr().out)["cpus"] >= 1


@pytest.mark.parametrize("argv", [["fly"], ["page", "--repeats", "0"], ["page", "--threads", "-1"]])
def test_wrong_options_are_refused(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        bench.parse(argv)
    assert ended.value.code == 2
    assert argv[-1] in capsys.readouterr().err


def test_an_app_that_ends_by_itself_is_reported(monkeypatch, tmp_path):
    program = tmp_path / "app.py"
    program.write_text("raise SystemExit(3)")
    monkeypatch.setattr(bench, "APP", [sys.executable, str(program)])
    with pytest.raises(RuntimeError, match=r"app\.py --port \d+ ended with status 3"):
        bench.seconds_to_first_page([])


def test_an_app_that_answers_is_timed_and_ended(monkeypatch, tmp_path):
    program = tmp_path / "app.py"
    program.write_text(
        "import sys\n"
        "from http.server import SimpleHTTPRequestHandler, test\n"
        "test(SimpleHTTPRequestHandler, port=int(sys.argv[2]), bind='127.0.0.1')\n"
    )
    monkeypatch.setattr(bench, "APP", [sys.executable, str(program)])
    monkeypatch.chdir(tmp_path)
    assert 0 < bench.seconds_to_first_page([]) < bench.PAGE_TIMEOUT_S


def test_importing_the_bench_leaves_torch_out():
    code = "import rap.bench, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_training_step_is_measured_with_its_optimizers(monkeypatch):
    from rap.bench import training

    monkeypatch.setattr(training, "SIZE", (32, 32))
    monkeypatch.setattr(training, "ModelTraining", partial(ModelTraining, width=24, heads=2, layers=1))
    step = training.training_step(training.ModelTraining(batch=2))
    losses = [step()[0] for _ in range(6)]
    assert all(math.isfinite(loss) for pair in losses for loss in pair)
    assert sum(losses[-1]) < sum(losses[0])  # the batch stays, so the weights did move
    found = bench.train(bench.parse(["train", "--repeats", "1", "--threads", "1"]))
    figures = found.figures
    # the share is the ratio of the two rates it was made of, one pair being its own median
    assert found.value == pytest.approx(figures["step_gflop_per_s"] / figures["matmul_gflop_per_s"], rel=1e-6)
    assert found.limit == 0.35 and figures["step_gflop"] > 0


def test_a_step_of_a_network_of_any_size_is_measured(monkeypatch, capsys):
    from rap.bench import step

    monkeypatch.setattr(step, "MATMUL_SIDE", 256)
    small = ["step", "--config", "embedded", "--layers", "1", "--height", "32", "--width", "64", "--frames", "5"]
    words = [*small, "--repeats", "1", "--threads", "1", "--device", "cpu", "--json"]
    assert bench.main([*words, "--peak-tflops", "1e6"]) == 1
    found = json.loads(capsys.readouterr().out)["benchmarks"]["step"]
    figures = found["figures"]
    assert found["value"] == pytest.approx(figures["step_tflop"] / figures["step_s"] / 1e6)
    network = step.random_network("embedded", 1, torch.device("cpu"))
    load = Load.of_clip(network.config, (32, 64), 5)
    counted = count_flop(step.random_step(network, load))
    assert 1e12 * figures["step_tflop"] == pytest.approx(counted, rel=0.02)
    bench.main(words)
    found = json.loads(capsys.readouterr().out)["benchmarks"]["step"]
    figures = found["figures"]
    assert found["value"] == pytest.approx(figures["step_tflop"] / figures["step_s"] / figures["matmul_tflop_per_s"])
    for wrong, said in (("--frames", "1 + 4n"), ("--width", "a multiple of 32")):
        with pytest.raises(InputError, match=re.escape(f"{wrong} must be {said}, got 50")):
            bench.main([*words, wrong, "50"])


def test_a_worker_renders_its_own_clips(monkeypatch):
    from rap.bench import training

    drawn = []
    monkeypatch.setattr(training, "SIZE", (32, 32))
    monkeypatch.setattr(training, "RENDER_CLIPS", 1)
    whole = training.render_clips
    monkeypatch.setattr(
        training, "render_clips", lambda *a, **k: drawn.append((k["start"], whole(*a, **k))) or drawn[-1][1]
    )
    assert (training.render_some(0), training.render_some(1)) == (1, 1)
    assert [start for start, _ in drawn] == [0, 1] and drawn[0][1].frames_u8.shape == (1, 17, 32, 32, 3)


@pytest.mark.slow  # two apps in processes of their own
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_drag_is_measured_alone_and_among_others(monkeypatch):
    monkeypatch.setattr(bench, "DRAG_FRAMES", 9)
    monkeypatch.setattr(bench, "DRAG_USERS", 2)
    monkeypatch.setattr(bench, "DRAG_SECONDS", 1)
    found = bench.drag(bench.parse(["drag"]))
    assert found.figures["one_ms"] > 0 and found.figures["many_ms"] > 0 and found.figures["one_over_pure_edit"] > 1
    told = bench.drag_figure({"one_ms": 5, "one_p95_ms": 9, "many_ms": 40, "many_p95_ms": 90, "reference_ms": 0.5})
    assert told.value == 0.8 and told.figures["one_over_pure_edit"] == 10


def test_memory_of_the_apps_own_sessions(monkeypatch):
    monkeypatch.setattr(bench, "SESSIONS", 2)
    found = bench.session(bench.parse(["session"]))
    assert found.figures["closed_but_alive"] == 0
    assert found.figures["first_mb"] > 0
