// Which page is shown, and the one stream of changes that all of them hear.

import {getJson, h} from "./dom.js";
import {showJobs} from "./jobs.js";
import {showSong} from "./song.js";
import {showNew} from "./new.js";
import {showFolders} from "./folders.js";
import {showLibrary} from "./labels.js";
import {showSpending} from "./spending.js";

const pages = {jobs: showJobs, song: showSong, new: showNew, labels: showLibrary, folders: showFolders, spending: showSpending};
const titles = {jobs: "Jobs", song: "Song", new: "New", labels: "Labels", folders: "Folders", spending: "Spending"};
const main = document.getElementById("main");
const link = document.getElementById("link");
const changes = new EventTarget();
const kept = new Map(); // page -> what it was left as
let shown = null;
let stream = null;
let wasLost = false;

/** Show the page that the address names. One that was left is as it was: its rows, what was chosen, where it stood. */
function show() {
  if (shown) {
    const {activeElement} = document;
    shown.focus = shown.place.contains(activeElement) ? activeElement : null;
    shown.top = scrollY;
    shown.seen = document.elementFromPoint(innerWidth / 2, innerHeight / 2);
    shown.height = shown.seen?.getBoundingClientRect().top;
    shown.title = document.title;
    shown.page.away?.();
  }
  const [word, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const name = pages[word] ? word : "jobs";
  const argument = decodeURIComponent(rest.join("/"));
  for (const one of document.querySelectorAll("nav a")) {
    const isHere = one.getAttribute("href") === `#/${name}`;
    if (isHere) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  shown = kept.get(name);
  if (shown?.argument !== argument) {
    shown?.page.close?.();
    shown = {argument, place: h("div"), top: 0, title: `${titles[name]} · stembridge`};
    kept.set(name, shown);
    shown.page = pages[name](shown.place, {changes, argument});
  }
  main.replaceChildren(shown.place);
  main.ariaLabel = titles[name]; // it takes the focus
  document.title = shown.title;
  shown.page.back?.();
  scrollTo(0, shown.top);
  // Rows out of sight may have another height than they had: what was in the middle is there again.
  if (shown.place.contains(shown.seen)) scrollBy(0, shown.seen.getBoundingClientRect().top - shown.height);
}

/** A browser has six connections for us: a page that nobody sees gives its own back. */
function listen() {
  if (document.hidden) {
    stream?.close();
    stream = null;
    return;
  }
  if (stream) return;
  stream = new EventSource("api/events");
  stream.onopen = () => {
    link.textContent = "";
    // What happened meanwhile was told to nobody.
    if (wasLost) changes.dispatchEvent(new CustomEvent("anew"));
    wasLost = false;
  };
  stream.onerror = () => {
    wasLost = true;
    link.textContent = "not connected";
    if (stream.readyState === EventSource.CLOSED) refused();
  };
  stream.onmessage = (event) => {
    const told = JSON.parse(event.data);
    if (told.trouble) link.textContent = told.trouble;
    else changes.dispatchEvent(new CustomEvent(told.anew ? "anew" : "change", {detail: told}));
  };
}

/** A server that was started again knows nobody: it says what to do, until that was done in whatever tab. */
async function refused() {
  stream = null;
  let next = listen;
  try {
    await getJson("api/jobs?limit=1");
  } catch (error) {
    link.textContent = error.message;
    next = refused;
  }
  setTimeout(() => !stream && !document.hidden && next(), 2000);
}

function seenAgain() {
  const wasAway = !stream;
  listen();
  if (wasAway && stream) changes.dispatchEvent(new CustomEvent("anew"));
}

document.addEventListener("visibilitychange", seenAgain);
addEventListener("hashchange", () => {
  show();
  (shown.focus?.isConnected ? shown.focus : main).focus({preventScroll: true});
});
// A file that misses the place for it must not replace the page.
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
addEventListener("drop", (event) => {
  if (!event.dataTransfer.files.length || location.hash.startsWith("#/new")) return;
  window.droppedFiles = [...event.dataTransfer.files];
  location.hash = "#/new";
});
history.scrollRestoration = "manual"; // each page knows its own place
show();
listen();
