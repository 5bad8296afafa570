// One widget at work: between an element, which gives it attributes and a
// place, and the feed of its page.

import css from "./style.css";
import { summarize } from "./model";
import { english, language, load, type Strings } from "./strings";
import { h, on, patch } from "./dom";
import { view } from "./view";
import { feed, type Feed } from "./feed";
import type { Connection, Snapshot, State } from "./types";

const list = (text: string | null) => (text ? text.split(/\s*,\s*/) : []);

/** Pixels. An enum costs nothing in the bundle. */
const enum Space {
  Gap = 8, // between the pill and its panel
  Edge = 16, // between both and the sides of the window
}

export interface Widget {
  /** What is known of the page; null when nothing is. */
  snapshot(): Snapshot | null;
  /** The element is on the page. */
  start(): void;
  /** It is not any more: nothing may be left. */
  stop(): void;
}

/** Where the script came from, without a slash at the end. */
export const home = { host: "" };

let sheet: CSSStyleSheet | undefined;

export function createWidget(element: HTMLElement): Widget {
  const button = h("button pill");
  const panel = h("div panel", [], { popover: "manual" });
  const said = h("p said", [], { role: "status" });
  const root = h("div root", [button, panel]);
  // Its corner is one of the page, whose direction may be another than ours.
  const corner = h("div", root);
  const shadow = element.attachShadow({ mode: "open" });
  if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(css);
  shadow.adoptedStyleSheets = [sheet];
  shadow.append(corner, said);
  button.onclick = () => element.toggleAttribute("open");

  let life: AbortController | undefined; // from start to stop
  let timer: ReturnType<typeof setInterval>;
  let leave: (() => void) | undefined;
  let source: Feed;
  let joined: string | undefined; // the attributes that source was made from
  let open = false; // the panel
  let shown: State | undefined; // undefined: nothing yet
  let told: Connection | undefined;
  let code: string; // of the language wanted
  let words: Partial<Strings> | undefined; // of that language, once there

  const attribute = (name: string) => element.getAttribute(name);

  const emit = (name: string, detail: unknown) =>
    element.dispatchEvent(
      new CustomEvent("status-widget:" + name, { detail, bubbles: true, composed: true }),
    );

  // Under the pill or above it, where all of it fits or where most of it does,
  // and within the window.
  const place = () => {
    if (!open) return;
    const { top, bottom, left } = button.getBoundingClientRect();
    const { style } = panel;
    const room = document.documentElement.clientWidth - Space.Edge;
    const below = bottom + Space.Gap;
    style.maxHeight = Math.max(top, innerHeight - bottom) - 2 * Space.Gap + "px";
    const height = panel.offsetHeight;
    style.top = (below + height < innerHeight ? below : top - Space.Gap - height) + "px";
    style.left = Math.min(left, room - panel.offsetWidth) + "px";
  };

  // Draws what is known, as the attributes say.
  const render = () => {
    if (!life) return;
    const host = (attribute("host") ?? home.host).replace(/\/$/, "");
    const page = attribute("page");
    const base = host + (page ? "/" + page : "");
    const token = attribute("token");
    const events = list(attribute("events"));
    if (joined !== (joined = [base, token, events].join(" "))) {
      leave?.();
      source = feed(base, token);
      leave = source.subscribe(events, (name = "", data) => {
        if (events.includes(name)) emit("event", { name, data });
        if (/^issue_/.test(name)) emit("issue", { name, ...data });
        render();
      });
    }

    const { snapshot, connection, asOf } = source.known;
    const wanted = language(
      attribute("locale") || element.closest<HTMLElement>("[lang]")?.lang || navigator.language,
    );
    if (code !== (code = wanted)) {
      words = wanted === "en" ? {} : undefined;
      if (!words) {
        load(host, wanted).then((loaded) => {
          if (code === wanted) words = loaded;
          render();
        });
      }
    }
    // Times are in the language of the words around them, as they are written
    // where the visitor lives.
    const locale = navigator.languages.find((l) => l.startsWith(code)) || code;
    const strings = { ...english, ...words, ...JSON.parse(attribute("strings") || "{}") };

    const summary = summarize(
      snapshot || { state: null, components: [], issues: [] },
      list(attribute("components") || attribute("component")),
    );
    const { state } = summary;
    const [headline, pill, content] = view(
      source.known, summary, strings, locale, base, attribute("link-target") || "",
    );
    // Before anything is known, or the words for it: nothing.
    const ready = words && (snapshot || connection !== "connecting");
    corner.hidden = !ready || list(attribute("hide-when")).includes(state || "unknown");
    open = !corner.hidden && element.hasAttribute("open");

    const position = attribute("position") || "inline";
    corner.className = position.replace("-", " ");
    root.style.colorScheme = (attribute("theme") || "auto").replace("auto", "light dark");
    root.role = position === "inline" ? "group" : "region"; // part of the page, or beside it
    root.ariaLabel = strings.page;
    root.lang = said.lang = locale;
    root.dir = /ar|he/.test(code) ? "rtl" : "ltr";
    button.ariaExpanded = open + "";
    patch(button, pill);
    panel.togglePopover(open);
    if (open) {
      const focused = shadow.activeElement;
      patch(panel, content());
      if (focused && !shadow.activeElement) button.focus();
    }
    place();

    if (ready && shown !== state) {
      if (shown !== undefined) said.textContent = headline;
      emit("state", { state, previous: shown });
      shown = state;
    }
    if (told !== (told = connection)) emit("connection", { connection, asOf });
  };

  new MutationObserver(render).observe(element, { attributes: true });

  return {
    snapshot: () => source?.known.snapshot,
    start() {
      life = new AbortController();
      on("scroll resize", place, life);
      on(
        "pointerdown keydown",
        (event: KeyboardEvent) => {
          const inside = event.composedPath().includes(element);
          if (event.key ? event.key !== "Escape" : inside) return;
          if (inside) button.focus();
          element.removeAttribute("open");
        },
        life,
      );
      timer = setInterval(render, 3e4); // "5 minutes ago" grows old
      render();
    },
    stop() {
      clearInterval(timer);
      life?.abort();
      leave?.();
      life = leave = joined = undefined;
    },
  };
}
