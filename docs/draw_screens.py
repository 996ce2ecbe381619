"""Pictures of a running app in every state, at four window sizes, light and dark: to be looked at with fresh eyes,
under two questions only, "what is this, what would you press".

    python docs/draw_screens.py http://127.0.0.1:7860/ OUT FILM PHOTOGRAPH ...

Needs the extra `dev` and a Chromium (RAP_CHROMIUM says where). OUT gets STEM-STATE-WIDTH-THEME.png for each file given.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

SIZES = ((1440, 900), (1280, 720), (1024, 768), (390, 844))
PHONE = 390  # is shown whole as well: there the page is longer than the screen
THEMES = ("light", "dark")
FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PATIENCE_MS = 300_000
SETTLED_MS = 900  # what moves to its new place after a change of size or theme
UPLOAD = "#rap-files input[type=file]"


class Walk:
    """One file from the cold page to an error.

    Args:
        page: a fresh one, loaded.
        out: folder of the pictures.
        file: what is given.
    """

    def __init__(self, page: Any, out: Path, file: Path) -> None:
        self._page, self._out, self._file = page, out, file

    def walk(self) -> None:
        """Every state in its turn."""
        page = self._page
        self._shoot("cold")
        page.set_input_files(UPLOAD, str(self._file))
        page.wait_for_selector("#rap-stage-clip :is(img, video)")
        page.wait_for_selector("#rap-verdict .rap-badge, #rap-stage-clip img")
        page.wait_for_function(
            "!document.querySelector('#rap-input-progress .rap-progress, #rap-hint .rap-hint[role]')"
        )
        self._shoot("predicted")
        page.click("[data-move='arc-left']")
        page.wait_for_selector("[data-view='preview'][aria-pressed='true']")
        page.wait_for_function("document.querySelector('#rap-preview video')?.readyState >= 2")
        page.wait_for_timeout(SETTLED_MS)
        page.locator("#rap-preview").wait_for()  # one picture stands before it while the new path is shown in a moment
        box = page.locator("#rap-preview").bounding_box()
        page.mouse.click(box["x"] + 0.42 * box["width"], box["y"] + 0.55 * box["height"])  # what it turns about
        page.wait_for_selector(".rap-pivot-mark[data-placed]")
        self._shoot("preset")
        page.click("#rap-regenerate")
        page.wait_for_selector("[data-view='take'][aria-pressed='true']")
        page.wait_for_selector("#rap-caption .rap-badge")  # verified, too
        self._shoot("take")
        page.click("button[role=tab]:text-is('Compare')")
        page.click("#rap-compare")
        page.wait_for_selector("[data-view='compare'][aria-pressed='true']")
        self._shoot("compare")
        page.click("button[role=tab]:text-is('Verify')")
        self._shoot("verify")
        page.click("button[role=tab]:text-is('Make')")
        self._err()
        self._shoot("error")

    def _err(self) -> None:
        """A number that cannot be, and a file that is none."""
        page = self._page
        page.click("#rap-take-settings > button")
        page.fill("#rap-steps input", "-3")
        page.keyboard.press("Tab")
        page.wait_for_selector("#rap-steps .rap-wrong")
        broken = self._out / "holiday.mp4"
        broken.write_text("no film")
        page.set_input_files(UPLOAD, str(broken))
        page.wait_for_selector("#rap-input-notice .rap-error")

    def _shoot(self, state: str) -> None:
        page = self._page
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            for theme in THEMES:
                page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
                page.wait_for_timeout(SETTLED_MS)
                name = f"{self._file.stem}-{state}-{width}-{theme}"
                page.screenshot(path=self._out / f"{name}.png")
                if width == PHONE:
                    page.screenshot(path=self._out / f"{name}-whole.png", full_page=True)
        page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
        page.wait_for_timeout(SETTLED_MS)


def main(url: str, out: Path, *files: Path) -> None:
    """Walk with each file in a page of its own."""
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = os.environ.get("RAP_CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for file in files:
            context = browser.new_context(viewport={"width": SIZES[0][0], "height": SIZES[0][1]})
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(url)
            page.wait_for_selector(f"{UPLOAD}:enabled", state="attached")
            page.wait_for_selector("body[data-rap-viewport=live]")
            Walk(page, out, file).walk()
            context.close()
            print(file.name, flush=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(Path, sys.argv[3:]))
