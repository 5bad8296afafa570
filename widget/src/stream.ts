// One connection to the server, kept for as long as it is wanted: the live
// stream, and state.json while the stream cannot be had. Only one tab of a
// browser runs this; feed.ts decides which.

import { protocolEvents, reduce } from "./model";
import type { Connection, Knowledge } from "./types";

const SECOND = 1e3;
const BACKOFF_CAP = 60 * SECOND;
const POLL_INTERVAL = 60 * SECOND;
/** A stream that has said nothing this long after opening may be blocked. */
const FIRST_EVENT = 10 * SECOND;
/** A server over its limits parks us up to 90 s with a retry of its own. */
const GIVE_UP = 180 * SECOND;
/** No such page, or not for us: a page may be created or opened later. */
const UNAVAILABLE = 600 * SECOND;

export interface Stream {
  /** Listens for application events of these names from now on. */
  listen(names: Iterable<string>): void;
  /** Looks at once whether the connection is what it should be. */
  check(): void;
  close(): void;
}

/**
 * Keeps knowledge true, starting from what is given, and calls changed after
 * every change of it, with the event where one caused it.
 */
export function openStream(
  base: string,
  token: string | null,
  knowledge: Knowledge,
  changed: (name?: string, data?: unknown) => void,
): Stream {
  let source: EventSource | null = null;
  let closed = false;
  let timer: ReturnType<typeof setTimeout>;
  let moved = 0; // when source was last made, opened or failed
  let heard = 0; // when it last said something
  let retryAt = 0; // when to make the next one
  let attempts = 0;
  let pollAt = Date.now() + FIRST_EVENT;
  const names = new Set(protocolEvents);

  const url = (path: string, query: Record<string, string | null>) => {
    const params = Object.entries(query).filter(([, value]) => value);
    return base + path + (params[0] ? "?" + new URLSearchParams(params as string[][]) : "");
  };

  const become = (connection: Connection) => {
    const now = knowledge.connection;
    if (connection === "reconnecting") {
      if (now === "unavailable") return;
      // Not all at once after a server has gone.
      if (now === "live") pollAt = Date.now() + FIRST_EVENT * (1 + Math.random());
      if (!knowledge.asOf) connection = "connecting";
    }
    if (now !== connection) {
      knowledge.connection = connection;
      changed();
    }
  };

  const learn = (name: string, data: unknown, connection: Connection) => {
    knowledge.snapshot = reduce(knowledge.snapshot, name, data);
    knowledge.asOf = Date.now();
    knowledge.connection = connection;
    changed(name, data);
  };

  const on = (event: MessageEvent) => {
    heard = Date.now();
    knowledge.id = event.lastEventId || knowledge.id;
    let data;
    try {
      data = JSON.parse(event.data);
    } catch {
      return; // not ours
    }
    const first = event.type === "init_event";
    if (first) attempts = 0;
    // What is replayed before init_event is news, but not yet the present.
    learn(event.type, data, first ? "live" : knowledge.connection);
  };

  const drop = () => {
    source?.close();
    source = null;
  };

  const retry = () => {
    drop();
    retryAt = Date.now() + Math.random() * Math.min(BACKOFF_CAP, SECOND * 2 ** attempts++);
  };

  const open = () => {
    moved = heard = Date.now();
    source = new EventSource(
      url("/live/v2/status_page", { bt: token, last_event_id: knowledge.id }),
    );
    for (const name of names) source.addEventListener(name, on);
    source.onopen = () => {
      moved = Date.now();
    };
    source.onerror = () => {
      moved = Date.now();
      become("reconnecting");
      // A browser retries by itself, unless the answer was not a stream.
      if (source?.readyState === 2) {
        if (!attempts || knowledge.connection === "unavailable") poll();
        retry();
      }
      tick();
    };
  };

  const poll = async () => {
    pollAt = Date.now() + POLL_INTERVAL;
    const useless = () => closed || knowledge.connection === "live";
    try {
      // The browser's own cache sends If-None-Match, without a preflight.
      const response = await fetch(url("/state.json", { bt: token }), {
        cache: "no-cache",
        credentials: "omit",
        signal: AbortSignal.timeout(FIRST_EVENT),
      });
      if (response.ok) {
        const data = await response.json();
        if (!useless()) learn("init_event", data, "polling");
        return;
      }
      if (/^4(0[134]|10)$/.test(response.status + "") && !useless()) {
        drop();
        retryAt = Date.now() + UNAVAILABLE;
        knowledge.snapshot = null;
        knowledge.asOf = 0;
        become("unavailable");
      }
    } catch {
      // Said below.
    }
    if (!useless()) become("reconnecting");
  };

  const tick = () => {
    clearTimeout(timer);
    if (closed) return;
    const now = Date.now();
    const live = knowledge.connection === "live";
    if (live && now - heard > (knowledge.snapshot?.ping_interval || 60) * 2.5 * SECOND) {
      become("reconnecting");
      drop();
      retryAt = 0;
    } else if (!live && source && now - moved > GIVE_UP) {
      retry();
    }
    if (!source && now >= retryAt) open();
    if (!live && knowledge.connection !== "unavailable" && now >= pollAt) poll();
    timer = setTimeout(tick, live ? 5 * SECOND : SECOND);
  };

  const network = () => {
    attempts = retryAt = 0;
    drop();
    become("reconnecting");
    tick();
  };
  addEventListener("online", network);
  addEventListener("offline", network);
  become("reconnecting");
  tick();

  return {
    listen(more) {
      for (const name of more) {
        if (names.has(name)) continue;
        names.add(name);
        source?.addEventListener(name, on);
      }
    },
    check() {
      if (knowledge.connection !== "unavailable") retryAt = 0;
      tick();
    },
    close() {
      closed = true;
      clearTimeout(timer);
      drop();
      removeEventListener("online", network);
      removeEventListener("offline", network);
    },
  };
}
