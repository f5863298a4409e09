// Line charts and points, on a canvas as sharp as the screen.

import { colors, number } from "./colors.js";

const LEFT = 46, RIGHT = 8, TOP = 6, BOTTOM = 30;

// A canvas context in CSS pixels, cleared; the canvas is as wide as its place.
export function fresh(canvas, height) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth || 300;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  return { context, width, height };
}

export function limits(values, margin = 0.04) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * margin;
  return [low - room, high + room];
}

// Round numbers between two ends, about `count` of them.
export function ticks(low, high, count = 4) {
  const rough = (high - low) / count;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * unit >= rough) * unit;
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) found.push(Number((k * step).toPrecision(6)));
  return found;
}

// Axes with their names; returns the places of x and y. `y.log` for a logarithmic axis.
export function axes(canvas, height, x, y) {
  const drawing = fresh(canvas, height);
  const { context, width } = drawing;
  const theme = colors();
  const up = y.log ? Math.log10 : (value) => value;
  const [bottom, top] = [up(y.low), up(y.high)];
  const placeX = (value) => LEFT + ((value - x.low) / (x.high - x.low)) * (width - LEFT - RIGHT);
  const placeY = (value) => height - BOTTOM - ((up(value) - bottom) / (top - bottom)) * (height - TOP - BOTTOM);
  context.strokeStyle = theme.line;
  context.fillStyle = theme.quiet;
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const value of y.log ? powers(y.low, y.high) : ticks(y.low, y.high)) {
    context.beginPath();
    context.moveTo(LEFT, placeY(value));
    context.lineTo(width - RIGHT, placeY(value));
    context.stroke();
    context.fillText(y.log ? number(value, 1) : number(value), LEFT - 5, placeY(value));
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const value of x.ticks ?? ticks(x.low, x.high)) {
    context.fillText(number(value, 4), placeX(value), height - BOTTOM + 3);
  }
  context.fillText(x.name ?? "", (LEFT + width - RIGHT) / 2, height - 12);
  context.textAlign = "left";
  if (y.name) context.fillText(y.name, LEFT + 4, TOP);
  return { ...drawing, placeX, placeY };
}

function powers(low, high) {
  const all = [];
  const decades = Math.log10(high / low);
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const digit of decades < 2 ? [1, 2, 5] : [1]) all.push(digit * 10 ** power);
  }
  return all.filter((value) => value >= low && value <= high);
}

export function line(chart, xs, ys, color, width = 1.6) {
  const { context } = chart;
  context.strokeStyle = color;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.beginPath();
  let begun = false;
  xs.forEach((x, k) => {
    if (ys[k] === null) { begun = false; return; }
    context[begun ? "lineTo" : "moveTo"](chart.placeX(x), chart.placeY(ys[k]));
    begun = true;
  });
  context.stroke();
}

export function dots(chart, xs, ys, color, size = 2.2) {
  const { context } = chart;
  context.fillStyle = color;
  xs.forEach((x, k) => {
    if (ys[k] === null) return;
    context.beginPath();
    context.arc(chart.placeX(x), chart.placeY(ys[k]), size, 0, 7);
    context.fill();
  });
}

// The losses; a logarithmic axis where they span more than a decade.
export function drawLosses(canvas, curves) {
  const names = Object.keys(curves).filter((name) => name === "train" || name.includes("loss"));
  const theme = colors();
  const all = names.flatMap((name) => curves[name]);
  if (!all.length) { fresh(canvas, 190); return; }
  const values = all.map((point) => point[1]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const log = low > 0 && high / low > 10;
  const y = log ? { low: low * 0.9, high: high * 1.1, log } : Object.fromEntries(["low", "high"].map((k, i) => [k, limits(values, 0.06)[i]]));
  const last = Math.max(1, ...all.map((point) => point[0]));
  const chart = axes(canvas, 190, { low: 0, high: last, name: "step" }, y);
  const palette = [theme.positive, theme.negative, theme.quiet];
  names.forEach((name, k) => {
    const points = curves[name];
    line(chart, points.map((p) => p[0]), points.map((p) => p[1]), palette[k % 3]);
    if (points.length < 30 && name !== "train") dots(chart, points.map((p) => p[0]), points.map((p) => p[1]), palette[k % 3]);
  });
  const { context } = chart;
  context.textAlign = "right";
  context.textBaseline = "top";
  let place = chart.width - RIGHT - 2;
  [...names].reverse().forEach((name, k) => {
    context.fillStyle = palette[(names.length - 1 - k) % 3];
    const text = `${name === "train" ? "training" : name} ${number(curves[name].at(-1)[1])}`;
    context.fillText(text, place, TOP);
    place -= context.measureText(text).width + 14;
  });
}
