// Frames and seconds. Every frame has its own exact time; frames need not be equally long.

export class Clock {
  constructor(view) {
    this.frames = view.frames;
    this.starts = new Float64Array(view.frames + 1);
    let at = view.first, n = 0;
    this.starts[n++] = at * view.tick;
    for (const [step, count] of view.times) {
      for (let i = 0; i < count; i++) this.starts[n++] = (at += step) * view.tick;
    }
    const last = view.frames > 1 ? this.starts[view.frames - 1] - this.starts[view.frames - 2] : 0.04;
    this.starts[view.frames] = this.starts[view.frames - 1] + last;
  }

  // The second at which a frame begins; of the one after the last, the end.
  time(frame) {
    return this.starts[Math.max(0, Math.min(this.frames, frame))];
  }

  // A second well inside a frame: players differ in what they show on the very edge.
  inside(frame) {
    return (this.time(frame) + this.time(frame + 1)) / 2;
  }

  // The frame that is shown at a second.
  frame(seconds) {
    let low = 0, high = this.frames - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= seconds + 1e-4) low = middle; else high = middle - 1;
    }
    return low;
  }

  // Where a frame lies on the timeline, 0 to 1.
  share(frame) {
    const all = this.starts[this.frames] - this.starts[0];
    return all > 0 ? (this.time(frame) - this.starts[0]) / all : 0;
  }

  // The frame at a place on the timeline, 0 to 1.
  at(share) {
    return this.frame(this.starts[0] + share * (this.starts[this.frames] - this.starts[0]) - 1e-4);
  }

  // 1:02.48 as people read it.
  text(frame) {
    const seconds = Math.max(0, this.time(frame) - this.starts[0]);
    const whole = Math.floor(seconds + 1e-6);
    const rest = Math.floor((seconds - whole + 1e-6) * 100);
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}.${String(rest).padStart(2, "0")}`;
  }
}
