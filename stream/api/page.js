// Shows the status page anew when the widget on it knows of something newer.
// The page needs no script to be true when it is loaded; with this one it
// stays true.
(() => {
  let asked = false;

  // What a page shows, in brief; the server writes the same into data-shows.
  const brief = ({ components, issues }) =>
    [
      ...components.map((c) => [c.id, c.name, c.state ?? ""]),
      ...issues.map((i) => [i.id, i.title, i.label, i.standing, i.progress ?? "", i.updates.length]),
    ]
      .map((facts) => facts.join("\t"))
      .join("\n");

  const refresh = async () => {
    try {
      const answer = await fetch(location.href);
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = fresh.querySelector("main");
      if (main) {
        document.querySelector("main").replaceWith(document.adoptNode(main));
        document.title = fresh.title;
      }
    } catch {
      // The connection is gone; the widget says so.
    } finally {
      asked = false;
    }
  };

  let failed; // what the page would not show, though it was asked for anew
  const look = () => {
    const snapshot = document.querySelector("status-widget")?.snapshot;
    if (asked || !snapshot) return;
    const now = brief(snapshot);
    if (now === document.querySelector("main").dataset.shows || now === failed) return;
    failed = now;
    asked = true;
    // Everybody who looks hears of a change in the same instant, but need not
    // ask in the same instant.
    setTimeout(refresh, Math.random() * 1000);
  };
  setInterval(look, 500);
})();
