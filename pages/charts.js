"use strict";
// Makes the charts of a page from the numbers that stand next to each of them, with Bokeh.

const { Plotting } = Bokeh;
const FONT = "system-ui, sans-serif";
const main = document.querySelector("main");
const resumed = JSON.parse(main.dataset.resumed || "[]");
const allSteps = new Bokeh.DataRange1d({ range_padding: 0.02 });
const crosshair = new Bokeh.Span({ dimension: "height", line_width: 1, line_color: "#888888", level: "overlay" });
const curves = [];  // { source, output, smooth, raw } of every curve over the steps
const touched = matchMedia("(pointer: coarse)").matches;  // where a finger that moves scrolls the page
const roots = [], places = [];

const numbers = (values) => values.map((value) => (value === null ? NaN : value));

function newChart(options) {
  const chart = Plotting.figure({
    height: 230, sizing_mode: "stretch_width", toolbar_location: null, tools: [], background_fill_color: null,
    border_fill_color: null, outline_line_color: null, output_backend: "svg", min_border_right: 14, ...options,
  });
  for (const axis of chart.axes) {
    axis.setv({
      major_label_text_font: FONT, major_label_text_font_size: "11px", minor_tick_line_color: null,
      major_tick_in: 0, major_tick_out: 3,
    });
  }
  for (const axis of chart.yaxes) axis.axis_line_color = null;
  for (const grid of chart.xgrids) grid.grid_line_color = null;
  return chart;
}

// A chart whose steps and crosshair are those of all others.
function overSteps(options) {
  const chart = newChart({
    x_range: allSteps, tools: touched ? [] : [new Bokeh.BoxZoomTool({ dimensions: "width" }), new Bokeh.ResetTool()],
    ...options,
  });
  chart.add_tools(new Bokeh.CrosshairTool({ overlay: crosshair }));
  for (const axis of chart.xaxes) axis.formatter = new Bokeh.NumeralTickFormatter({ format: "0,0" });
  for (const event of ["mousemove", "tap"]) chart.on_event(event, ({ x }) => showValuesAt(x));
  chart.on_event("mouseleave", () => showValuesAt(null));
  for (const location of resumed) {
    chart.add_layout(new Bokeh.Span({ location, dimension: "height", line_dash: "dotted", line_color: "#888888" }));
  }
  return chart;
}

const draw = {
  lines(spec, figure) {
    const own = spec.curves.map((curve, place) => {
      const value = numbers(curve.values);
      const source = new Bokeh.ColumnDataSource({ data: { step: curve.steps, value, shown: value } });
      const output = figure.querySelectorAll(".key b")[place];
      const entry = { source, output, smooth: spec.smooth, raw: [] };
      curves.push(entry);
      return entry;
    });
    for (const panel of figure.querySelectorAll("[data-scale]")) {
      const level = Math.max(...spec.curves.flatMap(({ values }) => values.map(Math.abs))) || 1;
      const y_range = new Bokeh.DataRange1d({ default_span: panel.dataset.scale === "log" ? 2 : level });
      const chart = overSteps({ y_axis_type: panel.dataset.scale, y_range });
      spec.curves.forEach((curve, place) => {
        const { source, raw } = own[place];
        const style = { source, color: curve.color };
        const line = chart.line({ field: "step" }, { field: "value" }, { ...style, alpha: 0.3 });
        line.visible = false;
        raw.push(line);
        const dash = curve.dashed ? "dashed" : "solid";
        chart.line({ field: "step" }, { field: "shown" }, { ...style, line_width: 1.8, line_dash: dash });
        if (curve.steps.length === 1) chart.scatter({ field: "step" }, { field: "shown" }, { ...style, size: 7 });
      });
      put(chart, panel);
    }
  },

  heat(spec, figure) {
    const { steps, edges, rows, values, low, high, log } = spec;
    const data = { left: [], right: [], top: [], bottom: [], value: [], step: [], row: [] };
    values.forEach((line, row) => line.forEach((value, place) => {
      if (value === null) return;
      data.left.push(edges[place]); data.right.push(edges[place + 1]);
      data.top.push(0.48 - row); data.bottom.push(-0.48 - row);
      data.value.push(value); data.step.push(steps[place]); data.row.push(rows[row]);
    }));
    const source = new Bokeh.ColumnDataSource({ data });
    const palette = Bokeh.Palettes.viridis(256);
    const color_mapper = log ? new Bokeh.LogColorMapper({ palette, low, high })
      : new Bokeh.LinearColorMapper({ palette, low, high });
    const chart = overSteps({
      height: 70 + 26 * rows.length, y_range: new Bokeh.Range1d({ start: 0.5 - rows.length, end: 0.5 }),
      output_backend: "canvas",
    });
    const field = (name) => ({ field: name });
    chart.quad({
      left: field("left"), right: field("right"), top: field("top"), bottom: field("bottom"), source,
      line_color: { field: "value", transform: color_mapper }, line_width: 0.6,
      fill_color: { field: "value", transform: color_mapper },
    });
    chart.add_tools(hover([["", "@row"], ["step", "@step{0,0}"], ["value", "@value{0.000e+0}"]]));
    nameTicks(chart.yaxes, rows.map((_, row) => -row), rows);
    for (const axis of chart.yaxes) axis.major_tick_out = 0;
    for (const grid of chart.ygrids) grid.visible = false;
    chart.add_layout(new Bokeh.ColorBar({
      color_mapper, width: 10, padding: 8, background_fill_color: null, major_label_text_font: FONT,
      major_label_text_font_size: "10px", major_label_text_color: "#808080", // readable on both papers
    }), "right");
    put(chart, figure.querySelector("[data-scale]"));
  },

  profiles(spec, figure) {
    const chart = newChart({ y_axis_type: spec.log ? "log" : "linear", height: spec.height });
    const depth = spec.names.map((_, place) => place);
    for (const { name, color, values } of spec.lines) {
      const data = { depth, value: numbers(values), row: spec.names, line: spec.names.map(() => name) };
      const source = new Bokeh.ColumnDataSource({ data });
      chart.line({ field: "depth" }, { field: "value" }, { source, color, line_width: 1.8 });
      chart.scatter({ field: "depth" }, { field: "value" }, { source, color, size: 5 });
    }
    chart.add_tools(hover([["", "@row"], ["", "@line"], ["value", "@value{0.000e+0}"]]));
    nameTicks(chart.xaxes, depth, spec.names);
    if (spec.names.length > 4) for (const axis of chart.xaxes) axis.major_label_orientation = 0.7;
    put(chart, figure.querySelector("[data-scale]"));
  },

  outlines(spec, figure) {
    const chart = newChart({ height: 170, y_range: new Bokeh.DataRange1d({ start: 0 }) });
    for (const { edges, density, color } of spec.lines) {
      const x = edges.flatMap((edge) => [edge, edge]);
      const y = [0, ...density.flatMap((value) => [value, value]), 0];
      chart.line(x, y, { color, line_width: 1.5 });
    }
    for (const axis of chart.yaxes) axis.visible = false;
    put(chart, figure.querySelector("[data-scale]"));
  },
};

const hover = (tooltips) => new Bokeh.HoverTool({ tooltips });

function nameTicks(axes, ticks, names) {
  const labels = new Map(ticks.map((tick, place) => [tick, names[place]]));
  for (const axis of axes) axis.setv({ ticker: new Bokeh.FixedTicker({ ticks }), major_label_overrides: labels });
}

function put(chart, place) {
  roots.push(chart);
  places.push(place);
}

// A running mean with exponential weights, without its bias to the first value, as TensorBoard smooths.
function smoothed(values, weight) {
  let mean = 0, total = 0;
  return Array.from(values, (value) => {
    mean = weight * mean + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return mean / total;
  });
}

document.querySelector("[data-smoothing]")?.addEventListener("input", ({ target }) => {
  const weight = Number(target.value);
  target.nextElementSibling.textContent = weight ? weight.toFixed(2) : "off";
  for (const { source, raw } of curves.filter((curve) => curve.smooth)) {
    const { step, value } = source.data;
    source.data = { step, value, shown: smoothed(value, weight) };
    for (const line of raw) line.visible = weight > 0;
  }
});

function digits(value) {
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en");
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}

// Write the value of every curve at its step that is nearest to the crosshair.
function showValuesAt(step) {
  for (const { source, output } of curves) {
    const { step: steps, shown } = source.data;
    let best = 0;
    for (let place = 1; place < steps.length; place++) {
      if (Math.abs(steps[place] - step) < Math.abs(steps[best] - step)) best = place;
    }
    output.textContent = step === null ? "" : digits(shown[best]);
  }
  for (const output of document.querySelectorAll("[data-step]")) {
    output.textContent = step === null ? "" : `step ${digits(Math.max(0, Math.round(step)))}`;
  }
}

for (const figure of document.querySelectorAll("figure.chart")) {
  const spec = JSON.parse(figure.querySelector("script").textContent);
  draw[spec.kind](spec, figure);
}

const shown = new Bokeh.Document();
for (const root of roots) shown.add_root(root);
const views = Bokeh.embed.add_document_standalone(shown, document.body, places);

// Colors are read from the style when a chart is painted, so another style needs another painting.
async function repaint() {
  for (const view of await views) view.request_repaint?.();
}
for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", repaint);
