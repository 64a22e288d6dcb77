// A terminal: xterm.js draws what the program writes, and sends the keys. What it may type and see, Python decides.

import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";

import { card, h, problem } from "./dom.js";

const ROWS = 24;
const SCROLLBACK = 5000;
const SIGNS = { attached: ["green", "●"], detached: ["slate", "○"], ended: ["amber", "■"], lost: ["red", "✕"] };
// ANSI's colours, from those that all widgets share.
const PALETTE = { red: "red", green: "green", yellow: "amber", blue: "blue", magenta: "violet", cyan: "teal" };

export default {
  render({ model, el }) {
    const page = crypto.randomUUID();
    const send = (verb, more = {}, buffers = []) => model.send({ verb, page, ...more }, undefined, buffers);
    const term = new Terminal({
      rows: ROWS, scrollback: SCROLLBACK, cursorBlink: false, fontSize: 13, lineHeight: 1.15, minimumContrastRatio: 4.5,
      convertEol: model.get("shown").newlines,
    });
    const fit = new FitAddon();
    term.loadAddon(fit);
    const screen = h("div.lab-screen", { "data-lm-suppress-shortcuts": "true", "data-scroll": "screen" });
    const bar = h("div.lab-bar");
    el.append(card("terminal", "", "", bar, screen, h("p.lab-keys", {}, "Tab and Esc go to the program; ", h("kbd", {}, "Shift"), " ", h("kbd", {}, "Esc"), " leaves the terminal. Copy and paste: ",
      h("kbd", {}, "Ctrl"), " ", h("kbd", {}, "Shift"), " ", h("kbd", {}, "C"), ", ", h("kbd", {}, "V"), ".")));
    const tools = { send, term, said: "", aloud: false };
    const drawBar = () => frame(el, bar, model.get("shown"), tools);

    keys(term, send, () => bar.querySelector("button")?.focus());
    const hear = (message, buffers) => {
      if (!message.pages?.includes(page)) return;
      const data = bytes(buffers[0]);
      if (message.kind === "begin") term.reset();
      // What was drawn is told, so that the program is not read faster than it can be shown.
      term.write(data, () => message.kind === "output" && send("drawn", { bytes: data.byteLength }));
    };
    model.on("msg:custom", hear);
    model.on("change:shown", drawBar);
    drawBar();

    let size = "";
    const opened = new ResizeObserver(() => {
      if (!screen.clientWidth) return; // out of sight
      if (!term.element) {
        term.open(screen);
        paint(term, el);
        send("open");
      }
      const { cols } = fit.proposeDimensions() ?? { cols: 80 };
      if (`${cols}` === size || !(cols > 1)) return;
      size = `${cols}`;
      term.resize(cols, ROWS);
      send("resize", { rows: ROWS, columns: cols });
    });
    opened.observe(screen);
    const themed = new MutationObserver(() => paint(term, el));
    themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
    return () => {
      send("closed");
      opened.disconnect();
      themed.disconnect();
      model.off("msg:custom", hear);
      model.off("change:shown", drawBar);
      term.dispose();
    };
  },
};

/** The bytes of a message's buffer, however it has come. */
function bytes(buffer) {
  return buffer instanceof DataView ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength) : new Uint8Array(buffer);
}

/** What is typed or pasted, as the bytes that a terminal would send. */
function keys(term, send, leave) {
  const encoder = new TextEncoder();
  term.onData((text) => send("type", {}, [encoder.encode(text)]));
  term.onBinary((text) => send("type", {}, [Uint8Array.from(text, (character) => character.charCodeAt(0))]));
  term.attachCustomKeyEventHandler((event) => {
    const word = `${event.ctrlKey ? "C-" : ""}${event.shiftKey ? "S-" : ""}${event.key}`;
    if (word === "S-Escape") {
      if (event.type === "keydown") leave();
      return false;
    }
    if (word === "C-S-C") {
      if (event.type === "keydown") void copy(term);
      event.preventDefault();
      return false;
    }
    return word !== "C-S-V"; // the browser pastes
  });
}

/** The selected text, or else the whole screen with what has scrolled out of it. */
async function copy(term) {
  const selected = term.getSelection();
  if (!selected) term.selectAll();
  await navigator.clipboard.writeText(term.getSelection().trimEnd());
  if (!selected) term.clearSelection();
}

/** The line above the screen; keyboard focus on a button stays where it is. */
function frame(el, bar, shown, tools) {
  const section = el.querySelector("section");
  section.setAttribute("aria-label", shown.title);
  section.querySelector(".lab-title").textContent = shown.title;
  section.querySelector(".lab-subtitle").textContent = shown.about;
  const key = bar.contains(document.activeElement) ? document.activeElement.dataset.key : "";
  const [tone, sign] = SIGNS[shown.line];
  const button = (name, word, act, more = {}) => h("button.lab-button", { type: "button", "data-key": name, onclick: act, ...more }, word);
  const read = () => {
    tools.aloud = !tools.aloud;
    tools.term.options.screenReaderMode = tools.aloud;
    frame(el, bar, shown, tools);
  };
  bar.replaceChildren(...[
    problem(shown.error),
    h("div.lab-tools", {},
      h(`span.lab-chip.lab-${tone}`, {}, h("span.lab-sign", { "aria-hidden": "true" }, sign), shown.line),
      h("span.lab-standing", { role: "status" }, shown.sentence),
      shown.again ? button("line", shown.again, () => tools.send("attach")) : button("line", "Detach", () => tools.send("detach")),
      button("copy", "Copy", () => copy(tools.term)),
      button("aloud", "Screen reader", read, { "aria-pressed": String(tools.aloud) })),
  ].filter(Boolean));
  if (key) bar.querySelector(`[data-key="${key}"]`)?.focus({ preventScroll: true });
}

/** The colours of JupyterLab's theme, as they are now. */
function paint(term, el) {
  const probe = h("i");
  el.querySelector("section").append(probe);
  const colour = (value) => {
    probe.style.color = value;
    // A canvas turns every notation of a colour into the one that xterm.js can read.
    const context = document.createElement("canvas").getContext("2d");
    context.fillStyle = getComputedStyle(probe).color;
    context.fillRect(0, 0, 1, 1);
    return "#" + [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part.toString(16).padStart(2, "0")).join("");
  };
  const [ink, paper, soft] = ["--ink", "--screen", "--soft"].map((name) => colour(`var(${name})`));
  const ansi = Object.fromEntries(Object.entries(PALETTE).flatMap(([name, tone]) => {
    const found = colour(`var(--${tone})`);
    return [[name, found], [`bright${name[0].toUpperCase()}${name.slice(1)}`, found]];
  }));
  term.options.theme = {
    ...ansi, background: paper, foreground: ink, cursor: ink, cursorAccent: paper, black: ink, brightBlack: soft, white: soft, brightWhite: ink,
    selectionBackground: colour("color-mix(in srgb, var(--blue) 32%, var(--screen))"),
  };
  term.options.fontFamily = getComputedStyle(probe).getPropertyValue("--mono");
  probe.remove();
}
