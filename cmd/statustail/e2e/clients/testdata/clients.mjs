// The clients of event streams that npm has, as a page would use them: each
// with its defaults, but for two that come back only when they are told to,
// and JSON.parse of whatever it is given.
import { fetchEventSource } from '@microsoft/fetch-event-source'
import { EventSource as EventSource5 } from 'eventsource'
import { createEventSource } from 'eventsource-client'
import { SSE } from 'sse.js'
import { EventSourcePolyfill } from 'event-source-polyfill'

const names = ['init_event', 'tick', 'messages_dropped']
const listen = (source, hear) => {
  for (const name of [...names, 'message']) source.addEventListener(name, (e) => hear(name, e.data))
}
window.clients = {
  native: (url, hear) => listen(new EventSource(url), hear),
  'fetch-event-source': (url, hear) => fetchEventSource(url, { onmessage: (m) => hear(m.event || 'message', m.data), onclose() { throw new Error('come back') } }),
  eventsource: (url, hear) => listen(new EventSource5(url), hear),
  'eventsource-client': (url, hear) => createEventSource({ url, onMessage: (m) => hear(m.event || 'message', m.data) }),
  'sse.js': (url, hear) => listen(new SSE(url, { autoReconnect: true }), hear),
  'event-source-polyfill': (url, hear) => listen(new EventSourcePolyfill(url), hear),
}
