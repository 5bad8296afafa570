// Does in another engine what the tests do in Chromium, as far as a visitor
// sees it: node run.mjs PROGRAM FOLDER [firefox] [webkit]. Screenshots go into
// the folder. It ends with status 1 when something is not as it should be.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { engines } from "./browsers.mjs";
import { Server } from "./server.mjs";

const [program, folder, ...names] = process.argv.slice(2);
if (!folder || names.some(name => !engines[name])) {
  console.error("usage: node run.mjs PROGRAM FOLDER [firefox] [webkit]");
  process.exit(2);
}
mkdirSync(folder, { recursive: true });

const shadow = `document.querySelector("status-widget")?.shadowRoot`;
const words = `${shadow}?.querySelector(".words")?.textContent`;
const says = text => `${words} === ${JSON.stringify(text)} && !${shadow}.querySelector(".note")`;
const panel = `${shadow}?.querySelector(".panel")`;
const operational = says("All systems operational");
const demos = ["corner", "inline", "many", "dark", "styling", "languages", "rtl", "narrow", "events", "offline", "strict", "hostile"];

// until waits for an expression to be true; the page has no way to call us.
async function until(browser, tab, expression, limit = 20_000) {
  const begun = Date.now();
  while (!(await browser.evaluate(tab, `!!(${expression})`))) {
    if (Date.now() - begun > limit) {
      const shown = await browser.evaluate(tab, `${shadow}?.querySelector(".root").innerText ?? document.body.innerText.slice(0, 300)`);
      throw new Error(`after ${limit} ms it is still not true that ${expression}; what is shown: ${shown}`);
    }
    await new Promise(wait => setTimeout(wait, 20));
  }
  return Date.now() - begun;
}

function equal(got, want, what) {
  if (got !== want) throw new Error(`${got} ${what}, want ${want}`);
}

async function visit(name) {
  const server = new Server(program);
  await server.start();
  const browser = await engines[name]();
  console.log(browser.version);
  const shoot = (tab, what) => browser.shoot(tab, join(folder, `${name}-${what}.png`));
  const corner = async () => {
    const tab = await browser.tab();
    await browser.open(tab, server.url + "/-/demo/corner");
    return tab;
  };
  const all = async (tabs, expression, limit) => {
    const begun = Date.now();
    for (const tab of tabs) await until(browser, tab, expression, limit);
    return `all ${tabs.length} tabs after ${Date.now() - begun} ms`;
  };
  let failed = 0;
  const step = async (what, does) => {
    try {
      console.log(`  ok    ${what}: ${(await does()) ?? ""}`);
    } catch (error) {
      failed++;
      console.log(`  FAIL  ${what}: ${error.message}`);
    }
  };
  const tabs = [await corner()];
  let issue;
  await step("it shows the state", () => all(tabs, operational));
  await step("it shows an issue", async () => {
    issue = server.run("issue", "open", "--page", "demo", "--title", "Heavy load", "--component", "API", "--state", "degraded");
    return all(tabs, says("Degraded performance"));
  });
  await step("its panel opens, within the window", async () => {
    await browser.evaluate(tabs[0], `${shadow}.querySelector(".pill").click()`);
    await until(browser, tabs[0], `${panel}?.textContent.includes("Heavy load")`);
    await until(browser, tabs[0], `(r => r.width > 0 && r.left >= 0 && r.top >= 0 && r.right <= innerWidth && r.bottom <= innerHeight)(${panel}.getBoundingClientRect())`);
    await shoot(tabs[0], "panel");
  });
  await step("8 tabs share one connection", async () => {
    while (tabs.length < 8) tabs.push(await corner());
    await all(tabs, says("Degraded performance"));
    equal(await server.subscribers(), 1, "connections");
  });
  await step("a change reaches all of them", () => {
    server.run("issue", "resolve", issue);
    return all(tabs, operational);
  });
  await step("the leading tab closes", async () => {
    await browser.close(tabs.shift());
    server.run("component", "state", "--page", "demo", "API", "outage");
    const took = await all(tabs, `/outage/i.test(${words})`, 5_000 + 2_000 * tabs.length);
    equal(await server.subscribers(), 1, "connections");
    return took;
  });
  await step("the server dies and comes back", async () => {
    await server.kill();
    await until(browser, tabs[0], `/reconnect/i.test(${shadow}.textContent)`, 60_000);
    await server.start();
    server.run("component", "state", "--page", "demo", "API", "operational");
    return all(tabs, operational, 90_000);
  });
  for (const tab of tabs.splice(1)) await browser.close(tab);
  for (const demo of demos) {
    await step("demo " + demo, async () => {
      await browser.open(tabs[0], `${server.url}/-/demo/${demo}`);
      await until(browser, tabs[0], `document.querySelector("status-widget") && [...document.querySelectorAll("status-widget")].every(w => w.snapshot?.state)`);
      await shoot(tabs[0], demo);
    });
  }
  await step("the status page follows", async () => {
    await browser.open(tabs[0], server.url + "/demo");
    server.run("component", "state", "--page", "demo", "API", "outage");
    await until(browser, tabs[0], `/outage/i.test(document.querySelector("main").innerText)`);
    await shoot(tabs[0], "page");
  });
  await browser.end();
  await server.end();
  return failed;
}

let failed = 0;
for (const name of names.length ? names : Object.keys(engines)) failed += await visit(name);
process.exit(failed ? 1 : 0);
