// One connection to the server, kept for as long as it is wanted: the live
// stream, and state.json while the stream cannot be had. Only one tab of a
// browser runs this; feed.ts decides which.

import { on } from "./dom";
import { compare, protocolEvents, reduce } from "./model";
import type { Connection, Knowledge } from "./types";

/** Milliseconds. An enum, because its members cost nothing in the bundle. */
const enum Time {
  Second = 1e3,
  /** Between polls, and the longest backoff. */
  Minute = 6e4,
  /** A stream that has said nothing this long after opening may be blocked. */
  FirstEvent = 1e4,
  /** A server over its limits parks us up to 90 s, with a retry of its own. */
  GiveUp = 3e5,
  /** No such page, or not for us: it may be made or opened one day. */
  Unavailable = 6e5,
}

export interface Stream {
  /** Listens for application events of this name from now on. */
  listen(name: string): void;
  /** Looks at once whether the connection is what it should be. */
  check(): void;
  close(): void;
}

/**
 * Keeps known true, starting from what is given, and calls changed after
 * every change of it, with the event where one caused it.
 */
export function openStream(
  base: string,
  token: string | null,
  known: Knowledge,
  changed: (name?: string, data?: unknown) => void,
): Stream {
  const life = new AbortController();
  const names = new Set(protocolEvents);
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout>;
  let heard = 0; // when source last gave a sign of life
  let retryAt = 0; // when to make the next one
  let attempts = 0;
  let pollAt = Date.now() + Time.FirstEvent;

  const url = (path: string) => base + path + "?" + (token ? "bt=" + encodeURIComponent(token) : "");

  const live = () => known.connection === "live";

  const become = (connection: Connection, name?: string, data?: unknown) => {
    const before = known.snapshot;
    if (name) {
      known.snapshot = reduce(before, name, data);
      known.asOf = Date.now();
    } else if (connection === known.connection) return;
    known.connection = connection;
    changed(name, data);
    if (name === "init_event" && before) compare(before, known.snapshot!, changed);
  };

  const lost = () => {
    if (!live()) return;
    // Not all browsers at once after a server has gone.
    pollAt = Date.now() + Time.FirstEvent * (1 + Math.random());
    become("reconnecting");
  };

  const receive = ({ type, data, lastEventId }: MessageEvent) => {
    heard = Date.now();
    known.id = lastEventId || known.id;
    attempts = 0;
    become("live", type, JSON.parse(data)); // init_event comes first
  };

  const retry = () => {
    source?.close();
    source = null;
    retryAt = Date.now() + Math.random() * Math.min(Time.Minute, Time.Second * 2 ** attempts++);
  };

  const open = () => {
    heard = Date.now();
    source = new EventSource(url("/live/v2/status_page") + "&last_event_id=" + known.id);
    for (const name of names) source.addEventListener(name, receive);
    source.onerror = () => {
      heard = Date.now();
      lost();
      // A browser retries by itself, unless the answer was not a stream.
      if (source!.readyState === 2) {
        if (!attempts) poll();
        retry();
      }
      tick();
    };
  };

  const poll = async () => {
    pollAt = Date.now() + Time.Minute;
    // The browser's own cache sends If-None-Match, without a preflight.
    const response = await fetch(url("/state.json"), { cache: "no-cache" }).catch(() => {});
    const data = response?.ok && (await response.json());
    if (life.signal.aborted || live()) return;
    if (data) become("polling", "init_event", data);
    else {
      if (/40[134]|410/.test(response?.status as any)) {
        retry();
        pollAt = retryAt = Date.now() + Time.Unavailable;
        attempts = 0;
        known.snapshot = null;
      }
      become(known.snapshot ? "reconnecting" : "unavailable");
    }
  };

  const tick = () => {
    clearTimeout(timer);
    const now = Date.now();
    const patience = live() ? (known.snapshot!.ping_interval || 60) * 2500 : Time.GiveUp;
    if (source && now - heard > patience) {
      lost();
      retry();
    }
    if (!live() && now >= pollAt) poll();
    if (!source && now >= retryAt) open();
    timer = setTimeout(tick, live() ? 5 * Time.Second : Time.Second);
  };

  const restart = () => {
    retry();
    attempts = retryAt = 0;
    lost();
    tick();
  };
  on("online offline", restart, life);
  restart();

  return {
    listen(name) {
      names.add(name);
      source?.addEventListener(name, receive); // once, however often it is said
    },
    check() {
      retryAt = 0;
      tick();
    },
    close() {
      life.abort();
      clearTimeout(timer);
      source?.close();
    },
  };
}
