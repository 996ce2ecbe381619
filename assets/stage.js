// The stage: `js_on_load` of the switch over it (ui/page/stage_words.py). Clip, preview, take and comparison lie in one
// place; <body data-rap-view> says which of them is seen (assets/app.css). Whatever is new comes to the front; a press on
// the switch brings another. All that play follow the playhead of assets/timeline.js while it is moved.

const VIEWS = { clip: "#rap-stage-clip", preview: "#rap-preview", take: "#rap-video", compare: "#rap-wipe" };
const BEST_FIRST = ["take", "preview", "clip"];
const OFF_BY_S = 0.2; // a picture that plays beside the path is set to it where it is farther off than this
const shownAt = {}; // view -> address of what it showed when it was looked at last
let view = "clip", isChosen = false; // by a press on the switch
let glimpsed = ""; // "bent": one frame of the path is seen that is newer than its preview; "same": as new, but sharper
let offered = null, isLoading = false; // the glimpse that is to be fetched next, and whether one is on its way
let playhead = 0, plays = false;

const media = (name) => document.querySelector(`${VIEWS[name]} :is(video, img)`);
const address = (name) => media(name)?.getAttribute("src") ?? media(name)?.querySelector("source")?.src ?? "";

function look() {
  let newest = null;
  for (const name of Object.keys(VIEWS)) {
    const now = address(name);
    if (now !== (shownAt[name] ?? "")) {
      shownAt[name] = now;
      if (name === "preview" || name === "clip") glimpsed = "";
      if (now && !isLate(name)) newest = name;
    }
  }
  if (newest) { view = newest; isChosen = false; }
  else if (!isThere(view)) view = BEST_FIRST.find((name) => shownAt[name]) ?? "clip";
  if (view === "preview" && !isChosen && glimpsed !== "bent" && takeIsOfThisPath()) view = "take";
  draw();
}

// After a reload all comes in any order: the clip hides nothing that was made of it (a new clip takes all that away), and
// a preview does not hide what was made along the same path; what says so may come later still.
const isLate = (name) =>
  name === "clip" ? Boolean(address("take") || address("preview")) : name === "preview" && takeIsOfThisPath();
const takeIsOfThisPath = () => Boolean(address("take") && document.querySelector("#rap-caption [data-path=same]"));

const isThere = (name) => Boolean(shownAt[name]) || (name === "preview" && glimpsed === "bent");

function draw() {
  document.body.dataset.rapView = view;
  document.body.dataset.rapGlimpse = glimpsed && view === "preview" ? "yes" : "no";
  for (const button of element.querySelectorAll("[data-view]")) {
    button.disabled = !isThere(button.dataset.view);
    button.setAttribute("aria-pressed", String(button.dataset.view === view));
  }
}

// While the path is bent it comes to the front. At another frame of a path that is looked at the preview is there first,
// and gives way once the hand rests.
async function glimpse() {
  if (isLoading) return; // whatever is offered meanwhile is fetched in its place
  isLoading = true;
  while (offered) {
    const { address, bent, frame } = offered, picture = new Image();
    offered = null;
    picture.src = address;
    try { await picture.decode(); } catch { continue; }
    if (!bent && (plays || view !== "preview" || frame !== playhead)) continue;
    const before = document.querySelector("#rap-glimpse img");
    picture.alt = before.alt;
    before.replaceWith(picture);
    if (bent) view = "preview";
    if (glimpsed !== "bent") glimpsed = bent ? "bent" : "same";
    draw();
  }
  isLoading = false;
}

const swap = () => {
  const panes = document.getElementById("rap-panes");
  panes.dataset.large = panes.dataset.large === "space" ? "picture" : "space";
};
const full = () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.getElementById("rap-picture")?.requestFullscreen?.().catch(() => {});
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.view) { view = button.dataset.view; isChosen = true; draw(); }
  else if (button?.id === "rap-swap") swap();
  else if (button?.id === "rap-full") full();
});
document.addEventListener("rap", ({ detail }) => {
  if (detail.glimpse) { offered = detail; glimpse(); }
});
document.addEventListener("rap-playhead", ({ detail: { frame, last, playing } }) => {
  if (playing ? shownAt.preview : glimpsed === "same" && frame !== playhead) glimpsed = "";
  playhead = frame;
  plays = playing;
  draw();
  const video = media(view);
  if (view === "compare" || !(video?.duration > 0)) return;
  const at = ((frame + 0.5) / (last + 1)) * video.duration;
  if (!playing) video.pause();
  if (!playing || Math.abs(video.currentTime - at) > OFF_BY_S) video.currentTime = at;
  if (playing && video.paused) video.play().catch(() => {});
});
// what the panels show may come and go at any time, and Gradio makes whole components anew
new MutationObserver(look).observe(document.getElementById("rap-picture") ?? document.body, {
  childList: true, subtree: true, attributes: true, attributeFilter: ["src"],
});
look();
