// The live page: a new document is fetched when the server tells of one; the reader's place stays.

let isConnected = true;
let shownTag = null;
let shownAt = Date.now();
let isFetching = false;
let isBehind = false;

const RETRY_MS = 3000;

function startLive() {
  listen();
  setInterval(showAge, 1000);
}

/** The browser tries again by itself, but not after an answer that says no. */
function listen() {
  const events = new EventSource("events");
  events.addEventListener("open", () => connected(true));
  events.addEventListener("error", () => {
    connected(false);
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
  });
  events.addEventListener("document", (event) => {
    connected(true);
    if (event.data !== shownTag) fetchDocument(event.data);
  });
}

function connected(isNow) {
  isConnected = isNow;
  showAge();
}

async function fetchDocument(tag) {
  if (isFetching) {
    isBehind = true;
    return;
  }
  isFetching = true;
  try {
    const answer = await fetch("document.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    showFigures(await answer.json());
    shownTag = tag;
    shownAt = Date.now();
    showView();
    document.documentElement.dataset.updates = String(Number(document.documentElement.dataset.updates ?? 0) + 1);
    if (figures.as_of) say(`New figures, as of ${dayName(figures.as_of)}.`);
  } catch {
    connected(false);
  }
  isFetching = false;
  if (isBehind) {
    isBehind = false;
    fetchDocument(null);
  }
}

function liveWords() {
  if (!isConnected) return "connection lost, trying again";
  const seconds = Math.floor((Date.now() - shownAt) / 1000);
  return seconds < 2 ? "live" : `live, moved ${duration(seconds)} ago`;
}

function showAge() {
  const mark = byId("live");
  if (!mark) return;
  mark.textContent = liveWords();
  mark.className = isConnected ? "live" : "live lost";
}
