// The trace view: a lane for each process, a bar for each call; the opened call below, down to its line of source.

import { card, chip, follow, h, redraw, rove } from "./dom.js";

const FAMILIES = { process: "blue", namespace: "violet", mount: "amber", privilege: "teal", network: "green", file: "slate" };
const LEAST = 5;
const MOST_ZOOM = 64;

export default {
  render({ model, el }) {
    const looks = { zoom: 1 };
    const stage = {
      looks,
      open(index) {
        model.send({ verb: "open", index });
      },
      scale: (by) => model.send({ verb: "scale", by }),
      zoom(factor) {
        looks.zoom = Math.min(Math.max(looks.zoom * factor, 1), MOST_ZOOM);
        const middle = centre(el);
        draw();
        centre(el, middle);
      },
    };
    let seen = "";
    const draw = () => {
      const [shown, opened, by] = [model.get("shown"), model.get("opened"), model.get("scale")];
      redraw(el, page(shown, opened, by, model.get("source"), stage));
      // In the next frame: the first time, nothing is on the page yet.
      if (`${opened} ${by}` !== seen) requestAnimationFrame(() => reveal(el, opened));
      seen = `${opened} ${by}`;
    };
    return follow(model, draw, ["opened", "scale", "source"]);
  },
};

/** Which part of the lanes is in the middle of what is seen: the opened call, or where one has scrolled to. */
function centre(el, part) {
  const [box, track] = [el.querySelector(".lab-time"), el.querySelector(".lab-track")];
  if (part !== undefined) return void (box.scrollLeft = part * track.offsetWidth - box.clientWidth / 2);
  const open = track.querySelector(".lab-bar[aria-pressed='true']");
  return (open ? open.offsetLeft + open.offsetWidth / 2 : box.scrollLeft + box.clientWidth / 2) / track.offsetWidth;
}

/** Scroll the opened call into sight inside the lanes and the list, without moving the page. */
function reveal(el, index) {
  for (const name of ["bar", "item"]) {
    const target = el.querySelector(`[data-key="${name} ${index}"]`);
    const box = target?.closest("[data-scroll]");
    if (!box) continue;
    const [inner, outer] = [target.getBoundingClientRect(), box.getBoundingClientRect()];
    if (inner.left < outer.left || inner.right > outer.right) box.scrollLeft += inner.left - outer.left - outer.width / 2;
    if (inner.top < outer.top || inner.bottom > outer.bottom) box.scrollTop += inner.top - outer.top - outer.height / 2;
  }
}

function page(shown, opened, by, source, stage) {
  if (!shown.calls.length) return card("trace", "Trace", shown.summary);
  return card("trace", "Trace", shown.summary, tools(shown, by, stage), lanes(shown, opened, by, stage),
    h("div.lab-below", {}, list(shown, opened, stage), details(shown.calls[opened], source)));
}

function tools(shown, by, stage) {
  const choice = (name, word) => h("button.lab-button", { "aria-pressed": String(by === name), "data-key": `by ${name}`, onclick: () => stage.scale(name) }, word);
  const families = Object.entries(FAMILIES).filter(([family]) => shown.calls.some((call) => call.family === family));
  return h("div.lab-tools", {},
    h("div", { role: "group", "aria-label": "Scale" }, choice("time", "By time"), choice("order", "By order")),
    h("div", { role: "group", "aria-label": "Zoom" },
      h("button.lab-button", { "data-key": "out", "aria-label": "Zoom out", disabled: stage.looks.zoom <= 1, onclick: () => stage.zoom(1 / 2) }, "−"),
      h("button.lab-button", { "data-key": "in", "aria-label": "Zoom in", disabled: stage.looks.zoom >= MOST_ZOOM, onclick: () => stage.zoom(2) }, "+")),
    h("ul.lab-families", { "aria-label": "Kinds of calls" },
      families.map(([family, tone]) => h("li", {}, h(`span.lab-swatch.lab-${tone}`), family)),
      shown.calls.some((call) => call.failed) ? h("li", {}, chip("red", "✕", "failed")) : null));
}

/** Where a call begins and how wide it is, as parts of the whole width. */
function places(shown, by) {
  const count = shown.calls.length;
  if (by === "order") return shown.calls.map((_, index) => [index / count, 1 / count]);
  return shown.calls.map(({ left, width }) => [left, width]);
}

function lanes(shown, opened, by, stage) {
  const where = places(shown, by);
  const percent = (part) => `${part * 100}%`;
  const bars = () => [...document.activeElement.closest(".lab-track").querySelectorAll(".lab-bar")].sort((a, b) => a.dataset.index - b.dataset.index);
  const walk = (event) => {
    const next = rove(event, bars());
    if (next) stage.open(Number(next.dataset.index));
  };
  const bar = (call) => h(`button.lab-bar.lab-${FAMILIES[call.family]}${call.failed ? ".lab-failed" : ""}`, {
    title: `${call.signature} = ${call.result}${call.returned ? `\n${length(call.duration_usec)}` : ""}`,
    "aria-label": `${call.role}: ${call.call}${call.failed ? ", failed" : ""}`, "aria-pressed": String(call.index === opened),
    tabindex: call.index === Math.max(opened, 0) ? "0" : "-1", "data-key": `bar ${call.index}`, "data-index": call.index,
    style: { left: percent(where[call.index][0]), width: `max(${LEAST}px, ${percent(where[call.index][1])})` },
    onclick: () => stage.open(call.index),
  }, h("span", {}, call.failed ? "✕ " : "", call.call));
  const lane = (_, number) => h("div.lab-lane", {}, bands(shown, number, where, percent), shown.calls.filter((call) => call.lane === number).map(bar));
  return h("div.lab-lanes", {},
    h("div.lab-labels", {},
      shown.lanes.map((each) => h("div.lab-label", {}, h("strong", {}, each.label), h("span", {}, `pid ${each.pid}`))),
      h("div.lab-axis", {}, by === "time" ? "time" : "order")),
    h("div.lab-time", { "data-scroll": "time" },
      h("div.lab-track", { style: { width: percent(stage.looks.zoom) }, onkeydown: walk, role: "group", "aria-label": "System calls; arrow keys go from one to the next" },
        by === "time" ? shown.pauses.map((pause) => cut(pause, percent)) : null,
        shown.lanes.map(lane), axis(shown, by, stage.looks.zoom, percent))));
}

/** A pause that is drawn shorter than it was, across all lanes. */
function cut({ left, width, duration_usec }, percent) {
  return h("div.lab-cut", { title: `nobody made a call for ${length(duration_usec)}`, style: { left: percent(left), width: percent(width) } },
    h("span", {}, length(duration_usec)));
}

/** The steps of an operation, as brackets above the calls of a lane. */
function bands(shown, lane, where, percent) {
  const found = [];
  for (const call of shown.calls.filter((each) => each.lane === lane)) {
    const last = found.at(-1);
    const [left, width] = where[call.index];
    if (last && last.step === call.step) last.end = left + width;
    else found.push({ step: call.step, why: call.why, left, end: left + width });
  }
  return found.filter(({ step }) => step).map(({ step, why, left, end }) =>
    h("div.lab-band", { title: `${step}: ${why}`, style: { left: percent(left), width: `max(2px, ${percent(end - left)})` } }, h("span", {}, step)));
}

function axis(shown, by, zoom, percent) {
  const count = Math.min(6 * zoom, 80);
  const where = places(shown, by);
  const ticks = [];
  // A label at a call's beginning, as soon as the last label has had its room.
  shown.calls.forEach((call, index) => {
    const [left] = where[index];
    if (!ticks.length || left - ticks.at(-1)[0] >= 1 / count) ticks.push([left, by === "time" ? length(call.start_usec) : `#${index}`]);
  });
  return h("div.lab-axis", { "aria-hidden": "true" }, ticks.map(([left, text]) => h("span", { style: { left: percent(left) } }, text)));
}

function list(shown, opened, stage) {
  const items = () => [...document.activeElement.closest(".lab-list").querySelectorAll(".lab-item")];
  const walk = (event) => {
    const next = rove(event, items(), "ArrowUp", "ArrowDown");
    if (next) stage.open(Number(next.dataset.index));
  };
  return h("div.lab-list", { "data-scroll": "list", onkeydown: walk, role: "group", "aria-label": "All calls; arrow keys go from one to the next" },
    shown.calls.map((call) => h("button.lab-item", {
      "aria-pressed": String(call.index === opened), "data-key": `item ${call.index}`, "data-index": call.index,
      tabindex: call.index === Math.max(opened, 0) ? "0" : "-1", onclick: () => stage.open(call.index),
    },
      h(`span.lab-swatch.lab-${FAMILIES[call.family]}${call.failed ? ".lab-failed" : ""}`), h("b", {}, call.call), h("em", {}, call.returned ? length(call.duration_usec) : ""),
      h("small", {}, `${call.role} · ${call.failed ? `failed: ${call.result.replace("-1 ", "")} · ` : ""}${brief(call)}`))));
}

function brief(call) {
  const texts = call.arguments.map(([, text]) => text).filter((text) => text !== "NULL" && text !== "0");
  return texts.slice(0, 3).join(", ");
}

function details(call, source) {
  if (!call) return h("p.lab-subtitle", {}, "Open a call: click it, or press Tab and use the arrow keys.");
  const row = (name, text, failed) => h("tr", {}, h("th", { scope: "row" }, name), h(`td${failed ? ".lab-error" : ""}`, {}, text));
  return h("article.lab-open", {},
    h("h3.lab-call", { "data-say": true }, `${call.call}()`),
    h("p.lab-why", { "data-say": true }, call.why),
    h("table.lab-args", {}, h("tbody", {}, call.arguments.map(([name, text]) => row(name, text)),
      row("result", call.failed ? `✕ ${call.result}` : call.result, call.failed), call.returned ? row("took", length(call.duration_usec)) : null,
      row("made by", `${call.role}, pid ${call.pid}`), call.step ? row("step", call.step) : null)),
    h("p.lab-where", {}, `${call.where}, in ${call.function}()`), lines(source));
}

function lines({ first, line, lines: all, error }) {
  if (error || !all) return error ? h("p.lab-subtitle", {}, error) : null;
  return h("pre.lab-source", { tabindex: "0", "data-scroll": "source", "aria-label": "Source" }, all.map((text, index) => {
    const here = first + index === line;
    return h(`div${here ? ".lab-here" : ""}`, { "aria-current": here ? "true" : undefined }, h("i", {}, `${here ? "▸ " : ""}${first + index}`), text || " ");
  }));
}

function length(usec) {
  if (usec >= 1e6) return `${(usec / 1e6).toFixed(2)} s`;
  return usec >= 1000 ? `${(usec / 1000).toFixed(2)} ms` : `${Math.round(usec)} µs`;
}
