"""What a browser runs of markup that found its way into the page: nothing."""

from __future__ import annotations

from browser_harness import WAIT_MS

INJECTED = """
<img src="data:image/png;base64,x" onerror="window.stolen = 1">
<svg onload="window.stolen = 2"></svg>
<iframe srcdoc="<script>parent.stolen = 3</script>"></iframe>
<a id="trap" href="javascript:window.stolen = 4">here</a>
"""


FRAMES = """if (window === top) {
  window.frames_asked = 0;
  const soon = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) => { frames_asked += 1; return soon(callback); };
}"""


def test_the_page_rests_and_injected_markup_runs_nothing(running, browser):
    page = browser.new_page()  # without the check of the console: the browser says there what it has refused
    page.set_default_timeout(WAIT_MS)
    page.add_init_script(FRAMES)
    refused = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(running.url)
    page.wait_for_selector("#rap-files input[type=file]:enabled", state="attached")
    assert not [text for text in refused if "Content Security Policy" in text], "the page itself lives with its policy"
    page.wait_for_function(  # or Gradio counts the seconds of what is long over, with every frame of the screen
        """() => new Promise((done) => {
          const before = frames_asked;
          setTimeout(() => done(frames_asked - before < 10), 1000);
        })"""
    )
    page.evaluate("markup => document.body.insertAdjacentHTML('beforeend', markup)", INJECTED)
    page.evaluate("document.querySelector('#trap').click()")
    page.evaluate("const s = document.createElement('script'); s.text = 'window.stolen = 5'; document.body.append(s)")
    page.wait_for_timeout(500)
    assert page.evaluate("window.stolen") is None
    assert len([text for text in refused if "Content Security Policy" in text]) >= 4
    fetched = page.evaluate("fetch('https://example.com/').then(() => 'went out', () => 'refused')")
    assert fetched == "refused" and "connect-src" in "".join(refused), "and sends nothing out"
    page.close()
