// The page of one job: what came of it, its lanes to play, its labels.

import {getJson, h, toast} from "./dom.js";
import {Row} from "./jobs.js";
import {showLabels} from "./labels.js";
import {Player} from "./player.js";

export function showSong(main, {changes, argument: id}) {
  let player = null;
  let row = null;
  let isOver = false;
  let turn = 0;
  let told = null; // of the job, since it was asked for
  const place = h("div", {});
  const title = h("h1", {class: "away"}, "Song");
  const head = h("ul", {class: "jobs one"});
  main.append(title, head, place);

  async function load() {
    // A job that is done while its page is made is loaded once more: the later one counts.
    const mine = ++turn;
    told = null;
    try {
      const job = await getJson(`api/jobs/${encodeURIComponent(id)}`);
      if (isOver || mine !== turn) return;
      document.title = `${job.song} · stembridge`;
      title.textContent = job.song;
      row = new Row(job);
      head.replaceChildren(row.element);
      if (told) take(told);
      place.replaceChildren(...job.notes.map((note) => h("p", {class: "hint"}, note)));
      if (job.labels.length) showLabels(place, job);
      const lanes = await getJson(`api/jobs/${encodeURIComponent(id)}/lanes`);
      if (isOver || mine !== turn) return;
      const before = player?.snapshot();
      player?.close();
      player = new Player(place, job, lanes, load);
      if (before) await player.restore(before);
    } catch (error) {
      place.replaceChildren(h("p", {class: "empty"}, error.message));
    }
  }

  function heard({detail}) {
    const found = (detail.rows ?? []).find((one) => one.id === id);
    if (!found) return;
    told = found;
    if (row) take(found);
  }

  function take(found) {
    const wasDone = row.row.state === "done";
    row.update(found);
    if (found.state === "done" && !wasDone) load();
  }

  /** What happened while nobody listened. */
  async function anew() {
    try {
      heard({detail: {rows: [await getJson(`api/jobs/${encodeURIComponent(id)}`)]}});
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  changes.addEventListener("change", heard);
  changes.addEventListener("anew", anew);
  load();
  return {
    away: () => player?.away(),
    back: () => {
      row?.showTime();
      player?.back();
    },
    close: () => {
      isOver = true;
      player?.close();
      changes.removeEventListener("change", heard);
      changes.removeEventListener("anew", anew);
    },
  };
}
