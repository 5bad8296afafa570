// Writes down what the widget tells the page.
for (const name of ["state", "issue", "event", "connection"]) {
  addEventListener("status-widget:" + name, (event) => {
    const item = document.createElement("li");
    const code = document.createElement("code");
    code.textContent = `${event.type} ${JSON.stringify(event.detail)}`;
    item.append(code);
    document.getElementById("log").append(item);
  });
}
