// What the events of the stream do to what is known, and what a widget makes
// of it. Pure: no DOM, no network.

import type { Component, Issue, Snapshot, State } from "./types";

/** The events of the protocol. Every other name is the application's own. */
export const protocolEvents = (
  "init_event ping_event status_created degraded restored cache_grown cache_rebuilt " +
  "issue_created issue_updated issue_resolved issue_reopened issue_cancelled issue_started issue_ended"
).split(" ");

/** Returns what is known after an event; never changes what it is given. */
export function reduce(before: Snapshot | null, name: string, data: any): Snapshot | null {
  if (!protocolEvents.includes(name)) return before;
  // What is left of an event without its subject belongs to the whole page.
  const { issue, update, status, ...page } = data;
  const after: Snapshot = {
    components: [],
    issues: [],
    ...before,
    // Only init_event says it, and that there has been none: as long as the
    // streak grows it holds, and after that the streak says it.
    incident_free_since:
      before && page.incident_free_streak >= before.incident_free_streak!
        ? before.incident_free_since
        : undefined,
    ...page,
  };
  const id = update?.issue_id ?? issue?.id;
  if (name === "issue_updated") {
    after.issues = after.issues.map((old) =>
      old.id === id
        ? { ...old, updates: [update, ...old.updates.filter((u) => u.id !== update.id)] }
        : old,
    );
  } else if (id) {
    const open = !/(resolved|cancelled|ended)$/.test(name) && (issue || update.issue);
    after.issues = after.issues.filter((old) => old.id !== id);
    if (open) after.issues.unshift({ ...open, updates: open.updates || [] });
  }
  if (status) {
    const set = (list: Component[]) =>
      list.map((c) =>
        // The component itself has finer words for its state than Hund's.
        c.id === status.component_id ? { ...c, state: status.state, ...status.component } : c,
      );
    after.components = set(after.components);
    after.issues = after.issues.map((old) => ({ ...old, components: set(old.components) }));
  }
  return after;
}

/**
 * Tells what happened to issues between two snapshots, in the words of the
 * stream, oldest first, for page code that could hear of nothing meanwhile. A
 * snapshot does not say how an issue ended: it counts as resolved. Compare of
 * stream/hund does the same in Go; one table of cases holds for both.
 */
export function compare(
  { issues: old }: Snapshot,
  { issues, state }: Snapshot,
  tell: (name: string, data: object) => void,
) {
  const news = (name: string, list: any[], known: any[]) =>
    list
      .toReversed()
      .map(
        (x) =>
          known.some((k) => k.id === x.id) ||
          tell("issue_" + name, { state, [x.issue_id ? "update" : "issue"]: x }),
      );
  news("created", issues, old);
  news("updated", issues.flatMap((i) => i.updates), old.flatMap((i) => i.updates));
  news("resolved", old, issues);
}

/** What one widget shows: a whole page, or the part that it was asked for. */
export interface Summary {
  state: State;
  only: Component[]; // the components asked for; empty is the whole page
  affected: Component[];
  ongoing: Issue[];
  upcoming: Issue[];
}

const severity = "operational maintenance degraded partial_outage outage".split(" ") as State[];

/**
 * Sums a snapshot up. wanted holds ids or names of components; when it is
 * empty, the page's own state counts, refined by two words that it does not
 * have: partial_outage (nothing is out entirely) and maintenance (nothing is
 * wrong beyond a planned maintenance).
 */
export function summarize({ state, components, issues }: Snapshot, wanted: string[]): Summary {
  const asked = (c: Component) => wanted.includes(c.id) || wanted.includes(c.name);
  const only = components.filter(asked);
  if (wanted[0]) {
    issues = issues.filter((i) => i.components.some(asked));
    components = only;
  }
  const ongoing = issues.filter((i) => i.standing);
  const says = (word: State) =>
    [...components, ...ongoing, ...ongoing.flatMap((i) => i.updates)].some((x) => x.state === word);
  if (wanted[0]) {
    state = severity.findLast((word) => components.some((c) => c.state === word)) || null;
  } else if (state === "outage") {
    // Refined only when nothing at all speaks of more.
    if (says("partial_outage") && !says(state)) state = "partial_outage";
  } else if (state === "operational" && ongoing.some((i) => i.kind === "maintenance")) {
    state = "maintenance";
  }
  return {
    state,
    only,
    affected: components.filter((c) => wanted[0] || c.state !== "operational"),
    ongoing,
    upcoming: issues
      .filter((i) => !i.standing)
      .sort((a, b) => (a.starts_at || 0) - (b.starts_at || 0)),
  };
}
