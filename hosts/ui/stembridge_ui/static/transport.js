// Plays lanes in step. Everything that is heard is scheduled in whole samples on one clock, that of the context: a
// segment of every lane starts at the very same moment, and the next one where it ends. Segments are fetched as they
// are needed and few are kept, so that memory does not grow with the song. It also runs on an OfflineAudioContext.
//
// At another speed the same pieces go to a worklet (stretch.js), one behind the other: its clock is the place in what
// was sent, and it says where it is.

export const SEGMENT_SECONDS = 4;
const GONE = 422; // what the server says of a file that is not there, or cannot be read
export const SPEED = {min: 0.5, max: 1.5, step: 0.05};

export class Transport {
  /**
   * @param context an AudioContext, or an OfflineAudioContext.
   * @param lanes [{name, rate, channels, frames}]
   * @param fetchSegment (lane, segment, signal) => Promise<Float32Array[]>, one array a channel, empty past the end
   * @param options.ahead seconds that are scheduled ahead of the clock
   * @param options.most segments (of all lanes) that are kept
   */
  constructor(context, lanes, fetchSegment, {ahead = 5, most = 6} = {}) {
    this.context = context;
    this.rate = context.sampleRate;
    this.size = SEGMENT_SECONDS * this.rate;
    this.ahead = ahead;
    this.most = most;
    this.fetchSegment = fetchSegment;
    this.total = Math.max(0, ...lanes.map((lane) => Math.ceil(lane.frames * this.rate / lane.rate)));
    this.output = context.createGain();
    this.output.connect(context.destination);
    this.lanes = lanes.map((lane) => {
      const gain = context.createGain();
      gain.connect(this.output);
      return {...lane, gain};
    });
    this.loop = null;
    this.isPlaying = false;
    this.frame = 0; // where it stands while it does not play
    this.pieces = []; // what is scheduled: {when, from, frames}, in samples of the clock
    this.speed = this.wanted = 1;
    this.stretch = null; // the worklet, once there was another speed
    this.run = 0; // starts, by which words of the worklet about an earlier one are known
    this.told = {at: 0, now: 0}; // what it said last
    this.nodes = new Set();
    this.kept = new Map(); // segment -> Promise of the buffers of all lanes
    this.abort = new AbortController();
    this.onend = () => {};
    this.ontrouble = () => {};
    this.onloss = () => {}; // told with each segment which lanes have none
  }

  /** Samples since the context began. */
  get now() {
    return Math.round(this.context.currentTime * this.rate);
  }

  /** What pieces are scheduled on: samples since the context began, or of what was sent to the worklet. */
  get clock() {
    if (this.speed === 1) return this.now;
    return Math.round(this.told.at + Math.max(0, this.now - this.told.now) * this.speed);
  }

  /** Where in the song it is, in samples. */
  get position() {
    if (!this.isPlaying) return this.frame;
    const now = this.clock;
    let heard = null;
    for (const piece of this.pieces) if (piece.when <= now) heard = piece;
    if (!heard) return this.pieces[0]?.from ?? this.next;
    return heard.from + Math.min(now - heard.when, heard.frames);
  }

  play() {
    if (this.isPlaying) return;
    this.isPlaying = true;
    this.next = this.frame >= this.total ? 0 : this.frame;
    if (this.speed === 1) this.free = this.now + Math.round(0.05 * this.rate); // the first sample nothing is scheduled for
    else {
      this.free = 0;
      this.told = {at: 0, now: this.now};
      this.stretch.port.postMessage({run: ++this.run, speed: this.speed});
    }
    this.timer = setInterval(() => this.fill(), 200);
    return this.fill();
  }

  /** Play slower or faster, at the same pitch. */
  async setSpeed(speed) {
    const wanted = Math.round(Math.min(SPEED.max, Math.max(SPEED.min, speed)) * 100) / 100;
    this.wanted = wanted;
    if (wanted !== 1 && !this.stretch) await (this.opening ??= this.#openStretch());
    // Another speed, or the end, may have been chosen meanwhile.
    if (this.wanted !== wanted || this.isClosed || this.speed === wanted) return;
    const {position} = this;
    const goesOn = this.isPlaying && this.speed !== 1 && wanted !== 1;
    if (goesOn) this.told = {at: this.clock, now: this.now};
    this.speed = wanted;
    if (goesOn) this.stretch.port.postMessage({speed: wanted});
    else if (this.isPlaying) this.seek(position);
  }

  async #openStretch() {
    const widths = this.lanes.map((lane) => lane.channels);
    await this.context.audioWorklet.addModule("stretch.js");
    const stretch = new AudioWorkletNode(this.context, "stretch", {
      numberOfInputs: 0, numberOfOutputs: widths.length, outputChannelCount: widths, processorOptions: {widths},
    });
    this.lanes.forEach((lane, index) => stretch.connect(lane.gain, index));
    stretch.port.onmessage = ({data}) => {
      if (data.run === this.run) this.told = data;
    };
    this.stretch = stretch;
  }

  pause() {
    this.frame = this.position;
    this.#silence();
  }

  seek(frame) {
    const goesOn = this.isPlaying;
    this.#silence();
    this.frame = Math.min(Math.max(0, Math.round(frame)), this.total);
    if (goesOn) this.play();
  }

  /** Repeat what lies between two samples; null for nothing. */
  setLoop(loop) {
    this.loop = loop && loop.end - loop.start >= this.rate / 20 ? loop : null;
    // What is scheduled already knows nothing of it.
    if (this.isPlaying) this.seek(this.position);
  }

  close() {
    this.isClosed = true;
    this.#silence();
    this.stretch?.disconnect();
    this.kept.clear();
  }

  #silence() {
    clearInterval(this.timer);
    this.abort.abort();
    this.abort = new AbortController();
    this.isPlaying = false;
    for (const node of this.nodes) {
      node.onended = null;
      node.stop();
      node.disconnect();
    }
    this.nodes.clear();
    this.stretch?.port.postMessage({run: ++this.run});
    this.pieces = [];
    this.filling = null;
  }

  /** Schedule what comes next, until as much lies ahead of the clock as shall. */
  fill() {
    if (this.filling) return this.filling;
    const filling = this.#fill(this.abort.signal).catch((error) => {
      if (error.name !== "AbortError") this.ontrouble(error);
    }).finally(() => {
      if (this.filling === filling) this.filling = null;
    });
    this.filling = filling;
    return filling;
  }

  async #fill(signal) {
    while (this.isPlaying && this.free < this.clock + this.ahead * this.rate) {
      if (this.next >= this.total) {
        if (this.speed !== 1) this.stretch.port.postMessage({isOver: true});
        if (this.clock >= this.free) this.#end();
        return;
      }
      const piece = this.#choose();
      const buffers = await this.#buffers(piece.segment);
      if (signal.aborted) return;
      // What came too late makes a pause, for all lanes alike.
      if (this.speed === 1) this.free = Math.max(this.free, this.now + Math.round(0.01 * this.rate));
      piece.when = this.free;
      if (this.speed === 1) this.lanes.forEach((lane, index) => this.#start(lane, buffers[index], piece));
      else this.#send(buffers, piece);
      this.free += piece.frames;
      this.next = piece.from + piece.frames;
      if (this.loop && this.next === this.loop.end) this.next = this.loop.start;
      const now = this.clock;
      this.pieces = [...this.pieces.filter((one) => one.when + one.frames > now - this.rate), piece];
    }
  }

  /** What is played next: within one segment, and to the end of the loop at most. */
  #choose() {
    const from = this.next;
    const segment = Math.floor(from / this.size);
    const isInLoop = this.loop && from < this.loop.end;
    const end = Math.min((segment + 1) * this.size, isInLoop ? this.loop.end : this.total);
    return {segment, from, frames: end - from};
  }

  #start(lane, buffer, piece) {
    if (!buffer) return;
    const [share, first] = [lane.rate / this.rate, exact(piece.when, this.rate)];
    const part = cut(this.context, buffer, share, piece.from - piece.segment * this.size, piece.frames,
      piece.when - first);
    if (!part) return;
    const node = this.context.createBufferSource();
    node.buffer = part;
    node.connect(lane.gain);
    node.onended = () => {
      node.disconnect();
      this.nodes.delete(node);
    };
    this.nodes.add(node);
    node.start(first / this.rate);
  }

  /** Give the worklet a piece of each lane, at the rate of the context. */
  #send(buffers, piece) {
    const lanes = this.lanes.map((lane, index) => {
      const offset = piece.from - piece.segment * this.size;
      const part = buffers[index] && cut(this.context, buffers[index], lane.rate / this.rate, offset, piece.frames, 0);
      return part && Array.from({length: part.numberOfChannels}, (_, channel) =>
        atRate(part.getChannelData(channel), lane.rate / this.rate, piece.frames));
    });
    this.stretch.port.postMessage({lanes, frames: piece.frames}, lanes.flatMap((lane) => lane ?? []).map((one) => one.buffer));
  }

  #buffers(segment) {
    if (!this.kept.has(segment)) {
      const {signal} = this.abort;
      const asked = Promise.allSettled(this.lanes.map((lane) => this.#buffer(lane, segment, signal))).then((found) => {
        if (signal.aborted) throw signal.reason;
        const reasons = found.map((one) => one.reason).filter(Boolean);
        // Asked for again the next time.
        if (reasons.length) this.kept.delete(segment);
        // The others play on without one whose file is gone. Where nobody answers they do not.
        const grave = reasons.find(({status}) => status !== GONE) ?? (reasons.length === found.length && reasons[0]);
        if (grave) throw grave;
        this.onloss(this.lanes.filter((_, index) => found[index].reason).map((lane) => lane.name), reasons[0]);
        return found.map((one) => one.value);
      });
      asked.catch(() => this.kept.delete(segment));
      this.kept.set(segment, asked);
    }
    const found = this.kept.get(segment);
    // The one used last is forgotten last.
    this.kept.delete(segment);
    this.kept.set(segment, found);
    while (this.kept.size > this.most) this.kept.delete(this.kept.keys().next().value);
    return found;
  }

  async #buffer(lane, segment, signal) {
    if (segment * SEGMENT_SECONDS * lane.rate >= lane.frames) return null;
    const channels = await this.fetchSegment(lane, segment, signal);
    if (!channels.length || !channels[0].length) return null;
    const buffer = this.context.createBuffer(channels.length, channels[0].length, lane.rate);
    channels.forEach((samples, index) => buffer.copyToChannel(samples, index));
    return buffer;
  }

  #end() {
    this.frame = this.total;
    this.#silence();
    this.onend();
  }
}

/** Return the last sample not after this one whose time in seconds means it to the last bit: for any other the browser
 *  would interpolate between two samples, if only by a millionth of a millionth. */
function exact(frame, rate) {
  while ((frame / rate) * rate !== frame) frame -= 1;
  return frame;
}

/** Return a part of a buffer behind some silence; it is exact where the buffer has the context's rate. */
function cut(context, buffer, share, offset, frames, silence) {
  const start = Math.round(offset * share);
  const length = Math.min(buffer.length - start, Math.round(frames * share));
  const lead = Math.round(silence * share);
  if (length <= 0) return null;
  if (!start && !lead && length === buffer.length) return buffer;
  const part = context.createBuffer(buffer.numberOfChannels, lead + length, buffer.sampleRate);
  for (let channel = 0; channel < buffer.numberOfChannels; channel += 1) {
    part.copyToChannel(buffer.getChannelData(channel).subarray(start, start + length), channel, lead);
  }
  return part;
}

/** Return samples of their own at another rate, between two of which there is a straight line. */
function atRate(samples, share, frames) {
  if (share === 1) return samples.slice();
  return Float32Array.from({length: Math.min(frames, Math.round(samples.length / share))}, (_, index) => {
    const place = index * share;
    // The last one is gone on from: what follows it is in the next piece.
    const first = Math.max(0, Math.min(Math.floor(place), samples.length - 2));
    return samples[first] + (place - first) * ((samples[first + 1] ?? 0) - samples[first]);
  });
}

/** Fetch a segment from the server: each channel in one piece, as little-endian floats. */
export function segmentsOf(job, call) {
  return async (lane, segment, signal) => {
    const path = `api/jobs/${job}/lanes/${encodeURIComponent(lane.name)}/pcm/${segment}`;
    const headers = {"if-match": lane.version ?? ""};
    const samples = new Float32Array(await (await call(path, {signal, headers})).arrayBuffer());
    const length = samples.length / lane.channels;
    return Array.from({length: lane.channels}, (_, index) => samples.subarray(index * length, (index + 1) * length));
  };
}
