// The real server, with an embedded database in a folder of its own.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export class Server {
  #program;
  #folder = mkdtempSync(join(tmpdir(), "statustail-engines"));
  #process;
  // Ports are free ones at first, and stay.
  #listen = "127.0.0.1:0";
  #ops = "127.0.0.1:0";
  #database = "127.0.0.1:0";

  constructor(program) {
    this.#program = program;
  }

  get url() {
    return "http://" + this.#listen;
  }

  async start() {
    this.#process = spawn(this.#program, [
      "--listen", this.#listen, "--ops-listen", this.#ops, "--embedded-listen", this.#database,
      "--data", this.#folder, "--log-level", "error",
    ], { stdio: ["ignore", "pipe", "inherit"] });
    for await (const line of createInterface(this.#process.stdout)) {
      const [, what, , host] = /^(listening|operators|database) .*?(http|mongodb):\/\/([^/ ]+)/.exec(line) ?? [];
      const address = host?.replace("localhost", "127.0.0.1");
      if (what === "listening") this.#listen = address;
      if (what === "operators") this.#ops = address;
      if (what === "database") {
        this.#database = address;
        return;
      }
    }
    throw new Error("the server has ended");
  }

  kill() {
    return new Promise(resolve => {
      this.#process.on("exit", resolve);
      this.#process.kill("SIGKILL");
    });
  }

  async end() {
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }

  run(...args) {
    return execFileSync(this.#program, [...args, "--mongodb-uri", `mongodb://${this.#database}/`], { encoding: "utf8" }).trim();
  }

  async subscribers() {
    const metrics = await (await fetch(`http://${this.#ops}/metrics`)).text();
    let sum = 0;
    for (const [, n] of metrics.matchAll(/^statustail_subscribers(?:\{[^}]*\})? (\d+)/gm)) sum += Number(n);
    return sum;
  }
}
