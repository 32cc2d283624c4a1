// The list of all jobs: a page of rows at a time, more when its end comes into view, changes patched row by row.

import {ago, busy, getJson, h, plural, postJson, toast} from "./dom.js";

const PAGE = 100;
const MOST = 200; // rows that are asked for at once
const ACTIVE = ["queued", "submitting", "running", "fetching", "publishing"];
const HOSTS = {cli: "command line", reaper: "REAPER", hot_folder: "hot folder", ui: "this page"};
const FILTERS = {
  all: null,
  active: ACTIVE,
  done: ["done"],
  failed: ["failed", "unconfirmed"],
  cancelled: ["cancelled"],
};

export function showJobs(main, {changes}) {
  const rows = new Map();
  let filter = "all";
  let isWhole = false;
  let loading = null;
  let generation = 0;
  let heardSince = new Map(); // jobs that changed since a page of rows was asked for, which tells of them as they were

  const chips = h("div", {class: "chips", role: "group", "aria-label": "Which jobs"});
  const buttons = Object.fromEntries(Object.keys(FILTERS).map((name) => {
    const count = h("span", {class: "count"});
    const button = h("button", {class: "chip", onclick: () => choose(name)}, name, " ", count);
    chips.append(button);
    return [name, {button, count}];
  }));
  const list = h("ul", {class: "jobs", "aria-label": "Jobs, newest first"});
  const empty = h("p", {class: "empty", hidden: true}, "No job yet. ", h("a", {href: "#/new"}, "Separate a song"), ".");
  const end = h("div", {class: "end", role: "status"});
  main.append(h("h1", {}, "Jobs"), chips, list, empty, end);

  async function loadMore() {
    if (loading || isWhole) return;
    const mine = generation;
    loading = fetchPage(mine, list.lastElementChild?.dataset.id ?? "");
    try {
      await loading;
    } catch (error) {
      toast(error.message, "bad");
    } finally {
      if (mine === generation) loading = null;
    }
  }

  /** Take in the rows that follow a job; those that are shown already are patched. */
  async function fetchPage(mine, last, limit = PAGE) {
    const newer = heardSince = new Map();
    const states = FILTERS[filter] ? FILTERS[filter].join(",") : "";
    const found = await getJson(`api/jobs?limit=${limit}&before=${last}&state=${states}`);
    if (mine !== generation) return [];
    // What is shown of that stretch and is no longer there was pruned, or is in another state now.
    const ids = new Set(found.rows.map((row) => row.id));
    const end = found.rows.length < limit ? "" : found.rows.at(-1).id;
    for (const id of rows.keys()) {
      if ((!last || id < last) && id >= end && !ids.has(id) && !newer.has(id)) drop(id);
    }
    isWhole = !end;
    for (const row of found.rows.filter(({id}) => !newer.has(id))) put(row);
    for (const row of newer.values()) if (row && row.id >= end) put(row);
    count(found.counts);
    observe();
    return found.rows;
  }

  /** Show a job as it is now, where it belongs. */
  function put(row) {
    if (FILTERS[filter] && !FILTERS[filter].includes(row.state)) drop(row.id);
    else if (rows.has(row.id)) rows.get(row.id).update(row);
    else add(row, following(row.id));
  }

  function following(id) {
    let next = list.lastElementChild;
    if (!next || next.dataset.id > id) return null;
    // Most are new, and stand at the beginning.
    for (next = list.firstElementChild; next.dataset.id > id;) next = next.nextElementSibling;
    return next;
  }

  function add(row, next) {
    const one = new Row(row);
    rows.set(row.id, one);
    list.insertBefore(one.element, next);
  }

  function drop(id) {
    rows.get(id)?.element.remove();
    rows.delete(id);
  }

  function choose(name) {
    filter = name;
    for (const [other, {button}] of Object.entries(buttons)) button.setAttribute("aria-pressed", other === name);
    generation += 1;
    loading = null;
    isWhole = false;
    rows.clear();
    list.replaceChildren();
    loadMore();
  }

  /** Changes may have been missed: all that is shown is looked at once more, and stays where it is. */
  function anew() {
    const mine = ++generation;
    const oldest = list.lastElementChild?.dataset.id ?? "";
    loading = (async () => {
      let last = "";
      do {
        const left = [...rows.keys()].filter((id) => !last || id < last).length;
        const found = await fetchPage(mine, last, Math.min(MOST, left || PAGE));
        last = found.at(-1)?.id ?? "";
      } while (last && oldest && last > oldest && !isWhole);
    })();
    loading.catch((error) => toast(error.message, "bad")).finally(() => {
      if (mine === generation) loading = null;
    });
  }

  function count(counts) {
    const sum = (states) => states.reduce((total, state) => total + (counts[state] ?? 0), 0);
    const all = sum(Object.keys(counts));
    for (const [name, {count: shown}] of Object.entries(buttons)) {
      const number = FILTERS[name] ? sum(FILTERS[name]) : all;
      shown.textContent = number.toLocaleString("en");
    }
    empty.hidden = all > 0;
    set(end, rows.size && rows.size < all && filter === "all" ? `${rows.size} of ${plural(all, "job")}` : "");
  }

  function heard({detail}) {
    const {rows: changed = [], gone = []} = detail;
    const oldest = isWhole ? "" : list.lastElementChild?.dataset.id;
    for (const row of [...changed].sort((a, b) => (a.id < b.id ? -1 : 1))) {
      heardSince.set(row.id, row);
      // One that is older than all that are shown comes with its own page.
      if (oldest !== undefined && row.id >= oldest) put(row);
    }
    for (const id of gone) {
      heardSince.set(id, null);
      drop(id);
    }
    if (detail.counts) count(detail.counts);
  }

  const sight = new IntersectionObserver((seen) => {
    if (seen.some((one) => one.isIntersecting)) loadMore();
  }, {rootMargin: "800px"});
  // It tells of a change alone: one that stayed in view after a page is looked at once more.
  function observe() {
    sight.unobserve(end);
    sight.observe(end);
  }

  changes.addEventListener("change", heard);
  changes.addEventListener("anew", anew);
  choose("all");
  const showTimes = () => rows.forEach((row) => row.showTime());
  setInterval(showTimes, 30_000);
  return {back: () => {
    showTimes();
    observe();
  }};
}

/** One job; what did not change of it is not touched. */
export class Row {
  constructor(row) {
    this.song = h("a", {class: "song", href: `#/song/${row.id}`});
    this.state = h("span", {class: "state"});
    this.what = h("span", {class: "what"});
    this.when = h("span", {class: "when"});
    this.bar = h("progress", {max: 1, hidden: true, "aria-label": "Progress"});
    this.told = h("span", {class: "told"});
    this.acts = h("span", {class: "acts"});
    this.element = h("li", {class: "job", "data-id": row.id},
      h("div", {class: "head"}, this.song, this.state),
      h("div", {class: "about"}, this.what, this.when),
      h("div", {class: "now"}, this.bar, this.told, this.acts));
    this.update(row);
  }

  update(row) {
    if (this.key === (this.key = JSON.stringify(row))) return;
    this.pace(row);
    this.row = row;
    set(this.song, row.song);
    this.song.title = `${row.folder}/${row.song}`;
    this.element.dataset.state = row.state;
    set(this.state, row.is_cancelling ? "cancelling" : row.state);
    set(this.what, row.what);
    this.showTime();
    this.bar.hidden = row.progress === null;
    if (row.progress !== null) this.bar.value = row.progress;
    const trouble = row.problem && row.state !== "done" ? row.problem : "";
    const isActive = ACTIVE.includes(row.state);
    const facts = isActive
      ? [row.progress === null ? "" : `${Math.round(row.progress * 100)} %`, row.place, row.note, this.left(row),
        trouble && `waits: ${trouble}`]
      : [trouble || row.result];
    set(this.told, facts.filter(Boolean).join(" · "));
    this.told.classList.toggle("bad", Boolean(trouble));
    this.act(row, isActive);
  }

  showTime() {
    const {host, preset, updated} = this.row;
    set(this.when, [HOSTS[host] ?? host, preset, ago(updated)].filter(Boolean).join(" · "));
  }

  /** Remember how fast it goes. */
  pace(row) {
    if (row.progress === null || row.progress === undefined) this.first = null;
    else if (!this.first || row.progress < this.first.progress) this.first = {progress: row.progress, at: Date.now()};
  }

  left(row) {
    if (!this.first || row.progress - this.first.progress < 0.05) return "";
    const each = (Date.now() - this.first.at) / 1000 / (row.progress - this.first.progress);
    const seconds = Math.round(each * (1 - row.progress));
    return seconds < 90 ? `about ${Math.max(1, seconds)} s left` : `about ${Math.round(seconds / 60)} min left`;
  }

  act(row, isActive) {
    const wanted = row.is_cancelling ? []
      : isActive ? [["cancel", "Cancel"]]
      : row.state === "done" ? (row.kind === "separation" ? [["play", "Play"]] : [["play", "Labels"]])
      : row.needs_word ? [["buy", "Buy again…"], ["retry", "Look again"]]
      : row.state === "unconfirmed" ? [["retry", "Look for it"], ["cancel", "Give up"]]
      : [["retry", "Retry"]];
    const key = wanted.join();
    if (this.wanted === key) return;
    this.wanted = key;
    const hadFocus = this.acts.contains(document.activeElement);
    this.acts.replaceChildren(...wanted.map(([act, word]) => act === "play"
      ? h("a", {class: "button", href: `#/song/${row.id}`, "aria-label": `${word}: ${row.song}`}, word)
      : h("button", {"data-act": act, "aria-label": `${word}: ${row.song}`, onclick: (event) => this.do(act, event)},
        word)));
    if (hadFocus) this.song.focus();
  }

  do(act, event) {
    if (act === "buy" && !confirm("It was paid for and is not to be had any more. Buy it again?")) return;
    const button = event.currentTarget;
    const hadFocus = document.activeElement === button;
    busy(button, async () => this.update(await postJson(`api/jobs/${this.row.id}/${act}`))).then(() => {
      if (hadFocus && document.activeElement === document.body) this.song.focus();
    });
  }
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
