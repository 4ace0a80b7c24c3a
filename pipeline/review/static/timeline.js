// One lane per person: when they are hidden, recognisable or doubtful.

const LABEL = 132;

function make(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export class Timeline {
  constructor(place, { seek, choose, label, words }) {
    Object.assign(this, { place, seek, choose, label, words, zoom: 1 });
    this.set = make("div", "laneset");
    this.needle = make("div", "needle");
    this.range = make("div", "marks");
    this.range.hidden = true;
    place.append(this.set);
    this.body = make("div", "lanebody");
    this.open = false;
    place.addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => { this.painted = ""; this.paint(); this.move(); }).observe(place);
  }

  draw(view, clock, chosen, pending) {
    Object.assign(this, { view, clock, chosen, pending });
    const minor = view.lanes.filter((lane) => lane.minor);
    this.rows = [
      ...(view.mutes.length ? [() => this.sound(view.mutes)] : []),
      ...view.lanes.filter((lane) => !lane.minor).map((lane) => this.making(lane)),
      ...(minor.length ? [() => this.fold(minor.length)] : []),
      ...(this.open ? minor.map((lane) => this.making(lane)) : []),
    ];
    this.body.style.height = `${this.rows.length * this.high}px`;
    this.set.replaceChildren(this.ruler(), this.body, this.needle, this.range);
    this.painted = "";
    this.paint();
    this.move();
  }

  making(lane) {
    const work = () => this.lane(lane, this.chosen, this.pending);
    work.track = lane.track;
    return work;
  }

  // An hour may have thousands of lanes: only those in sight are there.
  paint() {
    if (!this.rows) return;
    const first = Math.max(0, Math.floor(this.place.scrollTop / this.high) - 4);
    const last = Math.min(this.rows.length, first + Math.ceil(this.place.clientHeight / this.high) + 8);
    if (this.painted === `${first} ${last}`) return;
    this.painted = `${first} ${last}`;
    const focused = document.activeElement?.closest?.(".lane")?.dataset.track;
    const made = this.rows.slice(first, last).map((work, n) => {
      const row = work();
      row.style.top = `${(first + n) * this.high}px`;
      return row;
    });
    this.body.replaceChildren(...made);
    if (focused) this.body.querySelector(`[data-track="${focused}"] button`)?.focus();
  }

  // Bring somebody's lane into sight.
  reveal(track) {
    const at = this.rows?.findIndex((work) => work.track === track) ?? -1;
    if (at < 0) return;
    const top = at * this.high, bottom = top + 2 * this.high;
    if (top < this.place.scrollTop) this.place.scrollTop = top;
    else if (bottom > this.place.scrollTop + this.place.clientHeight) this.place.scrollTop = bottom - this.place.clientHeight;
  }

  get high() {
    return parseFloat(getComputedStyle(this.place).getPropertyValue("--lane")) || 28;
  }

  fold(count) {
    const row = make("div", "lane");
    const more = make("button", "", this.words.minor.replace("{n}", count));
    more.setAttribute("aria-expanded", String(this.open));
    more.title = this.words.minor_hint;
    more.addEventListener("click", () => { this.open = !this.open; this.draw(this.view, this.clock, this.chosen, this.pending); });
    row.append(more, make("div", "rail"));
    return row;
  }

  lane(lane, chosen, pending) {
    const row = make("div", lane.track === chosen ? "lane chosen" : "lane");
    row.dataset.track = lane.track;
    const name = make("button", "", this.label(lane));
    name.setAttribute("aria-pressed", String(lane.track === chosen));
    name.setAttribute("aria-label", `${this.label(lane)}: ${this.spoken(lane)}`);
    name.addEventListener("click", () => this.choose(lane.track));
    const rail = make("div", "rail");
    for (const span of lane.spans) rail.append(this.piece(span, pending.has(lane.track)));
    rail.addEventListener("click", (event) => { this.choose(lane.track); this.to(rail, event); });
    row.append(name, rail);
    return row;
  }

  piece(span, pending) {
    const piece = make("i", span.look + (pending ? " pending" : ""));
    piece.title = `${this.words[span.look]}. ${span.why}`;
    this.lay(piece, span.start, span.stop);
    return piece;
  }

  // What a lane says to somebody who cannot see it.
  spoken(lane) {
    const said = lane.spans.map((s) => `${this.words[s.look]} ${this.clock.text(s.start)}–${this.clock.text(s.stop)}`);
    return said.slice(0, 6).join(", ") + (said.length > 6 ? ", …" : "");
  }

  sound(mutes) {
    const row = make("div", "lane");
    const rail = make("div", "rail");
    for (const [start, stop] of mutes) {
      const piece = make("i", "mute");
      piece.title = this.words.mute;
      this.lay(piece, start, stop);
      rail.append(piece);
    }
    const name = make("button", "", this.words.mute);
    name.addEventListener("click", () => this.seek(mutes[0][0]));
    row.append(name, rail);
    return row;
  }

  ruler() {
    const row = make("div", "lane ruler");
    const rail = make("div", "rail");
    const seconds = this.clock.time(this.clock.frames) - this.clock.time(0);
    const about = seconds / (8 * this.zoom);
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200].find((n) => n >= about) || 1800;
    for (let at = 0; at < seconds; at += step) {
      const mark = make("span", "", `${Math.floor(at / 60)}:${String(at % 60).padStart(2, "0")}`);
      mark.style.left = `${(100 * at) / seconds}%`;
      rail.append(mark);
    }
    rail.addEventListener("click", (event) => this.to(rail, event));
    row.append(make("b"), rail);
    return row;
  }

  lay(piece, start, stop) {
    const from = this.clock.share(start);
    piece.style.left = `${100 * from}%`;
    piece.style.width = `${100 * (this.clock.share(stop) - from)}%`;
  }

  to(rail, event) {
    const box = rail.getBoundingClientRect();
    this.seek(this.clock.at((event.clientX - box.left) / box.width));
  }

  get width() {
    return Math.max(50, this.zoom * (this.place.clientWidth - LABEL));
  }

  move(frame = this.at || 0, marks = this.marks || {}) {
    Object.assign(this, { at: frame, marks });
    if (!this.clock) return;
    this.set.style.width = `${LABEL + this.width}px`;
    const x = LABEL + this.clock.share(frame) * this.width;
    this.needle.style.left = `${x}px`;
    this.range.hidden = marks.start === undefined && marks.stop === undefined;
    if (!this.range.hidden) {
      const from = this.clock.share(marks.start ?? marks.stop - 1), to = this.clock.share(marks.stop ?? marks.start + 1);
      this.range.style.left = `${LABEL + from * this.width}px`;
      this.range.style.width = `${Math.max(2, (to - from) * this.width)}px`;
    }
    const left = this.place.scrollLeft, wide = this.place.clientWidth;
    if (this.zoom > 1 && (x < left + LABEL + 10 || x > left + wide - 20)) this.place.scrollLeft = x - wide / 2;
  }

  scale(factor) {
    this.zoom = Math.max(1, Math.min(256, this.zoom * factor));
    this.set.querySelector(".ruler")?.replaceWith(this.ruler());
    this.move();
    this.place.scrollLeft = LABEL + this.clock.share(this.at) * this.width - this.place.clientWidth / 2;
  }
}
