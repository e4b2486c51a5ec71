// Plays moments in place, one or several in a row: from 1 s before to 1 s after, then stops by itself.
const audio = document.createElement("audio");
audio.preload = "none";
const LEAD = 1;
let list = [], at = -1, until = 0, from = 0;

function note() {
  const link = list[at];
  if (!link || !(audio.currentTime - from > 0)) return;
  const body = new URLSearchParams({ start: from.toFixed(2), end: Math.min(audio.currentTime, until).toFixed(2) });
  fetch(`${callOf(link)}/played`, { method: "POST", body }).catch(() => {});
}
const callOf = (link) => new URL(link.href).pathname;

function stop() {
  audio.pause();
  note();
  if (list[at]) list[at].removeAttribute("aria-current");
}

function play(index) {
  at = index;
  const link = list[at];
  if (!link) return;
  link.setAttribute("aria-current", "true");
  from = Math.max(0, Number(link.dataset.play) - LEAD);
  until = Number(link.dataset.end) + LEAD;
  const source = `${callOf(link)}/audio`;
  const begin = () => { audio.currentTime = from; audio.play().catch(() => location.assign(link.href)); };
  if (audio.getAttribute("src") === source && audio.readyState > 0) begin();
  else {
    audio.src = source;
    audio.addEventListener("loadedmetadata", begin, { once: true });
    audio.load();
  }
}

audio.addEventListener("timeupdate", () => {
  if (audio.paused || audio.currentTime < until) return;
  stop();
  play(at + 1);
});
audio.addEventListener("ended", () => { stop(); play(at + 1); });
audio.addEventListener("error", () => { if (list[at]) location.assign(list[at].href); });

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = event.target.closest("a.moment[data-play]");
  const all = event.target.closest("button[data-play-all]");
  if (!link && !all) return;
  event.preventDefault();
  const same = link && list[at] === link && !audio.paused;
  stop();
  if (same) return;
  list = link ? [link] : [...document.querySelectorAll(`#${all.dataset.playAll} a.moment[data-play]`)];
  play(0);
});
addEventListener("keydown", (event) => { if (event.key === "Escape" && !audio.paused) stop(); });
