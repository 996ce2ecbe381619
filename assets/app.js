() => {
  // Shortcuts press the page's own buttons, so that they can do nothing the buttons do not say. The viewport keeps
  // W A S D, Q E and the arrows for itself; keys pressed in its iframe, which is of this origin, are heard here as well.
  const press = (id) => {
    const place = document.getElementById(id);
    const button = place?.matches("button, input") ? place : place?.querySelector("button, input");
    if (button && !button.disabled) button.click();
  };
  const timeline = (what) => document.dispatchEvent(new CustomEvent("rap-timeline", { detail: what }));
  const help = () => document.getElementById("rap-help");
  const toggleHelp = () => { if (help()?.open) help().close(); else help()?.showModal(); };
  const plain = {
    " ": () => timeline("play"),
    ",": () => timeline(-1),
    ".": () => timeline(1),
    i: () => press("rap-key-insert"),
    delete: () => press("rap-key-delete"),
    g: () => press("rap-gizmo-move"),
    r: () => press("rap-gizmo-turn"),
    o: () => press("rap-soft"),
    x: () => press("rap-swap"),
    f: () => press("rap-full"),
    "?": toggleHelp,
    escape: () => { if (help()?.open) help().close(); else timeline("orbit"); },
  };
  // a slider or a switch takes the space bar and arrows, but no letters
  const typing = (node) => node.closest?.("input[type=text], input[type=number], input:not([type]), textarea, [contenteditable=true]");
  const control = (node) => node.closest?.("button, input, select, summary, [role=tab], [role=option], [role=listbox]");
  const hear = (event) => {
    const command = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
    if (command && key === "enter") press("rap-regenerate");
    else if (typing(event.target)) return;
    else if (command && key === "z") press(event.shiftKey ? "rap-redo" : "rap-undo");
    else if (command || event.altKey || !(key in plain) || (key === " " && control(event.target))) return;
    else plain[key]();
    event.preventDefault();
  };
  // typing into a list looks for an entry; it must not lengthen the one that is chosen
  document.addEventListener("focusin", (event) => event.target.closest?.(".secondary-wrap") && event.target.select?.());
  document.addEventListener("keydown", hear);
  document.addEventListener("rap-iframe", (event) => event.detail.contentDocument?.addEventListener("keydown", hear));
  // Gradio goes by the address, else by the system; the choice made here comes before the system. In another page's
  // frame the storage may be refused: then the address alone keeps it.
  const setTheme = (theme) => document.body.classList.toggle("dark", theme === "dark");
  const switchTheme = () => {
    const theme = document.body.classList.contains("dark") ? "light" : "dark", url = new URL(location);
    setTheme(theme);
    url.searchParams.set("__theme", theme);
    history.replaceState(history.state, "", url);
    try { localStorage.setItem("rap-theme", theme); } catch { /* refused */ }
  };
  try {
    const kept = localStorage.getItem("rap-theme");
    if (kept && !new URLSearchParams(location.search).has("__theme")) setTheme(kept);
  } catch { /* refused */ }
  // words of the craft, as the help sheet explains them, are said at the controls that use them
  const sentence = (id) => document.querySelector(`#rap-help [data-for~="${id}"] td:last-child`)?.textContent;
  const explain = ({ target }) => {
    for (let node = target.closest?.("[id^=rap-]"); node; node = node.parentElement.closest("[id^=rap-]")) {
      const words = sentence(node.id);
      if (!words) continue;
      node.title = words;
      if (control(target)) control(target).setAttribute("aria-description", words);
      return;
    }
  };
  document.addEventListener("mouseover", explain);
  document.addEventListener("focusin", explain);
  // the largest thing on a cold page is what is pressed, and what files are dropped on
  const field = () => document.querySelector("#rap-files input[type=file]:enabled");
  const carries = (event) => !event.defaultPrevented && event.dataTransfer?.types.includes("Files") && field();
  document.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    field().files = event.dataTransfer.files;
    field().dispatchEvent(new Event("change", { bubbles: true }));
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest(".rap-invitation")) field()?.click();
    else if (event.target.closest("#rap-theme")) switchTheme();
    else if (event.target.closest("#rap-help-open")) toggleHelp();
    else if (event.target === help() || event.target.closest("#rap-help-close")) help()?.close();
  });
}
