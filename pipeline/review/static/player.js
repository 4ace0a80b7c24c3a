// The film: to the frame, at any speed, and the next rendering of it at the same place.

export class Player {
  constructor(film, still, clip, changed) {
    this.film = film;
    this.still = still;
    this.clip = clip;
    this.changed = changed;
    this.clock = null;
    this.frame = 0;
    this.digest = "";
    this.wanted = null;
    film.addEventListener("seeked", () => this.arrived());
    film.addEventListener("play", () => changed());
    film.addEventListener("pause", () => changed());
    film.addEventListener("ended", () => changed());
    this.precise = "requestVideoFrameCallback" in HTMLVideoElement.prototype;
    this.watch();
  }

  // Show a rendering; the place in the film stays.
  load(view, clock) {
    this.clock = clock;
    if (this.digest === view.digest) return;
    if (!this.digest && this.film.src.endsWith(`/${view.digest}.mp4`)) {
      this.digest = view.digest; // the page began to load it before anything else
      this.changed();
      return;
    }
    const at = this.digest ? this.frame : 0;
    if (this.digest && this.film.videoWidth) {
      // what was there stays until the new rendering has the same moment to show
      Object.assign(this.still, { width: this.film.videoWidth, height: this.film.videoHeight });
      this.still.getContext("2d").drawImage(this.film, 0, 0);
      this.still.hidden = false;
    }
    this.digest = view.digest;
    this.film.src = `/clips/${encodeURIComponent(this.clip)}/${view.digest}.mp4`;
    this.wanted = null;
    this.go(at);
  }

  // Seconds of this rendering that were played since it was loaded; what is played twice counts once.
  played() {
    const { played } = this.film;
    let sum = 0;
    for (let i = 0; i < played.length; i++) sum += played.end(i) - played.start(i);
    return sum;
  }

  watch() {
    if (this.precise) {
      this.film.requestVideoFrameCallback((_, about) => {
        if (this.clock) this.show(this.clock.frame(about.mediaTime + 0.002));
        this.watch();
      });
    } else {
      requestAnimationFrame(() => {
        if (this.clock && !this.film.seeking) this.show(this.clock.frame(this.film.currentTime));
        this.watch();
      });
    }
  }

  show(frame) {
    if (this.film.seeking || this.wanted !== null) return; // what passes by on the way to another place
    if (frame !== this.frame) {
      this.frame = frame;
      this.changed();
    }
  }

  go(frame) {
    if (!this.clock) return;
    frame = Math.max(0, Math.min(this.clock.frames - 1, frame));
    this.frame = frame;
    if (this.wanted === null) this.film.currentTime = this.clock.inside(frame);
    this.wanted = frame;
    this.sought = performance.now();
    this.changed();
  }

  // One seek at a time: the last wish counts when the one under way has arrived.
  arrived() {
    const wish = this.wanted;
    this.wanted = null;
    if (wish !== null && Math.abs(this.film.currentTime - this.clock.inside(wish)) > 1e-3) this.go(wish);
    else {
      this.still.hidden = true;
      this.film.dispatchEvent(new CustomEvent("there"));
    }
  }

  step(frames) {
    this.film.pause();
    this.go(this.frame + frames);
  }

  jump(seconds) {
    this.go(this.clock.frame(this.clock.time(this.frame) + seconds));
  }

  toggle() {
    if (this.film.paused) this.film.play().catch(() => {});
    else this.film.pause();
  }

  get slow() {
    return this.film.playbackRate < 1;
  }

  set slow(slow) {
    this.film.playbackRate = slow ? 0.25 : 1;
    this.film.defaultPlaybackRate = this.film.playbackRate;
  }
}
