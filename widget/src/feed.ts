// What all widgets of one status page know, in all tabs of one site: a leader
// tab holds the one connection and relays what it learns to the others.
//
// The leader is whoever holds a Web Lock. The browser passes the lock on at
// once when the leader's tab closes or crashes. A tab that is alive but no
// longer answers (frozen, stopped in a debugger, hung) keeps its lock; so a
// visible follower asks every second, and after two questions without an
// answer it steals the lock. Hidden tabs ask nothing, since nobody looks at
// them and their timers are throttled; they ask when they are shown again.
//
// Where there are no Web Locks (a site without HTTPS), each tab has a
// connection of its own.

import { on } from "./dom";
import { openStream, type Stream } from "./stream";
import type { Knowledge } from "./types";

/** How followers watch over the leader. An enum costs nothing in the bundle. */
const enum Watch {
  Interval = 1e3, // ms between questions
  Unanswered = 2, // questions
}

/** What tabs of different versions of the script must not share. */
const PROTOCOL = "status-widget 1 ";

/** Told after each change, with the event where one caused it. */
export type Listener = (name?: string, data?: any) => void;

export interface Feed {
  readonly known: Knowledge;
  /**
   * Calls the listener from now on until what is returned is called. It asks
   * for the application events of these names, which reach all listeners.
   */
  subscribe(events: string[], listener: Listener): () => void;
}

// What tabs say to each other.
interface Message {
  ask?: number; // 1: are you there?  2: tell me everything
  names?: Set<string>; // application events that a tab wants
  known?: Knowledge; // only a leader says this
  name?: string; // of the event that was learned from
  data?: unknown;
}

const feeds = new Map<string, Feed>();

/** The feed of the page at base; there is one for each base and token. */
export function feed(base: string, token: string | null): Feed {
  const key = PROTOCOL + base + " " + token;
  const found = feeds.get(key);
  if (found) return found;

  const known: Knowledge = { snapshot: null, connection: "connecting", asOf: 0, id: "" };
  const listeners = new Set<Listener>();
  const names = new Set<string>();
  let life: AbortController; // of the feed, from its first listener to its last
  let channel: BroadcastChannel | null = null; // while the page is awake
  let stream: Stream | null = null; // while this tab leads
  let place: AbortController | undefined; // for the lock; aborted, it is given back
  let timer: ReturnType<typeof setInterval>;
  let unanswered = 0;

  const say = (message: Message) => channel?.postMessage({ ...message, names });

  const tell = (name?: string, data?: unknown) => {
    for (const listener of listeners) listener(name, data);
  };

  const want = (more: Iterable<string>) => {
    for (const name of more) {
      names.add(name);
      stream?.listen(name);
    }
  };

  const lead = () => {
    stream = openStream(base, token, known, (name, data) => {
      say({ known, name, data });
      tell(name, data);
    });
    want(names);
  };

  const follow = () => {
    stream?.close();
    stream = null;
  };

  // Stands for leader, at the end of the queue or before everybody, and asks
  // the one there is for all that it knows.
  const stand = (steal?: boolean) => {
    say({ ask: 2 });
    place?.abort();
    const { signal } = (place = new AbortController());
    if (!navigator.locks) return lead();
    navigator.locks
      .request(key, steal ? { steal } : { signal }, () => {
        if (signal.aborted) return;
        lead();
        return new Promise((release) => (signal.onabort = release));
      })
      .catch(() => {
        if (signal.aborted) return;
        // Not allowed to lock at all: go alone. Stolen: queue again.
        if (!stream) return lead();
        follow();
        stand();
      });
  };

  const receive = ({ data }: MessageEvent<Message>) => {
    // Every tab hears what any tab wants, so that each could lead.
    want(data.names!);
    if (data.known && !stream) {
      Object.assign(known, data.known);
      tell(data.name, data.data);
    }
    if (!data.ask) unanswered = 0;
    else if (stream) say(data.ask > 1 ? { known } : {});
  };

  const ask = () => {
    if (stream || document.hidden) return;
    if (unanswered++ < Watch.Unanswered) return say({ ask: 1 });
    unanswered = 0;
    stand(true);
  };

  const start = () => {
    if (channel) return;
    channel = new BroadcastChannel(key);
    channel.onmessage = receive;
    stand();
    timer = setInterval(ask, Watch.Interval);
  };

  const stop = () => {
    clearInterval(timer);
    follow();
    channel?.close();
    channel = null;
    place?.abort();
  };

  // A page that is put away holds nothing, so that it can be kept whole.
  const put = ({ type }: Event) => {
    if (/hide|freeze/.test(type)) return stop();
    if (type !== "visibilitychange") return start();
    unanswered = 0;
    if (stream) stream.check();
    else ask();
  };

  const self: Feed = {
    known,
    subscribe(events, listener) {
      want(events);

      if (!listeners.size) {
        life = new AbortController();
        on("pagehide pageshow freeze resume visibilitychange", put, life);
        start();
      } else say({});
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size) return;
        life.abort();
        stop();
        feeds.delete(key);
      };
    },
  };
  feeds.set(key, self);
  return self;
}
