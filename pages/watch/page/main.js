// The connection to the command, the buttons, and the parts of the page.

import { colors, number, whenThemeChanges } from "./colors.js";
import { drawLosses } from "./charts.js";
import { drawNetwork, forgetNetwork, shown } from "./network.js";
import { clearOutput, drawOutput, groupColors } from "./output.js";
import { drawFiltered, prepareTools, sizePad } from "./tools.js";

const DECADES = 6; // of gradients that the bars span
const find = (id) => document.getElementById(id);
let hello = null, frame = null, kind = "";

const socket = new WebSocket(new URL("live", location.href.replace(/^http/, "ws")));
const send = (what, value) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ do: what, value }));

socket.addEventListener("message", (event) => {
  const message = JSON.parse(event.data);
  if (message.type === "hello") {
    receiveHello(message);
    return;
  }
  frame = message;
  requestAnimationFrame(() => {
    draw();
    send("drawn");
  });
});
socket.addEventListener("close", () => {
  find("state").textContent = "the connection is closed: the command has ended";
  for (const button of document.querySelectorAll("button, header input, header select")) button.disabled = true;
});

function receiveHello(message) {
  hello = message;
  document.querySelector("header").classList.toggle("follows", !hello.can_train);
  document.title = `watch ${hello.title}`;
  find("title").textContent = hello.title;
  const isImage = hello.kind === "images";
  for (const id of ["kernel-card", "choose"]) find(id).hidden = !isImage;
  find("draw-card").hidden = !(isImage && hello.scene.can_draw);
  const now = JSON.stringify([hello.kind, hello.title]);
  if (kind !== now) {
    kind = now;
    clearOutput();
    forgetNetwork();
    if (isImage) sizePad(hello.scene);
  }
}

function draw() {
  if (!hello || !frame) return;
  drawHeader();
  drawNetwork(frame.network, groupColors(hello), draw);
  const unit = shown && frame.network.columns[shown[0]]?.units[shown[1]];
  find("output-title").textContent = unit ? `${frame.network.columns[shown[0]].label}, ${unit.name}` : "Output";
  if (Object.keys(frame.output).length || hello.kind === "none") drawOutput(hello, frame, unit);
  if (frame.output.filtered) drawFiltered(frame.output);
  drawLosses(find("loss"), frame.curves);
  find("metrics").textContent = Object.entries(frame.metrics).filter(([name]) => !name.includes("loss"))
    .map(([name, value]) => `${name} ${number(value)}`).join("   ");
  drawNote();
  drawLayers();
  drawFindings();
  drawPictures();
}

function drawHeader() {
  find("note").textContent = frame.note ?? "";
  find("note").hidden = !frame.note;
  const playing = frame.playing;
  find("play").textContent = playing ? "\u275A\u275A Pause" : "\u25B6 Play";
  for (const id of ["play", "step"]) find(id).disabled = !hello.can_train || frame.finished;
  for (const id of ["restart", "seed", "speed", "rate"]) find(id).disabled = !hello.can_train;
  find("count").textContent = frame.step.toLocaleString("en");
  find("epoch").textContent = frame.epoch ?? "–";
  find("state").textContent = frame.state ?? (frame.finished ? "finished" : playing ? "training" : "paused");
  if (document.activeElement !== find("speed")) find("speed").value = String(frame.speed);
  if (!find("rate").matches(":active")) find("rate").value = String(Math.log10(frame.factor));
  if (document.activeElement !== find("seed") && find("seed").dataset.of !== String(frame.seed)) {
    find("seed").value = frame.seed ?? "";
    find("seed").dataset.of = String(frame.seed);
  }
  const times = frame.factor === 1 ? "" : ` (${number(frame.factor)} × as configured)`;
  find("rate-value").textContent = frame.rate === null ? "–" : number(frame.rate * frame.factor) + times;
}

function drawNote() {
  const left = frame.network.left_out;
  const edges = frame.network.edges.some(Boolean);
  const words = edges ? "Edges: blue above 0, orange below; width against the largest weight of the layer." : "";
  const bars = { table: " Bars: mean output of the unit in each group of rows.", images: " Bars: mean output of the unit for each class." }[hello.kind] ?? "";
  find("network-note").textContent = words + bars + (left ? ` ${left} layers in the middle are not drawn.` : "");
}

function drawLayers() {
  const labels = Object.fromEntries(frame.network.columns.map((each) => [each.tag, each.label]));
  const rows = frame.layers.map((layer) => {
    const row = document.createElement("tr");
    const name = document.createElement("td");
    const small = document.createElement("small");
    small.textContent = ` ${layer.tag.replace(/^\d+_/, "")}`;
    name.append(labels[layer.tag] ?? "", small);
    row.append(name, bar(layer, "grad_norm"), bar(layer, "delta_norm"));
    const step = document.createElement("td");
    step.textContent = number(layer.update_ratio, 2);
    row.append(step);
    return row;
  });
  const head = document.createElement("tr");
  for (const words of ["layer", "gradient of its weights", "delta: gradient at its output", "step / weights"]) {
    const cell = document.createElement("th");
    cell.textContent = words;
    head.append(cell);
  }
  find("layers").replaceChildren(...(rows.length ? [head, ...rows] : []));
  find("layers-note").textContent = rows.length
    ? `L2 norms, measured at step ${frame.layers_step}; a full bar is the largest layer, an empty one ${DECADES} powers of ten less.`
    : "Measured at the first step.";
}

function bar(layer, quantity) {
  const largest = Math.max(...frame.layers.map((each) => each[quantity] ?? 0));
  const value = layer[quantity];
  const share = value > 0 ? Math.max(0, 1 + Math.log10(value / largest) / DECADES) : 0;
  const [cell, flex, track, filled, text] = ["td", "div", "div", "div", "span"].map((tag) => document.createElement(tag));
  cell.className = "wide";
  flex.className = "cell";
  track.className = "track";
  filled.className = "bar";
  filled.style.width = `${100 * share}%`;
  text.textContent = number(value, 2);
  track.append(filled);
  flex.append(track, text);
  cell.append(flex);
  return cell;
}

function drawFindings() {
  const items = frame.findings.map((finding) => {
    const [item, kindOf, message, advice] = ["li", "b", "span", "span"].map((tag) => document.createElement(tag));
    item.className = finding.severity;
    kindOf.textContent = finding.kind;
    message.textContent = finding.message;
    advice.textContent = ` Try ${finding.advice}.`;
    item.append(kindOf, message, advice);
    return item;
  });
  if (!items.length) {
    const item = document.createElement("li");
    item.textContent = frame.step ? "Nothing so far." : "Nothing before the first step.";
    items.push(item);
  }
  const text = items.map((each) => each.textContent).join();
  if (find("findings").dataset.text !== text) {
    find("findings").dataset.text = text;
    find("findings").replaceChildren(...items);
  }
}

function drawPictures() {
  const names = (frame.pictures ?? []).join();
  if (find("pictures").dataset.names === names) return;
  find("pictures").dataset.names = names;
  find("pictures-card").hidden = !names;
  find("pictures").replaceChildren(...(frame.pictures ?? []).map((name) => {
    const image = new Image();
    image.src = `pictures/${name}`;
    image.alt = name;
    return image;
  }));
}

find("play").addEventListener("click", () => send("play", !frame?.playing));
find("step").addEventListener("click", () => send("step"));
find("speed").addEventListener("change", () => send("speed", Number(find("speed").value)));
find("rate").addEventListener("input", () => {
  const power = Number(find("rate").value);
  send("rate", power === 0 ? 1 : Math.max(0.01, Math.min(100, 10 ** power)));
});
find("restart").addEventListener("click", () => {
  const seed = find("seed").valueAsNumber;
  if (!Number.isInteger(seed)) return;
  find("state").textContent = "starting anew \u2026";
  send("restart", seed);
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, select, button") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " ") find("play").click();
  else if (event.key === "ArrowRight") find("step").click();
  else return;
  event.preventDefault();
});
addEventListener("resize", () => requestAnimationFrame(draw));
whenThemeChanges(() => { colors(); draw(); });
prepareTools(send);
