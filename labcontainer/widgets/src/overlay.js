// The overlay bench: a row for each path, a column for each directory of the overlay, and a form for the six commands.

import { card, chip, follow, h, problem, redraw, waiting } from "./dom.js";

const VERBS = {
  write: { label: "Write", field: "Text", twin: "write" },
  append: { label: "Append", field: "Text to add", twin: "append" },
  mkdir: { label: "Make directory", field: "", twin: "mkdir" },
  delete: { label: "Delete", field: "", twin: "delete" },
  rename: { label: "Rename", field: "New path", twin: "rename" },
  chmod: { label: "Change mode", field: "Mode, octal", twin: "chmod" },
};
const TONES = { lower: "slate", upper: "amber", merged: "blue" };

export default {
  render({ model, el }) {
    const draft = { verb: "write", path: "merged/hello.txt", argument: "hello" };
    const bench = {
      draft,
      send(command) {
        waiting(el);
        model.send(command);
      },
      choose(changes) {
        const old = draft.verb;
        Object.assign(draft, changes);
        if (changes.verb && changes.verb !== old) draft.argument = suggestion(draft);
        else if (changes.path && draft.verb === "rename") draft.argument = suggestion(draft);
        draw();
      },
    };
    const draw = () => redraw(el, page(model.get("shown"), bench));
    return follow(model, draw);
  },
};

function suggestion({ verb, path }) {
  return { write: "hello", append: " and more", rename: `${path}.old`, chmod: "600" }[verb] ?? "";
}

function page(shown, bench) {
  return card("overlay", "Overlay bench", "A real overlay mount: act on merged, and watch where the change lands.",
    problem(shown.error),
    shown.columns.length ? h("div.lab-bench", {}, form(bench), story(shown), grid(shown, bench), footer(shown)) : null);
}

function form({ draft, choose, send }) {
  const verb = VERBS[draft.verb];
  const submit = (event) => {
    event.preventDefault();
    send({ verb: draft.verb, path: draft.path, argument: verb.field ? draft.argument : "" });
  };
  // While somebody types, only the line with the Python twin changes: a redraw would fight with the keyboard.
  const type = (name) => (event) => {
    draft[name] = event.target.value;
    event.target.form.querySelector(".lab-twin code").textContent = twin(draft);
  };
  // In a notebook's output JupyterLab cancels what Enter does in a form of its own accord.
  const enter = (event) => event.key === "Enter" && event.target.matches("input") && (event.preventDefault(), event.currentTarget.requestSubmit());
  return h("form.lab-form", { onsubmit: submit, onkeydown: enter },
    h("div.lab-verbs", { role: "group", "aria-label": "Command" },
      Object.entries(VERBS).map(([name, { label }]) => h("button.lab-button", {
        type: "button", "aria-pressed": String(name === draft.verb), "data-key": `verb ${name}`, onclick: () => choose({ verb: name }),
      }, label))),
    h(`div.lab-fields${verb.field ? "" : ".lab-single"}`, {},
      h("label", {}, "Path", h("input.lab-field", { type: "text", value: draft.path, "data-key": "path", spellcheck: "false", oninput: type("path") })),
      verb.field && h("label", {}, verb.field,
        h("input.lab-field", { type: "text", value: draft.argument, "data-key": "argument", spellcheck: "false", oninput: type("argument") })),
      h("button.lab-button.lab-primary", { type: "submit", "data-key": "do" }, verb.label),
      h("button.lab-button", { type: "button", "data-key": "reset", onclick: () => send({ verb: "reset" }) }, "Start over")),
    h("p.lab-twin", {}, "In Python: ", h("code", {}, twin(draft))));
}

function twin({ verb, path, argument }) {
  const quoted = [path, ...(VERBS[verb].field ? [argument] : [])].map((text) => JSON.stringify(text));
  return `bench.${VERBS[verb].twin}(${quoted.join(", ")})`;
}

function story(shown) {
  if (!shown.command || shown.error) return null;
  return h("div.lab-story", { "data-say": true }, h("strong", {}, shown.command), h("ul", {}, shown.story.map((sentence) => h("li", {}, sentence))));
}

function grid(shown, bench) {
  return h("div.lab-scroll", { "data-scroll": "grid" }, h("table.lab-grid", {},
    h("colgroup", {}, h("col.lab-path"), shown.columns.map(() => h("col"))),
    h("thead", {}, h("tr", {}, h("th.lab-section", {}, "Path"),
      shown.columns.map(({ name, role, caption }) => h(`th.lab-${TONES[role]}`, { scope: "col" }, h("strong", {}, name), h("span", {}, caption))))),
    h("tbody", {}, shown.rows.map((row) => h("tr", {},
      h("th", { scope: "row", style: { "--depth": row.depth }, title: row.path }, row.name + (row.is_directory ? "/" : "")),
      row.cells.map((cell, index) => h("td", {}, drawn(cell, row, shown.columns[index], bench))))))));
}

function drawn(cell, row, column, bench) {
  if (!cell.kind) return null;
  const shape = ["lab-cell", looks(cell)].join(".");
  const title = [`${column.name}/${row.path}`, cell.mode, `inode ${cell.inode}`, ...cell.xattrs].join("\n");
  const inside = [...signs(cell), contents(cell), facts(cell), source(row, column)];
  if (column.role !== "merged" || cell.changed === "gone") return h(`div.${shape}`, { title }, inside);
  const path = `merged/${row.path}`;
  const keys = {
    Delete: () => bench.send({ verb: "delete", path, argument: "" }),
    F2: () => bench.choose({ verb: "rename", path }),
  };
  return h(`button.${shape}`, {
    type: "button", title: `${title}\nDelete: remove it. F2: rename it.`, "data-key": path, "aria-pressed": String(bench.draft.path === path),
    onclick: () => bench.choose({ path }),
    onkeydown: (event) => keys[event.key] && (event.preventDefault(), keys[event.key]()),
  }, inside);
}

function looks(cell) {
  if (cell.changed === "gone") return "lab-gone";
  const role = { hidden: "lab-hidden", whiteout: "lab-whiteout", opaque: "lab-opaque" }[cell.role] ?? (cell.badge && cell.kind !== "directory" ? "lab-copied" : "lab-seen");
  return cell.changed ? `${role}.lab-${cell.changed}` : role;
}

function signs(cell) {
  const found = [];
  if (cell.changed === "gone") found.push(chip("slate", "−", "gone"));
  else if (cell.role === "whiteout") found.push(chip("red", "✕", `whiteout ${cell.device}`));
  else if (cell.role === "opaque") found.push(chip("red", "■", "opaque"));
  else if (cell.role === "hidden") found.push(chip("slate", "⊘", "hidden"));
  else if (cell.badge) found.push(chip("amber", "↑", cell.badge));
  if (cell.changed === "new") found.push(chip("blue", "+", "new"));
  if (cell.changed === "changed" && cell.kind !== "directory") found.push(chip("blue", "~", "changed"));
  return found;
}

function contents(cell) {
  if (cell.kind === "whiteout") return null;
  const text = { directory: "directory", link: `→ ${cell.text}` }[cell.kind] ?? (cell.text.trim() || "(empty)");
  return h(`span.lab-cell-text${cell.kind === "directory" ? ".lab-cell-soft" : ""}`, {}, text);
}

function facts(cell) {
  const more = { whiteout: ", char device", file: `, ${cell.size_bytes} B, ${cell.mode}` }[cell.kind] ?? `, ${cell.mode}`;
  return h("span.lab-cell-facts", {}, `inode ${cell.inode}${more}`);
}

function source(row, column) {
  return column.role === "merged" && row.origin ? h("span.lab-cell-facts.lab-origin", {}, `from ${row.origin}`) : null;
}

function footer(shown) {
  return h("div", {},
    h("ul.lab-legend", {},
      h("li", {}, chip("amber", "↑", "copied up"), " a lower file's copy, made by its first change"),
      h("li", {}, chip("red", "✕", "whiteout"), " says “removed” to the layers below"),
      h("li", {}, chip("red", "■", "opaque"), " a directory that hides all below it"),
      h("li", {}, chip("slate", "⊘", "hidden"), " still there, and out of sight")),
    h("details.lab-mounted", { "data-fold": "mount" }, h("summary", { "data-key": "mount" }, "The mount behind it"), h("code", {}, shown.mount)));
}
