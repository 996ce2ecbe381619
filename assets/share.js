// Film and take play in step: what is done to one is done to the other, at the same share of its time.
const films = [...document.querySelectorAll("video")], lead = films.at(-1);
if (lead) lead.controls = true;
const others = films.slice(0, -1);
lead?.addEventListener("play", () => others.forEach((film) => film.play()));
lead?.addEventListener("pause", () => others.forEach((film) => film.pause()));
lead?.addEventListener("seeking", () => others.forEach((film) => {
  if (film.duration) film.currentTime = (film.duration * lead.currentTime) / lead.duration;
}));
