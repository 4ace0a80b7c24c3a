// The gallery of people, and the list of repairs.

function make(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// How a lane looks on the whole: doubtful if it is anywhere, else what it is longest.
export function lookOf(lane) {
  if (lane.spans.some((span) => span.look === "doubt")) return "doubt";
  const long = {};
  for (const span of lane.spans) long[span.look] = (long[span.look] || 0) + span.stop - span.start;
  return Object.keys(long).sort((a, b) => long[b] - long[a])[0] || "hidden";
}

// The reason that matters most.
export function whyOf(lane) {
  const look = lookOf(lane);
  const spans = lane.spans.filter((span) => span.look === look);
  spans.sort((a, b) => b.stop - b.start - (a.stop - a.start));
  return spans.length ? spans[0].why : "";
}

export function pictureOf(clip, view, lane) {
  return `/clips/${encodeURIComponent(clip)}/${view.digest}/${lane.track}.jpg`;
}

const AT_ONCE = 60; // cards that are made before somebody asks for more

export function gallery(place, view, { clip, chosen, choose, label, words }) {
  const card = (lane) => {
    const item = make("li");
    const button = make("button", "person");
    button.setAttribute("aria-pressed", String(lane.track === chosen));
    button.dataset.track = lane.track;
    const picture = make("img");
    Object.assign(picture, { alt: "", width: 46, height: 46, loading: "lazy", src: pictureOf(clip, view, lane) });
    const look = lookOf(lane);
    const text = make("span");
    const name = make("b", "", "");
    name.append(make("span", `dot ${look}`), document.createTextNode(label(lane)));
    text.append(name, make("small", "", `${words[look]} · ${whyOf(lane)}`));
    button.append(picture, text);
    button.addEventListener("click", () => choose(lane.track, true));
    item.append(button);
    return item;
  };
  const open = place.querySelector("details")?.open;
  const focused = document.activeElement?.closest?.("#people button")?.dataset.track;
  const minor = view.lanes.filter((lane) => lane.minor), major = view.lanes.filter((lane) => !lane.minor);
  const shown = Math.max(AT_ONCE, Number(place.dataset.shown || 0), major.findIndex((lane) => lane.track === chosen) + 1);
  place.replaceChildren(...major.slice(0, shown).map(card));
  if (major.length > shown) place.append(further(place, major.length - shown, words, () => {
    place.dataset.shown = shown + AT_ONCE;
    gallery(place, view, { clip, chosen, choose, label, words });
  }));
  if (minor.length) {
    const item = make("li"), more = make("details", "minor"), list = make("ul", "people");
    more.open = Boolean(open);
    const fill = () => { if (more.open && !list.childElementCount) list.append(...minor.slice(0, 4 * AT_ONCE).map(card)); };
    more.addEventListener("toggle", fill);
    more.append(make("summary", "", words.minor.replace("{n}", minor.length)), list);
    fill();
    item.append(more);
    place.append(item);
  }
  if (focused) place.querySelector(`button[data-track="${focused}"]`)?.focus();
}

function further(place, count, words, more) {
  const item = make("li");
  const button = make("button", "quiet", words.more.replace("{n}", count));
  button.addEventListener("click", more);
  item.append(button);
  return item;
}

// A repair in words: whom, what, and from where to where. Whoever was named goes by number before it, not by that name.
export function saidOf(one, { view, clock, words, fill, nameOf }) {
  const all = one.start === 0 && one.stop >= view.frames;
  const range = all ? words.all_frames : fill(words.from_to, { from: clock.text(one.start), to: clock.text(one.stop) });
  const number = (track) => fill(words.person, { n: track });
  const whom = one.track === null || one.track === undefined ? "" : one.kind === "show" ? number(one.track) : nameOf(one.track);
  const what = {
    show: () => fill(words.show, { person: view.names[one.person] || one.person }),
    region: () => words.drawn,
    join: () => fill(words.join, { person: number(one.other) }),
  }[one.kind]?.() ?? words[one.kind];
  const when = one.kind === "join" ? "" : one.kind === "split" ? clock.text(one.start) : range;
  return [[whom, what].filter(Boolean).join(" "), when].filter(Boolean).join(", ");
}

export function repairList(place, view, waiting, { tell, words, undo, mayUndo }) {
  const row = (one, note) => {
    const item = make("li");
    const text = make("span", one.undone ? "undone" : "", tell(one));
    text.append(" ", make("small", "", [one.by && words.by.replace("{name}", one.by), note].filter(Boolean).join(" · ")));
    item.append(text);
    return item;
  };
  const items = [];
  for (const one of waiting) items.push(row(one, words.sent_later));
  for (const one of [...view.repairs].reverse()) {
    const note = one.undone ? words.undone : one.moot ? words.moot : one.rendered ? "" : words.pending;
    const item = row(one, note);
    if (!one.undone && mayUndo(one)) {
      const button = make("button", "", words.undo);
      button.setAttribute("aria-label", `${words.undo}: ${tell(one)}`);
      button.addEventListener("click", () => undo(one));
      item.append(button);
    }
    items.push(item);
  }
  place.replaceChildren(...items);
}
