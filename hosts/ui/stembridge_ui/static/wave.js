// A waveform in the colour of its stem; a click seeks, a drag chooses what is looped.

import {call, clock, h} from "./dom.js";

const DRAG = 6; // pixels that a click may move

export class Wave {
  constructor(lane, {seconds, seek, region}) {
    this.lane = lane;
    this.canvas = h("canvas", {"aria-hidden": "true"});
    this.head = h("div", {class: "playhead"});
    this.region = h("div", {class: "region", hidden: true});
    this.element = h("div", {
      class: "wave", title: `click: play from here; drag: loop (${clock(seconds)})`,
    }, this.canvas, this.region, this.head);
    this.element.addEventListener("pointerdown", (event) => this.press(event, seek, region));
    this.sight = new ResizeObserver(() => this.draw());
    this.sight.observe(this.element);
  }

  async load(path) {
    try {
      this.peaks = new Int8Array(await (await call(path)).arrayBuffer());
      this.draw();
    } catch (error) {
      this.element.prepend(h("span", {class: "bad"}, error.message));
    }
  }

  draw() {
    const {canvas, peaks} = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.element.clientWidth, this.element.clientHeight].map((one) => Math.round(one * ratio));
    if (!peaks || !width || !height) return;
    canvas.width = width;
    canvas.height = height;
    const paint = canvas.getContext("2d");
    paint.fillStyle = this.lane.colour;
    const count = peaks.length / 2;
    const middle = height / 2;
    for (let x = 0; x < width; x += 1) {
      const from = Math.floor(x * count / width);
      const to = Math.max(from + 1, Math.floor((x + 1) * count / width));
      let [low, high] = [0, 0];
      for (let index = from; index < to && index < count; index += 1) {
        low = Math.min(low, peaks[2 * index]);
        high = Math.max(high, peaks[2 * index + 1]);
      }
      const top = middle - high / 127 * middle;
      paint.fillRect(x, top, 1, Math.max(ratio, (high - low) / 127 * middle));
    }
  }

  press(event, seek, region) {
    if (event.button !== 0) return;
    const box = this.element.getBoundingClientRect();
    const share = (one) => Math.min(1, Math.max(0, (one.clientX - box.left) / box.width));
    const first = share(event);
    this.element.setPointerCapture(event.pointerId);
    this.element.onpointerup = (last) => {
      this.element.onpointerup = null;
      if (Math.abs(last.clientX - event.clientX) < DRAG) seek(share(last));
      else region(Math.min(first, share(last)), Math.max(first, share(last)));
    };
  }

  showPosition(share) {
    this.head.style.left = `${share * 100}%`;
  }

  showRegion(region, isOn, total) {
    this.region.hidden = !region || !total;
    if (!region || !total) return;
    this.region.classList.toggle("on", isOn);
    this.region.style.left = `${region.start / total * 100}%`;
    this.region.style.width = `${(region.end - region.start) / total * 100}%`;
  }

  close() {
    this.sight.disconnect();
  }
}
