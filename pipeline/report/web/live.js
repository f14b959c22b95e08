// The live page: a new document is fetched when the server tells of one; the reader's place stays.

let isConnected = true;
let fetchedTag = null;
let waiting = null; // a document that is not shown yet
let waitsFor = [];
let shownAt = Date.now();
let isFetching = false;
let isBehind = false;

const RETRY_MS = 3000;

function startLive() {
  listen();
  watchHands();
  const look = () => waiting && !waitsFor.some(isInUse) && showWaiting(false);
  document.addEventListener("selectionchange", look);
  setInterval(() => {
    showAge();
    look();
  }, 1000);
  byId("news").addEventListener("click", () => {
    showWaiting(true);
    byId("main").focus({ preventScroll: true });
  });
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
    if (event.data !== fetchedTag) fetchDocument(event.data);
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
    waiting = await answer.json();
    fetchedTag = tag;
    showWaiting(false);
  } catch {
    connected(false);
  }
  isFetching = false;
  if (isBehind) {
    isBehind = false;
    fetchDocument(null);
  }
}

/** Shows what has come. Not wanted at once, it waits until the reader has let go of what it would rebuild. */
function showWaiting(isWanted) {
  const news = byId("news");
  waitsFor = showNews(waiting, isWanted);
  if (waitsFor.length) {
    if (news.hidden) say("New figures are here. They wait while text is selected.");
    news.hidden = false;
    return;
  }
  shownWaiting();
}

function shownWaiting() {
  waiting = null;
  byId("news").hidden = true;
  shownAt = Date.now();
  document.documentElement.dataset.updates = String(Number(document.documentElement.dataset.updates ?? 0) + 1);
  if (figures.as_of) say(`New figures, as of ${dayName(figures.as_of)}.`);
}

/** Before what the reader chooses is shown: it is shown of the newest figures. */
function takeWaiting() {
  if (!waiting) return;
  showFigures(waiting);
  shownWaiting();
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
