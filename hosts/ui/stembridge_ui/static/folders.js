// The hot folders: whether each is watched, how many songs are where, and those that something is left to do for.

import {busy, getJson, h, plural, postJson, toast} from "./dom.js";

export function showFolders(main) {
  const list = h("div", {"aria-live": "polite"}, h("p", {class: "empty"}, "Looking…"));
  const again = h("button", {class: "chip", onclick: () => load()}, "Look again");
  main.append(h("div", {class: "headline"}, h("h1", {}, "Hot folders"), again), list);

  const load = () => busy(again, async () => {
    const folders = await getJson("api/folders");
    list.replaceChildren(...(folders.length ? folders.map(showFolder) : [h("p", {class: "empty"},
      "No folder was watched yet. Start with: ", h("code", {}, "stembridge watch DIR"))]));
  });

  function showFolder(folder) {
    const counts = Object.entries(folder.counts).filter(([, count]) => count);
    return h("section", {class: "folder"},
      h("h2", {}, folder.path, " ",
        h("span", {class: `badge ${folder.is_watched ? "on" : ""}`}, folder.is_watched ? "watched" : "not watched now"),
        " ", folder.is_paused && h("span", {class: "badge"}, "paused"), " ",
        h("button", {
          class: "mini", "aria-label": `${folder.is_paused ? "Go on" : "Pause"}: ${folder.path}`,
          title: "what is at work goes on; nothing new is begun while it is paused",
          onclick: (event) => busy(event.currentTarget, async () => {
            await postJson("api/folders/pause", {path: folder.path, is_paused: !folder.is_paused});
            load();
          }),
        }, folder.is_paused ? "Go on" : "Pause")),
      h("p", {class: "chips"}, counts.length
        ? counts.map(([state, count]) => h("span", {class: "badge"}, `${count.toLocaleString("en")} ${state}`))
        : "no song yet"),
      h("ul", {class: "jobs"}, folder.songs.map((song) => h("li", {class: "job", "data-state": song.state},
        h("div", {class: "head"}, h("span", {class: "song", title: song.source}, song.source.split("/").at(-1)),
          h("span", {class: "state"}, song.state)),
        h("div", {class: "now"},
          h("span", {class: "told"}, song.reason || (song.behind ? `behind ${plural(song.behind, "song")}` : "")),
          h("span", {class: "acts"}, ["failed", "unconfirmed"].includes(song.state) && h("button", {
            "aria-label": `Retry: ${song.source}`,
            onclick: (event) => busy(event.currentTarget, async () => {
              await postJson("api/folders/retry", {source: song.source});
              toast("to be done again, by the watch that runs or the next one", "good");
              load();
            }),
          }, "Retry")))))));
  }

  return {back: load};
}
