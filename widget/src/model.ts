// What the events of the stream do to what is known, and what a widget makes
// of it. Pure: no DOM, no network.

import type { Component, Issue, Snapshot, State, Update } from "./types";

/** The events of the protocol that change something. */
export const protocolEvents = [
  "init_event",
  "ping_event",
  "status_created",
  "degraded",
  "restored",
  "issue_created",
  "issue_updated",
  "issue_resolved",
  "issue_reopened",
  "issue_cancelled",
  "issue_started",
  "issue_ended",
  "cache_grown",
  "cache_rebuilt",
];

/** Returns what is known after an event; never changes what it is given. */
export function reduce(before: Snapshot | null, name: string, data: any): Snapshot | null {
  if (name === "init_event") {
    return { ...data, components: data.components || [], issues: data.issues || [] };
  }
  if (!before) return before;
  const after = { ...before };
  if (data.state !== undefined) after.state = data.state;
  if (data.percent_uptime !== undefined) after.percent_uptime = data.percent_uptime;
  if (data.incident_free_streak !== undefined) {
    after.incident_free_since = data.incident_free_streak
      ? Date.now() / 1e3 - data.incident_free_streak
      : null;
  }
  const update: Update | undefined = data.update;
  const id = update ? update.issue_id : data.issue && data.issue.id;
  const insert = (issue: Issue | undefined) => {
    if (issue) {
      after.issues = [
        { ...issue, updates: issue.updates || [] },
        ...after.issues.filter((i) => i.id !== issue.id),
      ];
    }
  };
  switch (name) {
    case "ping_event":
      after.live = data.live;
      after.stale_since = data.stale_since;
      break;
    case "status_created": {
      const { component_id, component, state } = data.status;
      const set = (list: Component[] | undefined) =>
        (list || []).map((c) => (c.id === component_id ? { ...c, ...component, state } : c));
      after.components = set(after.components);
      after.issues = after.issues.map((i) => ({ ...i, components: set(i.components) }));
      break;
    }
    case "issue_created":
    case "issue_started":
      insert(data.issue);
      break;
    case "issue_reopened":
      insert(update && update.issue);
      break;
    case "issue_updated":
      after.issues = after.issues.map((i) =>
        i.id === id && update
          ? { ...i, updates: [update, ...i.updates.filter((u) => !u.id || u.id !== update.id)] }
          : i,
      );
      break;
    case "issue_resolved":
    case "issue_cancelled":
    case "issue_ended":
      after.issues = after.issues.filter((i) => i.id !== id);
  }
  return after;
}

/** What one widget shows: a whole page, or the part that it was asked for. */
export interface Summary {
  state: State;
  affected: Component[];
  ongoing: Issue[];
  upcoming: Issue[];
  only: Component[]; // the components asked for; empty is the whole page
}

const severity: State[] = ["operational", "maintenance", "degraded", "partial_outage", "outage"];

const worst = (states: (State | undefined)[]): State =>
  severity[Math.max(...states.map((s) => severity.indexOf(s ?? null)))] || null;

/** An issue's own effect: the newest update that says one, else its own. */
const effect = (issue: Issue): State =>
  (issue.updates.find((u) => u.state) || issue).state || null;

/**
 * Sums a snapshot up. wanted holds ids or names of components; when it is
 * empty, the page's own state counts, refined by two words that it does not
 * have: partial_outage (nothing is out entirely) and maintenance (nothing is
 * wrong beyond a planned maintenance).
 */
export function summarize(s: Snapshot, wanted: string[]): Summary {
  const filter = wanted.length > 0;
  const matches = (c: Component) => wanted.includes(c.id) || wanted.includes(c.name);
  const only = filter ? s.components.filter(matches) : [];
  const issues = filter ? s.issues.filter((i) => (i.components || []).some(matches)) : s.issues;
  const ongoing = issues.filter((i) => i.standing);
  let state = s.state;
  if (filter) {
    state = worst(only.map((c) => c.state));
  } else if (state === "outage") {
    const states = [...s.components.map((c) => c.state), ...ongoing.map(effect)];
    if (worst(states) === "partial_outage") state = "partial_outage";
  } else if (state === "operational" && ongoing.some((i) => i.kind === "maintenance")) {
    state = "maintenance";
  }
  return {
    state,
    only,
    ongoing,
    upcoming: issues
      .filter((i) => !i.standing)
      .sort((a, b) => (a.starts_at || 0) - (b.starts_at || 0)),
    affected: (filter ? only : s.components).filter((c) => c.state !== "operational" || filter),
  };
}
