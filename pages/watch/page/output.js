// The large picture: what the network says about the data; or one unit, if the mouse is on it.

import { axes, dots, fresh, limits, line } from "./charts.js";
import { colors, number, paint } from "./colors.js";

const place = document.getElementById("output");
const hidden = document.createElement("canvas"); // for maps before they are scaled
let parts = {};

export const MANY = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999933", "#777777", "#882255", "#999999"];

export function clearOutput() {
  place.replaceChildren();
  parts = {};
}

// An element of the large picture, made when it is first asked for.
function part(name, tag, className = "", parent = place) {
  if (!parts[name]) {
    parts[name] = document.createElement(tag);
    parts[name].className = className;
    parent.append(parts[name]);
  }
  return parts[name];
}

export function drawOutput(hello, frame, unit) {
  ({ plane, curve, series, table, images }[hello.kind] ?? nothing)(hello.scene, frame.output, unit);
}

export function groupColors(hello) {
  return hello.scene.colors ?? MANY;
}

function nothing(scene) {
  part("why", "p", "hint").textContent = `There is no picture of these data: ${scene.why ?? ""}.`;
}

function plane(scene, output, unit) {
  const canvas = part("plane", "canvas", "chart");
  const square = scene.high[0] - scene.low[0] === scene.high[1] - scene.low[1];
  const tall = Math.min(canvas.clientWidth || 360, 400) - (square ? 16 : 40);
  const x = { low: scene.low[0], high: scene.high[0], name: scene.names[0], ticks: scene.ticks[0] ? [] : undefined };
  const y = { low: scene.low[1], high: scene.high[1], name: scene.names[1] };
  const chart = axes(canvas, tall, x, y);
  const { context, placeX, placeY } = chart;
  const map = unit?.map ?? output.map;
  if (!map) return;
  const theme = colors();
  paint(hidden, map);
  const [left, top] = [placeX(x.low), placeY(y.high)];
  const [wide, high] = [placeX(x.high) - left, placeY(y.low) - top];
  context.fillStyle = theme.middle;
  context.fillRect(left, top, wide, high);
  context.globalAlpha = 0.6; // so that the points stand out
  const [across, down] = scene.ticks.map((names) => (names ? 2 : 1)); // two values are two halves, not mixed at their border
  for (let i = 0; i < across; i++) {
    for (let j = 0; j < down; j++) {
      const [w, h] = [hidden.width / across, hidden.height / down];
      context.drawImage(hidden, i * w, j * h, w, h, left + (i * wide) / across, top + (j * high) / down, wide / across, high / down);
    }
  }
  context.globalAlpha = 1;
  const colorOf = (label) => (scene.classes.length ? scene.colors[label] : shade(label, output.map));
  points(chart, scene.train, colorOf, 1.8, null);
  points(chart, scene.points, colorOf, 3.4, theme.card);
  context.fillStyle = theme.text;
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillText(scene.names[1], left + 5, top + 5);
  context.textAlign = "center";
  scene.ticks[0]?.forEach((name, k) => context.fillText(name, placeX(scene.places[0][k]), placeY(y.low) + 3));
  const legend = part("legend", "div", "legend");
  legend.replaceChildren(...scene.classes.map((name, k) => swatch(name, scene.colors[k])));
  if (map.bytes) legend.append(scale(map, unit ? "output of the unit" : output.legend));
  if (scene.train[0].length) legend.append(swatch("small: training, large: validation"));
}

function points(chart, [xs, ys, labels], colorOf, size, edge) {
  const { context } = chart;
  xs.forEach((x, k) => {
    context.beginPath();
    context.arc(chart.placeX(x), chart.placeY(ys[k]), size, 0, 7);
    context.fillStyle = colorOf(labels[k]);
    context.fill();
    if (edge) {
      context.strokeStyle = edge;
      context.lineWidth = 1;
      context.stroke();
    }
  });
}

function shade(value, map) {
  const t = Math.max(-1, Math.min(1, (value - map.center) / map.scale));
  return `rgb(${colors().signs[Math.round(t * 127) + 128].join()})`;
}

function swatch(name, color = "") {
  const element = document.createElement("span");
  if (color) {
    const dot = document.createElement("i");
    dot.style.background = color;
    element.append(dot);
  }
  element.append(name);
  return element;
}

function scale(map, name) {
  const strip = document.createElement("b");
  strip.className = "strip";
  const { negative, middle, positive } = colors();
  strip.style.background = `linear-gradient(90deg, ${negative}, ${middle}, ${positive})`;
  const [low, high] = [map.center - map.scale, map.center + map.scale];
  const row = document.createElement("span");
  row.className = "scale";
  row.append(`${name}: ${number(low)} `, strip, ` ${number(high)}`);
  return row;
}

function curve(scene, output, unit) {
  const canvas = part("curve", "canvas", "chart");
  const theme = colors();
  const [xs, ys] = scene.points;
  const grid = scene.grid;
  const [low, high] = limits([...ys, ...output.fit.filter((v) => v !== null && Math.abs(v) < 1e6)], 0.06);
  const x = { low: grid[0], high: grid.at(-1), name: scene.names[0] };
  const chart = axes(canvas, 300, x, { low, high, name: scene.names[1] });
  dots(chart, xs, ys, theme.nothing);
  line(chart, grid, output.fit, theme.accent, 2.4);
  if (unit?.curve) {
    const middle = (low + high) / 2, reach = (high - low) / 2.2;
    const at = unit.curve.map((_, k) => grid[0] + (k / (unit.curve.length - 1)) * (grid.at(-1) - grid[0]));
    line(chart, at, unit.curve.map((value) => middle + (value ?? 0) * reach), theme.negative, 2);
  }
  const legend = part("legend", "div", "legend");
  legend.replaceChildren(swatch("data", theme.nothing), swatch("fit", theme.accent));
  if (unit?.curve) legend.append(swatch(`${unit.name}, up to ${number(unit.scale)}`, theme.negative));
}

function series(scene, output) {
  const theme = colors();
  scene.series.forEach((values, k) => {
    const canvas = part(`series${k}`, "canvas", "chart");
    const [low, high] = limits([...values, ...output.forecast[k]]);
    const chart = axes(canvas, 108, { low: 0, high: values.length - 1, name: k === scene.series.length - 1 ? "time step" : "" }, { low, high });
    const { context, placeX } = chart;
    context.fillStyle = theme.middle;
    context.globalAlpha = 0.6;
    context.fillRect(placeX(scene.known - 0.5), 6, chart.width - 8 - placeX(scene.known - 0.5), 72);
    context.globalAlpha = 1;
    dots(chart, values.map((_, t) => t), values, theme.nothing, 1.6);
    line(chart, output.one_step[k].map((_, t) => t + 1), output.one_step[k], theme.positive, 1.2);
    line(chart, output.forecast[k].map((_, t) => scene.known + t), output.forecast[k], theme.negative, 2.4);
  });
  const legend = part("legend", "div", "legend");
  legend.replaceChildren(swatch("series", theme.nothing), swatch("one step ahead", theme.positive), swatch("free forecast", theme.negative));
}

function table(scene, output) {
  const canvas = part("table", "canvas", "chart");
  const theme = colors();
  if (output.predicted) {
    const [low, high] = limits([...output.predicted, ...output.target]);
    const chart = axes(canvas, 320, { low, high, name: `true ${scene.names[0]}` }, { low, high, name: "predicted" });
    line(chart, [low, high], [low, high], theme.nothing, 1);
    dots(chart, output.target, output.predicted, theme.accent, 2.5);
    return;
  }
  const legend = part("legend", "div", "legend");
  legend.replaceChildren(...scene.groups.map((name, k) => swatch(name, scene.colors[k % scene.colors.length])));
  if (!output.counts) { fresh(canvas, 20); return; }
  const most = Math.max(...output.counts.flat(), 1);
  const chart = axes(canvas, 240, { low: 0, high: 1, name: output.legend }, { low: 0, high: most, name: "rows" });
  const { context, placeX, placeY } = chart;
  output.counts.forEach((counts, group) => {
    context.fillStyle = scene.colors[group % scene.colors.length];
    context.globalAlpha = 0.6;
    const wide = (placeX(1) - placeX(0)) / counts.length;
    counts.forEach((count, k) => context.fillRect(placeX(0) + k * wide + 1, placeY(count), wide - 2, placeY(0) - placeY(count)));
  });
  context.globalAlpha = 1;
  legend.append(`right: ${number(100 * output.accuracy)} %`);
}

function images(scene, output, unit) {
  const row = part("row", "div", "row");
  const first = part("first", "figure", "", row);
  paint(part("image", "canvas", "pixels", first), unit?.map ?? output.image, unit ? !!unit.ink : true);
  part("truth", "figcaption", "", first).textContent = unit ? unit.name : output.truth;
  parts.image.classList.add("pixels");
  if (output.restored) {
    const second = part("second", "figure", "", row);
    paint(part("restored", "canvas", "pixels", second), output.restored, true);
    part("error", "figcaption", "", second).textContent = `restored, mse ${number(output.error)}`;
  }
  const values = output.probabilities ?? output.values;
  if (values) bars(part("bars", "div", "bars", row), values, scene.classes, !!output.probabilities);
}

function bars(element, values, names, areProbabilities) {
  const best = values.indexOf(Math.max(...values.filter((each) => each !== null)));
  const most = areProbabilities ? 1 : Math.max(...values.map(Math.abs), 1e-12);
  element.replaceChildren(...values.flatMap((value, k) => {
    const [name, bar, text] = [document.createElement(k === best ? "b" : "span"), document.createElement("div"), document.createElement("span")];
    name.textContent = (names[k] ?? String(k)).replace(/^class /, "");
    bar.style.width = `${(100 * Math.abs(value)) / most}%`;
    text.textContent = areProbabilities ? `${(100 * value).toFixed(1)} %` : number(value);
    return [name, bar, text];
  }));
}
