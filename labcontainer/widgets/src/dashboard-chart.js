// One chart of the dashboard: uPlot draws lines and layers, this file their colours, patterns, limit and events.

import uPlot from "uplot";
import { h } from "./dom.js";

const MIB = 1 << 20;
const STEPS = Array.from({ length: 26 }, (_, exponent) => (MIB / 16) * 2 ** exponent);
const DASHES = [[], [6, 4], [2, 3]];
const PATTERNS = ["solid", "hatched", "dotted"];
const UNITS = { bytes: bytes, cpus: (v) => v.toFixed(2), count: (v) => String(Math.round(v)), percent: (v) => `${Math.round(v)} %` };

function bytes(size) {
  if (size >= 1024 * MIB) return `${Number((size / MIB / 1024).toPrecision(3))} GiB`;
  return size >= 10 * MIB || size === 0 ? `${Math.round(size / MIB)} MiB` : `${(size / MIB).toFixed(1)} MiB`;
}

const height = (chart) => (chart.name === "memory" ? 190 : 132);

export function picture(first, parent) {
  const says = h("span.lab-chart-says");
  const note = h("p.lab-chart-note");
  const legend = h("ul.lab-chart-legend");
  const canvas = h("div.lab-canvas", { role: "img" });
  const element = h(`figure.lab-chart.lab-chart-${first.name}`, {},
    h("figcaption", {}, h("span.lab-chart-title", {}, first.title), says), canvas, legend, note);
  let chart = first;
  let shown = null;
  let plot = null;
  let shape = "";

  const tell = (index) => {
    const at = index ?? shown.times.length - 1;
    legend.querySelectorAll("b").forEach((each, number) => {
      const value = chart.series[number]?.values[at];
      each.textContent = value === null || value === undefined ? "–" : UNITS[chart.unit](value);
    });
  };
  const names = () => chart.series.map(({ label }) => label).join();
  const make = () => {
    plot?.destroy();
    shape = names();
    plot = new uPlot(options(chart, canvas, () => [chart, shown], tell), data(chart, shown), canvas);
    legend.replaceChildren(...chart.series.map((each, number) => entry(chart, each, number)), ...signs(chart));
    tell();
  };
  // JupyterLab takes cells out of the page that are out of sight: what is drawn meanwhile has to be fitted afterwards.
  const fit = () => {
    const width = canvas.clientWidth;
    if (width && width !== plot.width) plot.setSize({ width, height: height(chart) });
  };
  // Before it stands in the page, an element has neither a width nor colours.
  const observer = new ResizeObserver(() => {
    if (!canvas.clientWidth || !chart.series.length) return;
    if (plot) fit();
    else make();
  });
  observer.observe(canvas);
  return {
    element,
    restyle: () => plot && make(),
    update(next, view) {
      [chart, shown] = [next, view];
      says.textContent = chart.says;
      note.textContent = chart.note;
      canvas.setAttribute("aria-label", `${chart.title}, now ${chart.says}. ${chart.note}`);
      canvas.hidden = !chart.series.length;
      if (!plot || !chart.series.length) return;
      if (shape === names()) plot.setData(data(chart, shown));
      else make();
      fit();
      tell(plot.cursor.idx);
    },
    end() {
      observer.disconnect();
      plot?.destroy();
    },
  };
}

function entry(chart, series, number) {
  const look = chart.stacked ? PATTERNS[number] : ["line", "dashed", "dots"][number];
  return h(`li.lab-${series.tone}`, {}, h(`i.lab-swatch.lab-swatch-${look}`, { "aria-hidden": "true" }), `${series.label} `, h("b"));
}

function signs(chart) {
  const item = (tone, sign, words) => h(`li.lab-${tone}`, {}, h("i.lab-tick", { "aria-hidden": "true" }, sign), words);
  const limit = h("li.lab-red", {}, h("i.lab-swatch.lab-swatch-limit", { "aria-hidden": "true" }), "limit");
  return {
    memory: () => [limit, item("amber", "▲", "at its limit"), item("red", "✕", "killed")],
    cpu: () => [limit, item("amber", "▼", "throttled")],
    pids: () => [limit, item("red", "⊘", "fork refused")],
  }[chart.name]?.() ?? [];
}

/** In a stacked chart each layer stands on those before it. The limit comes last. */
function data(chart, shown) {
  const layers = [];
  for (const { values } of chart.series) {
    const below = chart.stacked ? layers.at(-1) : undefined;
    layers.push(below ? values.map((value, at) => value + below[at]) : values);
  }
  return [shown.times, ...layers, chart.limit];
}

function options(chart, canvas, now, tell) {
  const ink = (name) => colour(canvas, name);
  const lines = chart.series.map((each, number) => ({
    stroke: ink(each.tone),
    width: chart.stacked ? 1.5 : 2,
    dash: chart.stacked ? [] : DASHES[number],
    fill: filling(chart, ink(each.tone), number),
    points: { show: false },
  }));
  const limit = { stroke: ink("red"), width: 2, dash: [8, 4], points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) };
  const axis = { stroke: ink("soft"), font: `11px ${getComputedStyle(canvas).fontFamily}`, ticks: { show: false }, gap: 4 };
  const grid = { stroke: ink("line"), width: 1 };
  return {
    width: canvas.clientWidth || 300,
    height: height(chart),
    padding: [14, 12, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: canvas.closest(".lab-card") }, points: { size: 6 }, drag: { x: false, y: false }, x: true, y: false },
    scales: {
      x: { time: false, range: () => [-now()[1].window_s, 0] },
      y: { range: () => [0, now()[0].top] },
    },
    axes: [
      { ...axis, grid, size: 22, splits: (u) => ticks(u.scales.x.min), values: (_, at) => at.map((v, index) => (index === 0 ? "" : v === 0 ? "now" : `−${-v} s`)) },
      { ...axis, grid, size: 58, space: 22, ...scale(chart.unit), values: (_, at) => at.map(UNITS[chart.unit]) },
    ],
    series: [{}, ...lines, limit],
    bands: chart.stacked ? chart.series.slice(1).map((_, number) => ({ series: [number + 2, number + 1] })) : [],
    hooks: { draw: [(u) => events(u, ...now(), ink)], setCursor: [({ cursor }) => tell(cursor.idx)] },
  };
}

function ticks(first) {
  return [first, 0.75 * first, 0.5 * first, 0.25 * first, 0];
}

function scale(unit) {
  if (unit === "bytes") return { incrs: STEPS };
  return unit === "count" ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000, 1000000] } : {};
}

/** Layers differ by their pattern, too: nothing is told by colour alone. */
function filling(chart, stroke, number) {
  if (!chart.stacked) return chart.series.length === 1 ? faint(stroke, 0.14) : undefined;
  if (number === 0) return faint(stroke, 0.4);
  const tile = document.createElement("canvas");
  const scale = devicePixelRatio;
  tile.width = tile.height = 6 * scale;
  const brush = tile.getContext("2d");
  brush.scale(scale, scale);
  brush.fillStyle = faint(stroke, 0.12);
  brush.fillRect(0, 0, 6, 6);
  brush.strokeStyle = brush.fillStyle = stroke;
  brush.globalAlpha = 0.75;
  if (number === 1) {
    brush.lineWidth = 1;
    for (const from of [-6, 0, 6]) {
      brush.moveTo(from, 6);
      brush.lineTo(from + 6, 0);
    }
    brush.stroke();
  } else {
    brush.fillRect(1, 1, 1.5, 1.5);
    brush.fillRect(4, 4, 1.5, 1.5);
  }
  return brush.createPattern(tile, "repeat");
}

/** Events: a line through the whole chart with its sign on top, or a tick at the upper edge. */
function events(u, chart, shown, ink) {
  const { ctx, bbox } = u;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  for (const mark of shown.marks) {
    if (mark.chart !== chart.name) continue;
    const x = u.valToPos(mark.at_s, "x", true);
    ctx.strokeStyle = ctx.fillStyle = ink(mark.tone);
    if (mark.is_line) {
      ctx.lineWidth = 1.5 * scale;
      ctx.setLineDash([3 * scale, 3 * scale]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.font = `700 ${12 * scale}px sans-serif`;
    } else {
      ctx.font = `${9 * scale}px sans-serif`;
    }
    ctx.fillText(mark.sign, x, bbox.top - 7 * scale);
  }
  ctx.restore();
}

/** What a variable of the style sheet is at this moment, in this theme: a canvas knows no variables. */
function colour(element, name) {
  const probe = h("i", { style: { color: `var(--${name})`, display: "none" } });
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faint(stroke, alpha) {
  const [red, green, blue] = stroke.match(/[-.\d]+/g);
  return stroke.startsWith("color(") ? `color(srgb ${red} ${green} ${blue} / ${alpha})` : `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}
