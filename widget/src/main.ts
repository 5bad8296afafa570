// The script: registers the element, and puts a widget on the page where its
// own tag asks for one.

import { StatusWidget } from "./element";
import { home } from "./widget";

const NAME = "status-widget";
const tag = document.currentScript as HTMLScriptElement | null;

// The server is what stands before /widget.js or /-/widget/….js.
if (tag) home.host = tag.src.replace(/(\/-)?\/widget[^?]*\.js.*/, "");

// The same script twice, or two versions of it: the first one serves both.
if (!customElements.get(NAME)) customElements.define(NAME, StatusWidget);

if (tag?.hasAttribute("data-page")) {
  const widget = document.createElement(NAME);
  widget.setAttribute("host", home.host);
  const position = tag.dataset.position || "bottom-end";
  widget.setAttribute("position", position);
  for (const { name, value } of tag.attributes) {
    if (/^data-/.test(name)) widget.setAttribute(name.slice(5), value);
  }
  const put = () => {
    if (position === "inline") tag.after(widget);
    // The same tag twice is one widget: a corner has room for no more.
    else if (!document.querySelector(`${NAME}[position=${position}]`)) document.body.append(widget);
  };
  if (document.body) put();
  else addEventListener("DOMContentLoaded", put);
}
