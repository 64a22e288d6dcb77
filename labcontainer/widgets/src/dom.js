// A few lines in place of a framework: elements from a description, drawn anew whenever the model changes.

/** An element: `h("button.lab-primary", { onclick }, "Run")`. Text is always text, never HTML. */
export function h(selector, attributes = {}, ...children) {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([key, text]) => element.style.setProperty(key, text));
    else if (name === "value" || name === "checked" || name === "disabled" || name === "open") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return element;
}

/** The frame that all widgets share: a title, a sentence, what is in it. */
export function card(kind, title, subtitle, ...body) {
  return h(`section.lab-card.lab-${kind}`, { "aria-label": title },
    h("header.lab-head", {}, h("h2.lab-title", {}, title), h("p.lab-subtitle", {}, subtitle)), ...body);
}

/** What the machine refused, in a sentence; screen readers hear it at once. */
export function problem(sentence) {
  return sentence ? h("p.lab-problem", { role: "alert" }, h("span.lab-mark", { "aria-hidden": "true" }, "!"), sentence) : null;
}

/** A word with a sign before it: colour is never the only difference. */
export function chip(tone, sign, word, title) {
  return h(`span.lab-chip.lab-${tone}`, { title },
    sign && h("span.lab-sign", { "aria-hidden": "true" }, sign), h("span", {}, word));
}

/** A call as in C: a line of it is broken after a flag or an argument, not inside a name. */
export function breakable(text) {
  return text.split(/(?<=[|,/])/).flatMap((part) => [part, h("wbr")]);
}

/** Draw now, and whenever one of the model's `names` changes; answers how to stop. */
export function follow(model, draw, names = []) {
  const events = ["shown", "answered", ...names].map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, draw));
  draw();
  return () => events.forEach((event) => model.off(event, draw));
}

/** Until Python answers; a notebook kernel that runs a cell answers after it. */
export function waiting(root) {
  root.firstElementChild?.classList.add("lab-busy");
}

/** Put `next` in place of what `root` holds; keyboard focus (`data-key`), scrolling and unfolded details stay as they were.
    What is marked `data-say` is read out: screen readers hear a change only in an element that was there before. */
export function redraw(root, next) {
  const focused = root.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset?.key;
  const caret = focused && "selectionStart" in focused ? [focused.selectionStart, focused.selectionEnd] : null;
  const scrolled = new Map([...root.querySelectorAll("[data-scroll]")].map((e) => [e.dataset.scroll, [e.scrollLeft, e.scrollTop]]));
  const unfolded = new Set([...root.querySelectorAll("details[open][data-fold]")].map((e) => e.dataset.fold));
  if (!root.children.length) root.append(h("div"), h("div.lab-said", { role: "status" }));
  root.firstElementChild.replaceWith(next);
  const say = [...root.querySelectorAll("[data-say]")].map((e) => e.textContent).join(" ");
  if (root.lastElementChild.textContent !== say) root.lastElementChild.textContent = say;
  for (const element of root.querySelectorAll("details[data-fold]")) element.open ||= unfolded.has(element.dataset.fold);
  for (const element of root.querySelectorAll("[data-scroll]")) {
    const [left, top] = scrolled.get(element.dataset.scroll) ?? [0, 0];
    element.scrollLeft = left;
    element.scrollTop = top;
  }
  if (!key) return;
  const again = root.querySelector(`[data-key="${CSS.escape(key)}"]`);
  again?.focus({ preventScroll: true });
  if (caret && again?.setSelectionRange && again.type === "text") again.setSelectionRange(...caret);
}

/** Arrow keys move among `elements` in a toolbar, list or row of lanes; answers whether it used the key. */
export function rove(event, elements, back = "ArrowLeft", forth = "ArrowRight") {
  const at = elements.indexOf(event.target.closest("[data-key]"));
  const to = { [back]: at - 1, [forth]: at + 1, Home: 0, End: elements.length - 1 }[event.key];
  if (at < 0 || to === undefined || !elements[to]) return null;
  event.preventDefault();
  elements[to].focus();
  return elements[to];
}
