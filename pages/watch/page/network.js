// The network: a small picture for every unit, and an edge for every weight between them.

import { colors, number, paint } from "./colors.js";
import { fresh } from "./charts.js";

const HEAD = 40, GAP = 12;
const place = document.getElementById("network");
const svg = document.getElementById("edges");
let shape = "";
let heads = [], units = [], paths = [];
export let shown = null; // the unit under the mouse, or the one that was clicked: [column, unit]
let pinned = null;

export function drawNetwork(network, groupColors, redraw) {
  const columns = network.columns;
  const now = JSON.stringify([columns.map((each) => [each.label, each.units.length]), place.clientWidth]);
  if (now !== shape) {
    shape = now;
    build(network, redraw);
  }
  columns.forEach((column, c) => column.units.forEach((unit, u) => drawUnit(units[c][u], unit, groupColors)));
  const theme = colors();
  for (const { path, title, text, column, from, to } of paths) {
    const edges = network.edges[column - 1];
    const value = edges.values[to][from];
    const share = Math.abs(value ?? 0) / (edges.largest || 1);
    const crowd = Math.sqrt(Math.max(1, (edges.values.length * edges.values[0].length) / 12)); // many edges are thin ones
    path.setAttribute("stroke", value < 0 ? theme.negative : theme.positive);
    path.setAttribute("stroke-width", (0.4 + (6 / crowd) * share).toFixed(2));
    path.setAttribute("stroke-opacity", ((0.08 + 0.77 * share ** (crowd > 1 ? 1 : 0.5))).toFixed(2));
    title.textContent = `weight ${number(value)}`;
    if (text) text.textContent = number(value);
  }
}

export function forgetNetwork() {
  shape = "";
  shown = pinned = null;
}

// Make the elements anew, because the layers or the width of the page have changed.
function build(network, redraw) {
  for (const element of [...heads, ...units.flat().flatMap((each) => [each.box, each.name])]) element.remove();
  svg.replaceChildren();
  heads = [];
  units = [];
  paths = [];
  const columns = network.columns;
  if (!columns.length) return;
  const most = Math.max(...columns.map((each) => each.units.length), 1);
  const wide = place.clientWidth;
  const room = Math.max(420, Math.min(620, innerHeight - 330)) - HEAD;
  const size = Math.max(26, Math.min(76, (wide / columns.length) * 0.5, room / most - GAP));
  const spread = Math.max(size * 1.7, (wide - size - 90) / Math.max(1, columns.length - 1));
  const left = (c) => 45 + c * spread;
  const height = HEAD + most * (size + GAP);
  const top = (c, u) => HEAD + (height - HEAD) / 2 + (u - columns[c].units.length / 2) * (size + GAP) + GAP / 2;
  place.style.height = `${height + 8}px`;
  svg.setAttribute("width", left(columns.length - 1) + size + 45);
  svg.setAttribute("height", height);
  columns.forEach((column, c) => {
    heads.push(head(column, left(c) + size / 2, spread));
    units.push(column.units.map((unit, u) => {
      const made = box(left(c), top(c, u), size);
      made.box.dataset.unit = `${c}-${u}`;
      made.box.addEventListener("pointerenter", () => { shown = [c, u]; redraw(); });
      made.box.addEventListener("pointerleave", () => { shown = pinned; redraw(); });
      made.box.addEventListener("click", () => {
        pinned = shown = pinned && pinned[0] === c && pinned[1] === u ? null : [c, u];
        redraw();
      });
      return made;
    }));
    const edges = c > 0 && network.edges[c - 1];
    if (edges) connect(edges, c, left, top, size);
  });
}

function connect(edges, column, left, top, size) {
  const few = edges.values.length * edges.values[0].length <= 4;
  edges.values.forEach((row, to) => row.forEach((_, from) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    const [x1, x2] = [left(column - 1) + size, left(column)];
    const [y1, y2] = [top(column - 1, from) + size / 2, top(column, to) + size / 2];
    const middle = (x1 + x2) / 2;
    path.setAttribute("d", `M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`);
    path.append(title);
    svg.append(path);
    paths.push({ path, title, text: few ? numberAt(0.65, x1, y1, x2, y2) : null, column, from, to });
  }));
}

// A place for a number on an edge, at a share of its way; there the edges of two units are apart.
function numberAt(share, x1, y1, x2, y2) {
  const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
  const rest = 1 - share;
  const middle = 3 * share * rest; // of the curve's two inner points, which lie half-way, as high as its ends
  text.setAttribute("x", x1 * rest ** 3 + ((x1 + x2) / 2) * middle + x2 * share ** 3);
  text.setAttribute("y", y1 * (rest ** 3 + middle * rest) + y2 * (share ** 3 + middle * share) + 4);
  text.setAttribute("text-anchor", "middle");
  return svg.appendChild(text);
}

function head(column, center, room) {
  const element = document.createElement("div");
  element.className = "head";
  const small = document.createElement("small");
  const count = column.units.length;
  small.textContent = count && column.total > count && count > 1 ? `${count} of ${column.total}` : column.tag.replace(/^\d+_/, "");
  element.append(room < 100 ? column.label.replace("convolution", "conv") : column.label, small);
  element.title = column.tag;
  place.append(element);
  element.style.left = `${center}px`;
  element.style.transform = "translateX(-50%)";
  return element;
}

function box(x, y, size) {
  const element = document.createElement("div");
  element.className = "unit";
  Object.assign(element.style, { left: `${x}px`, top: `${y}px`, width: `${size}px`, height: `${size}px` });
  const canvas = document.createElement("canvas");
  const name = document.createElement("span");
  name.className = "name";
  Object.assign(name.style, { left: `${x - 22}px`, top: `${y + size - 1}px`, width: `${size + 44}px`, textAlign: "center" });
  element.append(canvas);
  place.append(element, name);
  return { box: element, canvas, name, size };
}

function drawUnit(made, unit, groupColors) {
  if (unit.map) paint(made.canvas, unit.map, unit.ink);
  else if (unit.curve) drawCurve(made.canvas, unit.curve, made.size);
  else if (unit.bars) drawBars(made.canvas, unit.bars, made.size, groupColors);
  const isNamed = !/^unit \d+$/.test(unit.name);
  made.name.textContent = isNamed ? unit.name : "";
  made.box.title = unit.weights ? `${unit.name}: its weights, one per pixel` : unit.name;
  made.box.classList.toggle("shown", !!shown && made.box.dataset.unit === shown.join("-"));
}

function drawCurve(canvas, values, size) {
  const { context, width, height } = fresh(canvas, size);
  const theme = colors();
  context.strokeStyle = theme.nothing;
  context.beginPath();
  context.moveTo(0, height / 2);
  context.lineTo(width, height / 2);
  context.stroke();
  context.strokeStyle = theme.accent;
  context.lineWidth = 1.8;
  context.beginPath();
  values.forEach((value, k) => context.lineTo((k / (values.length - 1)) * width, height / 2 - (value ?? 0) * (height / 2 - 3)));
  context.stroke();
}

function drawBars(canvas, values, size, groupColors) {
  const { context, width, height } = fresh(canvas, size);
  const each = (width - 4) / values.length;
  values.forEach((value, k) => {
    context.fillStyle = groupColors[k % groupColors.length] ?? colors().accent;
    const tall = (value ?? 0) * (height / 2 - 3);
    context.fillRect(2 + k * each, height / 2 - Math.max(tall, 0), Math.max(1, each - 1), Math.max(1, Math.abs(tall)));
  });
  context.fillStyle = colors().quiet;
  context.fillRect(0, height / 2, width, 0.6);
}
