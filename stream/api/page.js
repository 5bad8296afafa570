// Shows the status page anew when the widget on it learns of a change. The
// page itself needs no script: without this one, it is true when it is loaded.
(() => {
  let timer = 0;
  const refresh = async () => {
    timer = 0;
    try {
      const answer = await fetch(location.href);
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const [now, then] = [document, fresh].map((d) => d.querySelector("main"));
      if (then && now.textContent !== then.textContent) {
        now.replaceWith(document.adoptNode(then));
        document.title = fresh.title;
      }
    } catch {
      // The widget says that the connection is gone; it will hear of the next change.
    }
  };
  // Everybody who looks hears of a change in the same instant, but need not
  // ask in the same instant.
  const soon = () => {
    timer ||= setTimeout(refresh, 100 + Math.random() * 900);
  };
  for (const name of ["state", "issue", "connection"]) {
    document.addEventListener("status-widget:" + name, soon);
  }
})();
