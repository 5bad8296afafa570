// Plays a cut network, for this page only: it stands between the widget and
// the browser's own EventSource, fetch and locks.
const Native = window.EventSource;
const nativeFetch = window.fetch;
const sources = new Set();
let cut = false;

// This tab alone: no other may lead for it.
Object.defineProperty(navigator, "locks", { value: undefined });

window.EventSource = class extends Native {
  constructor(url) {
    super(cut ? "/-/demo/nowhere" : url);
    sources.add(this);
  }
  close() {
    sources.delete(this);
    super.close();
  }
};
window.fetch = (...args) => (cut ? Promise.reject(new TypeError("cut")) : nativeFetch(...args));

document.getElementById("cut").onclick = () => {
  cut = true;
  document.getElementById("is").value = "cut";
  for (const source of sources) {
    Native.prototype.close.call(source);
    source.dispatchEvent(new Event("error"));
  }
};
document.getElementById("join").onclick = () => {
  cut = false;
  document.getElementById("is").value = "there";
  window.dispatchEvent(new Event("online"));
};
