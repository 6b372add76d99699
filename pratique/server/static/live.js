// The queue follows what happens, without moving what somebody reads.
//
// Rules:
// - An event says only that something changed. What changed is asked for as a page, as this person may see it.
// - What another approver took disappears; the one that is being read stays, and says that it was taken.
// - A new question is put at the end, whatever its rank: nothing above it moves. The bar offers to sort anew.
// - Without this script the page is complete, and reloading shows the same.

const body = document.body;
const PATIENCE = 400;
let waiting = 0;
let asked = null;

async function page(address) {
  const response = await fetch(address, { headers: { Accept: "text/html" }, redirect: "error" });
  if (!response.ok) return null;
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

function news(text, sort) {
  const bar = document.querySelector("#news");
  if (!bar) return;
  bar.replaceChildren(text);
  if (sort) {
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = "Sort anew";
    bar.append(" ", link);
  }
  bar.classList.toggle("hidden", !text);
}

// Keep what is being read where it is, while something above it goes.
function steadily(change) {
  const list = document.querySelector("#list");
  const rows = [...list.querySelectorAll(":scope > .item")];
  const anchor =
    list.querySelector(":scope > .item.current") ?? rows.find((row) => row.getBoundingClientRect().bottom > 0);
  const before = anchor?.getBoundingClientRect().top;
  change(list, rows);
  if (anchor?.isConnected) window.scrollBy(0, anchor.getBoundingClientRect().top - before);
}

function taken(row) {
  row.classList.add("gone");
  const said = document.createElement("span");
  said.className = "chip state-expired";
  said.textContent = "no longer waits";
  row.querySelector(".what").append(said);
  row.querySelector("input")?.remove();
  row.addEventListener("focusout", () => setTimeout(() => row.matches(":focus-within") || row.remove(), 0));
}

async function refreshQueue() {
  const fresh = await page(location.href);
  const list = fresh?.querySelector("#list");
  if (!list) return;
  const there = new Set([...list.querySelectorAll(":scope > .item")].map((row) => row.dataset.ticket));
  const known = new Set([...document.querySelectorAll("#list > .item")].map((row) => row.dataset.ticket));
  let added = 0;
  let left = 0;
  steadily((mine, rows) => {
    for (const row of rows) {
      if (there.has(row.dataset.ticket) || row.classList.contains("gone")) continue;
      left += 1;
      if (row.matches(":focus-within")) taken(row);
      else row.remove();
    }
    for (const row of list.querySelectorAll(":scope > .item")) {
      if (known.has(row.dataset.ticket)) continue;
      mine.querySelector(":scope > .empty")?.remove();
      mine.append(document.adoptNode(row));
      added += 1;
    }
  });
  for (const selector of ["#found", "[data-waiting]"]) {
    const [old, made] = [document.querySelector(selector), fresh.querySelector(selector)];
    if (old && made) old.replaceChildren(...made.childNodes);
  }
  if (added) news(`${added} new, at the end of the list.`, true);
  else if (left) news(`${left} no longer ${left === 1 ? "waits" : "wait"}.`, false);
}

// Somebody is typing: tell them, and take nothing away.
function elsewhere(aside) {
  aside.querySelector("#elsewhere")?.remove();
  const note = document.createElement("p");
  note.id = "elsewhere";
  note.className = "note warn";
  note.setAttribute("role", "alert");
  const link = document.createElement("a");
  link.href = location.href;
  link.textContent = "Show it";
  note.append("Something was said or decided about this meanwhile. ", link);
  aside.prepend(note);
}

async function refreshCard() {
  const card = document.querySelector("#card");
  const mine = document.querySelector("#aside");
  const fresh = await page(location.href);
  const state = fresh?.querySelector("#card")?.dataset.state;
  const waits = fresh?.querySelector("[data-waiting]");
  if (waits) document.querySelector("[data-waiting]")?.replaceChildren(...waits.childNodes);
  if (!state || state === card.dataset.state) return;
  card.dataset.state = state;
  if (mine.querySelector("textarea:focus, input:not([type=hidden]):focus")) return elsewhere(mine);
  // The card itself stays: only the answer's side changes.
  mine.replaceChildren(...document.adoptNode(fresh.querySelector("#aside")).childNodes);
  mine.querySelector("#ended")?.setAttribute("role", "alert");
}

function changed() {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    if (asked) return changed();
    asked = (body.dataset.page === "queue" ? refreshQueue() : refreshCard()).catch(() => {});
    await asked;
    asked = null;
  }, PATIENCE);
}

if (body.dataset.events && "EventSource" in window) {
  const events = new EventSource(body.dataset.events);
  for (const what of ["proposed", "vote", "decided", "expired", "edited", "handed", "escalated", "remark"]) {
    events.addEventListener(`approval.${what}`, changed);
  }
  for (const what of ["intent", "outcome"]) events.addEventListener(`call.${what}`, changed);
  let lost = false;
  events.addEventListener("error", () => (lost = true));
  events.addEventListener("open", () => {
    if (lost) changed();
    lost = false;
  });
  window.addEventListener("pagehide", () => events.close());
}
