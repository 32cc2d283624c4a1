// Labels: of a song as bars of probability; of a library, or a folder of it, as charts that choose songs.

import {busy, getJson, h, plural, postJson, toast} from "./dom.js";

const SHOWN = 50; // songs
const VALUES = 8; // of a dimension, until all are asked for
const MAP = ["mood", "genre"];

/** What was found about one song, and whether it stands in its tags. */
export function showLabels(main, job) {
  const place = h("section", {class: "labels", "aria-label": "Labels"});
  const undo = act("Take out of the tags", async () => {
    await takeOut(job.id);
    show(await getJson(`api/jobs/${job.id}`));
  });
  const again = act("Write again", async () => {
    const [row] = await writeAgain(job.id);
    if (row) location.hash = `#/song/${row.id}`;
  });
  main.append(place);
  show(job);

  function show({labels}) {
    const isWritten = labels.some((one) => one.is_written);
    place.replaceChildren(...[...groupBy(labels, (one) => one.dimension)].map(([dimension, found]) =>
      h("div", {class: "dimension"},
        h("h2", {}, dimension),
        h("ul", {}, found.map((one) => h("li", {class: one.is_written ? "written" : ""},
          h("span", {class: "name"}, one.value),
          h("meter", {min: 0, max: 1, value: one.probability ?? 0, "aria-label": `${one.value}: probability`}),
          h("span", {class: "share"}, percent(one.probability),
            one.is_written ? h("span", {title: "stands in the song's tags"}, " ✓") : "")))))),
    h("p", {class: "row"}, h("span", {class: "hint"}, isWritten
      ? "✓ stands in the song's tags." : "Nothing of this stands in the song's tags."), isWritten && undo, again));
  }
}

const percent = (probability) => (probability === null ? "" : `${Math.round(probability * 100)} %`);
const act = (word, work, props = {}) => h("button", {...props, onclick: (event) => busy(event.currentTarget, work)}, word);

function groupBy(rows, key) {
  const found = new Map();
  for (const row of rows) found.set(key(row), [...(found.get(key(row)) ?? []), row]);
  return found;
}

async function takeOut(id) {
  toast((await postJson(`api/jobs/${id}/undo`)).told, "good");
}

/** Have a job done once more; what it costs, if anything, is asked first. */
async function writeAgain(id) {
  const offer = await postJson(`api/jobs/${id}/again`);
  if (!offer.count) throw new Error(offer.refused.join("; ") || "nothing is to be done");
  if (offer.is_paid && !confirm(`${offer.price}. Go on?`)) return [];
  const begun = await postJson(`api/offers/${encodeURIComponent(offer.id)}`);
  for (const text of begun.refused) toast(text, "bad");
  return begun.rows;
}

/** The labels of all songs, as charts. */
export function showLibrary(main) {
  const chosen = new Map(); // dimension -> value
  const whole = new Set(); // dimensions of which all values are shown
  let songs = [];
  let shown = SHOWN;
  let shownOf = "";

  const folder = h("input", {
    type: "text", name: "folder", placeholder: "all folders", autocomplete: "off", spellcheck: false,
    "aria-label": "Folder on this machine, with all below it", list: "folders",
  });
  const folders = h("datalist", {id: "folders"});
  const look = h("button", {}, "Show");
  const place = h("div", {}, h("p", {class: "empty"}, "Looking…"));
  main.append(h("h1", {}, "Labels"), h("form", {class: "row", onsubmit: (event) => {
    event.preventDefault();
    load();
  }}, folder, folders, look), place);

  const load = () => busy(look, async () => {
    const found = await getJson(`api/labels?folder=${encodeURIComponent(folder.value)}`);
    songs = found.songs;
    // Of another folder something else is chosen.
    if (shownOf !== (shownOf = folder.value)) chosen.clear();
    if (!folders.childElementCount) {
      folders.append(...[...new Set(songs.map((one) => one.folder))].sort().map((one) => h("option", {value: one})));
    }
    show();
    if (!found.is_whole) toast("only the newest jobs were looked through", "bad");
  });

  /** The songs that have what is chosen, but for one dimension. */
  const choose = (other) => songs.filter(({labels}) =>
    [...chosen].every(([dimension, value]) => dimension === other || labels[dimension]?.[0] === value));

  function flip(...pairs) {
    const isOn = pairs.every(([dimension, value]) => chosen.get(dimension) === value);
    for (const [dimension, value] of pairs) {
      if (isOn) chosen.delete(dimension);
      else chosen.set(dimension, value);
    }
    shown = SHOWN;
    show();
  }

  function show() {
    const focus = document.activeElement?.dataset?.key;
    const dimensions = [...new Set(songs.flatMap(({labels}) => Object.keys(labels)))];
    const order = [...MAP, ...dimensions.filter((one) => !MAP.includes(one)).sort()].filter((one) => dimensions.includes(one));
    place.replaceChildren(...(songs.length ? [
      h("div", {class: "charts"}, order.map(showDimension)),
      ...(MAP.every((one) => dimensions.includes(one)) ? [showMap()] : []),
      showSongs(choose(null)),
    ] : [h("p", {class: "empty"}, "No song here was labelled yet. ", h("a", {href: "#/new"}, "Label some"), ".")]));
    place.querySelector(`[data-key="${CSS.escape(focus ?? "")}"]`)?.focus();
  }

  function count(rows, dimension) {
    const found = groupBy(rows.filter((one) => one.labels[dimension]), (one) => one.labels[dimension][0]);
    return [...found].map(([value, its]) => [value, its.length]).sort((one, other) => other[1] - one[1] || (one[0] < other[0] ? -1 : 1));
  }

  function showDimension(dimension) {
    const counted = count(choose(dimension), dimension);
    const most = Math.max(1, ...counted.map(([, number]) => number));
    const rest = whole.has(dimension) ? 0 : counted.length - VALUES;
    return h("section", {class: "dimension", "aria-label": dimension}, h("h2", {}, dimension),
      counted.slice(0, rest > 0 ? VALUES : undefined).map(([value, number]) => h("button", {
        class: "bar", "data-key": `${dimension}/${value}`, "aria-pressed": String(chosen.get(dimension) === value),
        "aria-label": `${value}: ${plural(number, "song")}`, onclick: () => flip([dimension, value]),
      }, h("span", {class: "name"}, value), h("meter", {min: 0, max: most, value: number, "aria-hidden": "true"}),
        h("span", {class: "share"}, number.toLocaleString("en")))),
      rest > 0 && h("button", {class: "mini more", onclick: () => {
        whole.add(dimension);
        show();
      }}, `${rest} more`));
  }

  function showMap() {
    const rows = choose(null);
    const [moods, genres] = MAP.map((one) => count(rows, one).map(([value]) => value));
    const cells = groupBy(rows, ({labels}) => MAP.map((one) => labels[one]?.[0]).join("\n"));
    const most = Math.max(1, ...[...cells.values()].map((its) => its.length));
    return h("figure", {class: "map"}, h("table", {},
      h("caption", {class: "hint"}, "Moods by genre: how many songs"),
      h("thead", {}, h("tr", {}, h("td", {}), genres.map((genre) => h("th", {scope: "col"}, genre)))),
      h("tbody", {}, moods.map((mood) => h("tr", {}, h("th", {scope: "row"}, mood), genres.map((genre) => {
        const number = cells.get(`${mood}\n${genre}`)?.length ?? 0;
        if (!number) return h("td", {});
        const cell = h("button", {
          class: "cell", "data-key": `${mood}/${genre}`, "aria-label": `${mood}, ${genre}: ${plural(number, "song")}`,
          "aria-pressed": String(chosen.get(MAP[0]) === mood && chosen.get(MAP[1]) === genre),
          onclick: () => flip([MAP[0], mood], [MAP[1], genre]),
        }, number.toLocaleString("en"));
        cell.style.setProperty("--share", `${Math.round(8 + 37 * number / most)}%`);
        return h("td", {}, cell);
      }))))));
  }

  function showSongs(rows) {
    const listed = rows.slice(0, shown).map((one) => {
      const acts = h("span", {class: "acts"});
      return {one, acts, element: h("li", {class: "job", "data-id": one.id},
        h("div", {class: "head"}, h("a", {class: "song", href: `#/song/${one.id}`, title: one.folder}, one.song)),
        h("div", {class: "now"}, h("span", {class: "told"}, Object.entries(one.labels)
          .map(([dimension, [value, probability]]) => `${dimension} ${value} ${percent(probability)}`.trim()).join(" · ")),
          acts))};
    });
    const offer = async () => {
      const written = await postJson("api/labels/written", {ids: listed.map(({one}) => one.id)});
      for (const {one, acts} of listed) showAct(one, written[one.id], acts);
    };
    if (listed.length) offer().catch((error) => toast(error.message, "bad"));
    const words = [...chosen].map(([dimension, value]) =>
      h("button", {class: "chip", "data-key": `chosen/${dimension}`, "aria-label": `No longer only ${value}`, onclick: () => flip([dimension, value])}, `${value} ×`));
    return h("section", {"aria-label": "Songs"},
      h("p", {class: "chips", role: "status"}, h("strong", {}, plural(rows.length, "song")), words),
      h("ul", {class: "jobs"}, listed.map(({element}) => element)),
      rows.length > shown && h("button", {class: "more", onclick: () => {
        shown += SHOWN;
        show();
      }}, `${plural(rows.length - shown, "song")} more`));
  }

  function showAct(one, isWritten, acts) {
    const label = {"aria-label": `${isWritten ? "Take out of the tags" : "Write"}: ${one.song}`};
    acts.replaceChildren(isWritten
      ? act("Take out of the tags", async () => {
        await takeOut(one.id);
        showAct(one, false, acts);
        acts.firstElementChild.focus();
      }, label)
      : act("Write", async () => {
        if ((await writeAgain(one.id)).length) toast("begun", "good");
      }, label));
  }

  return {back: load};
}
