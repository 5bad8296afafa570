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
  const first = name === "init_event";
  if (!protocolEvents.includes(name) || !(before || first)) return before;
  // What is left of an event without its subject belongs to the whole page.
  const { issue, update, status, ...page } = data;
  const after: Snapshot = {
    ...(first ? { components: [], issues: [] } : before!),
    incident_free_since: null, // only init_event says it; the streak is newer
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

/** What one widget shows: a whole page, or the part that it was asked for. */
export interface Summary {
  state: State;
  only: Component[]; // the components asked for; empty is the whole page
  affected: Component[];
  ongoing: Issue[];
  upcoming: Issue[];
}

const severity: State[] = [
  "operational",
  "maintenance",
  "degraded",
  "partial_outage",
  "outage",
];

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
