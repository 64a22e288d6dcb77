// SVG from a description, as `h` in dom.js makes HTML.

// The name of SVG's namespace as the HTML parser knows it: an address in a bundle would look like something to fetch.
const NAMESPACE = document.createRange().createContextualFragment("<svg></svg>").firstChild.namespaceURI;

/** An element of an SVG: `s("path.lab-arrow", { d: "M0 0 H10" })`. Text is always text. */
export function s(selector, attributes = {}, ...children) {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElementNS(NAMESPACE, tag);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
