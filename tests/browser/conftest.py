"""A real browser on a real app: headless Chromium drives a Gradio server that runs in the test's own process.

Fixtures: `browser`, its `profile`, and `served` (one Chromium and one app for a module), `running` (that app, without
sessions of earlier tests), `editor` (a page of it), `page` (a tab that finds nothing kept), `console_errors` (fail the
test if any is left), `serve` (starts a Gradio app on a free port and stops it), `shot` (a screenshot under
$RAP_SCREENSHOTS, if that is set). Functions are in `browser_harness.py`.
"""

from __future__ import annotations

import gc
import os
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from browser_harness import WAIT_MS
from editor_harness import Editor, started
from fakes import FakePipeline
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = os.environ.get("RAP_CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-gpu-compositing",  # WebGL alone goes through the software renderer: a quarter of the time less
    "--disable-gpu-rasterization",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--use-fake-device-for-media-stream",  # a camera that shows a clock
    "--use-fake-ui-for-media-stream",  # and whoever is asked allows it
]
# Said by Chromium or by pages we only embed, about nothing that is ours to change.
HARMLESS = ("favicon", "manifest", "fonts.g", "THREE.", "GPU stall", "GL Driver", "swiftshader")


def pytest_collection_modifyitems(items):
    """Everything in this folder is a browser test; Gradio's unclosed event loops are not its fault."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(600))
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="module")  # not longer: Playwright's event loop runs in this thread as long as the browser does
def browser():
    """One headless Chromium with a software renderer; skipped where there is none."""
    if not Path(CHROMIUM).is_file():
        missing = f"no Chromium at {CHROMIUM}; set RAP_CHROMIUM to its path"
        if os.environ.get("RAP_REQUIRE_BROWSER"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pipeline():
    """Made-up answers in the model's place."""
    return FakePipeline(seconds_per_step=0.05)


@pytest.fixture(scope="module")
def served(pipeline):
    """The app that `python app.py` starts, with `pipeline` for a model and made-up geometry."""
    yield from started(lambda: pipeline, has_geometry=False)


@pytest.fixture
def running(served):
    """The app; sessions, and with them what they were waiting for, end with the test."""
    yield served
    sessions = served.sessions.result()
    for session_id in list(sessions._sessions):
        sessions.free(session_id)


@pytest.fixture
def editor(running, page):  # in this order: the page is closed before its session
    return Editor(page, running)


@pytest.fixture
def console_errors():
    """Errors of the page so far: what it wrote to its console, and what it threw. The test fails if any is left."""
    errors: list[str] = []
    yield errors
    assert not errors, "the page reported errors:\n" + "\n".join(errors)


@pytest.fixture(scope="module")
def profile(browser):
    """What a person's browser keeps from page to page: above all the scripts, translated, two thirds of a load."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, device_scale_factor=1)
    yield context
    context.close()


@pytest.fixture
def page(profile, console_errors):
    """A tab of its own that finds nothing kept by another, 1200 x 800 CSS pixels, one device pixel each."""
    page = profile.new_page()
    page.on("console", lambda message: _note(console_errors, message))
    page.on("pageerror", lambda error: console_errors.append(str(error)))
    page.set_default_timeout(WAIT_MS)
    yield page
    if not page.is_closed():  # a test that closes it chose no theme before: that is all a page keeps beyond its tab
        forget(page)
        page.close()


def forget(page):
    """What the page has kept in the browser, but for its cache."""
    address = urlsplit(page.url)
    if address.scheme.startswith("http"):
        devtools = page.context.new_cdp_session(page)
        kept = {"origin": f"{address.scheme}://{address.netloc}", "storageTypes": "local_storage,cookies,indexeddb"}
        devtools.send("Storage.clearDataForOrigin", kept)


def _note(errors, message):
    if message.type == "error" and not any(word in message.text + str(message.location) for word in HARMLESS):
        errors.append(f"{message.text} ({message.location})")


@pytest.fixture
def shot(page, request):
    """`shot("name")` writes test-name.png to the folder $RAP_SCREENSHOTS and returns the PNG as an RGB array."""

    def take(name, target=None):
        png = (target or page).screenshot()
        folder = os.environ.get("RAP_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            test = request.node.name.replace("[", "-").replace("]", "")
            (Path(folder) / f"{test}-{name}.png").write_bytes(png)
        with Image.open(BytesIO(png)) as image:
            return np.asarray(image.convert("RGB"))

    return take


@pytest.fixture
def serve():
    """`serve(demo, hub, **launch)` starts a Gradio app, returns its address, and stops it after the test."""
    running = []

    def start(demo, hub, **launch):
        launch = {"ssr_mode": False, "prevent_thread_lock": True, "quiet": True, "show_error": True, **launch}
        _, url, _ = demo.launch(app_kwargs={"routes": hub.routes()}, **launch)
        running.append((demo, hub))
        return url

    yield start
    for demo, hub in running:
        hub.close_all()
        demo.close()
    gc.collect()
