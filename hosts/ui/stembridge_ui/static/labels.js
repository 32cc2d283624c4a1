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
  const hasWritten = Object.keys(job.fields).length > 0;
  main.append(h("section", {class: "labels", "aria-label": "Labels"},
    [...groups].map(([dimension, labels]) => h("div", {class: "dimension"},
      h("h2", {}, dimension),
      h("ul", {}, labels.map((one) => h("li", {class: one.is_written ? "written" : ""},
        h("span", {class: "name"}, one.value),
        h("meter", {min: 0, max: 1, value: one.probability ?? 0, "aria-label": `${one.value}: probability`}),
        h("span", {class: "share"}, one.probability === null ? "" : `${Math.round(one.probability * 100)} %`,
          one.is_written ? h("span", {title: "stands in the song's tags"}, " ✓") : "")))))),
    hasWritten
      ? h("p", {}, "✓ stands in the song's tags. ", undo)
      : h("p", {class: "hint"}, "Nothing of this was written into the song's tags.")));
}
