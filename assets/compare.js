// Keeps the two videos of a comparison in step and moves the wipe between them: `js_on_load` of one gr.HTML.
// B lies under A, and A is cut off at the wipe; the slider under the picture and the pointer in it both move that.

const STEP_S = 0.04; // farther apart than this the second video is set to the first one's time

function wire() {
  const place = element.querySelector(".rap-wipe");
  const at = element.querySelector(".rap-wipe-at");
  if (!place || !at || place.dataset.wired) return;
  place.dataset.wired = "yes";
  const [a, b] = ["a", "b"].map((side) => place.querySelector(".rap-wipe-" + side));
  const show = () => place.style.setProperty("--wipe", at.value + "%");
  const point = (event) => {
    const box = place.getBoundingClientRect();
    at.value = Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width));
    show();
  };
  at.addEventListener("input", show);
  place.addEventListener("pointerdown", (event) => { place.setPointerCapture(event.pointerId); point(event); });
  place.addEventListener("pointermove", (event) => { if (event.buttons) point(event); });
  // a film and a take of it may last differently long: the same share of both is shown
  const share = () => (b.duration / a.duration || 1), there = () => a.currentTime * share();
  a.addEventListener("timeupdate", () => { if (Math.abs(there() - b.currentTime) > STEP_S) b.currentTime = there(); });
  a.addEventListener("seeked", () => { b.currentTime = there(); });
  const ready = (video) => new Promise((done) => { if (video.readyState >= 3) done(); else video.addEventListener("canplay", done, { once: true }); });
  Promise.all([ready(a), ready(b)]).then(() => { a.currentTime = b.currentTime = 0; b.playbackRate = Math.min(16, Math.max(0.1, share())); a.play().catch(() => {}); b.play().catch(() => {}); });
  show();
}

new MutationObserver(wire).observe(element, { childList: true, subtree: true });
wire();
