// Brings the page up to date every five seconds, while it is looked at and nothing in it is being used.
"use strict";
setInterval(async () => {
  const main = document.querySelector("main");
  const chosen = String(document.getSelection());
  if (document.hidden || chosen || main.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href, { redirect: "manual" });
    if (answer.type === "opaqueredirect") return location.reload();
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    main.replaceChildren(...fresh.querySelector("main").childNodes);
    document.title = fresh.title;
  } catch {
    const head = main.querySelector("h1");
    if (head) head.textContent = "synccore does not answer";
  }
}, 5000);
