// The page's side of ui/serve/hub.py: the body of `js_on_load` of one gr.HTML whose value is the session's sid.
//
//   gr.HTML(value=sid, html_template='<div class="rap-viewport"></div>', js_on_load=<this file>, ...)
//
// It shows the viewport's iframe if a WebSocket gets through and WebGL works, and says on <body> how that went:
//   data-rap-viewport = "loading" | "live" | "fallback" (no WebSocket or no WebGL) | "ended" (the session is gone).
// assets/viewport.css shows every element of class `rap-fallback` (the plotly view, the table) while it is "fallback".
// ?noviewport=1 in the page's address forces the fallback.
// Events of the session arrive here at once: document event "rap" with the event in `detail`; an event with
// `"notify": true` is also handed to Python, through the component's own `input` event, which draws what is new; while
// the events do not get through, that is asked for every few seconds. Document event "rap-drawn" says that it is drawn,
// and what was said meanwhile is asked for then: Gradio takes events that come close together at once, and whichever
// answer came last would stay, be it the older. Its answers come through a stream that ends when nothing is asked, and
// a page that asks while word of that is on its way waits for a stream that is no more: any other event opens a new one.

const PROBE_TIMEOUT_MS = 3000;
const RETRY_MS = 5000;
const LOST_MS = 1000;
const LATE_MS = 2000; // an answer that takes longer may be waiting for a stream
const PATIENCE_MS = 10000; // one that does not come keeps nobody from asking again
let sid = null, stream = null, timer = null;
let askedAt = null, again = false;

// Relative to the page's own address, so that a sub-path or a proxy in front changes nothing.
const address = (path) => new URL(path, location.origin + location.pathname.replace(/\/*$/, "/"));

function say(state) {
  const before = document.body.dataset.rapViewport;
  if (before === state) return;
  document.body.dataset.rapViewport = state;
  if (sid && [before, state].includes("fallback")) tellLook();
}

// What the session draws for the page alone: in which colours, and whether in place of the 3D view.
function tellLook() {
  trigger("select", { dark: isDark(), fallback: document.body.dataset.rapViewport === "fallback" });
}

function hasWebGL() {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl2"));
  } catch {
    return false;
  }
}

function probe(id) {
  return new Promise((resolve) => {
    const url = address("viewport/" + id);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    let socket;
    try {
      socket = new WebSocket(url, ["rap-probe"]);
    } catch {
      return resolve(false);
    }
    const finish = (ok) => { clearTimeout(limit); socket.onopen = socket.onclose = null; socket.close(); resolve(ok); };
    const limit = setTimeout(() => finish(false), PROBE_TIMEOUT_MS);
    socket.onopen = () => finish(true);
    socket.onclose = () => finish(false);
  });
}

function frame(id) {
  const place = element.querySelector(".rap-viewport");
  const src = address("viewport/" + id + "/");
  const dpr = new URLSearchParams(location.search).get("fixedDpr"); // a slow renderer (tests, old laptops) may ask for it
  if (dpr) src.searchParams.set("fixedDpr", dpr);
  const old = place.querySelector("iframe");
  if (old && old.dataset.sid === id) return;
  const iframe = document.createElement("iframe");
  iframe.title = "3D view of the camera path";
  iframe.dataset.sid = id;
  iframe.src = src;
  iframe.addEventListener("load", () => {
    iframe.contentDocument.addEventListener("webglcontextlost", () => replaceLost(iframe, id), true);
    document.dispatchEvent(new CustomEvent("rap-iframe", { detail: iframe }));
  });
  place.replaceChildren(iframe);
}

// A browser may take WebGL away at any time, and what drew with it stays empty: a new frame is drawn from the beginning.
function replaceLost(iframe, id) {
  if (!iframe.isConnected || id !== sid) return;
  iframe.remove();
  say("loading");
  clearTimeout(timer);
  timer = setTimeout(() => connect(id), LOST_MS);
}

async function connect(id) {
  clearTimeout(timer);
  const forced = new URLSearchParams(location.search).get("noviewport") === "1";
  const ok = !forced && hasWebGL() && (await probe(id));
  if (id !== sid || document.body.dataset.rapViewport === "ended") return;
  if (ok) frame(id);
  say(ok ? "live" : "fallback");
  if (!ok && !forced) timer = setTimeout(() => connect(id), RETRY_MS);
}

const waited = () => (askedAt === null ? 0 : performance.now() - askedAt);

function ask() {
  again = askedAt !== null && waited() < PATIENCE_MS;
  if (again) return;
  askedAt = performance.now();
  trigger("input", {});
}

document.addEventListener("rap-drawn", () => {
  askedAt = null;
  if (again) ask();
});

function listen(id) {
  if (stream) stream.close();
  stream = new EventSource(address("events/" + id));
  let lost = false;
  stream.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (event.glimpse) event.address = address(`glimpses/${id}?${event.glimpse}`).href;
    document.dispatchEvent(new CustomEvent("rap", { detail: event }));
    if (event.notify) ask();
  };
  stream.onopen = () => {
    if (lost) {
      connect(id);
      tellLook(); // the app may have been started anew
    }
    lost = false;
    ask(); // what was said before or meanwhile has not arrived
  };
  stream.onerror = () => {
    lost = true;
    if (stream.readyState === EventSource.CLOSED) say("ended"); // refused, not lost: the session is no more
  };
}

function mount() {
  const id = typeof props.value === "string" ? props.value : "";
  if (!id) return say("loading");
  if (id !== sid) {
    sid = id;
    say("loading");
    listen(id);
  }
  connect(id);
}

setInterval(() => {
  if (again || (stream && stream.readyState === EventSource.CONNECTING)) ask();
}, RETRY_MS);
// Dark or light may change at any time, by the button or by the system: the session colours viewport and plots.
const isDark = () => document.body.classList.contains("dark");
setInterval(() => {
  if (waited() >= LATE_MS && waited() < PATIENCE_MS) tellLook(); // changes nothing
}, LATE_MS);
let dark = isDark();
new MutationObserver(() => {
  if (isDark() === dark) return;
  dark = isDark();
  if (sid) tellLook();
}).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", mount);
mount();
