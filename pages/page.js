"use strict";
// What needs no chart: buttons that copy, switches between the axes of a chart, sliders through the steps.

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(button.previousElementSibling.textContent);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}

for (const box of document.querySelectorAll("[data-log]")) {
  box.addEventListener("change", () => {
    for (const panel of box.closest("figure").querySelectorAll("[data-scale]")) {
      panel.hidden = (panel.dataset.scale === "log") !== box.checked;
    }
  });
}

for (const slider of document.querySelectorAll("[data-frames]")) {
  const frames = slider.closest("figure").querySelectorAll("[data-frame]");
  slider.addEventListener("input", () => frames.forEach((frame) => {
    frame.hidden = frame.dataset.frame !== slider.value;
  }));
}
