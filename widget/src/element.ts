// The element <status-widget>: its attributes, its life, and what it tells
// the page around it.

import { h, patch } from "./dom";
import { feed, type Feed } from "./feed";
import { safe } from "./format";
import { summarize, type Summary } from "./model";
import { freshness, headline, icon, panel, type Context } from "./view";
import { english, language, load, type Strings } from "./strings";
import css from "./style.css";
import type { Snapshot, State } from "./types";

/** Where the script came from, without a slash at the end. */
let home = "";
export const setHome = (host: string) => {
  home = host;
};

let sheet: CSSStyleSheet | undefined;

const list = (text: string | null) => (text || "").split(/[\s,]+/).filter(Boolean);

export class StatusWidget extends HTMLElement {
  static observedAttributes = [
    "page", "host", "component", "components", "position", "theme", "locale", "hide-when", "open",
    "link-target", "token", "events", "strings",
  ];

  #feed: Feed | undefined;
  #stop: (() => void) | undefined;
  #queued = false;
  #state: State | undefined; // undefined: nothing shown yet
  #connection: string | undefined;
  #code = ""; // language wanted
  #words: Partial<Strings> | undefined; // its words, once there
  #own: Partial<Strings> = {};

  // Made once; only their insides change.
  #button = h("button", { class: "pill", part: "pill", type: "button", "aria-controls": "panel" });
  #panel = h("div", { class: "panel", part: "panel", id: "panel", role: "group", popover: "manual", hidden: true });
  #live = h("p", { class: "said", role: "status" });
  #root = h("section", { class: "root" }, this.#button, this.#panel, this.#live);

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: "open" });
    if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(css);
    shadow.adoptedStyleSheets = [sheet];
    shadow.append(this.#root);
    this.#button.onclick = () => this.toggleAttribute("open");
  }

  /** What is known, a copy; null when nothing is. */
  get snapshot(): Snapshot | null {
    return structuredClone(this.#feed?.knowledge.snapshot ?? null);
  }

  /** Words of the page's own, by the keys of the language files. */
  get strings(): Partial<Strings> {
    return this.#own;
  }
  set strings(strings: Partial<Strings>) {
    this.#own = strings || {};
    this.#queue();
  }

  connectedCallback() {
    if (this.#stop) return; // moved
    const outside = (event: Event) => {
      if (!event.composedPath().includes(this)) this.removeAttribute("open");
    };
    const place = () => this.#place();
    const key = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || !this.hasAttribute("open")) return;
      if (this.#root.contains(this.shadowRoot!.activeElement)) this.#button.focus();
      this.removeAttribute("open");
    };
    const timer = setInterval(() => this.#queue(), 3e4); // relative times
    document.addEventListener("pointerdown", outside);
    document.addEventListener("keydown", key);
    addEventListener("scroll", place, { passive: true, capture: true });
    addEventListener("resize", place);
    this.#stop = () => {
      this.#leave();
      clearInterval(timer);
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("keydown", key);
      removeEventListener("scroll", place, { capture: true });
      removeEventListener("resize", place);
    };
    this.#join();
  }

  disconnectedCallback() {
    queueMicrotask(() => {
      if (this.isConnected) return; // only moved
      this.#stop?.();
      this.#stop = undefined;
    });
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null) {
    if (before === after) return;
    if (name === "strings") {
      try {
        this.#own = JSON.parse(after || "{}");
      } catch (error) {
        console.warn("status-widget: attribute strings is not JSON:", error);
      }
    }
    if (this.#stop && /^(page|host|token|events)$/.test(name)) {
      this.#leave();
      this.#join();
    }
    this.#queue();
  }

  get #host() {
    return (this.getAttribute("host") ?? home).replace(/\/+$/, "");
  }

  get #base() {
    const page = this.getAttribute("page");
    return new URL(this.#host + (page ? "/" + encodeURIComponent(page) : ""), location.href).href.replace(/\/$/, "");
  }

  #unsubscribe: (() => void) | undefined;

  #join() {
    this.#feed = feed(this.#base, this.getAttribute("token"));
    const events = list(this.getAttribute("events"));
    this.#unsubscribe = this.#feed.subscribe((name, data) => {
      if (name && events.includes(name)) this.#emit("event", { name, data });
      else if (name?.startsWith("issue_")) {
        this.#emit("issue", { type: name, issue: data.issue ?? null, update: data.update ?? null });
      }
      this.#queue();
    });
    this.#feed.listen(events);
    this.#queue();
  }

  #leave() {
    this.#unsubscribe?.();
    this.#unsubscribe = this.#feed = undefined;
  }

  #emit(name: string, detail: unknown) {
    this.dispatchEvent(new CustomEvent("status-widget:" + name, { detail, bubbles: true, composed: true }));
  }

  // Several changes at once are drawn once.
  #queue() {
    if (this.#queued) return;
    this.#queued = true;
    queueMicrotask(() => {
      this.#queued = false;
      if (this.#stop && this.#feed) this.#render();
    });
  }

  #language(): string {
    const locale =
      this.getAttribute("locale") ||
      this.closest<HTMLElement>("[lang]")?.lang ||
      this.#feed?.knowledge.snapshot?.page?.locale ||
      navigator.language;
    const code = language(locale);
    if (code !== this.#code) {
      this.#code = code;
      this.#words = undefined;
      if (code === "en") this.#words = {};
      else {
        load(this.#host, code).then((words) => {
          if (this.#code !== code) return;
          this.#words = words;
          this.#queue();
        });
      }
    }
    // Dates in the language of the words around them.
    return safe(language(locale) === "en" && !/^en/i.test(locale) ? "en" : locale);
  }

  #render() {
    const k = this.#feed!.knowledge;
    const locale = this.#language();
    const summary: Summary = k.snapshot
      ? summarize(k.snapshot, list(this.getAttribute("components") || this.getAttribute("component")))
      : { state: null, affected: [], ongoing: [], upcoming: [], only: [] };
    // Before anything is known, or in another language than wanted: nothing.
    const ready = this.#words && (k.snapshot || k.connection !== "connecting");
    const strings = { ...english, ...this.#words, ...this.#own };
    const context: Context = { strings, locale, base: this.#base, target: this.getAttribute("link-target") };
    const text = headline(strings, summary);
    const open = this.hasAttribute("open");
    const hidden = !ready || list(this.getAttribute("hide-when")).includes(summary.state || "unknown");
    const [fresh, note] = freshness(context, k);

    const root = this.#root;
    root.className = [
      "root",
      /^(top|bottom)-(start|end)$/.test(this.getAttribute("position") || "") ? "corner " + this.getAttribute("position") : "inline",
      this.getAttribute("theme") || "auto",
      hidden && "hidden",
    ].filter(Boolean).join(" ");
    root.setAttribute("aria-label", strings.status);
    root.lang = locale;
    root.dir = /^(ar|he)/.test(this.#code) ? "rtl" : "ltr";

    this.#button.setAttribute("aria-expanded", open + "");
    patch(this.#button, h("div", {}, icon(summary.state), h("span", { class: "words", part: "words" }, text),
      !fresh && k.snapshot && h("span", { class: "note", part: "note" }, note)));
    patch(this.#panel, panel(context, k, summary));
    this.#show(open && !hidden);

    if (ready) {
      if (this.#state !== undefined && this.#state !== summary.state) {
        this.#live.textContent = text;
      }
      if (this.#state !== summary.state) {
        const previous = this.#state;
        this.#state = summary.state;
        this.#emit("state", { state: summary.state, previous });
      }
    }
    if (this.#connection !== k.connection) {
      this.#connection = k.connection;
      this.#emit("connection", { connection: k.connection, asOf: k.asOf || null });
    }
  }

  #show(open: boolean) {
    const panel = this.#panel;
    if (panel.hidden === !open) return void (open && this.#place());
    panel.hidden = !open;
    if (open) panel.showPopover?.();
    else panel.hidePopover?.();
    this.#place();
  }

  // Beside the pill, wherever there is room for it.
  #place() {
    const panel = this.#panel;
    if (panel.hidden) return;
    const pill = this.#button.getBoundingClientRect();
    const gap = 8;
    const below = pill.bottom + gap;
    const above = pill.top - gap - panel.offsetHeight;
    const start = this.#root.matches(":dir(rtl)") ? pill.right - panel.offsetWidth : pill.left;
    const clamp = (value: number, room: number) => Math.max(gap, Math.min(value, room - gap));
    panel.style.top =
      clamp(below + panel.offsetHeight + gap > innerHeight && above > 0 ? above : below, innerHeight - panel.offsetHeight) + "px";
    panel.style.left = clamp(start, document.documentElement.clientWidth - panel.offsetWidth) + "px";
  }
}
