"use strict";
// What ties the parts of a page together: copy buttons, logarithmic axes, smoothing, values at the crosshair, steps of
// pictures, light and dark. Bokeh draws the charts.

const curves = () => [...document.querySelectorAll("b[data-source]")].map((output) => output.dataset.source);
const model = (name) => window.Bokeh?.documents[0]?.get_model_by_name(name);

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(button.previousElementSibling.textContent);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}

for (const box of document.querySelectorAll("[data-log]")) {
  box.addEventListener("change", () => {
    const chart = box.closest("figure");
    chart.querySelector(".linear").hidden = box.checked;
    chart.querySelector(".log").hidden = !box.checked;
  });
}

// A running mean with exponential weights, without its bias to the first value, as TensorBoard smooths.
function smooth(values, weight) {
  let mean = 0, total = 0;
  return values.map((value) => {
    mean = weight * mean + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return mean / total;
  });
}

document.querySelector("[data-smoothing]")?.addEventListener("input", ({ target }) => {
  const weight = Number(target.value);
  target.nextElementSibling.textContent = weight ? weight.toFixed(2) : "off";
  for (const name of curves()) {
    const source = model(name);
    if (!source?.tags.includes("smooth")) continue;
    const { step, value } = source.data;
    source.data = { step, value, shown: smooth(Array.from(value), weight) };
    for (const raw of [model(`${name}-linear`), model(`${name}-log`)]) if (raw) raw.visible = weight > 0;
  }
});

const digits = (value) => (Number.isInteger(value) && Math.abs(value) < 1e9 ? value.toLocaleString("en")
  : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(2));

// Write the value of every curve at the measured step that is nearest to the crosshair.
function showValuesAt(step) {
  for (const output of document.querySelectorAll("b[data-source]")) {
    const source = model(output.dataset.source);
    if (step === null || !source) { output.textContent = ""; continue; }
    const steps = source.data.step;
    let best = 0;
    for (let place = 1; place < steps.length; place++) {
      if (Math.abs(steps[place] - step) < Math.abs(steps[best] - step)) best = place;
    }
    output.textContent = digits(source.data.shown[best]);
    output.title = `step ${digits(steps[best])}`;
  }
  for (const output of document.querySelectorAll("[data-step]")) {
    output.textContent = step === null ? "" : `step ${digits(Math.max(0, Math.round(step)))}`;
  }
}

// A slider shows one of the elements that stand for steps.
for (const slider of document.querySelectorAll("[data-frames]")) {
  const frames = slider.closest("figure").querySelectorAll("[data-frame]");
  slider.addEventListener("input", () => frames.forEach((frame) => {
    frame.hidden = frame.dataset.frame !== slider.value;
  }));
}

// Bokeh reads colors from the style when it paints, so it has to paint again for another one.
function repaint() {
  for (const view of window.Bokeh?.index ?? []) view.invalidate_layout?.();
}
for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", repaint);
