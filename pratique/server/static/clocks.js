// Clocks that go on after the page was made: how long ago, how long left.
//
// Rules:
// - The server's time counts: the page says what it was when it was made.
// - When the time to answer is over, the page says so and offers no answer. The server would refuse it anyway.

const made = Number(document.body.dataset.now) / 1000;
const offset = made - Date.now();
const now = () => Date.now() + offset;

function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (seconds < 60) return `${seconds} s`;
  if (minutes < 5) return `${minutes} min ${seconds % 60} s`;
  if (hours < 1) return `${minutes} min`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tick() {
  for (const clock of document.querySelectorAll("[data-until]")) {
    const until = Number(clock.dataset.until) / 1000;
    const since = Number(clock.dataset.since) / 1000;
    const left = until - now();
    say(clock, left > 0 ? `${span(left)} left` : clock.dataset.over);
    clock.classList.toggle("over", left <= 0);
    clock.classList.toggle("soon", left > 0 && left * 2 < until - since);
    if (left <= 0) over(clock);
  }
  for (const clock of document.querySelectorAll("[data-ago]")) {
    say(clock, `${span(now() - Number(clock.dataset.ago) / 1000)} ago`);
  }
}

// The question's time is over while somebody looks at it.
function over(clock) {
  const answer = clock.closest("[data-answer]");
  if (!answer || answer.dataset.over) return;
  answer.dataset.over = "yes";
  const note = document.createElement("p");
  note.className = "note warn";
  note.id = "expired";
  note.setAttribute("role", "alert");
  note.textContent = "Its time is over. Nobody can answer it any more, and the call does not run.";
  answer.querySelector("h2").after(note);
  for (const form of answer.querySelectorAll("form")) {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
  }
}

tick();
setInterval(tick, 1000);
