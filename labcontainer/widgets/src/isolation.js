// The isolation matrix: eight switches on the left, what the child sees beside the host's view on the right.

import { breakable, card, chip, follow, h, problem, redraw, waiting } from "./dom.js";

const SHORT = 5;

export default {
  render({ model, el }) {
    const act = (command) => {
      waiting(el);
      model.send(command);
    };
    return follow(model, () => redraw(el, matrix(model.get("shown"), act)));
  },
};

function matrix(shown, act) {
  return card("isolation", "Isolation matrix", "Which namespaces shall the child have of its own?",
    problem(shown.error),
    h("div.lab-panes", {}, switches(shown, act), sights(shown), calls(shown)));
}

function switches(shown, act) {
  const all = (on) => act({ verb: "set", namespaces: Object.fromEntries(shown.switches.map(({ name }) => [name, on])) });
  return h("div.lab-choose", {},
    h("h3.lab-section", {}, "Namespaces"),
    h("ul.lab-switches", {}, shown.switches.map((each) => oneSwitch(each, act))),
    freshProc(shown, act),
    h("div.lab-row-of-buttons", {},
      h("button.lab-button.lab-primary", { "data-key": "run", onclick: () => act({ verb: "run" }) }, "Make a new child"),
      h("button.lab-button", { "data-key": "all", onclick: () => all(true) }, "All"),
      h("button.lab-button", { "data-key": "none", onclick: () => all(false) }, "None")));
}

function calls(shown) {
  if (!shown.calls.length) return null;
  return h("div.lab-calls", {}, h("h3.lab-section", {}, "The system calls that made it"),
    h("ol", {}, shown.calls.map((call) => h("li", {}, h("code", {}, breakable(call))))));
}

function oneSwitch(each, act) {
  const flip = (event) => act({ verb: "set", namespaces: { [each.name]: event.target.checked } });
  const same = each.host_inode === each.inside_inode;
  return h("li.lab-switch", {}, h("label", {},
    h("input", { type: "checkbox", checked: each.on, "data-key": each.name, onchange: flip,
      "aria-label": `${each.title} namespace: ${each.governs}` }),
    h("span.lab-switch-name", {}, each.title, h("span", {}, ` · ${each.governs}`)),
    each.verdict && h("span.lab-inodes", { title: "the inode numbers of /proc/PID/ns/" + each.name + ", on the host and inside" },
      String(each.host_inode), same ? " = " : " → ", same ? String(each.inside_inode) : h("b", {}, String(each.inside_inode))),
    each.verdict && h("span.lab-verdict", {}, verdict(each))));
}

function verdict(each) {
  if (each.verdict === "shared") return chip("slate", "=", "shared");
  return chip("teal", "≠", each.added ? "own, added" : "own");
}

function freshProc(shown, act) {
  const possible = shown.fresh_proc_possible;
  const flip = (event) => act({ verb: "set", fresh_proc: event.target.checked });
  return h(`label.lab-fresh${possible ? "" : ".lab-off"}`, { title: possible ? undefined : "needs PID and Mount" },
    h("input", { type: "checkbox", checked: possible && shown.fresh_proc, disabled: !possible, "data-key": "fresh", onchange: flip }),
    h("span", {}, "mount its own /proc", possible ? "" : " (needs PID and Mount)"));
}

function sights(shown) {
  if (!shown.rows.length) return h("div.lab-seen", {}, h("p.lab-subtitle", {}, "No child has looked around yet."));
  return h("div.lab-seen", {},
    h("p.lab-headline", { "data-say": true }, shown.headline),
    h("table.lab-sights", {},
      h("colgroup", {}, h("col.lab-aspect"), h("col"), h("col")),
      h("thead", {}, h("tr", {}, h("th", {}), h("th.lab-section", { scope: "col" }, "From the host"), h("th.lab-section", { scope: "col" }, "From inside"))),
      h("tbody", {}, shown.rows.flatMap(aspect))),
    shown.notes.length ? h("ul.lab-notes", {}, shown.notes.map((note) => h("li", {}, note))) : null);
}

function aspect(row) {
  const mark = row.differs ? chip("teal", "≠", "differs") : chip("slate", "=", "same");
  return [
    h(`tr${row.differs ? ".lab-differs" : ""}`, {},
      h("th", { scope: "row" }, h("div", {}, row.aspect), mark),
      h("td", {}, side(row.host, `${row.aspect} host`)), h("td.lab-inside", {}, side(row.inside, `${row.aspect} inside`))),
    h("tr.lab-remark", {}, h("td", {}), h("td", { colspan: "2" }, row.remark)),
  ];
}

function side({ summary, items }, key) {
  const list = (some) => h("ul.lab-items", {}, some.map((item) => h("li", {}, item)));
  if (items.length <= SHORT) return [h("span.lab-summary", {}, summary), items.length ? list(items) : null].filter(Boolean);
  const rest = h("details", { "data-fold": key }, h("summary", { "data-key": key }, `${items.length - SHORT} more`), h("div.lab-many", {}, list(items.slice(SHORT))));
  return [h("span.lab-summary", {}, summary), list(items.slice(0, SHORT)), rest];
}
