// Colors of the theme, and arrays of bytes as pictures.

let theme = null;

export function colors() {
  if (!theme) {
    const style = getComputedStyle(document.documentElement);
    const names = ["text", "quiet", "line", "accent", "positive", "negative", "middle", "paper", "ink", "nothing", "card"];
    theme = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    theme.signs = table((t) => mix(theme.middle, t < 0 ? theme.negative : theme.positive, Math.abs(t) ** 0.85));
    theme.inks = table((t) => mix(theme.paper, theme.ink, (t + 1) / 2));
  }
  return theme;
}

export function whenThemeChanges(call) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    theme = null;
    call();
  });
}

export function rgb(color) {
  return [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16));
}

function mix(one, other, share) {
  const [a, b] = [rgb(one), rgb(other)];
  return a.map((value, k) => value + (b[k] - value) * share);
}

// The color of each byte: 0 stands for no number, 128 for the middle.
function table(color) {
  const nothing = rgb(theme.nothing);
  return Array.from({ length: 256 }, (_, byte) => (byte ? color((byte - 128) / 127) : nothing));
}

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// Draw a packed array, one pixel per value; CSS scales it.
export function paint(canvas, map, ink = false) {
  canvas.width = map.width;
  canvas.height = map.height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(map.width, map.height);
  const values = bytes(map.colors ?? map.bytes);
  const lookup = ink ? colors().inks : colors().signs;
  for (let k = 0; k < map.width * map.height; k++) {
    const color = map.colors ? values.subarray(3 * k, 3 * k + 3) : lookup[values[k]];
    image.data.set(color, 4 * k);
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  canvas.classList.toggle("pixels", map.width < 40);
}

export function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(1);
  return String(Number(value.toPrecision(digits)));
}
