// The script: registers the element, and puts a widget on the page where its
// own tag asks for one.

import { StatusWidget, setHome } from "./element";

const NAME = "status-widget";
const tag = document.currentScript as HTMLScriptElement | null;
const host = tag ? tag.src.replace(/\/(widget|-\/widget\/[^/]+)\.js([?#].*)?$/, "") : "";

setHome(host);
// The same script twice, or two versions of it: the first one serves both.
if (!customElements.get(NAME)) customElements.define(NAME, StatusWidget);

if (tag?.hasAttribute("data-page")) {
  const widget = document.createElement(NAME);
  widget.setAttribute("host", host);
  widget.setAttribute("position", "bottom-end");
  for (const name of tag.getAttributeNames()) {
    if (name.startsWith("data-")) widget.setAttribute(name.slice(5), tag.getAttribute(name)!);
  }
  const put = () => {
    if (widget.getAttribute("position") === "inline") return tag.after(widget);
    const twin = [...document.querySelectorAll(NAME)].some((other) => other.isEqualNode(widget));
    if (!twin) document.body.append(widget);
  };
  if (document.body) put();
  else addEventListener("DOMContentLoaded", put);
}
