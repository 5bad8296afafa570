// The element <status-widget>, as the page around it sees it.

import type { Snapshot } from "./types";
import { createWidget } from "./widget";

export class StatusWidget extends HTMLElement {
  #widget = createWidget(this);

  /** What is known, a copy; null when nothing is. */
  get snapshot(): Snapshot | null {
    return structuredClone(this.#widget.snapshot());
  }

  connectedCallback() {
    this.#widget.start();
  }

  disconnectedCallback() {
    this.#widget.stop();
  }
}
