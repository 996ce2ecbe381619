// A way drawn on the floor: `js_on_load` of the pad (ui/page/sketch_panel.py). What is drawn is sent when the hand lets go.
const SHARE = 100, LEAST = 1.5; // parts of the pad's unit that are sent; units between two points
let stroke = null;

function at(svg, event) {
  const box = svg.getBoundingClientRect(), { width, height } = svg.viewBox.baseVal;
  const scale = Math.min(box.width / width, box.height / height);
  return [(event.clientX - box.x - (box.width - scale * width) / 2) / scale, (event.clientY - box.y - (box.height - scale * height) / 2) / scale];
}

function draw(svg) {
  const way = stroke.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join(" L");
  svg.querySelector(".rap-pad-stroke").setAttribute("d", `M${way}`);
}

element.addEventListener("pointerdown", (event) => {
  const svg = event.target.closest("svg");
  if (!svg || !event.isPrimary) return;
  svg.setPointerCapture(event.pointerId);
  stroke = [at(svg, event)];
  draw(svg);
});
element.addEventListener("pointermove", (event) => {
  const svg = event.target.closest("svg");
  if (!stroke || !svg) return;
  const place = at(svg, event), before = stroke[stroke.length - 1];
  if (Math.hypot(place[0] - before[0], place[1] - before[1]) < LEAST) return;
  stroke.push(place);
  draw(svg);
});
const end = (event) => {
  if (!stroke) return;
  if (event.type === "pointerup" && stroke.length > 2) {
    trigger("select", { points: stroke.map((place) => place.map((value) => Math.round(SHARE * value))) });
  }
  stroke = null;
};
for (const kind of ["pointerup", "pointercancel"]) element.addEventListener(kind, end);
