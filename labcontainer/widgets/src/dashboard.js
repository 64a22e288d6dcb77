// The cgroup dashboard: sliders that set limits while the container runs, and charts of what it uses, twice a second.
// Unlike the other widgets it is not drawn anew with each change: a slider must stay under the finger that holds it.

import { card, chip, h, problem, redraw } from "./dom.js";
import { picture } from "./dashboard-chart.js";

export default {
  render({ model, el }) {
    const send = (command) => model.send(command);
    const parts = { top: h(""), sliders: h("div.lab-limits", {}), charts: h("div.lab-charts", {}), log: h("") };
    const panes = h("div.lab-panes", {}, parts.sliders, parts.charts);
    el.append(card("dashboard", "Cgroup dashboard", "Move a limit while the container runs. All numbers are from its cgroup.", parts.top, panes, parts.log));
    const pictures = new Map();
    const sliders = new Map();
    const anew = changed();

    const draw = () => {
      const shown = model.get("shown");
      if (anew("top", [shown.choices, shown.sampling, shown.error, shown.status])) redraw(parts.top, top(shown, send));
      if (anew("log", shown.moments)) redraw(parts.log, log(shown));
      keep(sliders, parts.sliders, shown.sliders, (each) => slider(each, send));
      keep(pictures, parts.charts, shown.charts, (each) => picture(each, parts.charts));
      for (const each of shown.sliders) sliders.get(each.name).update(each, shown.ended);
      for (const each of shown.charts) pictures.get(each.name).update(each, shown);
      panes.hidden = !shown.charts.length;
    };
    model.on("change:shown", draw);
    // A refused limit leaves all as it was: the slider goes back to where the Linux kernel has it.
    const answered = () => sliders.forEach((each) => each.settle());
    model.on("change:answered", answered);
    draw();
    const theme = new MutationObserver(() => pictures.forEach((each) => each.restyle()));
    theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
    return () => {
      model.off("change:shown", draw);
      model.off("change:answered", answered);
      theme.disconnect();
      pictures.forEach((each) => each.end());
    };
  },
};

/** Answers whether a part is another than the last time. */
function changed() {
  const last = {};
  return (name, part) => {
    const text = JSON.stringify(part);
    if (last[name] === text) return false;
    last[name] = text;
    return true;
  };
}

/** Make what is new in `list`, and remove what it has no longer. */
function keep(made, parent, list, make) {
  const names = new Set(list.map(({ name }) => name));
  for (const [name, each] of made) {
    if (names.has(name)) continue;
    each.end?.();
    each.element.remove();
    made.delete(name);
  }
  for (const each of list) {
    if (made.has(each.name)) continue;
    made.set(each.name, make(each));
    parent.append(made.get(each.name).element);
  }
}

function top(shown, send) {
  const choose = (id) => () => send({ verb: "choose", id });
  return h("div", {},
    h("div.lab-bar-top", {},
      h("div.lab-choices", { role: "group", "aria-label": "Container" }, shown.choices.map((each) =>
        h("button.lab-button", { "data-key": `choose ${each.id}`, "aria-pressed": String(each.chosen), onclick: choose(each.id), title: each.id },
          each.name, h("span.lab-state", {}, ` ${each.ended ? "■" : each.status === "paused" ? "❙❙" : "▶"} ${each.status}`)))),
      h("div.lab-controls", {},
        shown.sampling ? chip("green", "●", "live") : chip("slate", "❙❙", shown.ended ? "it has ended" : "stands still"),
        h("button.lab-button", { "data-key": "go", disabled: shown.ended, onclick: () => send({ verb: shown.sampling ? "pause" : "resume" }) },
          shown.sampling ? "Pause" : "Resume"),
        h("button.lab-button", { "data-key": "step", disabled: shown.ended, onclick: () => send({ verb: "step" }) }, "Read once"))),
    problem(shown.error));
}

function slider(first, send) {
  const value = h("output.lab-value");
  const file = h("code.lab-file");
  const says = h("code.lab-says");
  // Without this mark JupyterLab takes the arrow keys of whatever is no text field for shortcuts of its own.
  const ours = { "data-lm-suppress-shortcuts": "true" };
  const range = h("input", { type: "range", min: "0", step: "1", "aria-label": `${first.title}: limit`, ...ours });
  const ends = [h("span"), h("span")];
  const element = h("div.lab-limit", {},
    h("div.lab-limit-head", {}, h("span.lab-limit-title", {}, first.title), value), range,
    h("div.lab-ends", { "aria-hidden": "true" }, ends),
    h("div.lab-witness", {}, file, says));
  let now = first;
  let held = false;
  const say = (stop, words) => {
    value.textContent = words;
    range.setAttribute("aria-valuetext", words);
    range.style.setProperty("--part", `${(100 * stop) / (now.stops.length - 1)}%`);
  };
  const settle = () => {
    held = false;
    range.value = String(now.stop);
    say(now.stop, now.words);
  };
  range.addEventListener("input", () => {
    held = true;
    say(Number(range.value), now.stops[Number(range.value)]);
  });
  range.addEventListener("change", () => send({ verb: "set", limit: now.name, stop: Number(range.value) }));
  return {
    element,
    settle,
    update(next, ended) {
      now = next;
      range.max = String(next.stops.length - 1);
      range.disabled = ended;
      ends[0].textContent = next.stops[0];
      ends[1].textContent = next.stops.at(-1);
      file.textContent = next.file;
      file.title = next.path;
      says.textContent = next.says.replaceAll("\n", " · ");
      if (!held) settle();
    },
  };
}

function log(shown) {
  const [latest] = shown.moments;
  return h("div.lab-log", {},
    h("h3.lab-section", {}, "Events"),
    latest && h("span.lab-said", { "data-say": true }, latest.words),
    shown.moments.length
      ? h("ol", {}, shown.moments.map((each) => h(`li.lab-${each.tone}`, {},
          h("time", {}, each.clock), h("span.lab-sign", { "aria-hidden": "true" }, each.sign), h("span", {}, each.words))))
      : h("p.lab-subtitle", {}, "No limit was met so far, and none was changed."));
}
