// For images: paper to draw on, and a kernel of one's own.

import { number, paint } from "./colors.js";

const PRESETS = {
  "nothing": [0, 0, 0, 0, 1, 0, 0, 0, 0],
  "blur": [1, 2, 1, 2, 4, 2, 1, 2, 1].map((each) => each / 16),
  "sharpen": [0, -1, 0, -1, 5, -1, 0, -1, 0],
  "edges": [-1, -1, -1, -1, 8, -1, -1, -1, -1],
  "upright edges": [-1, 0, 1, -2, 0, 2, -1, 0, 1],
  "level edges": [-1, -2, -1, 0, 0, 0, 1, 2, 1],
  "shift": [0, 0, 0, 1, 0, 0, 0, 0, 0],
};
const FINE = 8; // the paper has so many dots per pixel of an image
const SECONDS = 0.1; // between two drawings that are sent
const INK = "#14181c";
const pad = document.getElementById("pad");
const paper = pad.getContext("2d", { willReadFrequently: true });
const inputs = [];

export function prepareTools(send) {
  const kernel = document.getElementById("kernel");
  for (let k = 0; k < 9; k++) {
    const input = document.createElement("input");
    Object.assign(input, { type: "number", step: "any", value: PRESETS.nothing[k] });
    input.setAttribute("aria-label", `kernel, row ${Math.floor(k / 3) + 1}, column ${(k % 3) + 1}`);
    input.addEventListener("input", () => sendKernel(send));
    inputs.push(input);
    kernel.append(input);
  }
  const preset = document.getElementById("preset");
  preset.append(...Object.keys(PRESETS).map((name) => new Option(name)), new Option("own", "own"));
  preset.addEventListener("change", () => {
    PRESETS[preset.value]?.forEach((value, k) => { inputs[k].value = Number(value.toFixed(4)); });
    sendKernel(send);
  });
  prepareDrawing(send);
}

function sendKernel(send) {
  const values = inputs.map((input) => input.valueAsNumber);
  if (values.every(Number.isFinite)) send("kernel", values);
}

export function sizePad(scene) {
  pad.width = scene.width * FINE;
  pad.height = scene.height * FINE;
}

function prepareDrawing(send) {
  let last = null, sent = 0;
  const at = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * pad.width, ((event.clientY - box.top) / box.height) * pad.height];
  };
  const draw = (event) => {
    const now = at(event);
    Object.assign(paper, { lineWidth: 2.4 * FINE, lineCap: "round", strokeStyle: INK });
    paper.beginPath();
    paper.moveTo(...(last ?? now));
    paper.lineTo(now[0] + 0.01, now[1]);
    paper.stroke();
    last = now;
    if (event.timeStamp - sent > 1000 * SECONDS) {
      sent = event.timeStamp;
      send("draw", pixels());
    }
  };
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    draw(event);
  });
  pad.addEventListener("pointermove", (event) => { if (last) draw(event); });
  for (const name of ["pointerup", "pointercancel"]) {
    pad.addEventListener(name, () => {
      if (last) send("draw", pixels());
      last = null;
    });
  }
  document.getElementById("previous").addEventListener("click", () => send("image", -1));
  document.getElementById("next").addEventListener("click", () => send("image", 1));
  document.getElementById("clear").addEventListener("click", () => {
    paper.clearRect(0, 0, pad.width, pad.height);
    send("draw", pixels());
  });
}

// How much ink is on each pixel, from 0 to 1.
function pixels() {
  const small = document.createElement("canvas");
  small.width = pad.width / FINE;
  small.height = pad.height / FINE;
  const alpha = paper.getImageData(0, 0, pad.width, pad.height).data;
  const ink = new Array(small.width * small.height).fill(0);
  for (let y = 0; y < pad.height; y++) {
    for (let x = 0; x < pad.width; x++) {
      ink[Math.floor(y / FINE) * small.width + Math.floor(x / FINE)] += alpha[4 * (y * pad.width + x) + 3];
    }
  }
  return ink.map((each) => Math.round((each / (255 * FINE * FINE)) * 1000) / 1000);
}

export function drawFiltered(output) {
  const canvas = document.getElementById("filtered");
  paint(canvas, output.filtered);
  canvas.classList.add("pixels");
  document.getElementById("filtered-range").textContent = `from ${number(output.filtered.low)} to ${number(output.filtered.high)}`;
  if (document.activeElement?.parentElement?.id !== "kernel") {
    output.kernel.forEach((value, k) => { inputs[k].value = value; });
  }
  const same = (values) => values.every((value, k) => Math.abs(value - output.kernel[k]) < 1e-3);
  document.getElementById("preset").value = Object.keys(PRESETS).find((name) => same(PRESETS[name])) ?? "own";
}
