// The page of one clip: what is shown, what is asked for, and what the keys do.

import { Clock } from "./clock.js";
import { Drawing } from "./drawing.js";
import { gallery, lookOf, pictureOf, repairList, saidOf, whyOf } from "./people.js";
import { Player } from "./player.js";
import { Queue } from "./queue.js";
import { Lost, Talk, isOut, newId } from "./talk.js";
import { Timeline } from "./timeline.js";

const by = (id) => document.getElementById(id);
const on = (id, work) => by(id)?.addEventListener("click", work);
const setup = JSON.parse(by("main").dataset.setup);
const { words, roles, clip } = setup;
const talk = new Talk(setup);
const film = by("film");

let view = null, clock = null, chosen = null, candidate = null, joining = false, progress = null, lost = false;
let doubted = null; // the doubt that N or P came to last
let renewed = false; // another rendering came while this page was open, and was not played yet
let marks = {};
const player = new Player(film, by("still"), clip, refreshPlace);
const queue = new Queue(talk, clip, setup.name, queueTold);
const timeline = new Timeline(by("lanes"), { seek: (frame) => player.go(frame), choose, label, words });
const drawing = new Drawing(by("screen"), film, by("box"), by("drawhint"), words);

// --- what is shown

function say(text, long = false) {
  by("status").textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { by("status").textContent = ""; }, long ? 8000 : 3500);
}

// As `fill` of errors.py: {n:one|many} says the one where n is 1.
function fill(text, fields) {
  return text.replace(/\{(\w+)(?::([^{}|]*)\|([^{}|]*))?\}/g, (all, name, one, many) => {
    if (!(name in fields)) return all;
    return many === undefined ? fields[name] : String(fields[name]) === "1" ? one : many;
  });
}

function label(lane) {
  if (lane.repair) {
    const drawn = view.lanes.filter((one) => one.repair);
    return fill(words.region, { n: drawn.indexOf(lane) + 1 });
  }
  if (lane.sighting) return fill(words.sighting, { n: view.lanes.filter((one) => one.sighting).indexOf(lane) + 1 });
  if (lane.person) return view.names[lane.person] || lane.person;
  return fill(words.person, { n: lane.track });
}

function laneOf(track) {
  return view?.lanes.find((lane) => lane.track === track || lane.tracks.includes(track));
}

function nameOf(track) {
  const lane = laneOf(track);
  return lane ? label(lane) : fill(words.person, { n: track });
}

async function load() {
  const before = view?.analysis;
  view = unpacked(await talk.ask(""));
  if (before !== undefined && before !== view.analysis) { // its number is somebody else's now
    chosen = null;
    setJoining(false);
  }
  clock = new Clock(view);
  by("seek").max = clock.frames - 1;
  if (chosen !== null && !laneOf(chosen)) chosen = null;
  player.load(view, clock);
  refresh();
}

// Rows as they travel, as things with names.
function unpacked(said) {
  for (const lane of said.lanes) {
    lane.spans = lane.spans.map(([start, stop, look, reason, person]) => ({ start, stop, look, person, why: said.reasons[reason] }));
  }
  said.doubts = said.doubts.map(([start, stop, track, reason]) => ({ start, stop, track, why: said.reasons[reason] }));
  return said;
}

const tell = (one) => saidOf(one, { view, clock, words, fill, nameOf });

function waiting() {
  return queue.items.filter((item) => item.path === "/repairs").map((item) => ({ ...item.body, by: setup.name }));
}

function refresh() {
  if (!view) return;
  const pending = new Set();
  const open = [...view.repairs.filter((one) => !one.rendered), ...waiting()];
  for (const one of open) {
    const lane = one.kind === "region" ? view.lanes.find((each) => each.repair === one.id) : laneOf(one.track);
    if (lane) pending.add(lane.track);
  }
  const lit = candidate ?? chosen;
  timeline.draw(view, clock, lit, pending);
  gallery(by("people"), view, { clip, chosen: lit, choose, label, words });
  timeline.reveal(lit);
  repairList(by("repairs"), view, waiting(), { tell, words, undo, mayUndo });
  by("norepairs").hidden = view.repairs.length + waiting().length > 0;
  if (by("undo")) by("undo").hidden = !lastUndoable();
  refreshChosen();
  refreshVerdict();
  refreshPlace();
}

function refreshChosen() {
  const lane = chosen === null ? null : laneOf(chosen);
  by("chosen").hidden = !lane;
  if (!lane) return;
  const source = pictureOf(clip, view, lane);
  if (by("chosenpicture").getAttribute("src") !== source) by("chosenpicture").src = source;
  by("chosenname").textContent = label(lane);
  by("chosenwhy").textContent = `${words[lookOf(lane)]} · ${whyOf(lane)}`;
  const able = !view.repairable && !lane.repair;
  for (const id of ["hide", "show", "split", "join"]) if (by(id)) by(id).disabled = !able || (lane.sighting && id !== "hide");
  if (by("join")) by("join").setAttribute("aria-pressed", String(joining));
  if (by("scope")) by("scope").textContent = lane.repair ? "" : scopeText();
}

function refreshVerdict() {
  const row = view.row;
  const parts = [];
  by("state").textContent = row.rejected_by ? words.stage_rejected : words[`stage_${row.stage}`] || row.stage;
  by("state").dataset.stage = row.rejected_by ? "rejected" : row.stage;
  if (row.rejected_by) parts.push(fill(words.rejected_by, { name: row.rejected_by }));
  else if (row.approved.length) {
    const said = row.carried ? words.carried_over : row.approved.length < row.needed ? words.approved_in_part : words.approved_by;
    parts.push(fill(said, { name: row.approved.join(", "), n: row.approved.length, of: row.needed }));
  }
  if (view.repairable) parts.push(words[view.repairable]);
  by("verdictstate").textContent = parts.join(" ");
  if (by("approve")) by("approve").disabled = !row.approvable || busy();
  if (by("reject")) by("reject").disabled = !row.rejectable;
  for (const id of ["draw", "mute"]) if (by(id)) by(id).disabled = Boolean(view.repairable);
  for (const id of ["nextdoubt", "prevdoubt"]) by(id).disabled = !view.doubts.length;
}

function busy() {
  return Boolean(progress?.waiting || queue.items.length);
}

function refreshPlace() {
  if (!clock) return;
  const frame = player.frame;
  by("clock").textContent = `${clock.text(frame)} / ${clock.text(clock.frames)}`;
  const seek = by("seek");
  seek.value = frame;
  seek.setAttribute("aria-valuetext", clock.text(frame));
  by("playmark").textContent = film.paused ? "▶" : "❚❚";
  timeline.move(frame, marks);
}

function scopeText() {
  const range = marked();
  return range ? fill(words.from_to, { from: clock.text(range.start), to: clock.text(range.stop) }) : words.all_frames;
}

function refreshMarks() {
  if (!by("marked")) return;
  const { start, stop } = marks;
  const from = start === undefined ? "…" : clock.text(start), to = stop === undefined ? "…" : clock.text(stop);
  const any = start !== undefined || stop !== undefined;
  by("marked").textContent = any ? fill(words.from_to, { from, to }) : "";
  by("clearmarks").hidden = !any;
  refreshChosen();
  refreshPlace();
}

// --- who and when

function choose(track, seek = false) {
  const lane = laneOf(track);
  if (!lane) return;
  if (joining && chosen !== null && lane.track !== chosen && !lane.repair && !lane.sighting) {
    setJoining(false);
    return repair({ kind: "join", start: 0, stop: clock.frames, track: chosen, other: lane.track });
  }
  chosen = lane.track;
  if (seek) player.go(lane.moment);
  refresh();
}

function neighbour(step) {
  const lanes = view.lanes.filter((lane) => (!lane.minor || timeline.open) && !(joining && (lane.repair || lane.sighting)));
  if (!lanes.length) return;
  const at = lanes.findIndex((lane) => lane.track === (candidate ?? chosen));
  const next = lanes[(at + step + lanes.length) % lanes.length] || lanes[0];
  if (joining) return consider(next);
  choose(next.track, true);
  say(`${label(next)}: ${words[lookOf(next)]}. ${whyOf(next)}`);
}

// The other of two that are the same person is looked at first; Enter says that it is.
function consider(lane) {
  candidate = lane.track === chosen ? null : lane.track;
  player.go(lane.moment);
  refresh();
  say(candidate === null ? words.join_hint : fill(words.join_enter, { person: label(lane) }), true);
}

function setJoining(now) {
  joining = now;
  candidate = null;
}

function mark(end) {
  if (end) marks.stop = player.frame + 1; else marks.start = player.frame;
  if (marks.start !== undefined && marks.stop !== undefined && marks.stop <= marks.start) {
    if (end) delete marks.start; else delete marks.stop;
  }
  refreshMarks();
}

function marked() {
  return marks.start !== undefined && marks.stop !== undefined ? { start: marks.start, stop: marks.stop } : null;
}

const doubtKey = (one) => `${one.start} ${one.track}`;
const seenKey = () => `lesveil seen ${view.digest}`;

function seenDoubts() {
  try { return new Set(JSON.parse(sessionStorage.getItem(seenKey()) || "[]")); } catch { return new Set(); }
}

function doubt(step) {
  const all = view.doubts;
  if (!all.length) return say(words.no_doubts);
  film.pause();
  // several may begin in one frame: from the one that was last come to, the next in the list
  const before = all.findIndex((one) => doubtKey(one) === doubted && one.start === player.frame);
  let at = before + step;
  if (before < 0) at = step > 0 ? all.findIndex((one) => one.start >= player.frame) : all.findLastIndex((one) => one.start < player.frame);
  if (at < 0 || at >= all.length) at = step > 0 ? 0 : all.length - 1;
  const one = all[at];
  doubted = doubtKey(one);
  chosen = laneOf(one.track)?.track ?? chosen;
  player.go(one.start);
  sessionStorage.setItem(seenKey(), JSON.stringify([...seenDoubts().add(doubtKey(one))]));
  refresh();
  say(`${fill(words.doubt_of, { n: at + 1, of: all.length })}: ${nameOf(one.track)}. ${one.why}`, true);
}

// --- repairs

// What was asked for on this page: it can be taken back before the server's list shows it.
let made = [];

function repair(asked) {
  const body = { id: newId(), analysis: view.analysis, ...asked };
  made.push({ ...body, by: setup.name });
  queue.put("/repairs", body);
  refresh();
  return body.id;
}

function needPerson(sightings = false) {
  const lane = chosen === null ? null : laneOf(chosen);
  if (view.repairable) say(words[view.repairable]);
  else if (!lane || lane.repair || (lane.sighting && !sightings)) say(words.choose_person);
  else return lane;
  return null;
}

function hide() {
  const lane = needPerson(true);
  if (!lane) return;
  if (lane.sighting) hideSighting(lane);
  else repair({ kind: "hide", track: lane.track, ...(marked() || { start: 0, stop: clock.frames }) });
  say(fill(words.hidden_now, { person: label(lane), range: scopeText() }));
  clearMarks();
}

// What the second look sees is nobody that is followed: it is hidden like a region drawn around the head.
function hideSighting(lane) {
  const [x1, y1, x2, y2] = lane.box, across = 0.4 * (x2 - x1), down = 0.5 * (y2 - y1);
  const box = [x1 - across, y1 - down, x2 + across, y2 + down];
  const { start, stop } = lane.spans[0];
  repair({ kind: "region", box, at_frame: lane.moment, start, stop });
}

function split() {
  const lane = needPerson();
  if (!lane) return;
  repair({ kind: "split", track: lane.track, start: player.frame, stop: player.frame + 1 });
}

function startJoin() {
  if (!needPerson()) return;
  setJoining(!joining);
  if (joining) say(words.join_hint);
  refresh();
}

function mute() {
  if (view.repairable) return say(words[view.repairable]);
  const range = marked();
  if (!range) return say(words.no_range);
  repair({ kind: "mute", ...range });
  clearMarks();
}

function clearMarks() {
  marks = {};
  refreshMarks();
}

function draw() {
  if (view.repairable) return say(words[view.repairable]);
  if (drawing.active) return drawing.stop(null);
  film.pause();
  drawing.start([view.width, view.height], async (box) => {
    film.pause();
    const at = player.frame; // the one it was drawn on: buttons and the timeline still lead to others meanwhile
    if (!box) return by("draw").focus();
    const range = marked();
    const usable = range && range.start <= at && at < range.stop;
    by("usemarks").hidden = !usable;
    for (const radio of document.querySelectorAll("[name=howlong]")) radio.checked = radio.value === (usable ? "marks" : "5");
    if ((await ask("regionask")) !== "yes") return;
    const how = document.querySelector("[name=howlong]:checked").value;
    const spans = {
      marks: range,
      end: { start: at, stop: clock.frames },
      all: { start: 0, stop: clock.frames },
    };
    const seconds = Number(how);
    const until = Math.min(clock.frames, clock.frame(clock.time(at) + seconds) + 1);
    repair({ kind: "region", box, at_frame: at, ...(spans[how] || { start: at, stop: until }) });
    clearMarks();
  });
}

async function show() {
  const lane = needPerson();
  if (!lane || !roles.coach) return;
  const { analysis } = view; // the page may be loaded anew while the coach looks
  let people;
  try {
    ({ people } = await talk.ask("/offered"));
  } catch (error) {
    return say(told(error, words.offline_none), true);
  }
  if (!people.length) return say(words.nobody_offered, true);
  // of each track that is said to be the same person, three moments in all or the middle of each: only those are shown
  const moments = [[0, 1, 2], [0, 2]][lane.joined.length - 1] || [1];
  const originals = lane.joined.flatMap((track) => moments.map((n) => ({ track, n }))).map(({ track, n }, at) => {
    const picture = document.createElement("img");
    Object.assign(picture, { alt: `${label(lane)} ${at + 1}`, src: `/originals/${encodeURIComponent(clip)}/${track}/${n}.jpg` });
    picture.dataset.track = track;
    return picture;
  });
  by("originals").replaceChildren(...originals);
  // nobody is chosen beforehand: Enter alone says of nobody that they may be seen
  const nobody = Object.assign(new Option(words.choose, "", true, true), { disabled: true });
  by("offered").replaceChildren(nobody, ...people.map((one) => new Option(`${one.name} (${one.id})`, one.id)));
  by("said").value = setup.name;
  by("namescope").textContent = scopeText();
  const answer = await ask("nameask");
  const missing = new Set(originals.filter((one) => !one.complete || !one.naturalWidth).map((one) => Number(one.dataset.track)));
  const tracks = lane.joined.filter((track) => !missing.has(track));
  by("originals").replaceChildren(); // originals are not kept on the page either
  if (answer !== "yes") return;
  if (missing.size) say(words.not_looked_at, true);
  if (!tracks.length || !by("offered").value) return;
  const range = marked() || { start: 0, stop: clock.frames };
  repair({ kind: "show", analysis, track: tracks[0], tracks, person: by("offered").value, said: by("said").value, ...range });
  clearMarks();
}

function mayUndo(one) {
  return (roles.coach || (roles.hands && (one.by === setup.name || one.kind === "show"))) && !view.repairable;
}

function lastUndoable() {
  const listed = new Set(view.repairs.map((one) => one.id));
  made = made.filter((one) => !listed.has(one.id));
  return [...view.repairs, ...made].findLast((one) => !one.undone && one.by === setup.name && mayUndo(one));
}

// The last that was asked for under one's own name; what others asked for is taken back in the list, where it is named.
function undo(one = lastUndoable()) {
  if (!one) return;
  say(fill(words.undone_now, { repair: tell(one) }), true);
  one.undone = true;
  queue.put(`/repairs/${one.id}/undo`, {});
}

// What is sent is what was told when it was asked: a rendering, sightings or a rejection that came since were not seen.
async function judge(approve) {
  if (busy()) return say(words.work_waiting);
  if (!(approve ? view.row.approvable : view.row.rejectable)) return;
  const { digest, sightings } = view, rejected = view.row.rejected_by;
  const played = player.played(), all = clock.time(clock.frames) - clock.time(0);
  if (approve) {
    by("unplayed").hidden = played > all - 1;
    by("unplayed").textContent = fill(by("unplayed").dataset.text, { played: minutes(played), all: minutes(all) });
    const left = view.doubts.length - view.doubts.filter((one) => seenDoubts().has(doubtKey(one))).length;
    by("unseen").hidden = !left;
    by("unseen").textContent = fill(by("unseen").dataset.text, { n: left });
    by("sighted").hidden = !sightings;
    by("sighted").textContent = fill(by("sighted").dataset.text, { n: sightings });
    by("overruled").hidden = !rejected;
    by("overruled").textContent = fill(by("overruled").dataset.text, { name: rejected });
    by("renewed").hidden = !renewed;
    if ((await ask("judge")) !== "yes") return;
  } else if (!window.confirm(words.confirm_reject)) return;
  if (digest !== view.digest) return say(words.newer, true);
  try {
    const despite = { despite: approve && sightings > 0, despite_rejection: approve && Boolean(rejected) };
    await talk.ask("/verdict", { digest, approve, played, ...despite });
    await load();
    const first = approve && view.row.stage === "rendered";
    say(first ? words.first_of_two : approve ? words.approved : words.rejected);
    refreshVerdict();
  } catch (error) {
    say(told(error, words.verdict_lost), true);
  }
}

function minutes(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

// A dialog's answer; Escape is no.
function ask(id) {
  const dialog = by(id);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue), { once: true }));
}

// --- the connection and the work

let trouble = ""; // what the house says of its own trouble while things wait for it

function queueTold(what, item, text) {
  if (what === "refused") {
    say(text, true);
    made = made.filter((one) => one.id !== item.body.id);
  }
  trouble = what === "lost" ? text : "";
  setLost(what === "lost" ? "lost" : what === "signed out" ? "out" : false);
  if (what === "sent" || what === "empty" || what === "refused") {
    by("offline").hidden = true;
    if (what === "refused") load().catch(() => {}); // what was shown as done is not
    if (what !== "sent") look();
  }
  if (view) refresh();
}

// Why something that was asked for did not come; `lost` is said where there is no connection.
function told(error, lost) {
  return error instanceof Lost ? error.message || lost : isOut(error) ? signedOut() : error.message;
}

function signedOut() {
  return fill(words.signed_out, { name: setup.name, role: setup.title });
}

function setLost(state) {
  lost = Boolean(state);
  by("offline").hidden = !state;
  const count = queue.items.length;
  if (state === "out") by("offline").textContent = signedOut();
  else if (state && trouble) by("offline").textContent = trouble;
  else if (state) by("offline").textContent = count ? fill(words.offline, { n: count }) : words.offline_none;
}

async function look() {
  clearTimeout(look.timer);
  try {
    const before = progress;
    progress = await talk.ask("/work");
    if (lost && !queue.items.length) setLost(false);
    const other = view && progress.digest !== view.digest;
    if (!view || other || before?.waiting !== progress.waiting) {
      await load();
      if (other) {
        renewed = true;
        say(words.work_done);
        watched();
      }
    }
    refreshWork();
  } catch (error) {
    setLost(isOut(error) ? "out" : "lost");
    if (!(error instanceof Lost || isOut(error))) by("offline").textContent = error.message;
  }
  look.timer = setTimeout(look, busy() ? 700 : 6000);
}

function refreshWork() {
  const { waiting: count, stage, done, total, problem } = progress;
  by("work").hidden = !count;
  if (count) {
    by("workname").textContent = problem ? fill(words.work_failed, { why: problem }) : words[`work_${stage || "waiting"}`] || words.work_waiting;
    const bar = by("workbar");
    bar.hidden = Boolean(problem);
    if (total) bar.value = done / total; else bar.removeAttribute("value");
  }
  refreshVerdict();
}

function watched() {
  talk.ask("/looked", { digest: view.digest }).catch(() => {});
}

// --- keys and buttons

const KEYS = {
  " ": () => player.toggle(),
  ",": () => player.step(-1),
  ".": () => player.step(1),
  ArrowLeft: () => player.jump(-1),
  ArrowRight: () => player.jump(1),
  ArrowUp: () => neighbour(-1),
  ArrowDown: () => neighbour(1),
  q: () => speed(),
  n: () => doubt(1),
  p: () => doubt(-1),
  "+": () => timeline.scale(2),
  "=": () => timeline.scale(2),
  "-": () => timeline.scale(0.5),
  "?": () => by("help").showModal(),
};
const HANDS = {
  i: () => mark(false),
  o: () => mark(true),
  h: hide,
  w: show,
  d: draw,
  m: mute,
  s: split,
  j: startJoin,
  u: () => undo(),
  a: () => judge(true),
  Escape: () => { setJoining(false); clearMarks(); refresh(); },
};

function speed() {
  player.slow = !player.slow;
  by("speed").setAttribute("aria-pressed", String(player.slow));
  say(player.slow ? words.quarter : words.normal);
}

document.addEventListener("keydown", (event) => {
  if (!view || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || drawing.active) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const field = event.target.closest?.("input:not([type=range]), select, textarea");
  if (field) return;
  if (key === "Enter" && candidate !== null) { // whoever is shown is meant, wherever the focus lies
    event.preventDefault();
    return choose(candidate);
  }
  // what a button or slider does with a key of its own stays with it
  if (event.target.closest?.("button, a, summary") && (key === " " || key === "Enter")) return;
  if (event.target.id === "seek" && key.startsWith("Arrow")) return;
  // a key that is held goes on playing or stepping; what changes something it does once
  const work = KEYS[key] || (roles.hands && !event.repeat ? HANDS[key] : undefined);
  if (!work) return;
  event.preventDefault();
  work();
});

on("play", () => player.toggle());
on("back", () => player.step(-1));
on("forth", () => player.step(1));
on("speed", speed);
on("nextdoubt", () => doubt(1));
on("prevdoubt", () => doubt(-1));
on("markin", () => mark(false));
on("markout", () => mark(true));
on("clearmarks", clearMarks);
on("zoomin", () => timeline.scale(2));
on("zoomout", () => timeline.scale(0.5));
on("hide", hide);
on("show", show);
on("split", split);
on("join", startJoin);
on("draw", draw);
on("mute", mute);
on("undo", () => undo());
on("approve", () => judge(true));
on("reject", () => judge(false));
on("helpopen", () => by("help").showModal());
by("seek").addEventListener("input", () => player.go(Number(by("seek").value)));
film.addEventListener("click", () => { if (!drawing.active) player.toggle(); });
film.addEventListener("play", () => { renewed = false; });
film.addEventListener("error", () => { if (film.error?.code >= 3) say(["outdated", "recall"].includes(view?.repairable) ? words[view.repairable] : words.cannot_play, true); });
window.addEventListener("resize", () => { if (drawing.active) drawing.place(); });

await look();
if (view) watched();
queue.send();
document.documentElement.dataset.ready = "yes";
