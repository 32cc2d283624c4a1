// What was found about a song, as bars of probability, and whether it stands in its tags.

import {busy, h, postJson, toast} from "./dom.js";

export function showLabels(main, job) {
  const groups = Map.groupBy
    ? Map.groupBy(job.labels, (one) => one.dimension)
    : job.labels.reduce((found, one) => found.set(one.dimension, [...(found.get(one.dimension) ?? []), one]), new Map());
  const undo = h("button", {
    onclick: (event) => busy(event.currentTarget, async () => {
      toast((await postJson(`api/jobs/${job.id}/undo`)).told, "good");
    }),
  }, "Take out of the tags");
  const again = h("button", {
    onclick: (event) => busy(event.currentTarget, async () => {
      const offer = await postJson(`api/jobs/${job.id}/again`);
      if (!offer.count) throw new Error(offer.refused.join("; ") || "nothing is to be done");
      if (offer.is_paid && !confirm(`${offer.price}. Go on?`)) return;
      const begun = await postJson(`api/offers/${encodeURIComponent(offer.id)}`);
      for (const text of begun.refused) toast(text, "bad");
      if (begun.rows.length) location.hash = `#/song/${begun.rows[0].id}`;
    }),
  }, "Write again");
  const hasWritten = Object.keys(job.fields).length > 0;
  main.append(h("section", {class: "labels", "aria-label": "Labels"},
    [...groups].map(([dimension, labels]) => h("div", {class: "dimension"},
      h("h2", {}, dimension),
      h("ul", {}, labels.map((one) => h("li", {class: one.is_written ? "written" : ""},
        h("span", {class: "name"}, one.value),
        h("meter", {min: 0, max: 1, value: one.probability ?? 0, "aria-label": `${one.value}: probability`}),
        h("span", {class: "share"}, one.probability === null ? "" : `${Math.round(one.probability * 100)} %`,
          one.is_written ? h("span", {title: "written into the song's tags"}, " ✓") : "")))))),
    hasWritten
      ? h("p", {class: "row"}, h("span", {}, "✓ was written into the song's tags."), undo, again)
      : h("p", {class: "row"}, h("span", {class: "hint"}, "Nothing of this was written into the song's tags."), again)));
}
