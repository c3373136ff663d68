/** Elements from functions and never from HTML text, and the update of a page in place. */

/** @typedef {Node | string | number | null | undefined | false | readonly any[]} Child */
/** @typedef {Record<string, any>} Props */

const SVG = "http://www.w3.org/2000/svg";
const HANDLERS = Symbol("handlers");
/** The value and the state that the page gave to a field: what a person typed since then stays. */
const GIVEN = Symbol("given");

/**
 * An HTML element. `on` holds event handlers, `key` tells siblings apart; `value` and `checked` are set as properties.
 * @param {string} tag @param {Props | null} [props] @param {...Child} children @returns {HTMLElement}
 */
export function h(tag, props, ...children) {
  return /** @type {HTMLElement} */ (filled(document.createElement(tag), props ?? {}, children));
}

/** An SVG element. @param {string} tag @param {Props | null} [props] @param {...Child} children @returns {SVGElement} */
export function svg(tag, props, ...children) {
  return /** @type {SVGElement} */ (filled(document.createElementNS(SVG, tag), props ?? {}, children));
}

/** @param {Element} node @param {Props} props @param {readonly Child[]} children */
function filled(node, props, children) {
  const { on, value, checked, ...attributes } = props;
  for (const [name, given] of Object.entries(attributes)) {
    if (given !== null && given !== undefined && given !== false) node.setAttribute(name, given === true ? "" : String(given));
  }
  append(node, children);
  if (value !== undefined) /** @type {any} */ (node).value = value ?? "";
  if (checked !== undefined) /** @type {any} */ (node).checked = checked;
  if (FIELDS.has(node.nodeName)) /** @type {any} */ (node)[GIVEN] = [/** @type {any} */ (node).value, /** @type {any} */ (node).checked];
  handle(node, on ?? {});
  return node;
}

/** @param {Element} node @param {readonly Child[]} children */
function append(node, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(node, child);
    else if (child !== null && child !== undefined && child !== false) {
      node.append(child instanceof Node ? child : String(child));
    }
  }
}

/** @param {any} node @param {Record<string, (event: any) => void>} handlers */
function handle(node, handlers) {
  for (const name of Object.keys(node[HANDLERS] ?? {})) node[`on${name}`] = null;
  for (const [name, handler] of Object.entries(handlers)) node[`on${name}`] = handler;
  node[HANDLERS] = handlers;
}

/** Show the children in the place of those that a parent has, and keep focus, selection and scroll. @param {Element} parent @param {...Child} children */
export function mount(parent, ...children) {
  const fresh = document.createElement("div");
  append(fresh, children);
  morphChildren(parent, fresh);
}

/** @param {Node} old @param {Node} fresh */
function alike(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);
}

/** @param {Node} node */
function keyOf(node) {
  return node instanceof Element ? node.getAttribute("key") : null;
}

/** @param {Node} parent @param {Node} fresh */
function morphChildren(parent, fresh) {
  let place = parent.firstChild;
  for (const child of [...fresh.childNodes]) {
    const found = matching(place, child);
    if (!found) parent.insertBefore(child, place);
    else {
      if (found !== place) parent.insertBefore(found, place);
      else place = place.nextSibling;
      morph(found, child);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

/** The old node that becomes this one: the next without a key, or the one with the same key. @param {ChildNode | null} place @param {Node} child */
function matching(place, child) {
  if (keyOf(child) === null) return place && alike(place, child) ? place : null;
  for (let node = place; node; node = node.nextSibling) if (alike(node, child)) return node;
  return null;
}

/** @param {Node} old @param {Node} fresh */
function morph(old, fresh) {
  if (!(old instanceof Element) || !(fresh instanceof Element)) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  morphAttributes(old, fresh);
  handle(old, /** @type {any} */ (fresh)[HANDLERS] ?? {});
  if (!fresh.hasAttribute("data-keep")) morphChildren(old, fresh); // what is inside belongs to somebody else
  morphValue(/** @type {any} */ (old), /** @type {any} */ (fresh));
}

/** @param {Element} old @param {Element} fresh */
function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    const kept = name === "open"; // a person opened it
    if (!kept && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

const FIELDS = new Set(["INPUT", "SELECT", "TEXTAREA"]);

/** @param {any} old @param {any} fresh */
function morphValue(old, fresh) {
  if (!FIELDS.has(old.nodeName)) return;
  const [value, checked] = old[GIVEN] ?? [];
  if ((fresh.value === value && fresh.checked === checked) || old === document.activeElement) return;
  old.value = fresh.value;
  old.checked = fresh.checked;
  old[GIVEN] = fresh[GIVEN];
}
