// A region drawn over the picture, with mouse, finger, pen or keys. It is told in pixels of the film.

export class Drawing {
  constructor(screen, film, box, hint, words) {
    Object.assign(this, { screen, film, box, hint, words, rect: null, done: null });
    screen.addEventListener("pointerdown", (event) => this.down(event));
    screen.addEventListener("pointermove", (event) => this.drag(event));
    screen.addEventListener("pointerup", (event) => this.up(event));
    box.addEventListener("keydown", (event) => this.key(event));
  }

  get active() {
    return this.done !== null;
  }

  // Begin; `done` is given [x1, y1, x2, y2] in pixels of the film, or null.
  start(size, done) {
    Object.assign(this, { size, done, from: null });
    const [w, h] = size;
    this.rect = [w * 0.42, h * 0.35, w * 0.58, h * 0.65].map(Math.round);
    this.screen.classList.add("drawing");
    this.hint.textContent = `${this.words.draw_hint} ${this.words.draw_keys}`;
    this.hint.hidden = this.box.hidden = false;
    this.place();
    this.box.focus();
  }

  stop(rect) {
    const done = this.done;
    this.done = null;
    this.hint.hidden = this.box.hidden = true;
    this.screen.classList.remove("drawing");
    if (done) done(rect);
  }

  // Where the picture lies inside the screen: it keeps its shape, so there may be bars beside it.
  picture() {
    const box = this.screen.getBoundingClientRect();
    const wide = this.film.videoWidth || this.size[0], high = this.film.videoHeight || this.size[1];
    const scale = Math.min(box.width / wide, box.height / high);
    const width = wide * scale, height = high * scale;
    return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height, box };
  }

  point(event) {
    const at = this.picture();
    const x = ((event.clientX - at.left) / at.width) * this.size[0];
    const y = ((event.clientY - at.top) / at.height) * this.size[1];
    return [Math.max(0, Math.min(this.size[0], x)), Math.max(0, Math.min(this.size[1], y))];
  }

  down(event) {
    if (!this.active || event.button > 0) return;
    event.preventDefault();
    this.screen.setPointerCapture(event.pointerId);
    this.from = this.point(event);
  }

  drag(event) {
    if (!this.active || !this.from) return;
    const [x, y] = this.point(event), [a, b] = this.from;
    this.rect = [Math.min(a, x), Math.min(b, y), Math.max(a, x), Math.max(b, y)];
    this.place();
  }

  up(event) {
    if (!this.active || !this.from) return;
    this.drag(event);
    this.from = null;
    if (this.rect[2] - this.rect[0] > 6 && this.rect[3] - this.rect[1] > 6) this.stop(this.rect.map((n) => Math.round(n * 10) / 10));
  }

  key(event) {
    if (!this.active) return;
    const step = event.altKey ? 1 : Math.max(2, Math.round(this.size[0] / 100));
    const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (by) {
      const [x1, y1, x2, y2] = this.rect;
      this.rect = event.shiftKey
        ? [x1, y1, Math.max(x1 + 8, x2 + by[0]), Math.max(y1 + 8, y2 + by[1])]
        : [x1 + by[0], y1 + by[1], x2 + by[0], y2 + by[1]];
      this.place();
    } else if (event.key === "Enter") this.stop(this.rect);
    else if (event.key === "Escape") this.stop(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  place() {
    const at = this.picture(), [x1, y1, x2, y2] = this.rect;
    const across = at.width / this.size[0], down = at.height / this.size[1];
    Object.assign(this.box.style, {
      left: `${at.left - at.box.left + x1 * across}px`,
      top: `${at.top - at.box.top + y1 * down}px`,
      width: `${(x2 - x1) * across}px`,
      height: `${(y2 - y1) * down}px`,
    });
  }
}
