// What a widget looks like: from what is known to nodes. Text from the server
// becomes text, never markup.

import { h } from "./dom";
import { absolute, percent, relative } from "./format";
import type { Summary } from "./model";
import type { Strings } from "./strings";
import type { Issue, Knowledge, State } from "./types";

/** panel and pill are nodes whose children are wanted. */
export type View = [headline: string, pill: Node, panel: () => Node];

/** base is the address of the status page; target is where its links open. */
export function view(
  { snapshot, connection, asOf }: Knowledge,
  { state, only, affected, ongoing, upcoming }: Summary,
  strings: Strings,
  locale: string,
  base: string,
  target: string,
): View {
  // A state that is unknown to us is unknown.
  const known = (state: State) => (strings[state!] ? state! : "unknown");
  const word = (state: State) => strings[known(state)];
  const fill = (text: string, value: string) => text.replace("{}", () => value);

  // A shape with a sign in it, drawn by the style sheet.
  const icon = (state: State) => h("i icon", [], { className: "icon " + known(state) });

  const headline =
    only[0] && !only[1]
      ? only[0].name + ": " + word(state)
      : state === "operational"
        ? strings.all
        : word(state);

  // How old what is shown is; empty when it is live.
  const frozen = snapshot?.live === false;
  const stale =
    connection === "live" && !frozen
      ? ""
      : snapshot
        ? fill(
            frozen || connection === "polling" ? strings.as_of : strings.reconnecting,
            absolute(locale, (frozen && snapshot.stale_since) || asOf / 1e3, 0, true),
          )
        : strings.unknown;

  const issue = (issue: Issue) => {
    const newest = issue.updates[0] || issue;
    const label = newest.label || issue.label;
    const at = issue.scheduled ? issue.starts_at! : newest.created_at;
    const when = absolute(locale, at, issue.scheduled ? issue.ends_at : 0);
    return h("li issue", [
      h("a title", issue.title, {
        href: base + "/issues/" + encodeURIComponent(issue.id),
        target,
        dir: "auto",
      }),
      h("small meta", [
        label && [h("bdi label", label), " · "],
        h("time", relative(locale, at) + (issue.scheduled ? " · " + when : ""), { title: when }),
      ]),
      h("p body", newest.body_text || issue.body_text, { dir: "auto" }),
      issue.progress != null &&
        h("small progress", [
          h("progress bar", [], { value: issue.progress / 100, ariaLabel: issue.title }),
          percent(locale, issue.progress),
        ]),
      h("small affected", h("bdi", issue.components.map((c) => c.name).join(", "))),
    ]);
  };

  const section = <T>(title: string, items: T[], item: (of: T) => Node) =>
    items[0] && h("div section", [h("h3 heading", title), h("ul list", items.map(item))]);

  return [
    headline,
    h("p", [
      icon(state),
      h("span words", headline),
      snapshot && stale && h("small note", stale),
    ]),
    () => h("div", [
      h("div header", [
        icon(state),
        h("div", [h("h2 headline", headline), h("small page", h("bdi", snapshot?.page?.name))]),
      ]),
      section(strings.ongoing, ongoing, issue),
      section(strings.components, affected, (c) =>
        h("li component", [icon(c.state), h("span name", h("bdi", c.name)), h("small word", word(c.state))]),
      ),
      section(strings.upcoming, upcoming, issue),
      h("small footer", [
        snapshot?.state && !only[0] && [
          snapshot.percent_uptime != null &&
            h("p uptime", fill(strings.uptime, percent(locale, snapshot.percent_uptime))),
          snapshot.incident_free_since !== null &&
            snapshot.incident_free_streak &&
            h(
              "p streak",
              fill(
                strings.streak,
                relative(
                  locale,
                  snapshot.incident_free_since ?? asOf / 1e3 - snapshot.incident_free_streak,
                ),
              ),
            ),
        ],
        h("p foot", [
          h("span age", [icon(stale ? null : "operational"), stale || strings.live]),
          h("a link", strings.page, { href: base, target }),
        ]),
      ]),
    ]),
  ];
}
