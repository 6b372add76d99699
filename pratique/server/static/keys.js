// The keys that people know: J/K move, A approve, R reject, E edit, X select, U back, / search, ? help.
//
// Rules:
// - A key does what a click on something visible does, and nothing else. `data-key` names it.
// - Keys are off while somebody types, and with Ctrl, Alt or Meta.
// - A answers only where the whole card is in front of the reader. From the queue it opens the card.
// - An irreversible call asks for its destination, and Enter in that field is what approves it.

const rows = () => [...document.querySelectorAll("#list > .item")];
const current = () => document.querySelector("#list > .item.current");

function choose(row) {
  if (!row) return;
  current()?.classList.remove("current");
  row.classList.add("current");
  row.querySelector(".tool").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const all = rows();
  const at = all.indexOf(current());
  choose(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))]);
}

function act(key) {
  const target = document.querySelector(`[data-key="${key}"]`);
  if (!target || target.disabled) return false;
  if (key === "a") return approve(target);
  if (target.tagName === "SUMMARY") {
    target.parentElement.open = true;
    const first = target.parentElement.querySelector("input:not([type=hidden]), textarea");
    (first ?? target).focus();
    return true;
  }
  target.click();
  return true;
}

function approve(button) {
  const confirm = button.form.querySelector("[data-confirm]");
  if (confirm && !confirm.value) {
    confirm.focus();
    return true;
  }
  button.form.requestSubmit(button);
  return true;
}

function onRow(key) {
  const row = current();
  if (!row) return false;
  if (key === "x") {
    row.querySelector("input[type=checkbox]")?.click();
    return true;
  }
  if ("are".includes(key)) {
    row.querySelector(".tool").click();
    return true;
  }
  return false;
}

function help() {
  const dialog = document.querySelector("#keys");
  if (dialog && !dialog.open) dialog.showModal();
}

const typing = (target) =>
  target.matches?.("textarea, select, input:not([type=checkbox]):not([type=radio]), [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat) return;
  if (document.querySelector("dialog[open]")) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const key = event.key.toLowerCase();
  let done = true;
  if (key === "j") move(1);
  else if (key === "k") move(-1);
  else if (key === "?") help();
  else if (key === "/") document.querySelector("input[type=search]")?.focus();
  else if ("areux".includes(key) && key.length === 1) done = act(key) || onRow(key);
  else done = false;
  if (done) event.preventDefault();
});

document.addEventListener("focusin", (event) => {
  const row = event.target.closest?.("#list > .item");
  if (row && row !== current()) {
    current()?.classList.remove("current");
    row.classList.add("current");
  }
});

// On a phone the pages' names are wider than the screen: show the one that is open.
document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// What can be answered together has one shape: the first selection says which.
document.addEventListener("change", (event) => {
  if (!event.target.matches?.("#list input[type=checkbox]")) return;
  const boxes = [...document.querySelectorAll("#list input[type=checkbox]")];
  const shape = boxes.find((box) => box.checked)?.dataset.shape;
  for (const box of boxes) box.disabled = shape !== undefined && box.dataset.shape !== shape;
});
