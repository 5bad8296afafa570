// The vocabulary of the live stream as the widget uses it. Everything that
// comes from a server is optional in practice: readers of these types must
// survive a field that is missing.

export type State =
  | "operational"
  | "degraded"
  | "partial_outage"
  | "outage"
  | "maintenance"
  | null;

export interface Component {
  id: string;
  name: string;
  description?: string | null;
  group?: string | null;
  state: State;
}

export interface Update {
  id?: string;
  issue_id: string;
  body_text?: string;
  label?: string | null;
  state?: State;
  created_at: number; // Unix seconds, like every time in the stream
  issue?: Issue;
}

export interface Issue {
  id: string;
  title: string;
  body_text?: string;
  label?: string | null;
  kind?: string;
  state?: State;
  progress?: number | null; // 0 to 100
  components: Component[];
  standing: boolean;
  scheduled: boolean;
  created_at: number;
  starts_at?: number | null;
  ends_at?: number | null;
  updates: Update[]; // newest first
}

/** What init_event and state.json say: everything about one status page. */
export interface Snapshot {
  state: State;
  percent_uptime?: number | null;
  incident_free_streak?: number;
  incident_free_since?: number | null;
  page?: { id: string; name: string; url?: string; locale?: string };
  components: Component[];
  issues: Issue[];
  ping_interval?: number; // seconds
  live?: boolean;
  stale_since?: number | null;
}

/**
 * How the widget stands with the server:
 * connecting (nothing known yet), live, reconnecting, polling (the stream is
 * blocked, state.json is read once a minute), unavailable (no such page, or
 * not for us).
 */
export type Connection =
  | "connecting"
  | "live"
  | "reconnecting"
  | "polling"
  | "unavailable";

/** Everything a tab knows, as the leader relays it to the others. */
export interface Knowledge {
  snapshot: Snapshot | null;
  connection: Connection;
  asOf: number; // when the snapshot was last known to be true, ms; 0 is never
  id: string; // the stream's position, to resume from
}
