// Plays and scrubs the path: `js_on_load` of one gr.HTML whose value is ui/page/timeline_words.py's markup.
// The page keeps time itself and tells Python which frame the playhead is at, at most once a frame; closing the page
// stops it. What is set here (playing, loop, camera view, the playhead) outlives a redraw of the markup after an edit.

const now = { frame: 0, playing: false, loop: true, through: false };
const PACE_MS = 100;
let timer = null, pause = null, selected = "";

const part = (selector) => element.querySelector(selector);

// only what differs: a change is what the observer below waits for
function write(selector, text) {
  const place = part(selector);
  if (place.textContent !== text) place.textContent = text;
}

function show() {
  const line = part(".rap-timeline");
  if (!line) return;
  const last = Number(line.dataset.last), fps = Number(line.dataset.fps);
  if (line.dataset.selected !== selected) {
    selected = line.dataset.selected;
    if (selected !== "") now.frame = Number(selected); // as the session does when a frame is selected
  }
  now.frame = Math.min(now.frame, last);
  part("#rap-frame").value = now.frame;
  part("#rap-loop").checked = now.loop;
  part("#rap-fly").checked = now.through;
  write("#rap-play", now.playing ? "❚❚" : "▶");
  write("#rap-at", `frame ${now.frame} · ${(now.frame / fps).toFixed(2)} s`);
  line.style.setProperty("--playhead", (now.frame + 0.5) / (last + 1));
}

// at most every PACE_MS, and the last state always: Gradio itself may drop an event while one is on its way
function tell() {
  show();
  lead();
  if (!pause) send();
}

// the stage plays along (assets/stage.js)
function lead() {
  const last = Number(part(".rap-timeline").dataset.last);
  document.dispatchEvent(new CustomEvent("rap-playhead", { detail: { frame: now.frame, last, playing: now.playing } }));
}

function send() {
  const looks = !now.playing && document.body.dataset.rapView === "preview";
  const told = { frame: now.frame, through: now.through, looks };
  trigger("input", told);
  pause = setTimeout(() => {
    pause = null;
    if (told.frame !== now.frame || told.through !== now.through) send();
  }, PACE_MS);
}

function stop() {
  clearInterval(timer);
  timer = null;
  now.playing = false;
}

function step(by) {
  const last = Number(part(".rap-timeline").dataset.last);
  let next = now.frame + by;
  if (next > last || next < 0) {
    if (!now.loop && timer) { stop(); return show(); }
    next = (next + last + 1) % (last + 1);
  }
  now.frame = next;
  tell();
}

function play() {
  const line = part(".rap-timeline");
  if (!line) return;
  if (timer) { stop(); lead(); return show(); }
  now.playing = true;
  if (!now.loop && now.frame === Number(line.dataset.last)) now.frame = 0;
  timer = setInterval(() => { if (element.isConnected && part(".rap-timeline")) step(1); else stop(); }, Math.max(50, 1000 / Number(line.dataset.fps)));
  lead();
  show();
}

element.addEventListener("click", (event) => { if (event.target.closest("#rap-play")) play(); });
element.addEventListener("input", (event) => {
  if (event.target.id === "rap-frame") { now.frame = Number(event.target.value); tell(); }
});
element.addEventListener("change", (event) => {
  if (event.target.id === "rap-loop") now.loop = event.target.checked;
  if (event.target.id === "rap-fly") { now.through = event.target.checked; tell(); }
});
// the shortcuts of assets/app.js
document.addEventListener("rap-timeline", (event) => {
  if (!part(".rap-timeline")) return;
  if (event.detail === "play") play();
  else if (event.detail === "orbit") { now.through = false; tell(); }
  else if (event.detail === "through") {
    if (selected !== "") now.frame = Number(selected);
    now.through = true;
    tell();
  }
  else step(Number(event.detail));
});
new MutationObserver(show).observe(element, { childList: true, subtree: true });
show();
