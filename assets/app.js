() => {
  // Shortcuts press the page's own buttons, so that they can do nothing the buttons do not say. The viewport keeps
  // W A S D, Q E and the arrows for itself; its iframe hears keys only while it has the focus.
  const press = (id) => {
    const place = document.getElementById(id);
    const button = place?.matches("button") ? place : place?.querySelector("button, input");
    if (button && !button.disabled) button.click();
  };
  const typing = (node) => node.closest("input[type=text], input[type=number], textarea, [contenteditable=true]");
  document.addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (command && key === "enter") press("rap-regenerate");
    else if (typing(event.target)) return;
    else if (command && key === "z") press(event.shiftKey ? "rap-redo" : "rap-undo");
    else if (!command && key === "o") press("rap-soft");
    else return;
    event.preventDefault();
  });
}
