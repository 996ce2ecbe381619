// The point that moves turn about: `js_on_load` of the component that lists where the stage's pictures show it
// (ui/page/pivot_panel.py). A click on the clip or on the path's preview picks what lies there; a click on the point, or
// Escape, forgets it. The mark stands where the picture of the moment shows the point.

const PICTURES = { "rap-stage-clip": "clip", "rap-preview": "path", "rap-glimpse": "path" };
const VIEWS = Object.keys(PICTURES).map((id) => `#${id}`).join(", ");
const SHARE = 10000, NEAR_PX = 14;
let playhead = 0, last = 0, asked = 0;

const mark = () => element.querySelector(".rap-pivot-mark");
const shown = () => Object.keys(PICTURES).map((id) => document.getElementById(id)).find((view) => view?.offsetParent);
const share = (value) => Math.round(SHARE * Math.min(1, Math.max(0, value)));

// the picture within its black borders, in the window
function frame(picture) {
  const box = picture.getBoundingClientRect();
  const [w, h] = [picture.videoWidth ?? picture.naturalWidth, picture.videoHeight ?? picture.naturalHeight];
  const scale = Math.min(box.width / w, box.height / h);
  return { x: box.x + (box.width - scale * w) / 2, y: box.y + (box.height - scale * h) / 2, w: scale * w, h: scale * h };
}

// share of the time that a view shows at this moment
function moment(view, picture) {
  if (view.id === "rap-glimpse") return (playhead + 0.5) / (last + 1);
  return picture.duration > 0 ? Math.min(picture.currentTime / picture.duration, 0.9999) : 0;
}

function place() {
  asked = 0;
  const point = mark(), view = shown(), picture = view?.querySelector("video, img");
  if (!point) return;
  const places = point.dataset[PICTURES[view?.id]]?.split(" ") ?? [];
  const at = picture && places.length ? places[Math.floor(moment(view, picture) * places.length)].split(",").map(Number) : [NaN];
  const inside = at.length === 2 && at.every((value) => value >= 0 && value <= 1);
  if (inside) {
    const box = frame(picture), pane = document.getElementById("rap-picture").getBoundingClientRect();
    point.style.left = `${box.x + at[0] * box.w - pane.x}px`;
    point.style.top = `${box.y + at[1] * box.h - pane.y}px`;
  }
  point.toggleAttribute("data-placed", inside);
  soon(); // it follows what plays
}
const soon = () => { asked ||= requestAnimationFrame(place); };

document.addEventListener("click", (event) => {
  const view = event.target.closest?.(VIEWS), picture = view?.querySelector("video, img");
  if (!view || event.target !== picture) return;
  const point = mark()?.getBoundingClientRect();
  if (point?.width && Math.hypot(event.clientX - point.x - point.width / 2, event.clientY - point.y - point.height / 2) < NEAR_PX) {
    return trigger("input", {});
  }
  const box = frame(picture), [x, y] = [(event.clientX - box.x) / box.w, (event.clientY - box.y) / box.h];
  if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1)) return; // also of a film that is not there yet, whose size is none
  trigger("select", { view: PICTURES[view.id], at: share(moment(view, picture)), x: share(x), y: share(y) });
});
document.addEventListener("rap-playhead", ({ detail }) => { playhead = detail.frame; last = detail.last; });
document.addEventListener("rap-timeline", ({ detail }) => { if (detail === "orbit" && mark()) trigger("input", {}); });
new MutationObserver(soon).observe(element, { childList: true, subtree: true });
soon();
