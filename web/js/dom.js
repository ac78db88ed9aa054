// Building the page: elements from calls, never from text, so that nothing a server says is taken for HTML.

/** h("a.link#id", {href: "…", onclick: f}, child, …): an element. Children: nodes, text, arrays; null is left out. */
export function h(spec, attributes, ...children) {
  const [, tag, rest] = /^([a-z0-9-]+)(.*)$/.exec(spec);
  const element = document.createElement(tag);
  for (const [, kind, name] of rest.matchAll(/([.#])([\w-]+)/g)) {
    if (kind === ".") element.classList.add(name);
    else element.id = name;
  }
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Puts new children in place of the old ones. */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

const PATHS = {
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M7 7l10 10M17 7L7 17",
  clock: "M12 7v5l3.5 2M12 21a9 9 0 100-18 9 9 0 000 18z",
  alert: "M12 8v5M12 16.4v.2M10.4 4.2L2.9 17.4A1.8 1.8 0 004.5 20h15a1.8 1.8 0 001.6-2.6L13.6 4.2a1.8 1.8 0 00-3.2 0z",
  swap: "M6 9h12l-3-3M18 15H6l3 3",
  list: "M8 7h11M8 12h11M8 17h11M4.5 7h.1M4.5 12h.1M4.5 17h.1",
  next: "M9.5 6l6 6-6 6",
  back: "M14.5 6l-6 6 6 6",
  signal: "M5 19v-3M10 19v-7M15 19V8M20 19V4",
};

/** A drawing beside text that says the same: hidden from screen readers. */
export function icon(name, more = "") {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon ${more}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Read out by screen readers without moving the focus. */
export function announce(text) {
  const live = document.getElementById("live");
  if (live.textContent !== text) live.textContent = text;
}
