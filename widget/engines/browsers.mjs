// The engines, each as the same few functions. A tab is whatever the engine's
// library calls one.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import puppeteer from "puppeteer-core";
import { Builder, Capabilities } from "selenium-webdriver";

const size = { width: 1000, height: 760 };

async function firefox() {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: process.env.STATUSTAIL_FIREFOX ?? "/usr/bin/firefox-esr",
    headless: true,
  });
  return {
    version: await browser.version(),
    async tab() {
      const tab = await browser.newPage();
      await tab.setViewport(size);
      return tab;
    },
    open: (tab, url) => tab.goto(url),
    evaluate: (tab, expression) => tab.evaluate(expression),
    shoot: (tab, path) => tab.screenshot({ path }),
    close: tab => tab.close(),
    end: () => browser.close(),
  };
}

// WebKitGTK has the engine of Safari. Its browser needs a display.
async function webkit() {
  const port = await freePort();
  const driver = spawn("xvfb-run", ["-a", "WebKitWebDriver", `--port=${port}`, "--host=127.0.0.1"], { stdio: "ignore", detached: true });
  const gone = new Promise((_, reject) => {
    driver.on("error", reject);
    driver.on("exit", () => reject(new Error("WebKitWebDriver has ended: are webkit2gtk-driver and xvfb installed?")));
  });
  gone.catch(() => {});
  const driverEnds = () => process.kill(-driver.pid);
  await Promise.race([listening(port), gone]);
  const session = await new Builder()
    .usingServer(`http://127.0.0.1:${port}`)
    .withCapabilities(new Capabilities({
      browserName: "MiniBrowser",
      "webkitgtk:browserOptions": {
        binary: process.env.STATUSTAIL_MINIBROWSER ?? "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
        args: ["--automation"],
      },
    }))
    .build();
  let first = await session.getWindowHandle();
  const at = async tab => (await session.switchTo().window(tab), session);
  return {
    version: "WebKitGTK " + (await session.getCapabilities()).get("browserVersion"),
    async tab() {
      const tab = first;
      first = undefined;
      if (tab) return tab;
      await session.switchTo().newWindow("tab");
      return session.getWindowHandle();
    },
    open: async (tab, url) => (await at(tab)).get(url),
    evaluate: async (tab, expression) => (await at(tab)).executeScript(`return (${expression})`),
    shoot: async (tab, path) => writeFileSync(path, Buffer.from(await (await at(tab)).takeScreenshot(), "base64")),
    close: async tab => (await at(tab)).close(),
    async end() {
      await session.quit();
      driverEnds();
    },
  };
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function listening(port) {
  for (;;) {
    try {
      return await fetch(`http://127.0.0.1:${port}/status`);
    } catch {
      await new Promise(wait => setTimeout(wait, 50));
    }
  }
}

export const engines = { firefox, webkit };
