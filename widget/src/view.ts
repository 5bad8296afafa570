// What a widget looks like: from what is known to nodes. Text from the server
// becomes text, never markup.

import { h, svg, type Child } from "./dom";
import { absolute, clock, duration, percent, relative } from "./format";
import type { Summary } from "./model";
import type { Strings } from "./strings";
import type { Component, Issue, Knowledge, State } from "./types";

export interface Context {
  strings: Strings;
  locale: string;
  base: string; // address of the status page
  target: string | null; // of links
}

const circle = "M8 .5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15Z";

// A shape and a sign for each state, so that colour is never needed.
const shapes: [State, string, string][] = [
  ["operational", circle, "m4.7 8.2 2.2 2.3 4.4-4.8"],
  ["degraded", "M8 1.5 15.2 14.5H.8Z", "M8 6.2v3.6M8 12v.1"],
  ["partial_outage", "M8 .7 15.3 8 8 15.3.7 8Z", "M5 8h6"],
  ["outage", "M1.5 1.5h13v13h-13Z", "m5.2 5.2 5.6 5.6m0-5.6-5.6 5.6"],
  ["maintenance", "M4.2 1.4h7.6L15.5 8l-3.7 6.6H4.2L.5 8Z", "M8 5.9a2.1 2.1 0 1 0 0 4.2 2.1 2.1 0 0 0 0-4.2"],
  [null, circle, "M4.8 8h.1M8 8h.1m3 0h.1"],
];

export function icon(state: State): Node {
  const [name, shape, sign] = shapes.find(([name]) => name === state) || shapes[5];
  return svg(
    "svg",
    { viewBox: "0 0 16 16", class: "icon " + (name || "unknown"), part: "icon", "aria-hidden": "true" },
    svg("path", { d: shape, class: "shape" }),
    svg("path", { d: sign, class: "sign" }),
  );
}

/** The words of a state; unknown to us is unknown. */
export function words(strings: Strings, state: State): string {
  return (state && Object.hasOwn(strings, state) && strings[state as keyof Strings]) || strings.unknown;
}

/** The words that sum everything up, as on the pill. */
export function headline(strings: Strings, summary: Summary): string {
  const { state, only } = summary;
  if (only.length === 1) return `${only[0].name}: ${words(strings, state)}`;
  return state === "operational" ? strings.all : words(strings, state);
}

const insert = (text: string, value: string) => text.replace("{}", () => value);

/** How fresh what is shown is. */
export function freshness({ strings, locale }: Context, k: Knowledge): [fresh: boolean, text: string] {
  const stale = k.snapshot?.live === false;
  if (k.connection === "live" && !stale) return [true, strings.live];
  const since = stale ? k.snapshot?.stale_since || k.asOf / 1e3 : k.asOf / 1e3;
  const parts = [];
  if (k.connection !== "live" && k.connection !== "polling") parts.push(strings.reconnecting);
  if (since) parts.push(insert(strings.as_of, clock(locale, since)));
  return [false, parts.join(" · ")];
}

const time = ({ locale }: Context, at: number) =>
  h("time", { datetime: new Date(at * 1e3).toISOString(), title: absolute(locale, at) }, relative(locale, at));

function componentList(context: Context, components: Component[], label: string): Child {
  return (
    components.length > 0 &&
    h(
      "ul",
      { class: "components", part: "components", "aria-label": label },
      ...components.map((c) =>
        h(
          "li",
          { class: "component", part: "component" },
          icon(c.state),
          h("bdi", { class: "name" }, c.name),
          h("span", { class: "word" }, words(context.strings, c.state)),
        ),
      ),
    )
  );
}

function issueItem(context: Context, issue: Issue): Node {
  const { strings, locale, base, target } = context;
  const update = issue.updates[0];
  const body = (update && update.body_text) || issue.body_text;
  const label = (update && update.label) || issue.label;
  const planned = !issue.standing && issue.starts_at;
  return h(
    "li",
    { class: "issue", part: "issue" },
    h(
      "a",
      {
        class: "title",
        part: "issue-title",
        href: `${base}/issues/${encodeURIComponent(issue.id)}`,
        target,
        rel: "noopener",
        dir: "auto",
      },
      issue.title,
    ),
    h(
      "p",
      { class: "meta" },
      label && h("bdi", { class: "label", part: "label" }, label),
      time(context, planned || update?.created_at || issue.starts_at || issue.created_at),
    ),
    !!(planned || (issue.scheduled && issue.ends_at)) &&
      h("p", { class: "when" }, absolute(locale, issue.starts_at || issue.created_at, issue.ends_at)),
    body && h("p", { class: "body", part: "body", dir: "auto" }, body),
    issue.progress != null &&
      h("p", { class: "bar" },
        h("progress", { max: 100, value: issue.progress, part: "progress", "aria-label": strings.progress }),
        percent(locale, issue.progress)),
    issue.components.length > 0 &&
      h(
        "ul",
        { class: "tags", "aria-label": strings.affected },
        ...issue.components.map((c) => h("li", { part: "tag", dir: "auto" }, c.name)),
      ),
  );
}

function issueList(context: Context, issues: Issue[], title: string): Child[] {
  return issues.length
    ? [h("h3", {}, title), h("ul", { class: "issues" }, ...issues.map((i) => issueItem(context, i)))]
    : [];
}

/** The inside of the panel, as children of a fragment's stand-in. */
export function panel(context: Context, k: Knowledge, summary: Summary): HTMLElement {
  const { strings, locale, base, target } = context;
  const snapshot = k.snapshot;
  const [fresh, text] = freshness(context, k);
  const since = snapshot?.incident_free_since;
  const facts = summary.only.length
    ? []
    : [
        snapshot?.percent_uptime != null && insert(strings.uptime, percent(locale, snapshot.percent_uptime)),
        !!since && insert(strings.streak, duration(locale, Date.now() / 1e3 - since)),
      ];
  const name = snapshot?.page?.name;
  return h(
    "div",
    {},
    h(
      "header",
      { part: "header" },
      icon(summary.state),
      h("div", {}, h("h2", {}, headline(strings, summary)), name && h("p", { dir: "auto" }, name)),
    ),
    h(
      "div",
      { class: "content" },
      ...issueList(context, summary.ongoing, strings.ongoing),
      ...(summary.affected.length
        ? [h("h3", {}, strings.components), componentList(context, summary.affected, strings.components)]
        : []),
      ...issueList(context, summary.upcoming, strings.upcoming),
      !summary.ongoing.length &&
        !summary.upcoming.length &&
        h("p", { class: "none" }, strings.none),
    ),
    h(
      "footer",
      { part: "footer" },
      ...facts.map((fact) => fact && h("p", {}, fact)),
      h(
        "p",
        { class: "foot" },
        h("span", { class: fresh ? "fresh" : "fresh not", part: "freshness" }, text),
        h("a", { href: base, target, rel: "noopener", part: "link" }, strings.page),
      ),
    ),
  );
}
