// Runs in the page's head, before Gradio.

// Gradio (6.31) counts the seconds of whatever is pending with every frame of the screen, and those of its sign that the
// page is loading for ever after, though nobody sees them: a browser that does nothing else works sixty times a second.
// A quarter of a second is often enough. What is put off so cannot be cancelled, and Gradio does not: 0 is no frame.
const REST_MS = 250;
const soon = window.requestAnimationFrame.bind(window);
const counts = () => /statustracker/i.test(new Error().stack ?? "");
window.requestAnimationFrame = (callback) =>
  counts() ? (setTimeout(() => callback(performance.now()), REST_MS), 0) : soon(callback);
