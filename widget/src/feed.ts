// What all widgets of one status page know, in all tabs of one site: a leader
// tab holds the one connection and relays what it learns to the others.
//
// The leader is whoever holds a Web Lock. The browser passes the lock on at
// once when the leader's tab closes or crashes. A tab that is alive but no
// longer answers (frozen, stopped in a debugger, hung) keeps its lock; so a
// visible follower asks every second, and after three questions without an
// answer it steals the lock. Hidden tabs ask nothing, since nobody looks at
// them and their timers are throttled; they ask when they are shown again.
//
// Where there are no Web Locks (a site without HTTPS), each tab has a
// connection of its own.

import { openStream, type Stream } from "./stream";
import type { Knowledge } from "./types";

const ASK_INTERVAL = 1e3;
const UNANSWERED = 2;

/** Told after each change, with the event where one caused it. */
export type Listener = (name?: string, data?: any) => void;

export interface Feed {
  readonly knowledge: Knowledge;
  /** Asks for application events of these names, which reach all listeners. */
  listen(names: string[]): void;
  /** Calls the listener from now on until what is returned is called. */
  subscribe(listener: Listener): () => void;
}

// What tabs say to each other.
interface Message {
  ask?: 1 | 2; // 1: are you there?  2: tell me everything
  here?: 1; // the answer to 1
  names?: string[]; // application events that somebody wants
  knowledge?: Knowledge;
  event?: [name: string, data: unknown];
}

const feeds = new Map<string, Feed>();

/** The feed of the page at base; there is one for each base and token. */
export function feed(base: string, token: string | null): Feed {
  const key = "status-widget " + base + (token ? " " + token : "");
  let found = feeds.get(key);
  if (!found) feeds.set(key, (found = create(key, base, token)));
  return found;
}

function create(key: string, base: string, token: string | null): Feed {
  const knowledge: Knowledge = { snapshot: null, connection: "connecting", asOf: 0, id: "" };
  const listeners = new Set<Listener>();
  const names = new Set<string>();
  let channel: BroadcastChannel | null = null; // while there are listeners
  let stream: Stream | null = null; // while this tab leads
  let quit: (() => void) | null = null; // gives the lock, or the place in its queue, back
  let timer: ReturnType<typeof setInterval>;
  let unanswered = 0;

  const say = (message: Message) => channel?.postMessage(message);
  const wanted = () => [...names];

  const tell = (name?: string, data?: unknown) => {
    for (const listener of [...listeners]) listener(name, data);
  };

  const lead = () => {
    stream = openStream(base, token, knowledge, (name, data) => {
      say({ knowledge, names: wanted(), event: name ? [name, data] : undefined });
      tell(name, data);
    });
    stream.listen(names);
  };

  const follow = () => {
    stream?.close();
    stream = null;
  };

  // Stands for leader: at the end of the queue, or before everybody.
  const stand = (steal?: boolean) => {
    quit?.();
    const controller = new AbortController();
    let release: (() => void) | undefined;
    const mine = () => {
      controller.abort();
      release?.();
    };
    quit = mine;
    const locks = navigator.locks;
    if (!locks) return lead();
    locks
      .request(key, steal ? { steal } : { signal: controller.signal }, () => {
        if (quit !== mine) return;
        lead();
        return new Promise<void>((resolve) => {
          release = resolve;
        });
      })
      .catch((error) => {
        if (quit !== mine) return;
        follow();
        // Stolen: queue again. Not allowed to lock at all: go alone.
        if (error.name === "AbortError") stand();
        else lead();
      });
  };

  const receive = ({ data }: MessageEvent<Message>) => {
    for (const name of data.names || []) names.add(name);
    if (stream) {
      stream.listen(names);
      if (data.ask) say(data.ask > 1 ? { knowledge, names: wanted() } : { here: 1 });
      return;
    }
    if (data.ask) return;
    unanswered = 0;
    if (data.knowledge) {
      Object.assign(knowledge, data.knowledge);
      // A new leader may not know what this tab wants.
      if (wanted().some((name) => !data.names?.includes(name))) say({ names: wanted() });
      tell(data.event?.[0], data.event?.[1]);
    }
  };

  const ask = () => {
    if (stream || document.hidden) return;
    if (unanswered++ < UNANSWERED) return say({ ask: 1 });
    unanswered = 0;
    stand(true);
  };

  const visible = () => {
    unanswered = 0;
    if (stream) stream.check();
    else ask();
  };

  const start = () => {
    if (channel || !listeners.size) return;
    channel = new BroadcastChannel(key);
    channel.onmessage = receive;
    unanswered = 0;
    stand();
    say({ ask: 2, names: wanted() });
    timer = setInterval(ask, ASK_INTERVAL);
    document.addEventListener("visibilitychange", visible);
  };

  const stop = () => {
    if (!channel) return;
    clearInterval(timer);
    document.removeEventListener("visibilitychange", visible);
    follow();
    channel.close();
    channel = null;
    const leave = quit;
    quit = null;
    leave?.();
  };

  const shown = (event: Event) => {
    if (event.type !== "pageshow" || (event as PageTransitionEvent).persisted) start();
  };
  const page: [EventTarget, string, (event: Event) => void][] = [
    [window, "pagehide", stop],
    [window, "pageshow", shown],
    [document, "freeze", stop],
    [document, "resume", shown],
  ];

  return {
    knowledge,
    listen(more) {
      for (const name of more) names.add(name);
      stream?.listen(names);
      say({ names: wanted() });
    },
    subscribe(listener) {
      listeners.add(listener);
      if (listeners.size === 1) {
        for (const [target, type, on] of page) target.addEventListener(type, on);
        start();
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size) return;
        for (const [target, type, on] of page) target.removeEventListener(type, on);
        stop();
        feeds.delete(key);
      };
    },
  };
}
