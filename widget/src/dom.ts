// Building and patching nodes without ever parsing HTML.

export type Attributes = Record<string, string | number | boolean | null | undefined>;
export type Child = Node | string | false | null | undefined;

/**
 * Makes an element. An attribute that is null, undefined or false is left
 * out, true is set empty; a child that is empty or false is left out.
 */
export function h(tag: string, attributes: Attributes, ...children: Child[]): HTMLElement {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag: string, attributes: Attributes, ...children: Child[]): SVGElement {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag) as SVGElement;
  return fill(node, attributes, children);
}

function fill<E extends Element>(node: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value != null && value !== false) node.setAttribute(name, value === true ? "" : value + "");
  }
  node.append(...children.filter((child): child is Node | string => !!child));
  return node;
}

/**
 * Makes the children of old equal to those of next, changing as little as it
 * can: a node that stays keeps its focus, scroll position and selection.
 */
export function patch(old: Element, next: Element) {
  const olds = [...old.childNodes];
  [...next.childNodes].forEach((wanted, i) => {
    const found = olds[i];
    if (!found) old.append(wanted);
    else if (found.isEqualNode(wanted)) return;
    else if (found.nodeName !== wanted.nodeName || !(found instanceof Element)) {
      found.replaceWith(wanted);
    } else {
      const source = wanted as Element;
      for (const name of found.getAttributeNames()) {
        if (!source.hasAttribute(name)) found.removeAttribute(name);
      }
      for (const name of source.getAttributeNames()) {
        const value = source.getAttribute(name)!;
        if (found.getAttribute(name) !== value) found.setAttribute(name, value);
      }
      patch(found, source);
    }
  });
  for (const extra of olds.slice(next.childNodes.length)) extra.remove();
}
