// Everything shown is made here: text is text, never HTML.

/** The element of the page with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** An element with attributes and children; a child that is no element is its text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.addEventListener("click", value);
    else if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))));
  return made;
}

/** Sets the text where it is another: a screen reader speaks what changes. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
