// Songs dropped, chosen or named by their path; what shall be done; what it takes and costs; the click that begins it.

import {busy, call, getJson, h, plural, postJson, toast} from "./dom.js";

export function showNew(main) {
  const paths = new Map(); // path -> what people read
  let models = [];

  const songs = h("ul", {class: "songs", "aria-label": "Songs"});
  const picker = h("input", {
    type: "file", multiple: true, accept: "audio/*,video/*", class: "hidden", id: "picker",
    onchange: () => upload([...picker.files]),
  });
  const path = h("input", {
    type: "text", name: "path", placeholder: "/home/you/Music/Song.flac", autocomplete: "off", spellcheck: false,
    "aria-label": "Path of a song or a folder on this machine",
  });
  const zone = h("div", {class: "zone"},
    h("p", {}, h("strong", {}, "Drop songs here"), ", or ",
      h("label", {class: "button", for: "picker", tabindex: 0, role: "button", onkeydown: (event) => {
        if (event.key === "Enter" || event.key === " ") picker.click();
      }}, "choose files"), picker),
    h("form", {class: "row", onsubmit: (event) => {
      event.preventDefault();
      if (path.value.trim()) add(path.value.trim(), path.value.trim());
      path.value = "";
    }}, path, h("button", {}, "Add this path")),
    h("p", {class: "hint", id: "where"}));
  const preset = h("select", {id: "preset", onchange: stale});
  const provider = h("select", {id: "provider", onchange: () => chooseProvider()});
  const model = h("select", {id: "model", onchange: () => showOptions()});
  const options = h("div", {class: "options"});
  const price = h("button", {class: "go", id: "price"}, "See what it takes");
  const offer = h("section", {class: "offer", "aria-live": "polite"});
  main.append(h("h1", {}, "New"), zone, songs,
    h("div", {class: "form"},
      field("What", preset), field("By", provider), field("Model", model), options,
      h("div", {}, price)),
    offer);
  price.addEventListener("click", () => busy(price, ask));

  zone.addEventListener("dragover", () => zone.classList.add("over"));
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  const dropped = (event) => {
    zone.classList.remove("over");
    upload([...event.dataTransfer.files]);
  };
  addEventListener("drop", (event) => main.isConnected && dropped(event));

  function field(name, input) {
    return h("label", {class: "field"}, h("span", {}, name), input);
  }

  function add(word, shown) {
    paths.set(word, shown);
    showSongs();
  }

  function showSongs() {
    stale();
    const copied = [...songs.children].filter((one) => one.querySelector("progress"));
    songs.replaceChildren(...[...paths].map(([one, text]) => h("li", {}, h("span", {class: "song"}, text),
      h("button", {class: "mini", "aria-label": `Leave out ${text}`, onclick: () => {
        paths.delete(one);
        showSongs();
      }}, "×"))), ...copied);
  }

  async function upload(files) {
    for (const file of files) {
      const bar = h("progress", {"aria-label": `Copying ${file.name}`});
      const shown = h("li", {}, h("span", {class: "song"}, file.name), bar);
      songs.append(shown);
      try {
        const taken = await (await call(`api/songs?name=${encodeURIComponent(file.name)}`, {method: "POST", body: file}))
          .json();
        shown.remove();
        add(taken.path, taken.shown);
      } catch (error) {
        shown.remove();
        toast(error.message.includes(file.name) ? error.message : `${file.name}: ${error.message}`, "bad");
      }
    }
  }

  function stale() {
    offer.replaceChildren();
  }

  async function chooseProvider() {
    stale();
    models = [];
    model.replaceChildren(h("option", {value: ""}, "the usual one"));
    options.replaceChildren();
    if (!provider.value) return;
    const asked = provider.value;
    try {
      const found = await getJson(`api/models/${encodeURIComponent(asked)}`);
      if (asked !== provider.value) return;
      models = found;
      model.append(...found.map((one) => h("option", {value: one.id}, describe(one))));
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  function describe(one) {
    const cost = one.price || (one.credits_per_minute ? `${one.credits_per_minute} credits/min` : "");
    const name = one.name === one.id ? one.name : `${one.name} (${one.id})`;
    return [name, one.stems.join(", "), cost].filter(Boolean).join(" · ");
  }

  function showOptions() {
    stale();
    const chosen = models.find((one) => one.id === model.value);
    options.replaceChildren(...(chosen?.options ?? []).map((one) => {
      const keys = Object.entries(one.choices);
      const input = keys.length
        ? h("select", {name: one.name, onchange: stale}, h("option", {value: ""}, one.default ? "usual" : "none"),
          keys.map(([key, text]) => h("option", {value: key}, text)))
        : h("input", {name: one.name, placeholder: one.default, oninput: stale});
      return field(one.title || one.name, input);
    }));
  }

  async function ask() {
    if (path.value.trim()) {
      add(path.value.trim(), path.value.trim());
      path.value = "";
    }
    if (songs.querySelector("progress")) throw new Error("a song is still being copied");
    if (!paths.size) throw new Error("drop a song first, or name one");
    const said = [...options.querySelectorAll("[name]")].filter((one) => one.value);
    const found = await postJson("api/offers", {
      paths: [...paths.keys()], preset: preset.value, provider: provider.value, model: model.value,
      options: Object.fromEntries(said.map((one) => [one.name, one.value])),
    });
    const begin = h("button", {class: `go ${found.is_paid ? "paid" : ""}`, id: "begin"},
      found.is_paid ? `Pay and begin` : "Begin");
    begin.addEventListener("click", () => busy(begin, () => go(found)));
    offer.replaceChildren(
      h("h2", {}, "What it takes"),
      h("pre", {}, found.lines.join("\n")),
      ...found.refused.map((text) => h("p", {class: "bad"}, text)),
      h("p", {class: "price"}, found.price ? `${found.price}.` : "At no cost, on this machine.",
        found.again ? ` ${found.again} of them were bought before, and their results are gone.` : ""),
      found.count ? begin : h("p", {class: "bad"}, "Nothing of this can be done."));
    begin.focus();
  }

  async function go(found) {
    const begun = await postJson(`api/offers/${encodeURIComponent(found.id)}`);
    for (const text of begun.refused) toast(text, "bad");
    if (begun.rows.length === 1) location.hash = `#/song/${begun.rows[0].id}`;
    else if (begun.rows.length) {
      toast(`${plural(begun.rows.length, "job")} begun`, "good");
      location.hash = "#/jobs";
    }
  }

  async function start() {
    const choices = await getJson("api/choices");
    preset.replaceChildren(h("option", {value: ""}, "stems, as usual"),
      ...choices.presets.map((one) => h("option", {value: one.name}, one.title)));
    provider.replaceChildren(h("option", {value: ""}, `${choices.usual}, as usual`),
      ...choices.providers.map((one) => h("option", {value: one.name}, `${one.name}: ${one.title}`)));
    main.querySelector("#where").textContent = `Dropped songs are copied to ${choices.folder}; their stems appear beside them.`;
    await chooseProvider();
  }

  return {back: () => {
    if (window.droppedFiles) upload(window.droppedFiles);
    delete window.droppedFiles;
    // Nothing is asked for before it is known what there is.
    if (!provider.childElementCount) busy(price, start);
  }};
}
