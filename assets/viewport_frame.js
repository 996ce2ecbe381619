// Runs in the viewport's iframe before viser's own client.

// viser reconnects only while the document has the focus; an iframe in a page often has not.
document.hasFocus = () => true;

// viser draws with every frame of the screen, whether anything moves or not: without a graphics card that is a core,
// perhaps of the very machine that makes the take. While nobody touches the view and nothing comes from the app, it is
// drawn once in REST_MS.
const AWAKE_MS = 700;
const REST_MS = 1000;
const LOADING_MS = 5000;
const soon = window.requestAnimationFrame.bind(window);
const never = window.cancelAnimationFrame.bind(window);
const resting = new Map();
let awakeUntil = performance.now() + LOADING_MS;
let count = 0;
let timer = null;

function draw() {
  clearTimeout(timer);
  const waiting = [...resting.values()];
  resting.clear();
  for (const callback of waiting) soon(callback);
}

function wake() {
  awakeUntil = performance.now() + AWAKE_MS;
  if (resting.size) draw();
}

window.requestAnimationFrame = (callback) => {
  if (performance.now() < awakeUntil) return soon(callback);
  if (!resting.size) timer = setTimeout(draw, REST_MS);
  resting.set(--count, callback); // numbers of its own, below those of the browser
  return count;
};
window.cancelAnimationFrame = (id) => { if (!resting.delete(id)) never(id); };

for (const kind of ["pointerdown", "pointermove", "pointerup", "wheel", "keydown", "keyup", "touchmove", "resize", "focus"]) {
  window.addEventListener(kind, wake, { capture: true, passive: true });
}
// What the app says arrives through viser's worker.
window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", wake);
  }
};
