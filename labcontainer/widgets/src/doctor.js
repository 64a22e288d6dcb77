// The doctor card: what was tried on this machine, the worst first, each with the command that mends it.

import { card, chip, follow, h, redraw } from "./dom.js";

const LOOKS = { yes: ["teal", "✓"], degraded: ["amber", "!"], no: ["red", "✕"] };
const FILTERS = { all: "All", problems: "Problems", no: "Missing", degraded: "In part", yes: "Works" };

export default {
  render({ model, el }) {
    const draw = () => redraw(el, page(model.get("shown"), model.get("opened"), (command) => model.send(command)));
    return follow(model, draw, ["opened"]);
  },
};

function page(shown, opened, act) {
  return card("doctor", "Doctor", shown.headline,
    h("p.lab-mode", {}, shown.mode),
    h("dl.lab-facts", {}, shown.facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    bar(shown.counts),
    filters(shown, act),
    h("ul.lab-findings", {}, shown.findings.map((finding) => h(`li.lab-finding${finding.status === "yes" ? "" : ".lab-wide"}`, {}, details(finding, opened, act)))),
    shown.findings.length ? null : h("p.lab-subtitle", {}, "Nothing of that kind."));
}

function bar(counts) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const parts = ["yes", "degraded", "no"].filter((status) => counts[status]);
  const label = parts.map((status) => `${FILTERS[status]}: ${counts[status]} of ${total}`).join(", ");
  return h("div.lab-bar", { role: "img", "aria-label": label },
    parts.map((status) => h(`span.lab-${LOOKS[status][0]}`, { style: { flex: counts[status] } })));
}

function filters(shown, act) {
  const { yes, degraded, no } = shown.counts;
  const counts = { all: yes + degraded + no, problems: degraded + no, no, degraded, yes };
  return h("div.lab-filters", { role: "group", "aria-label": "Show" }, Object.entries(FILTERS).map(([name, word]) =>
    h("button.lab-button", {
      "aria-pressed": String(shown.filter === name), "data-key": `filter ${name}`, onclick: () => act({ verb: "filter", status: name }),
    }, `${word} ${counts[name]}`)));
}

function details(finding, opened, act) {
  const [tone, sign] = LOOKS[finding.status];
  return h("details", { open: opened === finding.id, "data-fold": finding.id },
    h("summary", { "data-key": finding.id, onclick: () => opened === finding.id || act({ verb: "open", id: finding.id }) },
      h("span", {}, chip(tone, sign, finding.word)), h("strong", {}, finding.title), h("span.lab-lessons", {}, finding.needed_by)),
    h("div.lab-more", {}, h("p", {}, finding.why), h("p.lab-lessons", {}, finding.needed_by && `Needed by ${finding.needed_by}.`), 
      finding.command ? remedy(finding.command) : null, finding.advice ? h("p.lab-advice", {}, finding.command ? "… " : h("b", {}, "To mend it: "), finding.advice) : null));
}

function remedy(command) {
  const code = h("code", {}, command);
  // A page that is not from this machine may not write to the clipboard: then the command is selected, for Ctrl-C.
  const copy = async (event) => {
    const said = event.target;
    try {
      await navigator.clipboard.writeText(command);
      said.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      said.textContent = "Selected";
    }
  };
  return h("div.lab-remedy", {}, code, h("button.lab-button", { onclick: copy, "aria-label": "Copy the command" }, "Copy"));
}
