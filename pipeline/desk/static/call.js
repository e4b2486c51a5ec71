// The call page: one clock (audio.currentTime) drives slider, line, word and lanes.
import { bindKeys } from "./keys.js";

const { data, at } = JSON.parse(document.getElementById("call-data").textContent);
const $ = (id) => document.getElementById(id);
const audio = $("audio");
const RESUME_AFTER_MS = 5000, RESUME_BACK_S = 1, AROUND_S = 1, LEAST_HEARD_S = 2;
const MOST_COVERED = 0.6, BESIDE_PX = 12;  // of a window, by what stays in sight; free beside the line that plays
let stopAt = null, pausedAt = 0, heardFrom = null;

export const duration = () => (audio && Number.isFinite(audio.duration) ? audio.duration : data.duration);
const now = () => (audio ? audio.currentTime : Number($("seek").value));
const clock = (s) => {
  const whole = Math.max(0, Math.floor(s)), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
  return (h ? `${h}:${String(m).padStart(2, "0")}` : m) + ":" + String(whole % 60).padStart(2, "0");
};

function seek(seconds) {
  const t = Math.min(Math.max(0, seconds), duration());
  if (audio) audio.currentTime = t;
  else $("seek").value = t;
  show(t);
}
function start(from, to = null) {
  if (!audio) return seek(from);
  note();
  seek(from);
  stopAt = to;
  audio.play().catch(() => {});
}
// Evidence plays from a second before to a second after and stops by itself.
const playMoment = (from, to) => start(from - AROUND_S, Math.max(to, from) + AROUND_S);
function toggle() {
  if (!audio) return;
  if (!audio.paused) return audio.pause();
  stopAt = null;
  if (pausedAt && performance.now() - pausedAt > RESUME_AFTER_MS) seek(now() - RESUME_BACK_S);
  audio.play().catch(() => {});
}
function note() {
  if (heardFrom === null) return;
  const from = heardFrom, to = now();
  heardFrom = null;
  if (to - from > LEAST_HEARD_S) {
    const body = new URLSearchParams({ start: from.toFixed(1), end: to.toFixed(1) });
    fetch(data.played, { method: "POST", body, keepalive: true }).catch(() => {});
  }
}

// --- lines and words -----------------------------------------------------------------------------
const lines = [...document.querySelectorAll("#lines li")];
const spans = lines.map((line) => ({ line, from: Number(line.dataset.play), to: Number(line.dataset.end) }));
let current = null, spoken = null;
function mark(t) {
  let best = null;
  for (const one of spans) {
    if (one.from > t) break;
    if (t < one.to + 0.3) best = one;
  }
  if (best?.line !== current) {
    current?.removeAttribute("aria-current");
    current = best?.line ?? null;
    current?.setAttribute("aria-current", "true");
    if (current && $("follow").checked && audio && !audio.paused) keepInView(current);
  }
  let word = null;
  for (const one of current?.querySelectorAll("[data-t]") ?? []) {
    if (Number(one.dataset.t) > t + 0.02) break;
    word = one;
  }
  if (word !== spoken) {
    spoken?.classList.remove("spoken");
    spoken = word;
    spoken?.classList.add("spoken");
  }
}
// Where the line that plays may stand: under what stays in sight, which the page keeps free (scroll-padding).
let covered = 0;
function keepInView(line) {
  const box = line.getBoundingClientRect();
  if (box.top >= covered && box.bottom <= innerHeight - BESIDE_PX) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  line.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
}
function fit() {
  const player = document.querySelector(".player"), controls = $("controls");
  player.classList.remove("low");
  const whole = player.offsetHeight <= MOST_COVERED * innerHeight;
  player.classList.toggle("whole", whole);
  player.classList.toggle("low", !whole);
  const bar = getComputedStyle(controls).display === "contents" ? $("bar") : controls;
  covered = (whole ? player : bar).offsetHeight + BESIDE_PX;
  document.documentElement.style.scrollPaddingTop = `${covered}px`;
}
const listeners = [];
export const onTime = (listener) => listeners.push(listener);
function show(t = now()) {
  $("clock").textContent = `${clock(t)}.${Math.floor((t % 1) * 10)} / ${clock(duration())}`;
  const slider = $("seek");
  if (document.activeElement !== slider || !audio?.paused) slider.value = t;
  slider.setAttribute("aria-valuetext", `${Math.floor(t / 60)} ${data.words.minutes} ${Math.floor(t % 60)} ${data.words.seconds}`);
  mark(t);
  for (const listener of listeners) listener(t);
}
function tick() {
  show();
  if (stopAt !== null && now() >= stopAt) {
    stopAt = null;
    audio.pause();
  }
  if (!audio.paused) requestAnimationFrame(tick);
}

// --- controls --------------------------------------------------------------------------------------
if (audio) {
  audio.addEventListener("play", () => {
    heardFrom = now();
    $("play").textContent = `❚❚ ${data.words.pause}`;
    requestAnimationFrame(tick);
  });
  audio.addEventListener("pause", () => {
    note();
    pausedAt = performance.now();
    $("play").textContent = `▶ ${data.words.play}`;
    show();
  });
  audio.addEventListener("seeked", () => show());
  audio.addEventListener("timeupdate", () => {  // also in a hidden tab, where nothing is drawn
    if (stopAt !== null && now() >= stopAt) tick();
  });
  const known = () => {
    $("seek").max = audio.duration;
    if (at !== null) seek(at);
  };
  if (audio.readyState >= HTMLMediaElement.HAVE_METADATA) known();
  else audio.addEventListener("loadedmetadata", known, { once: true });
  addEventListener("pagehide", note);
} else {
  $("play").disabled = true;
}
$("play").addEventListener("click", toggle);
$("seek").addEventListener("input", (event) => { stopAt = null; seek(Number(event.target.value)); });
$("speed").addEventListener("change", (event) => { if (audio) audio.playbackRate = Number(event.target.value); });
for (const button of document.querySelectorAll("[data-skip]"))
  button.addEventListener("click", () => seek(now() + Number(button.dataset.skip)));
for (const button of document.querySelectorAll("[data-finding]"))
  button.addEventListener("click", () => finding(Number(button.dataset.finding)));

const findings = [...document.querySelectorAll("#findings button")];
function finding(step) {
  const places = findings.map((b) => Number(b.dataset.play));
  const t = now() + AROUND_S;
  const next = step > 0 ? places.findIndex((p) => p > t + 0.05) : places.findLastIndex((p) => p < t - 0.5);
  if (next >= 0) openFinding(findings[next]);
}
function openFinding(button) {
  playMoment(Number(button.dataset.play), Number(button.dataset.end));
  choose("fail");
  const card = $(`item-${button.dataset.item}`);
  for (const one of document.querySelectorAll(".verdict[aria-current]")) one.removeAttribute("aria-current");
  card?.setAttribute("aria-current", "true");
  card?.closest("details.rest")?.setAttribute("open", "");
}
for (const button of document.querySelectorAll(".strip button"))
  button.addEventListener("click", () =>
    button.dataset.item ? openFinding(button) : playMoment(Number(button.dataset.play), Number(button.dataset.end)));
for (const link of document.querySelectorAll("a.moment"))
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || !audio) return;
    event.preventDefault();
    playMoment(Number(link.dataset.play), Number(link.dataset.end));
  });

// --- transcript: one tab stop, arrows move -----------------------------------------------------------
function focusLine(line) {
  for (const one of lines) one.tabIndex = -1;
  line.tabIndex = 0;
  line.focus();
}
$("lines")?.addEventListener("click", (event) => {
  if (getSelection()?.toString()) return;  // words are being copied
  const word = event.target.closest("[data-t]"), line = event.target.closest("li");
  if (word) start(Number(word.dataset.t));
  else if (line) start(Number(line.dataset.play));
  if (line) for (const one of lines) one.tabIndex = one === line ? 0 : -1;
});
$("lines")?.addEventListener("keydown", (event) => {
  const line = event.target.closest("li"), i = lines.indexOf(line);
  const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: lines.length - 1 }[event.key];
  if (event.key === "Enter") start(Number(line.dataset.play), Number(line.dataset.end) + 0.3);
  else if (to !== undefined && lines[to]) focusLine(lines[to]);
  else return;
  event.preventDefault();
  event.stopPropagation();
});

// --- tabs (APG) --------------------------------------------------------------------------------------
const tabs = [...document.querySelectorAll("[role=tab]")];
function choose(name, focus = false) {
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !chosen;
    if (chosen && focus) tab.focus();
  }
}
for (const tab of tabs) {
  tab.addEventListener("click", (event) => { event.preventDefault(); choose(tab.id.slice(4)); });
  tab.addEventListener("keydown", (event) => {
    const i = tabs.indexOf(tab), n = tabs.length;
    const to = { ArrowRight: (i + 1) % n, ArrowLeft: (i + n - 1) % n, Home: 0, End: n - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    choose(tabs[to].id.slice(4), true);
  });
}

// --- copy, help, keys ----------------------------------------------------------------------------------
function link() {
  const url = new URL(location.href);
  url.search = new URLSearchParams({ t: now().toFixed(1) });
  url.hash = "";
  return url.href;
}
async function copy() {
  try {
    await navigator.clipboard.writeText(link());
    const label = $("copy").textContent;
    $("copy").textContent = data.words.copied;
    setTimeout(() => { $("copy").textContent = label; }, 1500);
  } catch {
    history.replaceState(null, "", link());  // where the clipboard is closed, the address bar has it
  }
}
const zoom = (factor) => document.dispatchEvent(new CustomEvent("zoom", { detail: factor }));
function help() {
  $("keys").hidden = !$("keys").hidden;
  $("help").setAttribute("aria-expanded", !$("keys").hidden);
}
function speed(step) {
  const list = $("speed");
  list.selectedIndex = Math.min(Math.max(0, list.selectedIndex + step), list.length - 1);
  list.dispatchEvent(new Event("change"));
}
function again() {
  const line = current ?? lines.findLast((one) => Number(one.dataset.play) <= now());
  if (!line) return;
  $("speed").selectedIndex = 0;
  $("speed").dispatchEvent(new Event("change"));
  start(Number(line.dataset.play), Number(line.dataset.end) + 0.3);
}
$("copy").addEventListener("click", copy);
$("help").addEventListener("click", help);
bindKeys({
  " ": toggle, k: toggle, j: () => seek(now() - 5), l: () => seek(now() + 5),
  ArrowLeft: () => seek(now() - 5), ArrowRight: () => seek(now() + 5),
  ",": () => speed(-1), ".": () => speed(1), r: again, n: () => finding(1), p: () => finding(-1),
  "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2),
  f: () => { $("follow").checked = !$("follow").checked; }, c: copy, "?": help,
}, $("letters"));

fit();
addEventListener("resize", fit);
const sizes = new ResizeObserver(fit);
for (const part of [$("controls"), ...document.querySelectorAll(".strip")]) sizes.observe(part);
document.querySelector(".verdict[aria-current]")?.scrollIntoView({ block: "nearest" });
show(at ?? 0);
export { data, now, seek };
