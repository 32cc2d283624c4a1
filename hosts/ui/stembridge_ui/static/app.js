// Which page is shown, and the one stream of changes that all of them hear.

import {getJson} from "./dom.js";
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
let leave = () => {};
let stream = null;
let wasLost = false;

function show() {
  leave();
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const page = pages[name] ? name : "jobs";
  document.title = `${titles[page]} · stembridge`;
  for (const one of document.querySelectorAll("nav a")) {
    const isHere = one.getAttribute("href") === `#/${page}`;
    if (isHere) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  main.replaceChildren();
  leave = pages[page](main, {changes, argument: decodeURIComponent(rest.join("/"))}) || (() => {});
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

function shownAgain() {
  const wasAway = !stream;
  listen();
  if (wasAway && stream) changes.dispatchEvent(new CustomEvent("anew"));
}

document.addEventListener("visibilitychange", shownAgain);
addEventListener("hashchange", () => {
  show();
  main.focus({preventScroll: true});
});
// A file that misses the place for it must not replace the page.
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
addEventListener("drop", (event) => {
  if (!event.dataTransfer.files.length || location.hash.startsWith("#/new")) return;
  window.droppedFiles = [...event.dataTransfer.files];
  location.hash = "#/new";
});
show();
listen();
