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
  document.addEventListener("keydown", hear);
  document.addEventListener("rap-iframe", (event) => event.detail.contentDocument?.addEventListener("keydown", hear));
  const switchTheme = () => {
    const theme = document.body.classList.toggle("dark") ? "dark" : "light", url = new URL(location);
    url.searchParams.set("__theme", theme); // so that a reload is as it was, and a kept choice as the last one
    history.replaceState(history.state, "", url);
    try { localStorage.setItem("rap-theme", theme); } catch { /* refused in another page's frame */ }
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest("#rap-theme")) switchTheme();
    else if (event.target.closest("#rap-help-open")) toggleHelp();
    else if (event.target === help() || event.target.closest("#rap-help-close")) help()?.close();
  });
}
