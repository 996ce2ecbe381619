// Nobody there: examples and moves go by. A hand: the page is theirs. After a quiet while: a new session.
const line = element.querySelector("[data-quiet]");
const quietMs = 1000 * line.dataset.quiet, stepMs = 1000 * line.dataset.step;
let last = 0, shown = 0, alone = true;
const began = () => sessionStorage.getItem("rap-session");
const state = () => line.toggleAttribute("data-alone", alone);
const felt = () => { last = performance.now(); alone = false; state(); };
const typing = (node) => node.closest?.("input[type=text], input[type=number], input:not([type]), textarea");
const hear = (event) => {
  felt();
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || !/^[1-9]$/.test(event.key)) return;
  if (began()) trigger("select", { move: Number(event.key) - 1, alone: false });
};
const listen = (place) => {
  for (const kind of ["pointerdown", "pointermove", "wheel", "touchstart"]) place.addEventListener(kind, felt, { capture: true, passive: true });
  place.addEventListener("keydown", hear);
};
// no dialog of files opens, and nothing that is dropped is taken
const refuse = (event) => { event.preventDefault(); event.stopImmediatePropagation(); };
document.addEventListener("click", (event) => event.target.closest?.("input[type=file], a[download]") && refuse(event), true);
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.dataTransfer?.types.includes("Files") && refuse(event), true);
document.addEventListener("rap-iframe", (event) => event.detail.contentDocument && listen(event.detail.contentDocument));
listen(document);
state();
const beat = () => {
  if (!alone && performance.now() - last > quietMs) {
    sessionStorage.removeItem("rap-session");
    location.reload();
  } else if (alone && began()) {
    trigger("select", { move: shown, alone: true });
    shown += 1;
  }
};
setInterval(beat, stepMs);
