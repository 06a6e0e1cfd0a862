// Brings what is marked `data-live` up to date every five seconds, while it is looked at and not in use.
"use strict";
const inUse = (part) => {
  const chosen = document.getSelection();
  return part.contains(document.activeElement) || (String(chosen) && part.contains(chosen.anchorNode));
};
setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { redirect: "manual", headers: { "X-Live": "1" } });
    if (answer.type === "opaqueredirect") return location.reload();
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (next && !inUse(part)) part.replaceChildren(...next.childNodes);
    }
    document.title = fresh.title;
  } catch {
    const head = document.querySelector("h1");
    if (head) head.textContent = "synccore does not answer";
  }
}, 5000);
