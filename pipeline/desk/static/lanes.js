// Two lanes on one canvas: waveform over pitch and level, agent above; events across both. What does not
// move is drawn once into a picture of its own; a frame copies it and adds the playhead.
import { data, duration, now, onTime, seek } from "./call.js";

const WAVE = 54, CURVE = 40, GAP = 8, AXIS = 18, LANE = WAVE + CURVE;
const HEIGHT = 2 * LANE + GAP + AXIS;
const NONE = -128, STEPS_PER_ST = 8, REACH_ST = 12, LEVEL_LOW = -60, LEVEL_HIGH = -10;
const TICKS_S = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
const LEAST_VIEW_S = 2;
const MAP = 28;
const canvas = document.getElementById("lanes"), minimap = document.getElementById("minimap");
const box = canvas.parentElement;
const picture = document.createElement("canvas");
let lanes = [], view = [0, data.duration], width = 0, colours = {}, drag = null;

async function load() {
  try {
    if (!data.sound) throw new Error("no recording");
    const answer = await fetch(data.sound);
    if (!answer.ok) throw new Error(answer.status);
    const bytes = await answer.arrayBuffer();
    const size = new DataView(bytes).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, size)));
    let at = 4 + size;
    const take = (type, n) => { const part = new type(bytes.slice(at, at + n)); at += n; return part; };
    lanes = head.lanes.map((one) => ({
      role: one.role, rates: head.rates,
      peaks: take(Uint8Array, one.peaks), level: take(Int8Array, one.level), pitch: take(Int8Array, one.pitch),
    })).sort((a, b) => (a.role === "agent" ? -1 : 1));
    document.getElementById("no-sound").hidden = true;
  } catch {
    document.getElementById("no-sound").hidden = false;
  }
  draw();
}

// --- colours, from the variables of the style sheet -------------------------------------------------
const probe = document.getElementById("probe");
function readColours() {
  for (const name of ["agent", "customer", "agent-wave", "customer-wave", "agent-band", "customer-band",
    "bad", "hold", "deadair", "ring", "ink", "muted", "line", "level", "card"]) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
}

// --- drawing ------------------------------------------------------------------------------------------
const x = (t) => ((t - view[0]) / (view[1] - view[0])) * width;
const timeAt = (px) => view[0] + (px / width) * (view[1] - view[0]);
const topOf = (role) => (role === "agent" ? 0 : LANE + GAP);
const turnsOf = (role) => data.turns.filter(([a, b, who]) => who === role && b > view[0] && a < view[1]);

function draw() {
  const ratio = devicePixelRatio || 1;
  width = box.clientWidth;
  for (const one of [canvas, picture]) {
    one.width = Math.round(width * ratio);
    one.height = Math.round(HEIGHT * ratio);
  }
  canvas.style.width = `${width}px`;
  canvas.style.height = `${HEIGHT}px`;
  readColours();
  const g = picture.getContext("2d");
  g.scale(ratio, ratio);
  for (const role of ["agent", "customer"]) drawLane(g, role, lanes.find((one) => one.role === role));
  for (const event of data.events) drawEvent(g, event);
  drawAxis(g);
  paint();
  drawMap(ratio);
  place();
}

// The whole call in small, while a part of it is shown: agent above, customer below, the part in a frame.
function drawMap(ratio) {
  const whole = duration();
  minimap.hidden = view[1] - view[0] >= whole - 0.01;
  if (minimap.hidden) return;
  minimap.width = Math.round(width * ratio);
  minimap.height = Math.round(MAP * ratio);
  const g = minimap.getContext("2d"), at = (t) => (t / whole) * width;
  g.scale(ratio, ratio);
  for (const [role, top] of [["agent", 0], ["customer", MAP / 2]]) {
    g.fillStyle = colours[`${role}-wave`];
    const lane = lanes.find((one) => one.role === role);
    for (const [a, b, who] of data.turns) if (who === role && !lane) g.fillRect(at(a), top + 4, Math.max(1, at(b) - at(a)), MAP / 2 - 8);
    for (let px = 0; lane && px < width; px++) {
      const part = lane.peaks.subarray(Math.floor((px / width) * lane.peaks.length), Math.ceil(((px + 1) / width) * lane.peaks.length));
      const tall = (part.reduce((most, one) => Math.max(most, one), 0) / 255) * (MAP / 2 - 2);
      if (tall > 0.3) g.fillRect(px, top + MAP / 4 - tall / 2, 1, tall);
    }
  }
  g.fillStyle = colours.muted;
  g.globalAlpha = 0.25;
  g.fillRect(0, 0, at(view[0]), MAP);
  g.fillRect(at(view[1]), 0, width - at(view[1]), MAP);
  g.globalAlpha = 1;
  g.strokeStyle = colours.ink;
  g.strokeRect(at(view[0]) + 0.5, 0.5, Math.max(3, at(view[1]) - at(view[0]) - 1), MAP - 1);
}

function drawLane(g, role, lane) {
  const top = topOf(role), middle = top + WAVE / 2, base = top + LANE;
  g.fillStyle = colours[`${role}-band`];
  for (const [a, b] of turnsOf(role)) g.fillRect(x(a), top, Math.max(1, x(b) - x(a)), LANE);
  g.fillStyle = colours[`${role}-wave`];
  g.globalAlpha = 0.35;
  g.fillRect(0, middle - 0.5, width, 1);
  g.globalAlpha = 1;
  if (!lane) return;
  const { peaks, level, pitch, rates } = lane;
  for (let px = 0; px < width; px++) {
    const from = Math.floor(timeAt(px) * rates.peaks), to = Math.max(from + 1, Math.ceil(timeAt(px + 1) * rates.peaks));
    let most = 0;
    for (let i = Math.max(0, from); i < Math.min(to, peaks.length); i++) most = Math.max(most, peaks[i]);
    const half = (most / 255) * (WAVE / 2 - 2);
    if (half > 0.3) g.fillRect(px, middle - half, 1, 2 * half);
  }
  if (!document.getElementById("curves").checked) return;
  g.fillStyle = colours.level;
  for (const [a, b] of turnsOf(role)) {
    for (let i = Math.floor(a * rates.level); i < Math.min(b * rates.level, level.length); i++) {
      const share = Math.min(1, Math.max(0, (level[i] - LEVEL_LOW) / (LEVEL_HIGH - LEVEL_LOW)));
      const left = x(Math.max(a, i / rates.level)), right = x(Math.min(b, (i + 1) / rates.level));
      g.fillRect(left, base - share * (CURVE - 4), Math.max(0.5, right - left), share * (CURVE - 4));
    }
  }
  const centre = base - CURVE / 2;
  g.strokeStyle = colours.muted;
  g.lineWidth = 1;
  g.setLineDash([2, 3]);
  g.beginPath(); g.moveTo(0, centre); g.lineTo(width, centre); g.stroke();
  g.setLineDash([]);
  g.strokeStyle = colours[role];
  g.lineWidth = 1.6;
  g.beginPath();
  let open = false;
  const first = Math.max(0, Math.floor(view[0] * rates.pitch)), last = Math.min(pitch.length, Math.ceil(view[1] * rates.pitch));
  for (let i = first; i < last; i++) {
    if (pitch[i] === NONE) { open = false; continue; }
    const st = Math.min(REACH_ST, Math.max(-REACH_ST, pitch[i] / STEPS_PER_ST));
    const y = centre - (st / REACH_ST) * (CURVE / 2 - 2), at = x((i + 0.5) / rates.pitch);
    if (open) g.lineTo(at, y);
    else { g.moveTo(at - 0.8, y); g.lineTo(at, y); }
    open = true;
  }
  g.stroke();
}

function drawEvent(g, { kind, start, end, by }) {
  const left = x(start), right = Math.max(left + 2, x(end)), bottom = 2 * LANE + GAP;
  if (right < 0 || left > width) return;
  g.save();
  g.beginPath(); g.rect(left, 0, right - left, bottom); g.clip();
  if (kind === "interruption") {
    g.globalAlpha = 0.3;
    g.fillStyle = colours[by === "customer" ? "customer" : "bad"];
    g.fillRect(left, 0, right - left, bottom);
  } else if (kind === "hold") {
    g.strokeStyle = colours.hold;
    g.globalAlpha = 0.6;
    g.beginPath();
    for (let d = left - bottom - (left % 8); d < right; d += 8) { g.moveTo(d, bottom); g.lineTo(d + bottom, 0); }
    g.stroke();
  } else if (kind === "dead_air" || kind === "ringing") {
    g.strokeStyle = colours[kind === "ringing" ? "ring" : "deadair"];
    g.setLineDash(kind === "ringing" ? [1, 4] : [4, 4]);
    g.beginPath();
    for (let y = 6; y < bottom; y += kind === "ringing" ? 8 : 12) { g.moveTo(left, y); g.lineTo(right, y); }
    g.stroke();
  } else if (kind === "raised_voice") {
    g.fillStyle = colours.bad;
    g.globalAlpha = 0.6;
    g.fillRect(left, topOf(by ?? "agent"), right - left, 3);
  }
  g.restore();
  if (kind === "interruption") {
    const at = Math.max(6, (left + right) / 2 - 2), y = LANE + GAP / 2;
    const up = by === "customer" ? 1 : -1;  // it points at the lane of who was interrupted
    g.fillStyle = colours[by === "customer" ? "customer" : "bad"];
    g.beginPath(); g.moveTo(at - 6, y + 4 * up); g.lineTo(at + 6, y + 4 * up); g.lineTo(at, y - 5 * up); g.fill();
  }
}

function drawAxis(g) {
  const step = TICKS_S.find((s) => (s / (view[1] - view[0])) * width >= 70) ?? 1200;
  g.fillStyle = colours.muted;
  g.font = `12px ${getComputedStyle(box).fontFamily}`;
  for (let t = Math.ceil(view[0] / step) * step; t < view[1]; t += step) {
    if (t === 0) continue;
    const label = `${Math.floor(t / 60)}:${String(Math.floor(t % 60)).padStart(2, "0")}${step < 1 ? `.${Math.round((t % 1) * 10)}` : ""}`;
    g.fillRect(x(t), HEIGHT - AXIS + 2, 1, 6);
    if (x(t) + 34 < width) g.fillText(label, x(t) + 3, HEIGHT - 4);
  }
}

function paint() {
  const g = canvas.getContext("2d"), ratio = devicePixelRatio || 1;
  g.setTransform(1, 0, 0, 1, 0, 0);
  g.clearRect(0, 0, canvas.width, canvas.height);
  g.drawImage(picture, 0, 0);
  g.scale(ratio, ratio);
  if (drag?.axis && Math.abs(drag.to - drag.from) > 3) {
    g.globalAlpha = 0.25;
    g.fillStyle = colours.agent;
    g.fillRect(Math.min(drag.from, drag.to), 0, Math.abs(drag.to - drag.from), HEIGHT);
    g.globalAlpha = 1;
  }
  const at = x(now());
  if (at >= 0 && at <= width) {
    g.fillStyle = colours.ink;
    g.fillRect(at - 0.75, 0, 1.5, HEIGHT - AXIS + 6);
  }
}

// --- strips: real buttons in their place, in rows where they would collide ---------------------------
function place() {
  for (const strip of document.querySelectorAll(".strip")) {
    strip.classList.add("placed");
    const ends = [];
    let tall = 0;
    for (const button of strip.children) {
      const from = Number(button.dataset.play), to = Number(button.dataset.end);
      button.hidden = to < view[0] || from > view[1];
      if (button.hidden) continue;
      const left = Math.max(0, Math.min(x(from), width - button.offsetWidth));
      let row = ends.findIndex((end) => end + 4 <= left);
      if (row < 0) row = ends.length;
      ends[row] = left + button.offsetWidth;
      button.style.left = `${left}px`;
      button.style.top = `${row * 28}px`;
      tall = Math.max(tall, (row + 1) * 28);
    }
    strip.style.height = `${tall}px`;
  }
}

// --- zoom ------------------------------------------------------------------------------------------------
const text = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
const seconds = (part) => part.split(":").reduce((sum, one) => sum * 60 + Number(one), 0);
function show(from, to, write = true) {
  const whole = duration(), length = Math.min(whole, Math.max(LEAST_VIEW_S, to - from));
  const start = Math.min(Math.max(0, from), whole - length);
  view = [start, start + length];
  if (write) {
    const url = new URL(location.href);
    if (length >= whole - 0.01) url.searchParams.delete("zoom");
    else url.searchParams.set("zoom", `${text(view[0])}-${text(Math.ceil(view[1]))}`);
    history.replaceState(null, "", url);
  }
  draw();
}
function zoom(factor) {
  const length = (view[1] - view[0]) * factor, at = Math.min(view[1], Math.max(view[0], now()));
  show(at - length * ((at - view[0]) / (view[1] - view[0])), at + length * ((view[1] - at) / (view[1] - view[0])));
}
document.addEventListener("zoom", (event) => zoom(event.detail));
document.getElementById("zoom-in").addEventListener("click", () => zoom(0.5));
document.getElementById("zoom-out").addEventListener("click", () => zoom(2));

const place_of = (event) => event.clientX - canvas.getBoundingClientRect().left;
canvas.addEventListener("pointerdown", (event) => {
  const axis = event.clientY - canvas.getBoundingClientRect().top > HEIGHT - AXIS;
  drag = { axis, from: place_of(event), to: place_of(event) };
  canvas.setPointerCapture(event.pointerId);
  if (!axis) seek(timeAt(drag.to));
});
canvas.addEventListener("pointermove", (event) => {
  if (!drag) return;
  drag.to = Math.min(width, Math.max(0, place_of(event)));
  if (drag.axis) paint();
  else seek(timeAt(drag.to));
});
canvas.addEventListener("pointerup", () => {
  if (!drag) return;
  const { axis, from, to } = drag;
  drag = null;
  if (axis && Math.abs(to - from) > 5) show(timeAt(Math.min(from, to)), timeAt(Math.max(from, to)));
  else if (axis) seek(timeAt(to));
});
const moveTo = (event) => {
  const length = view[1] - view[0], middle = ((event.clientX - minimap.getBoundingClientRect().left) / width) * duration();
  show(middle - length / 2, middle + length / 2);
};
minimap.addEventListener("pointerdown", (event) => { minimap.setPointerCapture(event.pointerId); moveTo(event); });
minimap.addEventListener("pointermove", (event) => { if (minimap.hasPointerCapture(event.pointerId)) moveTo(event); });
canvas.addEventListener("dblclick", () => show(0, duration()));

onTime((t) => {
  const audio = document.getElementById("audio");
  if (audio && !audio.paused && (t > view[1] || t < view[0]) && document.getElementById("follow").checked)
    show(t - 0.1 * (view[1] - view[0]), t + 0.9 * (view[1] - view[0]), false);
  paint();
});
document.getElementById("curves").addEventListener("change", draw);
new ResizeObserver(() => { if (box.clientWidth !== width) draw(); }).observe(box);
for (const query of ["(prefers-color-scheme: dark)", `(resolution: ${devicePixelRatio}dppx)`])
  matchMedia(query).addEventListener("change", draw);
document.fonts?.ready.then(place);

const asked = new URLSearchParams(location.search).get("zoom")?.split("-");
if (asked?.length === 2 && asked.every((part) => /^[\d:.]+$/.test(part))) view = [seconds(asked[0]), seconds(asked[1])];
if (!(view[1] - view[0] >= LEAST_VIEW_S)) view = [0, data.duration];
draw();
load();
