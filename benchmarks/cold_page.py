"""Seconds until something can be pressed on the page in a browser, in turns with a Gradio page that has one button.

    python benchmarks/cold_page.py [--pages 5] [--chromium /usr/bin/chromium]

Headless Chromium with a software renderer and an empty cache for every page; the app is in this process, with no model.
A page counts from the moment its address is asked for until its own thread answers that there is something to press;
beside it stands for how long it answers nothing until five seconds later (tasks of more than 50 ms, together).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, as for app.py

from ui import app

FLAGS = ("--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
AFTERWARDS_MS = 5_000
WATCH = """window.blockedMs = 0; new PerformanceObserver((list) => {
  for (const task of list.getEntries()) blockedMs += task.duration;
}).observe({ type: "longtask", buffered: true });"""
OURS, BARE = "#rap-files input[type=file]:enabled", "#only:enabled"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=5)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args(argv)
    running = app.start(app.parse(["--predict", "when-asked"]), _no_model)
    running.sessions.result(timeout=120)
    bare, address = _bare()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=list(FLAGS))
        found = []
        for _ in range(options.pages):
            found.append(
                tuple(zip(_seconds(browser, running.url, OURS), _seconds(browser, address, BARE), strict=True))
            )
        browser.close()
    bare.close()
    running.close()
    for what, pairs in zip(("something to press", "answers nothing"), zip(*found, strict=True), strict=True):
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{what}: {ours:.2f} s, {ratio:.2f} of a Gradio page with one button ({theirs:.2f} s)")


def _bare() -> tuple[gr.Blocks, str]:
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Button("Press", elem_id="only")
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    return demo, address


def _seconds(browser: Browser, address: str, target: str) -> tuple[float, float]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH)
    began = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(target, state="attached", timeout=120_000)
    seconds = time.perf_counter() - began
    page.wait_for_timeout(AFTERWARDS_MS)
    blocked_s = page.evaluate("blockedMs") / 1000
    context.close()
    return seconds, blocked_s


def _no_model() -> None:
    """Nothing is made here."""


if __name__ == "__main__":
    main()
