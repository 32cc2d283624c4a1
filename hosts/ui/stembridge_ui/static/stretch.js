// Plays lanes slower or faster at their own pitch, on the thread that renders sound (an AudioWorklet).
//
// It is WSOLA: the song is laid out anew in grains that overlap by half. Where the song has come to at this speed is
// where a grain is looked for, and of the places within a hundredth of a second that one is taken whose waves go on
// most alike from the grain before. The places are chosen once, by the sum of all lanes, and every lane is cut there:
// so lanes stay in step to the sample, and stems that sum to their song do so while they are stretched.

const GRAIN_SECONDS = 0.03; // half of a grain, by which the next one follows
const REACH_SECONDS = 0.012;
const KEPT_SECONDS = 10; // of the song, at least: what was sent ahead and not played yet
const COARSE = 4; // samples between two places that are compared at first

export class Stretch {
  /**
   * @param widths the number of channels of each lane
   * @param rate samples a second
   */
  constructor(widths, rate) {
    this.hop = Math.round(GRAIN_SECONDS * rate);
    this.reach = Math.round(REACH_SECONDS * rate);
    const size = 2 ** Math.ceil(Math.log2(KEPT_SECONDS * rate));
    this.mask = size - 1; // a ring: a place of the stream lies at its number, less what does not fit
    this.lanes = widths.map((count) => Array.from({length: count}, () => new Float32Array(size)));
    this.guide = new Float32Array(size);
    this.rise = Float32Array.from({length: this.hop}, (_, index) =>
      Math.sin(Math.PI / 2 * (index + 0.5) / this.hop) ** 2);
    this.made = this.lanes.map((lane) => lane.map(() => new Float32Array(this.hop)));
    this.speed = 1;
    this.clear();
  }

  /** Forget all that was sent. */
  clear() {
    this.end = 0; // samples that were sent
    this.at = 0; // where the next grain is looked for
    this.from = null; // where the last one was cut
    this.isOver = false; // whether no more will be sent
  }

  /** Take what comes next: for each lane its channels, or null for silence. */
  append(lanes, frames) {
    const places = Uint32Array.from({length: frames}, (_, index) => (this.end + index) & this.mask);
    for (const place of places) this.guide[place] = 0;
    this.lanes.forEach((lane, number) => lane.forEach((ring, channel) => {
      const samples = lanes[number]?.[channel];
      for (let index = 0; index < frames; index += 1) {
        const sample = samples?.[index] ?? 0;
        ring[places[index]] = sample;
        this.guide[places[index]] += sample;
      }
    }));
    this.end += frames;
  }

  /** Nothing follows: the last grains need silence behind the end. */
  finish() {
    if (!this.isOver) this.append([], 3 * this.hop + this.reach);
    this.isOver = true;
  }

  /** Make half a grain more of every lane, in `made`; false where too little was sent for it. */
  step() {
    const {hop, reach} = this;
    const wanted = Math.round(this.at);
    const next = this.from === null ? wanted : this.from + hop;
    if (Math.max(next, wanted + reach) + hop > this.end) return false;
    const from = this.from === null ? wanted : this.find(next, Math.max(0, wanted - reach), wanted + reach);
    this.lanes.forEach((lane, number) => lane.forEach((ring, channel) => {
      const made = this.made[number][channel];
      for (let index = 0; index < hop; index += 1) {
        const old = ring[(next + index) & this.mask];
        // What both grains have alike stays as it is, to the bit.
        made[index] = old + this.rise[index] * (ring[(from + index) & this.mask] - old);
      }
    }));
    this.from = from;
    this.at += hop * this.speed;
    return true;
  }

  /** Return the place between two where the song goes on most like it does at `next`. */
  find(next, first, last) {
    const about = this.best(next, first, last, COARSE, COARSE / 2);
    return this.best(next, Math.max(first, about - COARSE), Math.min(last, about + COARSE), 1, 2);
  }

  best(next, first, last, step, stride) {
    const {guide, mask, hop} = this;
    let [found, most] = [first, -Infinity];
    for (let place = first; place <= last; place += step) {
      let [product, power] = [0, 1e-9];
      for (let index = 0; index < hop; index += stride) {
        const sample = guide[(place + index) & mask];
        product += sample * guide[(next + index) & mask];
        power += sample * sample;
      }
      const alike = product / Math.sqrt(power);
      if (alike > most) [found, most] = [place, alike];
    }
    return found;
  }
}

if (globalThis.registerProcessor) {
  registerProcessor("stretch", class extends AudioWorkletProcessor {
    constructor({processorOptions: {widths}}) {
      super();
      this.stretch = new Stretch(widths, sampleRate);
      this.used = this.stretch.hop; // samples of `made` that were played
      this.run = 0; // which of the player's starts this is
      this.port.onmessage = ({data}) => this.hear(data);
    }

    hear({run, speed, lanes, frames, isOver}) {
      if (run !== undefined) {
        this.stretch.clear();
        this.used = this.stretch.hop;
        this.run = run;
      }
      if (speed !== undefined) this.stretch.speed = speed;
      if (lanes) this.stretch.append(lanes, frames);
      if (isOver) this.stretch.finish();
      this.tell(0);
    }

    /** Tell where the song is, and at which sample of the context's clock. */
    tell(ahead) {
      const {stretch} = this;
      const behind = (stretch.hop - this.used) * stretch.speed; // made, and not played yet
      this.port.postMessage({run: this.run, at: stretch.at - behind, now: currentFrame + ahead});
    }

    process(_inputs, outputs) {
      const {stretch} = this;
      const length = outputs[0][0].length;
      for (let done = 0; done < length;) {
        if (this.used === stretch.hop) {
          if (!stretch.step()) return true;
          this.used = 0;
          this.tell(done);
        }
        const count = Math.min(length - done, stretch.hop - this.used);
        stretch.made.forEach((lane, number) => lane.forEach((made, channel) =>
          outputs[number][channel].set(made.subarray(this.used, this.used + count), done)));
        this.used += count;
        done += count;
      }
      return true;
    }
  });
}
