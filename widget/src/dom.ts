// Building and patching nodes without ever parsing HTML.

export type Child = Node | string | false | 0 | null | undefined | Child[];

/**
 * Makes an element from "tag name", where the name becomes its class and the
 * part that a site can style. Children that are empty are left out; lists in
 * the list are part of it.
 */
export function h(kind: string, children: Child = [], properties?: object): HTMLElement {
  const [tag, name = ""] = kind.split(" ");
  const node = document.createElement(tag);
  Object.assign(node, { className: name, part: name }, properties);
  node.append(...([children].flat(2).filter(Boolean) as (Node | string)[]));
  return node;
}

/**
 * Makes the children of old equal to those of wanted, changing as little as
 * it can: a node that stays keeps its focus, scroll position and selection.
 */
export function patch(old: Element, wanted: Node) {
  const news = [...wanted.childNodes];
  news.forEach((node, i) => {
    const found = old.childNodes[i];
    if (!found) old.append(node);
    else if (!found.isEqualNode(node)) {
      // The same but for what is inside?
      if (found.cloneNode().isEqualNode(node.cloneNode())) patch(found as Element, node);
      else found.replaceWith(node);
    }
  });
  while (old.childNodes[news.length]) old.lastChild!.remove();
}

/**
 * Listens on the window, in the capturing phase, to which events come that do
 * not bubble, too; until the controller aborts.
 */
export function on(types: string, listener: (event: any) => void, { signal }: AbortController) {
  for (const type of types.split(" ")) {
    addEventListener(type, listener, { capture: true, signal });
  }
}
