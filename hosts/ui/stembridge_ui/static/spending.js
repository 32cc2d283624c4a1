// What was bought, by day and provider, as columns; one look for the eye, a table for whoever reads it.

import {ago, busy, getJson, h, plural, postJson, svg, toast} from "./dom.js";

const DAYS = 30;
const [HEIGHT, LEFT, RIGHT, BOTTOM] = [220, 44, 16, 24];
const COLOURS = ["#64c8ff", "#ff8a64", "#9664ff", "#64d68c", "#ffc850"];

export function showSpending(main) {
  const place = h("div", {});
  let known = "";
  main.append(h("h1", {}, "Spending"), place);

  async function load() {
    const found = [await getJson(`api/spending?days=${DAYS}`), await getJson("api/purchases")];
    // What is the same stays as it is: what was opened of it, and where the focus is.
    if (known === (known = JSON.stringify(found))) return;
    const [{rows}, purchases] = found;
    place.replaceChildren(
      ...(rows.length ? show(rows) : [h("p", {class: "empty"},
        `Nothing was bought in the last ${DAYS} days. The embedded engine costs nothing.`)]),
      ...(purchases.length ? [h("h2", {}, "Purchases"), h("ul", {class: "jobs"}, purchases.map(showPurchase))] : []));
  }

  return {back: () => load().catch((error) => toast(error.message, "bad"))};
}

function showPurchase(one) {
  const fetched = h("button", {
    "aria-label": `Fetch: ${one.song}`,
    title: "place what was bought once more; nothing is bought",
    onclick: (event) => busy(event.currentTarget, async () => {
      location.hash = `#/song/${(await postJson(`api/purchases/${one.id}/fetch`)).id}`;
    }),
  }, "Fetch");
  const cost = one.credits === null ? "price not known" : plural(one.credits, "credit");
  return h("li", {class: "job"},
    h("div", {class: "head"}, h("span", {class: "song"}, one.song), h("span", {class: "state"}, one.state)),
    h("div", {class: "now"},
      h("span", {class: "told"}, [one.provider, one.what, cost, ago(one.created)].filter(Boolean).join(" · ")),
      h("span", {class: "acts"}, one.can_fetch && fetched)));
}

function show(rows) {
  const providers = [...new Set(rows.map((row) => row.provider))];
  const colour = (name) => COLOURS[providers.indexOf(name) % COLOURS.length];
  // Of a service that has no credits a track is what counts.
  const cost = (row) => row.credits + row.unpriced;
  return [
    h("p", {class: "chips"}, providers.map((name) => {
      const own = rows.filter((row) => row.provider === name);
      const tracks = own.reduce((sum, row) => sum + row.tracks, 0);
      const credits = own.reduce((sum, row) => sum + row.credits, 0);
      const dot = svg("svg", {width: 10, height: 10, "aria-hidden": "true"},
        svg("rect", {width: 10, height: 10, rx: 2, fill: colour(name)}));
      return h("span", {class: "badge"}, dot, ` ${name}: ${plural(tracks, "track")}`,
        credits ? `, ${plural(Math.round(credits * 100) / 100, "credit")}` : "");
    })),
    h("figure", {}, asWideAsItIs((width) => chart(width, rows, providers, colour, cost)),
      h("figcaption", {class: "hint"}, `The last ${DAYS} days: credits, or tracks where the service has no price.`)),
    h("details", {}, h("summary", {}, "Day by day"), h("table", {}, h("thead", {}, h("tr", {}, ["Day", "Provider", "Tracks", "Credits"].map((name) => h("th", {}, name)))),
      h("tbody", {}, [...rows].reverse().map((row) => h("tr", {}, h("td", {}, row.day), h("td", {}, row.provider),
        h("td", {}, String(row.tracks)),
        h("td", {}, row.unpriced === row.tracks ? "not known" : String(Math.round(row.credits * 100) / 100))))))),
  ];
}

/** Draw anew when the screen is turned, so that its words are as large as the others. */
function asWideAsItIs(draw) {
  const place = h("div");
  new ResizeObserver(() => place.clientWidth && place.replaceChildren(draw(place.clientWidth))).observe(place);
  return place;
}

function chart(WIDTH, rows, providers, colour, cost) {
  const today = new Date();
  const days = Array.from({length: DAYS}, (_, index) => {
    const day = new Date(today.getFullYear(), today.getMonth(), today.getDate() - DAYS + 1 + index);
    return [day.getFullYear(), day.getMonth() + 1, day.getDate()].map((one) => String(one).padStart(2, "0")).join("-");
  });
  const sums = days.map((day) => rows.filter((row) => row.day === day).reduce((sum, row) => sum + cost(row), 0));
  const most = nice(Math.max(...sums, 1));
  const y = (value) => (HEIGHT - BOTTOM) * (1 - value / most) + 8 * value / most;
  const step = (WIDTH - LEFT - RIGHT) / DAYS;
  const total = Math.round(sums.reduce((all, one) => all + one, 0) * 100) / 100;
  const made = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img",
    "aria-label": `Spent in the last ${DAYS} days: ${total} in all; the table below has each day`,
  });
  for (const value of [0, most / 2, most]) {
    made.append(svg("line", {x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value), class: "grid"}),
      svg("text", {x: LEFT - 6, y: y(value) + 4, "text-anchor": "end"}, String(value)));
  }
  days.forEach((day, index) => {
    let base = 0;
    for (const name of providers) {
      const value = rows.filter((row) => row.day === day && row.provider === name).reduce((sum, row) => sum + cost(row), 0);
      if (!value) continue;
      const column = svg("rect", {
        x: LEFT + index * step + 2, width: step - 4, y: y(base + value), height: y(base) - y(base + value),
        rx: 2, fill: colour(name),
      });
      column.append(svg("title", {}, `${day}, ${name}: ${Math.round(value * 100) / 100}`));
      made.append(column);
      base += value;
    }
    if (index % (WIDTH < 500 ? 14 : 7) === 1) {
      made.append(svg("text", {x: LEFT + (index + 0.5) * step, y: HEIGHT - 6, "text-anchor": "middle"}, day.slice(5)));
    }
  });
  return made;
}

/** The next number above that reads well on an axis. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 10].map((one) => one * power).find((one) => one >= value);
}
