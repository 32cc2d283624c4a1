// Plays lanes in step. Everything that is heard is scheduled in whole samples on one clock, that of the context: a
// segment of every lane starts at the very same moment, and the next one where it ends. Segments are fetched as they
// are needed and few are kept, so that memory does not grow with the song. It also runs on an OfflineAudioContext.

export const SEGMENT_SECONDS = 4;

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
    this.pieces = []; // what is scheduled: {when, from, frames}, in samples of the context
    this.nodes = new Set();
    this.kept = new Map(); // segment -> Promise of the buffers of all lanes
    this.abort = new AbortController();
    this.onend = () => {};
    this.ontrouble = () => {};
  }

  /** Samples since the context began. */
  get now() {
    return Math.round(this.context.currentTime * this.rate);
  }

  /** Where in the song it is, in samples. */
  get position() {
    if (!this.isPlaying) return this.frame;
    const now = this.now;
    let heard = null;
    for (const piece of this.pieces) if (piece.when <= now) heard = piece;
    if (!heard) return this.pieces[0]?.from ?? this.next;
    return heard.from + Math.min(now - heard.when, heard.frames);
  }

  play() {
    if (this.isPlaying) return;
    this.isPlaying = true;
    this.next = this.frame >= this.total ? 0 : this.frame;
    this.free = this.now + Math.round(0.05 * this.rate); // the first sample nothing is scheduled for
    this.timer = setInterval(() => this.fill(), 200);
    return this.fill();
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
    this.#silence();
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
    while (this.isPlaying && this.free < this.now + this.ahead * this.rate) {
      if (this.next >= this.total) {
        if (this.now >= this.free) this.#end();
        return;
      }
      const piece = this.#choose();
      const buffers = await this.#buffers(piece.segment);
      if (signal.aborted) return;
      // What came too late makes a pause, for all lanes alike.
      piece.when = this.free = Math.max(this.free, this.now + Math.round(0.01 * this.rate));
      this.lanes.forEach((lane, index) => this.#start(lane, buffers[index], piece));
      this.free += piece.frames;
      this.next = piece.from + piece.frames;
      if (this.loop && this.next === this.loop.end) this.next = this.loop.start;
      const now = this.now;
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

  #buffers(segment) {
    if (!this.kept.has(segment)) {
      const {signal} = this.abort;
      const asked = Promise.all(this.lanes.map(async (lane) => {
        if (segment * SEGMENT_SECONDS * lane.rate >= lane.frames) return null;
        const channels = await this.fetchSegment(lane, segment, signal);
        if (!channels.length || !channels[0].length) return null;
        const buffer = this.context.createBuffer(channels.length, channels[0].length, lane.rate);
        channels.forEach((samples, index) => buffer.copyToChannel(samples, index));
        return buffer;
      }));
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

/** Fetch a segment from the server: each channel in one piece, as little-endian floats. */
export function segmentsOf(job, call) {
  return async (lane, segment, signal) => {
    const path = `api/jobs/${job}/lanes/${encodeURIComponent(lane.name)}/pcm/${segment}`;
    const samples = new Float32Array(await (await call(path, {signal})).arrayBuffer());
    const length = samples.length / lane.channels;
    return Array.from({length: lane.channels}, (_, index) => samples.subarray(index * length, (index + 1) * length));
  };
}
