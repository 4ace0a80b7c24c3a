"""Repairs carried out on a real rendering: what changed is new, what did not is the same to the bit."""

from __future__ import annotations

import shutil
from dataclasses import fields, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from school import School, heard, pictures

from pipeline.adapters import splice as splicing
from pipeline.adapters.part import Part, keyframes
from pipeline.adapters.sound import loudest
from pipeline.adapters.video_in import open_clip
from pipeline.errors import CheckFailedError, RepairError
from pipeline.hiding.residues import RESIDUE_LIMIT, residues
from pipeline.lesson import desk, making, repair, seen
from pipeline.lesson.repair import Repaired
from pipeline.lesson.seen import Seen
from pipeline.lesson.withdraw import withdraw
from pipeline.records import Decision, Extent, Reason, RedactionPlan, Track
from pipeline.regions import UNDER
from pipeline.stages import decide

TODAY = date.today()


def carried_out(school: School) -> Repaired:
    with school.opened() as place:
        return repair.repair(place, school.state().clip, TODAY)


def shown(school: School) -> Any:
    """A track of somebody who is shown, and its decision."""
    found = school.seen()
    decision = next(d for d in found.decisions if d.keep and d.stop - d.start > 60)
    return next(t for t in found.tracks if t.number == decision.track), decision


def hidden_at(path: Path, school: School, frame: int) -> bool:
    """Every region of the plan in this frame is without detail in the file."""
    found = school.seen()
    rows = found.plan.regions(frame)
    with open_clip(path) as clip:
        plane = next(f for f in clip.frames() if f.number == frame).picture.to_ndarray()[: found.height]
    style = found.plan.style
    left = residues(plane, found.plan.region[rows], found.plan.shape[rows], style)
    return bool((left <= RESIDUE_LIMIT[style]).all())


def detail(picture: Any, box: Any) -> float:
    x1, y1, x2, y2 = (int(value) for value in box)
    part = picture[y1:y2, x1:x2].astype(float)
    return float(np.abs(np.diff(part, axis=0)).mean() + np.abs(np.diff(part, axis=1)).mean())


def test_a_run_keeps_what_it_found_and_not_how_anybody_looks(school: School) -> None:
    found = school.seen()
    assert len(found.pts) == found.plan.frames == 80
    kept = {field.name for kind in (Seen, Track, Decision, RedactionPlan) for field in fields(kind)}
    assert not {"thumb", "landmarks", "embedding", "template"} & kept
    with school.opened() as place:
        clip = school.state().clip
        assert len(place.vault.beside(clip)) == 1
        data = place.vault.path(place.vault.beside(clip)[0]).read_bytes()
        assert b"tracks" not in data
        place.vault.destroy(clip)
        assert place.vault.beside(clip) == []


def test_a_person_is_hidden_and_all_else_stays_the_same_to_the_bit(school: School) -> None:
    old = school.rendering()
    before, sound = pictures(old), heard(old)
    track, _ = shown(school)
    school.add("hide", 30, 40, track=track.number)
    done = carried_out(school)
    assert (done.frames, done.encoded) == (80, 20)
    new = school.rendering()
    after = pictures(new)
    assert [pts for pts, _ in after] == [pts for pts, _ in before]
    for number, ((_, was), (_, now)) in enumerate(zip(before, after, strict=True)):
        assert (20 <= number < 40) or np.array_equal(was, now), number
    for number in (30, 35, 39):
        box = track.box[number - track.start]
        assert detail(after[number][1], box) < 0.35 * detail(before[number][1], box)
        assert hidden_at(new, school, number)
    assert np.array_equal(heard(new), sound)
    assert not old.exists()
    assert school.seen().sha256 == done.sha256


def test_in_pieces_and_in_one_go_hide_the_same(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    track, _ = shown(school)
    school.add("hide", 30, 40, track=track.number)
    carried_out(school)
    pieces = pictures(school.rendering())
    plan = school.seen().plan
    school.add("hide", 30, 41, track=track.number)
    monkeypatch.setattr(repair._Work, "in_pieces", lambda self: None)
    done = carried_out(school)
    assert done.encoded == 80
    for number, ((_, one), (_, other)) in enumerate(zip(pieces, pictures(school.rendering()), strict=True)):
        if number != 40:
            noise = np.abs(one.astype(float) - other)
            assert noise.mean() < 2, number
            assert 10 * np.log10(255**2 / max((noise**2).mean(), 1e-9)) > 36, number
        if number < 20:
            assert np.array_equal(one, other), number
    assert np.array_equal(plan.region[plan.regions(35)], school.seen().plan.region[school.seen().plan.regions(35)])


def test_undoing_brings_back_exactly_what_was_planned(school: School) -> None:
    plan = school.seen().plan
    track, _ = shown(school)
    id = school.add("hide", 30, 40, track=track.number)
    carried_out(school)
    school.undo(id)
    carried_out(school)
    again = school.seen().plan
    assert np.array_equal(again.region, plan.region)
    assert np.array_equal(again.frame, plan.frame)
    with school.opened() as place:
        assert not repair.waiting(place, school.state())


def test_a_drawn_region_follows_a_face_and_hides_it(school: School) -> None:
    """Somebody who is shown stands for a face that was missed: the region knows nothing of its track."""
    track, _ = shown(school)
    before = pictures(school.rendering())
    at = 30
    box = [float(value) for value in track.box[at - track.start]]
    school.add("region", 22, 38, box=box, at_frame=at)
    done = carried_out(school)
    assert done.encoded == 20
    after = pictures(school.rendering())
    for number in range(22, 38):
        face = track.box[number - track.start]
        assert detail(after[number][1], face) < 0.5 * detail(before[number][1], face), number
    placed = next(iter(school.seen().placed.values()))
    assert placed.regions.frame.tolist() == list(range(22, 38))


def test_mute_from_here_to_there(school: School) -> None:
    old = school.rendering()
    before, sound, loud = pictures(old), heard(old), loudest(old, 2.05, 3.45)
    school.add("mute", 20, 35)
    done = carried_out(school)
    assert done.encoded == 0
    new = school.rendering()
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(before, pictures(new), strict=True))
    assert loudest(new, 2.05, 3.45) < 0.004 < loud
    assert loudest(new, 0.5, 1.9) > 0.02
    after = heard(new)
    assert abs(after.shape[1] - sound.shape[1]) <= 1024
    rest = np.abs(after[:, : 48000 * 19 // 10] - sound[:, : 48000 * 19 // 10]).max()
    assert rest < 0.02


def test_a_mute_that_did_not_take_is_found(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    school.add("mute", 20, 35)
    monkeypatch.setattr("pipeline.adapters.sound.Sound._frame", _deaf)
    old = school.rendering()
    with pytest.raises(CheckFailedError, match="heard"):
        carried_out(school)
    assert school.rendering() == old
    assert old.is_file()
    assert sorted(path.name for path in old.parent.iterdir() if path.name.endswith(".partial")) == []


def _deaf(self: Any, samples: Any) -> Any:
    from fractions import Fraction

    import av

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self.layout)
    frame.sample_rate, frame.pts, frame.time_base = self.rate, self._position, Fraction(1, self.rate)
    self._position += samples.shape[1]
    return frame


def test_joining_renders_nothing_and_keeps_the_approval(school: School) -> None:
    numbers = [track.number for track in school.seen().tracks]
    school.lesveil("approve", school.state().clip, "--by", "Geertje")
    school.add("join", 0, 80, track=numbers[0], other=numbers[1])
    done = carried_out(school)
    assert done.encoded == 0
    assert school.state().stage == "approved"


def test_a_new_rendering_voids_the_approval(school: School) -> None:
    school.lesveil("approve", school.state().clip, "--by", "Geertje")
    assert school.state().stage == "approved"
    school.add("hide", 30, 40, track=shown(school)[0].number)
    carried_out(school)
    assert school.state().stage == "rendered"
    assert school.lesveil("deliver")["delivered"] == []


def test_somebody_named_by_hand_is_shown_until_consent_ends(school: School) -> None:
    found = school.seen()
    decision = max((d for d in found.decisions if not d.keep), key=lambda d: d.stop - d.start)
    school.add("show", 0, 80, track=decision.track, person="41207", said="A. Jansen")
    carried_out(school)
    render = school.state().render
    assert render is not None
    assert "41207" in {entry["person"] for entry in render["kept"]}
    with school.opened() as place:
        withdraw(place, "41207", TODAY, TODAY)
    assert not school.rendering().exists()
    school.lesveil("run", "--card", school.sample.card)
    render = school.state().render
    assert render is not None
    assert "41207" not in {entry["person"] for entry in render["kept"]}
    assert school.rendering().is_file()


def test_nobody_is_shown_without_consent_whoever_says_so(school: School) -> None:
    found = school.seen()
    decision = max((d for d in found.decisions if not d.keep), key=lambda d: d.stop - d.start)
    school.add("show", 0, 80, track=decision.track, person="41222", said="A. Jansen")
    carried_out(school)
    render = school.state().render
    assert render is not None
    assert "41222" not in {entry["person"] for entry in render["kept"]}
    plan = school.seen().plan
    assert decision.track in plan.track[plan.regions(decision.start)]


def test_a_second_run_finds_the_repaired_rendering(school: School) -> None:
    school.add("hide", 30, 40, track=shown(school)[0].number)
    carried_out(school)
    file, written = school.rendering(), school.rendering().stat().st_mtime_ns
    school.lesveil("run", "--card", school.sample.card)
    assert (school.rendering(), school.rendering().stat().st_mtime_ns) == (file, written)


def test_what_was_hidden_by_hand_stays_hidden_when_the_clip_is_looked_at_anew(school: School) -> None:
    track, _ = shown(school)
    school.add("hide", 30, 40, track=track.number)
    box = [float(value) for value in track.box[50 - track.start]]
    school.add("region", 48, 56, box=box, at_frame=50)
    school.add("mute", 5, 12)
    carried_out(school)
    settings = school.place / "lesveil.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text + "[detection]\nfaint = 0.2\nalone = 0.5\nsure = 0.6\n", encoding="utf-8")
    before = school.seen()
    school.lesveil("run", "--card", school.sample.card)
    after = school.seen()
    assert after.made_with != before.made_with
    assert after.analysis != before.analysis
    picture = pictures(school.rendering())
    clear = pictures(school.sample.clips[0])
    for number in (31, 39, 49, 55):
        face = track.box[number - track.start]
        assert detail(picture[number][1], face) < 0.5 * detail(clear[number][1], face), number
    assert loudest(school.rendering(), 0.6, 1.1) < 0.004


def test_who_is_hidden_while_the_clip_is_looked_at_anew_is_hidden_in_what_comes_of_it(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    track, _ = shown(school)
    before, clip, write = school.seen(), school.state().clip, making._Work.write

    def meanwhile(self: Any, *given: Any) -> Any:
        if self._clip.id == clip and not school.state().repairs_wait:
            school.add("hide", 30, 40, track=track.number)
        return write(self, *given)

    monkeypatch.setattr(making._Work, "write", meanwhile)
    settings = school.place / "lesveil.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text + "[detection]\nfaint = 0.2\nalone = 0.5\nsure = 0.6\n", encoding="utf-8")
    school.lesveil("run", "--card", school.sample.card)
    assert school.seen().analysis != before.analysis
    assert school.state().repairs_wait
    carried_out(school)
    picture, clear = pictures(school.rendering()), pictures(school.sample.clips[0])
    for number in range(30, 40):
        face = track.box[number - track.start]
        assert detail(picture[number][1], face) < 0.5 * detail(clear[number][1], face), number


@pytest.mark.parametrize("before", ["head", "person"])
def test_who_was_hidden_by_hand_is_hidden_whole_when_the_clip_is_looked_at_anew(school: School, before: str) -> None:
    settings = school.place / "lesveil.toml"
    text = settings.read_text(encoding="utf-8")
    if before == "person":
        settings.write_text(f'{text}[redaction]\nextent = "person"\n', encoding="utf-8")
        school.lesveil("run", "--card", school.sample.card)
    track, _ = shown(school)
    school.add("hide", 30, 40, track=track.number)
    carried_out(school)
    old, old_tracks = school.seen(), {one.number: one for one in school.seen().tracks}
    other = "[detection]\nfaint = 0.2\nalone = 0.5\nsure = 0.6\n"
    settings.write_text(f'{text}[redaction]\nextent = "person"\n{other}', encoding="utf-8")
    school.lesveil("run", "--card", school.sample.card)
    after = school.seen()
    assert after.analysis != old.analysis
    assert after.plan.extent is Extent.PERSON
    for number in range(30, 40):
        rows = after.plan.regions(number)
        mine = after.plan.region[rows][after.plan.track[rows] == UNDER]
        face = track.box[number - track.start][None]
        kept = [
            old_tracks[d.track].box[number - old_tracks[d.track].start]
            for d in old.decisions
            if d.keep and d.track != track.number and d.start <= number < d.stop
        ]
        x1, y1, x2, y2 = decide.body(face)[0].astype(int).tolist()
        heads = decide.head(np.array(kept, np.float32).reshape(-1, 4))
        for x in range(max(x1, 0), min(x2, after.width), 8):
            for y in range(max(y1, 0), min(y2, after.height), 8):
                if not ((heads[:, 0] <= x) & (x <= heads[:, 2]) & (heads[:, 1] <= y) & (y <= heads[:, 3])).any():
                    hidden = (mine[:, 0] <= x) & (x < mine[:, 2]) & (mine[:, 1] <= y) & (y < mine[:, 3])
                    assert hidden.any(), (number, x, y)


def test_a_hidden_person_whose_place_is_lost_stops_everything(school: School) -> None:
    school.add("hide", 30, 40, track=1, analysis="0123456789abcdef")
    with school.opened() as place, pytest.raises(RepairError, match="can no longer be placed"):
        repair.repair(place, school.state().clip, TODAY)


def test_a_changed_rendering_is_no_base_for_a_repair(school: School) -> None:
    school.add("hide", 30, 40, track=1)
    with school.rendering().open("r+b") as file:
        file.seek(-900, 2)
        byte = file.read(1)
        file.seek(-900, 2)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(RepairError, match="not the file that was checked"):
        carried_out(school)


def test_what_was_kept_without_fingerprints_is_no_base_for_a_repair(school: School) -> None:
    """Nobody knows whether the pictures are those that were looked at, so nothing is rendered, and it is said."""
    before = school.seen()
    assert len(before.plan.prints) == before.plan.frames
    with school.opened() as place:
        older = replace(before, plan=replace(before.plan, prints=before.plan.prints[:0]))
        seen.keep(place.vault, school.state().clip, older)
    school.add("hide", 30, 40, track=1)
    with pytest.raises(RepairError, match="then lesveil run makes it anew"):
        carried_out(school)


def test_without_its_working_copy_a_clip_is_not_repaired(school: School) -> None:
    school.add("hide", 30, 40, track=1)
    with school.opened() as place:
        place.vault.destroy(school.state().clip)
    with pytest.raises(RepairError, match="working copy"):
        carried_out(school)


def test_a_worker_killed_anywhere_leaves_the_old_rendering_or_the_new(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between any two steps: the next one finds a whole rendering and finishes the repair."""
    school.add("hide", 30, 40, track=shown(school)[0].number)
    steps = ["pipeline.lesson.seen.keep", "pipeline.adapters.files.publish", "pipeline.lesson.seen.record"]
    for name in steps:
        own = School(school.place.with_name("copy-" + name.rsplit(".", 1)[1]), school.archive, school.sample)
        shutil.copytree(school.place, own.place)

        def die(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(name, die)
            with pytest.raises(KeyboardInterrupt):
                carried_out(own)
        assert own.rendering().is_file()
        carried_out(own)
        with own.opened() as place:
            assert not repair.waiting(place, own.state())
            assert place.ledger.verify() == []
            assert len(place.vault.beside(own.state().clip)) == 1
        assert Reason.HIDDEN_BY_HAND in {d.reason for d in _mended(own)}
        assert [path.name for path in own.rendering().parent.iterdir() if path.name.startswith("MVI_0001")] == [
            own.rendering().name
        ]


def _mended(school: School) -> list[Any]:
    from pipeline.stages import mend

    found = school.seen()
    with school.opened() as place:
        said = seen.repairs(place.ledger, school.state().clip)
    grounds = {d.person: "x" for d in found.decisions if d.person}
    return mend.mend(found.tracks, found.decisions, said, found.analysis, {}, grounds, grounds).decisions


def test_a_part_reads_what_the_whole_clip_reads(school: School) -> None:
    clip_id = school.state().clip
    with school.opened() as place, open_clip(Path("x"), lambda: place.vault.open(clip_id)) as clip:  # type: ignore[arg-type]
        whole = [(f.pts, f.picture.to_ndarray()) for f in clip.frames()]
        pts = np.array([one for one, _ in whole], np.int64)
        for start, stop in ((0, 5), (33, 47), (70, 80)):
            part = [(f.pts, f.picture.to_ndarray()) for f in Part(clip, pts, start, stop).frames()]
            assert [one for one, _ in part] == pts[start:stop].tolist()
            assert all(np.array_equal(a[1], b[1]) for a, b in zip(part, whole[start:stop], strict=True))


def test_a_splice_that_does_not_fit_is_refused(school: School, tmp_path: Path) -> None:
    old = school.rendering()
    keys = keyframes(old, school.seen().pts)
    assert keys == [0, 20, 40, 60, 79]
    out = tmp_path / "out.mp4"
    for start, stop in ((5, 25), (20, 41)):
        with pytest.raises(splicing.SpliceError):
            splicing.splice(old, [splicing.Piece(school.sample.clips[0], start, stop)], out)
        assert not out.exists()


def test_days_do_not_matter_to_what_is_waiting(school: School) -> None:
    with school.opened() as place:
        assert not repair.waiting(place, school.state())
        school.add("mute", 1, 2)
        assert repair.waiting(place, school.state())
        assert [one.kind.value for one in repair.pending(place, [school.state()])] == ["mute"]
        repair.repair(place, school.state().clip, TODAY + timedelta(days=1))
        assert not repair.waiting(place, school.state())


def test_a_rendering_replaced_while_its_picture_is_made_is_said_so(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(path: Path, pts: int, box: Any) -> bytes:
        path.unlink()
        raise FileNotFoundError(path)

    track, _ = shown(school)
    monkeypatch.setattr(desk, "shown_moment", too_late)
    with school.opened() as place:
        state = school.state()
        assert state.render is not None
        with pytest.raises(RepairError, match="no longer the latest"):
            desk.Desk(place, None).picture(state.clip, state.render["sha256"], track.number)  # type: ignore[arg-type]
