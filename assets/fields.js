// Why a field's value is not taken stands under the field until somebody types there: `js_on_load` of the component that
// lists such sentences (ui/page/fields_panel.py). Which and why is the session's to say; here they get to their places.
const UNFOLDING_MS = 200;
const mended = new Set(); // numbers of refusals whose field has been typed into since
// of a field the last one alone: two would take each other's place for ever
const wanted = () => [...new Map([...element.querySelectorAll("[data-field]")]
  .filter(({ dataset }) => !mended.has(dataset.number)).map((one) => [one.dataset.field, one])).values()];
const inputs = (place) => place.querySelectorAll("input, textarea");

function clear(line) {
  for (const input of inputs(line.parentElement)) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
  line.remove();
}

// a button may be pressed while the field that it goes by lies in a fold
function unfold(place) {
  for (let node = place; node; node = node.parentElement) node.querySelector(":scope > button.label-wrap:not(.open)")?.click();
}

// whether it says something new
function put(place, { textContent, dataset }) {
  let line = place.querySelector(":scope > .rap-wrong");
  if (!line) {
    line = document.createElement("div");
    line.id = `${place.id}-wrong`;
    line.className = "rap-wrong";
    line.setAttribute("role", "alert");
    place.append(line);
  }
  const isNew = line.dataset.number !== dataset.number;
  if (isNew) {
    line.textContent = textContent;
    line.dataset.number = dataset.number;
    unfold(place);
  }
  for (const input of inputs(place)) {
    if (input.getAttribute("aria-invalid")) continue;
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", line.id);
  }
  return isNew;
}

function show() {
  const wrong = wanted(), fields = new Set(wrong.map(({ dataset }) => dataset.field));
  for (const line of document.querySelectorAll(".rap-wrong")) if (!fields.has(line.parentElement.id)) clear(line);
  const places = wrong.map((one) => [document.getElementById(one.dataset.field), one]).filter(([place]) => place);
  const [first] = places.filter(([place, one]) => put(place, one));
  if (first) setTimeout(() => first[0].scrollIntoView({ block: "center" }), UNFOLDING_MS); // no button lies over it
}

document.addEventListener("input", ({ target }) => {
  const typed = wanted().filter(({ dataset }) => document.getElementById(dataset.field)?.contains(target));
  for (const { dataset } of typed) mended.add(dataset.number);
  if (typed.length) show();
}, true);
// Gradio makes whole components anew
new MutationObserver(show).observe(document.getElementById("rap-rail") ?? document.body, { childList: true, subtree: true });
new MutationObserver(show).observe(element, { childList: true, subtree: true });
show();
