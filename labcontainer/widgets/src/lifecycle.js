// The life of a container: the state diagram, the verbs as buttons, what is so now, and the time line.

import { card, follow, h, problem, redraw, rove } from "./dom.js";
import { s } from "./drawing.js";

const [WIDTH, HEIGHT, BOX_WIDTH, BOX_HEIGHT, LINE] = [1000, 470, 132, 46, 17];
const LANES = ["State", "Verbs", "Signals", "Exit codes"];
const TONES = { creating: "slate", created: "violet", running: "green", paused: "blue", restarting: "amber", stopped: "red", removed: "slate" };
const SIGNS = { creating: "…", created: "○", running: "▶", paused: "Ⅱ", restarting: "↻", stopped: "■", removed: "∅" };

export default {
  render({ model, el }) {
    const draft = { signal: "SIGTERM", grace: "10", command: "true" };
    let drawn = "";
    const life = { draft, send: (verb, argument = "") => model.send({ verb, argument }) };
    const draw = () => {
      const shown = model.get("shown");
      // Python looks once a second: what is as it was is left alone, so that a finger on a button hits it.
      const text = JSON.stringify(shown);
      if (text === drawn) return;
      drawn = text;
      redraw(el, page(shown, life));
      requestAnimationFrame(() => toTheEnd(el));
    };
    return follow(model, draw);
  },
};

/** The newest is what one looks for. */
function toTheEnd(el) {
  const box = el.querySelector(".lab-times");
  if (box) box.scrollLeft = box.scrollWidth;
}

function page(shown, life) {
  return card("lifecycle", `Life of ${shown.name}`, shown.about,
    problem(shown.error),
    h("div.lab-now", {}, h(`span.lab-chip.lab-${TONES[shown.present]}`, {}, h("span.lab-sign", { "aria-hidden": "true" }, SIGNS[shown.present]), shown.present),
      h("p.lab-headline", { "data-say": true }, shown.headline)),
    h("div.lab-map", { "data-scroll": "map", tabindex: "0", "aria-label": "State diagram" }, diagram(shown)),
    verbs(shown, life),
    facts(shown),
    times(shown.times));
}

function diagram(shown) {
  const legal = new Set(shown.verbs.filter((verb) => verb.legal).map((verb) => verb.name));
  const leads = (arrow) => arrow.before === shown.present && arrow.verbs.some((verb) => legal.has(verb));
  const kind = (arrow) => (leads(arrow) ? ".lab-legal" : arrow.before === shown.present ? ".lab-possible" : "");
  const came = (arrow) => (arrow.before === shown.came_from && arrow.after === shown.present ? ".lab-came" : "");
  // Those that matter now are drawn last, over the others.
  const order = [...shown.arrows].sort((one, two) => (kind(one) || came(one) ? 1 : 0) - (kind(two) || came(two) ? 1 : 0));
  return s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `The states of a container. It is ${shown.present}. ${shown.arrows.filter(leads).map((arrow) => `${arrow.verbs.join(" or ")} leads to ${arrow.after}.`).join(" ")}` },
    order.map((arrow) => arrowOf(arrow, kind(arrow) + came(arrow))),
    shown.boxes.map((box) => boxOf(box, box.state === shown.present)));
}

function arrowOf(arrow, kind) {
  return s(`g.lab-arrow${kind}`, {},
    s("path", { d: arrow.path }), s("path.lab-tip", { d: arrow.head }),
    arrow.lines.map((line, index) => s("text", { x: arrow.x, y: arrow.y + LINE * index, "text-anchor": arrow.anchor }, line)));
}

function boxOf(box, here) {
  return s(`g.lab-state.lab-${TONES[box.state]}${here ? ".lab-here" : ""}${box.state === "removed" ? ".lab-end" : ""}`, {},
    s("title", {}, box.meaning),
    s("rect", { x: box.x - BOX_WIDTH / 2, y: box.y - BOX_HEIGHT / 2, width: BOX_WIDTH, height: BOX_HEIGHT, rx: 10 }),
    s("text", { x: box.x, y: box.y + 5, "text-anchor": "middle" }, here ? `${SIGNS[box.state]} ${box.state}` : box.state));
}

function verbs(shown, { draft, send }) {
  const field = (name, label, attributes) => h("label.lab-argument", {}, h("span", {}, label),
    h("input.lab-field", { type: "text", value: draft[name], "data-key": name, "aria-label": label, spellcheck: "false", oninput: (event) => (draft[name] = event.target.value), ...attributes }));
  const choice = h("label.lab-argument", {}, h("span", {}, "signal"),
    h("select.lab-field", { "data-key": "signal", "aria-label": "signal", onchange: (event) => (draft.signal = event.target.value) },
      shown.signals.map((signal) => h("option", { value: signal, selected: signal === draft.signal }, signal))));
  const extras = {
    kill: [choice, () => draft.signal],
    stop: [field("grace", "grace, s", { inputmode: "decimal" }), () => draft.grace],
    exec: [field("command", "runs", {}), () => draft.command],
    restart: [null, () => draft.grace],
  };
  const buttons = () => [...document.activeElement.closest(".lab-acts").querySelectorAll("button")];
  return h("div.lab-acts", { role: "group", "aria-label": "Verbs; arrow keys go from one to the next", onkeydown: (event) => event.target.matches("button") && rove(event, buttons()) },
    shown.verbs.map((verb) => act(verb, extras[verb.name], send)));
}

/** A refused verb stays in the keyboard's way and says why; `disabled` would hide it from those who need the reason. */
function act(verb, [extra, argument] = [null, () => ""], send) {
  const id = `lab-why-${verb.name}`;
  const press = () => verb.legal && send(verb.name, argument());
  return h(`div.lab-act${verb.legal ? "" : ".lab-refused"}`, {},
    h("div.lab-act-line", {},
      h(`button.lab-button${verb.legal ? ".lab-primary" : ""}`, {
        type: "button", "aria-disabled": String(!verb.legal), "aria-describedby": id, "data-key": `verb ${verb.name}`, title: verb.reason || verb.does, onclick: press,
      }, verb.legal ? "" : h("span.lab-sign", { "aria-hidden": "true" }, "⊘ "), verb.name, verb.busy ? " …" : ""),
      extra),
    h("p.lab-why", { id }, verb.busy ? "being carried out …" : verb.legal ? verb.does : verb.reason));
}

function facts(shown) {
  if (!shown.facts.length) return null;
  return h("ul.lab-facts", { "aria-label": "What is so, and which file says it" },
    shown.facts.map(({ text, source }) => h("li", {}, h("span", {}, source), h("b", {}, text))));
}

function times({ width, marks, spans, earlier }) {
  if (!marks.length) return null;
  const px = (number) => `${number}px`;
  const lane = (name, number) => h(`div.lab-lane.lab-lane-${number}`, {},
    number === 0 ? spans.map((span) => h(`div.lab-span.lab-${TONES[span.state] ?? "slate"}`, { title: span.words, style: { left: px(span.left), width: px(span.width - 3) } },
      h("span", {}, h("span.lab-sign", { "aria-hidden": "true" }, `${SIGNS[span.state] ?? "?"} `), span.words))) : null,
    marks.filter((mark) => mark.lane === number).map((mark) => h(`div.lab-mark-on-time.lab-${mark.tone}`, { title: `${mark.clock}  ${mark.note}`, style: { left: px(mark.left) } }, mark.word)));
  return h("div.lab-history", {},
    h("h3.lab-section", {}, "What has happened", earlier ? ` (and ${earlier} earlier)` : ""),
    h("div.lab-lanes", { "aria-hidden": "true" },
      h("div.lab-lane-names", {}, LANES.map((name) => h("div", {}, name))),
      h("div.lab-times", { "data-scroll": "times" }, h("div.lab-track", { style: { width: px(width) } },
        marks.map((mark) => h("i.lab-moment", { style: { left: px(mark.left) } })), LANES.map(lane)))),
    h("details.lab-list", { "data-fold": "list" }, h("summary", { "data-key": "list" }, "The same as a list, to the millisecond"),
      h("ol", {}, marks.map((mark) => h("li", {}, h("time", {}, mark.clock), h("b", {}, mark.word), h("span", {}, mark.note))))));
}
