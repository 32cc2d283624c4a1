// The player of a job's lanes: mute, solo, volume, loop, speed, and the mix as heard into a file.

import {busy, call, clock, h, postJson, toast} from "./dom.js";
import {SPEED, Transport, segmentsOf} from "./transport.js";
import {Wave} from "./wave.js";

const STEM_KEYS = /^[CE]$|1–9/;
const CHANGED = 412; // what the server says of a file that is another than the one that was listed

const share = (part) => `${Math.round(part * 100)} %`;

/** The lanes of a job, and the keys that play them. */
export class Player {
  /** @param reload makes another one of what lies on the disk now */
  constructor(main, job, found, reload) {
    this.job = job;
    this.main = main;
    this.reload = reload;
    for (const lane of found.filter((one) => one.trouble)) {
      main.append(h("p", {class: "hint bad"}, `${lane.title}: ${lane.trouble}`));
    }
    const lanes = found.filter((one) => !one.trouble);
    if (!lanes.length) return;
    // The rate of most lanes, so that these are heard sample by sample.
    const rates = lanes.map((lane) => lane.rate);
    const usual = rates.reduce((best, rate) =>
      rates.filter((one) => one === rate).length > rates.filter((one) => one === best).length ? rate : best);
    this.context = new AudioContext({sampleRate: usual, latencyHint: "playback"});
    this.transport = new Transport(this.context, lanes, segmentsOf(job.id, call));
    this.transport.onend = () => this.showState();
    this.transport.ontrouble = (error) => this.tell(error);
    this.transport.onloss = (lost, error) => this.lose(lost, error);
    this.isComparing = false;
    this.states = lanes.map((lane) => ({
      lane, volume: 1, solo: false, mute: lane.name === "source" && lanes.length > 1, isSource: lane.name === "source",
    }));
    this.build(main, lanes.length > 1);
    this.applyGains(0);
    this.keys = (event) => this.main.isConnected && this.key(event);
    addEventListener("keydown", this.keys);
    // Two songs at once are nobody's wish.
    this.tabs = new BroadcastChannel("stembridge plays");
    this.tabs.onmessage = () => {
      if (!this.transport.isPlaying) return;
      this.away();
      toast("paused: another tab plays");
      this.back();
    };
    this.draw = () => {
      this.showPosition();
      this.drawing = requestAnimationFrame(this.draw);
    };
    this.showState();
    this.back();
  }

  /** Its page is left: it stays where it is. */
  away() {
    if (!this.transport) return;
    cancelAnimationFrame(this.drawing);
    if (this.transport.isPlaying) this.transport.pause();
    this.goesOn = false;
    this.showState();
  }

  back() {
    if (!this.transport) return;
    cancelAnimationFrame(this.drawing);
    if (this.main.isConnected) this.draw();
  }

  /** What a player of the same song goes on with. */
  snapshot() {
    if (!this.transport) return null;
    const {isPlaying, position, rate, loop, wanted} = this.transport;
    const knobs = this.states.map(({lane, volume, solo, mute}) => ({name: lane.name, volume, solo, mute}));
    return {isPlaying: isPlaying || this.goesOn, position: position / rate, region: this.region && [this.region.start / rate, this.region.end / rate],
      isLooped: Boolean(loop), speed: wanted, isComparing: this.isComparing, knobs};
  }

  async restore({isPlaying, position, region, isLooped, speed, isComparing, knobs}) {
    if (!this.transport) return;
    const {rate} = this.transport;
    // Where stems came meanwhile, it is them that are heard.
    if (knobs.length === this.states.length) {
      this.states.forEach((state, index) => state.lane.name === knobs[index].name && state.set(knobs[index]));
      this.isComparing = isComparing;
      this.applyGains(0);
    }
    if (region) this.setLoop(region[0] * rate, region[1] * rate);
    if (!isLooped) this.transport.setLoop(null);
    this.transport.seek(position * rate);
    await this.setSpeed(speed);
    if (isPlaying) await this.toggle();
    else this.showState();
  }

  /** Nothing plays on as if nothing had happened. */
  tell(error) {
    const {isPlaying} = this.transport;
    this.transport.pause();
    this.showState();
    toast(error.message, "bad");
    if (error.status !== CHANGED) return;
    this.goesOn = isPlaying;
    // Not at once: it may be written still.
    setTimeout(() => !this.transport.isClosed && this.reload(), 1000);
  }

  /** Tell once of lanes whose files are gone; the others play on. */
  lose(lost, error) {
    const fresh = this.states.filter((state) => lost.includes(state.lane.name) && !state.isLost);
    for (const state of this.states) {
      state.isLost = lost.includes(state.lane.name);
      state.element.classList.toggle("lost", state.isLost);
    }
    if (!fresh.length) return;
    const names = fresh.map(({lane}) => lane.title).join(", ");
    toast(`silent now: ${names}; ${error.message}`, "bad");
  }

  build(main, hasStems) {
    this.hasStems = hasStems;
    this.playButton = h("button", {class: "round go", onclick: () => this.toggle()});
    // An output is read out at each change, which would be over the music, every second.
    this.time = h("output", {class: "time", "aria-label": "Position", "aria-live": "off"}, "0:00");
    this.loopButton = h("button", {class: "chip", onclick: () => this.toggleLoop(), title: "L; drag over a waveform"},
      "Loop");
    this.compareButton = h("button", {class: "chip", onclick: () => this.compare(), title: "C"}, "Source only");
    this.exportButton = h("button", {class: "chip", onclick: () => this.export(), title: "E"}, "Save this mix");
    main.append(h("section", {class: "player", "aria-label": "Player"},
      h("div", {class: "controls"}, this.playButton, this.time, this.loopButton,
        hasStems && this.compareButton, hasStems && this.exportButton, this.buildSpeed()),
      h("div", {class: "lanes"}, this.states.map((state, index) => this.buildLane(state, index, hasStems))),
      h("p", {class: "hint keys"},
        "Keys: ", ...[["space", "play"], ["← →", "5 s"], ["[ ]", "loop from, to"], ["L", "loop"], ["1–9", "solo"],
          ["shift 1–9", "mute"], ["− +", "slower, faster"], ["0", "usual speed"], ["C", "source only"], ["E", "save"]]
          .filter(([key]) => hasStems || !STEM_KEYS.test(key)).flatMap(([key, word]) => [h("kbd", {}, key), ` ${word}  `]))));
  }

  buildSpeed() {
    this.speedInput = h("input", {
      type: "range", ...SPEED, value: 1, id: "speed", "aria-valuetext": share(1), title: "− and +; the pitch stays",
      oninput: () => this.setSpeed(this.speedInput.valueAsNumber),
      ondblclick: () => this.setSpeed(1),
    });
    this.speedText = h("output", {for: "speed", "aria-live": "off"}, share(1));
    return h("label", {class: "speed"}, "Speed ", this.speedInput, this.speedText);
  }

  async setSpeed(speed) {
    try {
      await this.transport.setSpeed(speed);
    } catch (error) {
      toast(`another speed cannot be had here: ${error.message}`, "bad");
    }
    const {speed: chosen} = this.transport;
    this.speedInput.value = chosen;
    this.speedText.value = share(chosen);
    this.speedInput.ariaValueText = share(chosen);
  }

  buildLane(state, index, hasStems) {
    const {lane} = state;
    const flip = (what) => () => {
      state[what] = !state[what];
      this.applyGains();
    };
    state.muteButton = h("button", {class: "mini", "aria-label": `Mute ${lane.title}`, onclick: flip("mute")}, "M");
    state.soloButton = h("button", {class: "mini", "aria-label": `Solo ${lane.title}`, onclick: flip("solo")}, "S");
    const volume = h("input", {
      type: "range", min: 0, max: 1.5, step: 0.01, value: 1, "aria-label": `Volume of ${lane.title}`, "aria-valuetext": share(1),
      oninput: () => {
        state.volume = Number(volume.value);
        volume.ariaValueText = share(state.volume);
        this.applyGains();
      },
      ondblclick: () => {
        volume.value = 1;
        volume.dispatchEvent(new Event("input"));
      },
    });
    state.set = ({volume: loud, solo, mute}) => {
      volume.value = loud;
      volume.ariaValueText = share(loud);
      Object.assign(state, {volume: loud, solo, mute});
    };
    state.wave = new Wave(lane, {
      seconds: this.transport.total / this.transport.rate,
      seek: (share) => this.transport.seek(share * this.transport.total),
      region: (from, to) => this.setLoop(from * this.transport.total, to * this.transport.total),
    });
    state.wave.load(`api/jobs/${this.job.id}/lanes/${encodeURIComponent(lane.name)}/peaks`);
    state.element = h("div", {class: "lane", role: "group", "aria-label": lane.title},
      h("div", {class: "knobs"},
        h("span", {class: "name", title: `key ${index + 1}`}, lane.title),
        hasStems && h("span", {class: "pair"}, state.muteButton, state.soloButton), volume),
      state.wave.element);
    return state.element;
  }

  /** What each lane is multiplied with, as it is heard. */
  get gains() {
    const hasSolo = this.states.some((state) => state.solo);
    return this.states.map((state) => {
      const isHeard = this.isComparing ? state.isSource : hasSolo ? state.solo : !state.mute;
      return isHeard ? state.volume * state.lane.gain : 0;
    });
  }

  applyGains(ramp = 0.02) {
    const now = this.context.currentTime;
    this.gains.forEach((gain, index) => {
      const {gain: knob} = this.transport.lanes[index].gain;
      const state = this.states[index];
      knob.cancelScheduledValues(now);
      if (ramp) {
        knob.setValueAtTime(knob.value, now);
        knob.linearRampToValueAtTime(gain, now + ramp);
      } else knob.value = gain;
      state.element.classList.toggle("silent", gain === 0);
      state.muteButton.setAttribute("aria-pressed", state.mute);
      state.soloButton.setAttribute("aria-pressed", state.solo);
    });
    this.compareButton.setAttribute("aria-pressed", this.isComparing);
  }

  async toggle() {
    if (this.transport.isPlaying) this.transport.pause();
    else {
      await this.context.resume();
      this.tabs.postMessage("plays");
      this.transport.play();
    }
    this.showState();
  }

  compare() {
    this.isComparing = !this.isComparing;
    this.applyGains();
  }

  setLoop(start, end) {
    this.region = {start: Math.round(start), end: Math.round(end)};
    this.transport.setLoop(this.region);
    const {position} = this.transport;
    if (this.transport.loop && (position < start || position >= end)) this.transport.seek(this.region.start);
    this.showState();
  }

  toggleLoop() {
    if (this.transport.loop) this.transport.setLoop(null);
    else this.setLoop(this.region?.start ?? 0, this.region?.end ?? this.transport.total);
    this.showState();
  }

  export() {
    if (this.exportButton.disabled) return undefined; // a key may be pressed all the same
    return busy(this.exportButton, async () => {
      const {gains} = this;
      const mix = Object.fromEntries(this.states.map(({lane}, index) => [lane.name, [gains[index], lane.version]]));
      try {
        const {path, clipped} = await postJson(`api/jobs/${this.job.id}/mix`, mix);
        toast(`saved: ${path}${clipped ? `; ${clipped.toLocaleString("en")} samples were clipped` : ""}`,
          clipped ? "bad" : "good");
      } catch (error) {
        if (error.status !== CHANGED) throw error;
        this.tell(error);
      }
    });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=range]), select")) return;
    // A knob that has the focus takes the keys that turn it.
    if (event.target.closest("input") && /^(Arrow|Home)/.test(event.key)) return;
    const {transport} = this;
    const step = 5 * transport.rate;
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    const acts = {
      " ": () => this.toggle(),
      ArrowLeft: () => transport.seek(transport.position - step),
      ArrowRight: () => transport.seek(transport.position + step),
      Home: () => transport.seek(0),
      "-": () => this.setSpeed(transport.wanted - SPEED.step),
      "+": () => this.setSpeed(transport.wanted + SPEED.step),
      "=": () => this.setSpeed(transport.wanted + SPEED.step),
      0: () => this.setSpeed(1),
      "[": () => this.setLoop(transport.position, this.region?.end > transport.position ? this.region.end : transport.total),
      "]": () => this.setLoop(this.region?.start < transport.position ? this.region.start : 0, transport.position),
      l: () => this.toggleLoop(),
      c: () => this.compare(),
      e: () => this.export(),
    };
    // A button that has the focus takes the space bar for itself.
    if (event.key === " " && event.target.closest("button, a")) return;
    // With Caps Lock letters are capitals.
    const act = acts[event.key] ?? acts[event.key.toLowerCase()];
    if (!this.hasStems && (digit || STEM_KEYS.test(event.key.toUpperCase()))) return;
    // A key that is held down moves and turns, and does nothing else again.
    if (event.repeat && (digit || act) && !/^(Arrow|[-+=])/.test(event.key)) {
      event.preventDefault();
      return;
    }
    if (digit && this.states[digit - 1]) {
      const state = this.states[digit - 1];
      if (event.shiftKey) state.mute = !state.mute;
      else state.solo = !state.solo;
      this.applyGains();
    } else if (act) act();
    else return;
    event.preventDefault();
  }

  showState() {
    const {isPlaying, loop} = this.transport;
    this.playButton.textContent = isPlaying ? "❚❚" : "▶";
    this.playButton.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    this.loopButton.setAttribute("aria-pressed", Boolean(loop));
    const {total} = this.transport;
    for (const state of this.states) state.wave.showRegion(this.region, Boolean(loop), total);
  }

  showPosition() {
    const {position, total, rate} = this.transport;
    const text = `${clock(position / rate)} / ${clock(total / rate)}`;
    if (this.time.value !== text) this.time.value = text;
    if (position === this.shown) return;
    this.shown = position;
    for (const state of this.states) state.wave.showPosition(total ? position / total : 0);
  }

  close() {
    if (!this.transport) return;
    removeEventListener("keydown", this.keys);
    this.tabs.close();
    cancelAnimationFrame(this.drawing);
    this.transport.close();
    for (const state of this.states) state.wave.close();
    this.context.close();
  }
}
