"""The wipe: never more than was planned, never twice, and to its end whatever interrupts it."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.card import find_clips, tied_files
from pipeline.adapters.erase import Disk
from pipeline.adapters.ledger import Ledger
from pipeline.adapters.vault import Vault
from pipeline.errors import WipeError
from pipeline.records import WipePlan
from pipeline.stages.ingest import ingest
from pipeline.stages.wipe import END, PROMISE, execute, unfinished, wiped_since
from pipeline.wipeable import (
    COPY,
    FREE_SPACE,
    GONE,
    OTHER,
    Chain,
    Source,
    digest_of,
    missing_link,
    plan,
    sources_of,
)

RENDER = "d" * 64
DONE: dict[str, Any] = dict.fromkeys(("rendered", "checked", "approved", "delivered"), RENDER)
DONE |= {"archived": True, "consent": True, "waits": False}


EMPTY = WipePlan((), (), digest_of(WipePlan((), (), "")))


def chain(clip: str, *paths: str, **changes: Any) -> Chain:
    video = hashlib.sha256(clip.encode()).hexdigest()
    sources = tuple(
        Source(
            path, 10, video if n == 0 else hashlib.sha256(path.encode()).hexdigest(), "video" if n == 0 else "sidecar"
        )
        for n, path in enumerate(paths)
    )
    return Chain(clip, video, 10, sources, **(DONE | changes))


# --- the plan -------------------------------------------------------------------------------------------------------


def test_a_whole_chain_is_planned_with_its_sidecars_and_its_copy() -> None:
    made = plan([chain("a", "DCIM/1/A.MP4", "DCIM/1/A.THM")])
    assert [(item.path, item.kind) for item in made.items] == [
        ("DCIM/1/A.MP4", "video"),
        ("DCIM/1/A.THM", "sidecar"),
        ("a", COPY),
    ]
    assert made.refused == ()
    assert made.digest == digest_of(made)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rendered": None}, "not rendered"),
        ({"checked": None}, "check"),
        ({"checked": "e" * 64}, "check"),
        ({"approved": None}, "not approved"),
        ({"approved": "e" * 64}, "not approved"),
        ({"delivered": None}, "delivered yet"),
        ({"delivered": "e" * 64}, "arrive"),
        ({"archived": False}, "not the archive"),
        ({"consent": False}, "may not be shown"),
        ({"waits": True}, "repairs"),
        ({"unread": True}, "beside its film could not be read"),
    ],
)
def test_each_missing_link_keeps_the_clip(changes: dict[str, Any], reason: str) -> None:
    made = plan([chain("a", "DCIM/1/A.MP4", **changes), chain("b", "DCIM/1/B.MP4")])
    assert {item.path for item in made.items} == {"DCIM/1/B.MP4", "b"}
    ((clip, said),) = made.refused
    assert clip == "a"
    assert reason in said


def test_a_copy_of_another_film_is_no_copy() -> None:
    whole = chain("a", "DCIM/1/A.MP4")
    for broken in (replace(whole, copied=None), replace(whole, copied="e" * 64), replace(whole, files=())):
        assert plan([broken]).items == ()
        assert "verified copy" in plan([broken]).refused[0][1]


@pytest.mark.parametrize(
    "path", ["../A.MP4", "/etc/passwd", "DCIM/../../A.MP4", "", "DCIM\\A.MP4", "C:/A.MP4", "./A.MP4", "DCIM//A.MP4"]
)
def test_a_name_that_leads_off_the_card_keeps_the_clip(path: str) -> None:
    assert plan([chain("a", path)]).items == ()


def test_a_shared_file_stays_as_long_as_one_of_its_clips_does() -> None:
    """Also when the refusal has to travel: C is not done, B shares with C, A shares with B."""
    one, two = (Source(f"DCIM/1/{n}.XML", 10, "0" * 64, "sidecar") for n in "12")
    a, b, c, d = (chain(n, f"DCIM/1/{n}.MP4") for n in "abcd")
    a = replace(a, files=(*a.files, one))
    b = replace(b, files=(*b.files, one, two))
    c = replace(c, files=(*c.files, two), approved=None)
    made = plan([a, b, c, d])
    assert {item.path for item in made.items} == {"DCIM/1/d.MP4", "d"}
    assert [clip for clip, _ in made.refused] == ["a", "b", "c"]
    together = plan([a, replace(b, files=b.files[:2]), d])
    assert one.path in {item.path for item in together.items}
    assert together.refused == ()


def test_of_a_film_that_was_met_again_the_later_row_counts() -> None:
    film, thumb, twin = (
        {"path": path, "bytes": 1, "sha256": "0" * 64, "kind": kind}
        for path, kind in (("A.MP4", "video"), ("A.THM", "sidecar"), ("B.MP4", "video"))
    )
    rows = [{"card": "one", "files": [film, thumb]}, {"card": "one", "files": [twin]}, {"card": "one", "files": [film]}]
    rows.append({"card": "two", "files": [film, thumb]})
    assert [source.path for source in sources_of(rows, "one")] == ["A.MP4", "B.MP4"]
    assert [source.path for source in sources_of(rows)] == ["A.MP4", "B.MP4", "A.MP4", "A.THM"]


def test_of_a_clip_that_was_deleted_on_purpose_only_the_copy_need_be_proven() -> None:
    nothing: dict[str, Any] = dict.fromkeys(DONE)
    assert len(plan([chain("a", "DCIM/1/A.MP4", deleted=True, **nothing)]).items) == 2
    assert plan([chain("a", "DCIM/1/A.MP4", **nothing)]).items == ()
    other = chain("a", "DCIM/1/A.MP4", deleted=True, verified=("9" * 64,), **nothing)
    assert "verified copy" in plan([other]).refused[0][1], "what lies there is not what was decided about"
    shared = [chain("a", "DCIM/1/A.MP4", deleted=True, **nothing), chain("b", "DCIM/1/A.MP4", **nothing)]
    assert plan(shared).items == (), "a clip that nobody decided to delete needs the film"


def test_a_plan_of_what_is_kept_nowhere_is_another_plan() -> None:
    """Shown while the archive held it, it was shown as something else."""
    kept = chain("a", "DCIM/1/A.MP4")
    made = plan([kept]), plan([replace(kept, deleted=True)])
    assert made[0].items == made[1].items
    assert (made[0].unkept, made[1].unkept) == ((), ("a",))
    assert made[0].digest != made[1].digest
    copied = {item for item in of(kept) if item[0] == "a"}
    assert plan([replace(kept, deleted=True)], copied).unkept == ("a",), "its copy went with another card"
    assert plan([replace(kept, deleted=True), chain("b", "B.MP4")], of(kept)).unkept == ()


def test_every_film_of_a_take_must_have_been_read_back() -> None:
    """A take in chapters has a digest of its own; what counts is that each of its films is in the copy."""
    films = tuple(Source(f"DCIM/1/{n}.MP4", 10, str(n) * 64, "video") for n in range(2))
    whole = Chain("a", "e" * 64, 20, films, verified=("0" * 64, "1" * 64), **DONE)
    assert len(plan([whole]).items) == 3
    for verified in ((), ("0" * 64,), ("1" * 64, "2" * 64)):
        assert "verified copy" in plan([replace(whole, verified=verified)]).refused[0][1]


def test_a_plan_names_its_card_its_number_and_how_far_it_goes() -> None:
    whole = [chain("a", "DCIM/1/A.MP4")]
    made = plan(whole, card="1234-ABCD", number=3)
    others = [
        plan(whole, card="1234-ABCE", number=3),
        plan(whole, card="1234-ABCD", number=4),
        plan(whole, card="1234-ABCD", number=3, fill=True),
        plan(whole, card="1234-ABCD", number=3, everything=[]),
    ]
    assert len({made.digest, *(other.digest for other in others)}) == 5
    assert plan(whole, card="1234-ABCD", number=3) == made


def test_free_space_goes_after_the_files_and_before_the_copies() -> None:
    kinds = [item.kind for item in plan([chain("a", "DCIM/1/A.MP4")], fill=True).items]
    assert kinds == ["video", FREE_SPACE, COPY]


def test_a_whole_card_goes_with_all_that_belongs_to_no_film() -> None:
    film = chain("a", "DCIM/1/A.MP4")
    photo = Source("DCIM/1/P.JPG", 5, "5" * 64, OTHER)
    made = plan([film], everything=[Source("DCIM/1/A.MP4", 10, film.copied or "", "video"), photo])
    assert [(item.path, item.kind) for item in made.items] == [
        ("DCIM/1/A.MP4", "video"),
        ("DCIM/1/P.JPG", OTHER),
        ("a", COPY),
    ]


@pytest.mark.parametrize(
    "stays", ["a film that was never copied", "another film of that name", "a clip that must stay"]
)
def test_a_whole_card_stays_whole_for_one_film_that_must(stays: str) -> None:
    film = chain("a", "DCIM/1/A.MP4")
    listed = [Source("DCIM/1/A.MP4", 10, film.copied or "", "video")]
    chains = [film]
    if stays == "a film that was never copied":
        listed.append(Source("DCIM/1/B.MP4", 10, "b" * 64, "video"))
    elif stays == "another film of that name":
        listed = [replace(listed[0], sha256="b" * 64)]
    else:
        chains.append(chain("b", "DCIM/1/B.MP4", approved=None))
    made = plan(chains, fill=True, everything=listed)
    assert made.items == ()
    assert made.refused


def test_what_was_wiped_before_is_not_planned_again() -> None:
    whole = chain("a", "DCIM/1/A.MP4", "DCIM/1/A.THM")
    items = plan([whole]).items
    rest = plan([whole], {(item.path, item.sha256) for item in items[:1]})
    assert rest.items == items[1:]
    assert plan([whole], {(item.path, item.sha256) for item in items}) == EMPTY


def of(chain: Chain) -> set[tuple[str, str]]:
    """What a wipe of all of a clip leaves behind."""
    return {(item.path, item.sha256) for item in plan([chain]).items}


@pytest.mark.parametrize("since", ["", "taken out of the archive"])
def test_a_wiped_clip_keeps_nothing_that_took_its_name(since: str) -> None:
    """Cameras use a name again: also once nobody may say any more that the old clip is safe."""
    old, new = chain("a", "DCIM/1/A.MP4", "DCIM/1/A.THM"), chain("b", "DCIM/1/A.MP4")
    wiped = of(old)
    old = replace(old, delivered=None) if since else old
    made = plan([old, new], wiped)
    assert [item.path for item in made.items] == ["DCIM/1/A.MP4", "b"]
    assert made.items[0].sha256 == new.copied
    assert made.refused == ()
    listed = [Source("DCIM/1/A.MP4", 10, new.copied or "", "video"), Source("DCIM/1/A.THM", 1, "3" * 64, OTHER)]
    assert len(plan([old, new], wiped, everything=listed).items) == 3
    put_back = [replace(listed[0], sha256=old.copied or "")]
    assert plan([old, new], wiped, everything=put_back).items == (), "nobody copied it since"


def test_a_film_that_another_replaced_on_the_card_is_told_and_keeps_nothing_there() -> None:
    old, new = chain("a", "DCIM/1/A.MP4"), chain("b", "DCIM/1/A.MP4")
    gone = {("DCIM/1/A.MP4", old.copied or "")}
    made = plan([old, new], (), gone)
    assert [(item.path, item.kind) for item in made.items] == [
        ("DCIM/1/A.MP4", "video"),
        ("a", COPY),
        ("b", COPY),
        ("DCIM/1/A.MP4", GONE),
    ]
    waits = replace(old, approved=None)
    made = plan([waits, new], (), gone)
    assert [item.path for item in made.items] == ["DCIM/1/A.MP4", "b"], "the old clip's copy is all there is of it"
    assert [clip for clip, _ in made.refused] == ["a"]
    listed = [Source("DCIM/1/A.MP4", 10, new.copied or "", "video")]
    assert len(plan([waits, new], (), gone, everything=listed).items) == 2
    assert plan([waits, new], (), everything=listed).items == (), "on the card, it keeps all of it"


def test_what_was_copied_again_after_its_wipe_is_there_to_be_wiped(tmp_path: Path, ledger: Ledger) -> None:
    """The same film, put back on the card: it was wiped once, and is there once more."""
    scene = make(tmp_path, ledger)
    scene.run(ledger)
    rows = ledger.entries("ingest", scene.ids[0])
    assert len(wiped_since(ledger, rows)) == 3
    for name, data in BEFORE.items():
        (scene.card / name).write_bytes(data)
    ingest(find_clips(scene.card)[0], scene.vault, ledger)
    assert wiped_since(ledger, ledger.entries("ingest", scene.ids[0])[-1:]) == set()


PATHS = ["DCIM/1/A.MP4", "DCIM/1/a.mp4", "DCIM/1/B.MP4", "DCIM/1/C.MP4", "DCIM/1/A.THM", "../x"]
SUMS = ["f" * 64, "f" * 64, "0" * 64]
links = st.sampled_from([RENDER, RENDER, RENDER, None, "e" * 64])
sources = st.builds(
    Source,
    st.sampled_from(PATHS),
    st.just(10),
    st.sampled_from(SUMS),
    st.sampled_from(["video", "sidecar"]),
)
chains = st.builds(
    Chain,
    st.sampled_from("abc"),
    st.sampled_from(["f" * 64, "f" * 64, None]),
    st.just(10),
    st.lists(sources, max_size=3).map(tuple),
    rendered=links,
    checked=links,
    approved=links,
    delivered=links,
    archived=st.sampled_from([True, True, False]),
    waits=st.sampled_from([False, False, True]),
    consent=st.sampled_from([True, True, False]),
)
whole_chains = chains.map(lambda c: dataclasses.replace(c, **DONE))


@given(st.lists(chains | whole_chains, max_size=5))
def test_never_a_file_of_a_clip_whose_chain_is_incomplete(given_chains: list[Chain]) -> None:
    made = plan(given_chains)
    planned = {item.path.casefold() for item in made.items if item.kind != COPY}
    copies = {item.path for item in made.items if item.kind == COPY}
    refused = {clip for clip, _ in made.refused}
    for each in given_chains:
        if missing_link(each) is not None:
            assert not planned & {file.path.casefold() for file in each.files}
            assert each.clip not in copies
            assert each.clip in refused
        assert each.clip in copies or each.clip in refused
    listed = {file.path for each in given_chains if each.clip in copies for file in each.files}
    assert {item.path for item in made.items if item.kind != COPY} == listed
    assert not copies & refused


@given(st.lists(chains | whole_chains, max_size=5), st.sets(st.tuples(st.sampled_from(PATHS), st.sampled_from(SUMS))))
def test_whatever_is_gone_only_what_every_clip_there_agrees_on_goes(
    given_chains: list[Chain], gone: set[tuple[str, str]]
) -> None:
    made = plan(given_chains, (), gone)
    for item in made.items:
        owners = [
            (each, file)
            for each in given_chains
            for file in each.files
            if file.path.casefold() == item.path.casefold() and (file.path, file.sha256) not in gone
        ]
        if item.kind == COPY:
            assert all(missing_link(each) is None for each in given_chains if each.clip == item.path)
        elif item.kind == GONE:
            assert (item.path, item.sha256) in gone
        else:
            assert owners
            assert all(missing_link(each) is None and file.sha256 == item.sha256 for each, file in owners)


@given(st.lists(chains | whole_chains, max_size=5), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order(given_chains: list[Chain], random: Any) -> None:
    shuffled = list(given_chains)
    random.shuffle(shuffled)
    assert plan(shuffled).items == plan(given_chains).items
    assert plan(shuffled).digest == plan(given_chains).digest


# --- carrying it out ------------------------------------------------------------------------------------------------


@dataclass
class Scene:
    """A card with clips A (film, thumbnail) and B, of which A may go; a photograph; a vault with A and B."""

    card: Path
    vault: Vault
    plan: WipePlan
    ids: tuple[str, str]

    def run(self, ledger: Any, plan: WipePlan | None = None, disk: Disk | None = None) -> Any:
        plan = plan or self.plan
        return execute(plan, plan.digest, self.card, ledger, self.vault, tied=tied_files, disk=disk)

    def contents(self) -> dict[str, bytes]:
        return {p.relative_to(self.card).as_posix(): p.read_bytes() for p in self.card.rglob("*") if p.is_file()}


FILM_A, FILM_B = os.urandom(10_000), os.urandom(9_000)
BEFORE = {
    "DCIM/100CANON/MVI_0001.MP4": FILM_A,
    "DCIM/100CANON/MVI_0001.THM": b"face",
    "DCIM/100CANON/MVI_0002.MP4": FILM_B,
    "DCIM/100CANON/IMG_0003.JPG": b"photograph",
}
AFTER = {name: data for name, data in BEFORE.items() if "0001" not in name}


def outcomes(ledger: Any) -> set[tuple[str, str]]:
    return {(row.payload["path"], row.payload["sha256"]) for row in ledger.entries(kind="wipe_outcome")}


def make(tmp_path: Path, ledger: Any) -> Scene:
    card = tmp_path / "card"
    for name, data in BEFORE.items():
        (card / name).parent.mkdir(parents=True, exist_ok=True)
        (card / name).write_bytes(data)
    vault = Vault(tmp_path / "vault")
    facts = []
    for take, links in zip(find_clips(card), (DONE, DONE | {"approved": None}), strict=True):
        clip = ingest(take, vault, ledger)
        files = sources_of(row.payload for row in ledger.entries(kind="ingest", clip=clip.id))
        facts.append(Chain(clip.id, clip.sha256, clip.bytes, files, **links))
    return Scene(card, vault, plan(facts), (facts[0].clip, facts[1].clip))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture
def scene(tmp_path: Path, ledger: Ledger) -> Scene:
    return make(tmp_path, ledger)


def test_exactly_the_plan_goes(scene: Scene, ledger: Ledger) -> None:
    wiped = scene.run(ledger)
    assert scene.contents() == AFTER
    assert scene.vault.ids() == [scene.ids[1]]
    assert (wiped.files, wiped.copies, wiped.bytes) == (2, 1, len(FILM_A) + 4)
    assert wiped.promise == PROMISE
    assert "cannot be excluded" in PROMISE
    assert "in the camera" in PROMISE
    assert outcomes(ledger) == {(item.path, item.sha256) for item in scene.plan.items}
    assert ledger.verify() == []


def test_no_interrupted_copy_outlives_a_wipe(scene: Scene, ledger: Ledger) -> None:
    """Sealed or not, with its key it is the film."""
    scene.vault.resumable("interrupted", print).close()
    assert list(scene.vault.root.rglob("*.unfinished"))
    scene.run(ledger)
    assert not list(scene.vault.root.rglob("*.unfinished"))


def test_the_folders_of_the_camera_stay(scene: Scene, ledger: Ledger) -> None:
    for name in AFTER:
        (scene.card / name).unlink()
    scene.run(ledger)
    assert (scene.card / "DCIM/100CANON").is_dir()


def test_the_bytes_are_overwritten_before_the_name_goes(scene: Scene, ledger: Ledger, tmp_path: Path) -> None:
    seen: list[tuple[str, bytes]] = []

    class Watching(Disk):
        def unlink(self, path: Path) -> None:
            seen.append((path.name, path.read_bytes()))
            super().unlink(path)

    scene.run(ledger, disk=Watching())
    (film, noise), (_, thumb) = seen
    assert film.startswith("LV")
    assert len(noise) == len(FILM_A)
    assert len(thumb) == 4
    assert all(noise[n : n + 16] != FILM_A[n : n + 16] for n in range(0, len(noise), 16))


def test_a_plan_works_once(scene: Scene, ledger: Ledger) -> None:
    scene.run(ledger)
    for name, data in BEFORE.items():
        (scene.card / name).write_bytes(data)
    with pytest.raises(WipeError, match="works once"):
        scene.run(ledger)
    assert scene.contents() == BEFORE


def test_another_digest_is_refused(scene: Scene, ledger: Ledger) -> None:
    less = replace(scene.plan, items=scene.plan.items[1:])
    other_card = replace(scene.plan, card="another")
    for shown, digest in ((scene.plan, "0" * 64), (less, scene.plan.digest), (other_card, scene.plan.digest)):
        with pytest.raises(WipeError, match="not the plan that was shown"):
            execute(shown, digest, scene.card, ledger, scene.vault, tied=tied_files)
    empty = EMPTY
    with pytest.raises(WipeError, match="nothing to wipe"):
        scene.run(ledger, empty)
    assert scene.contents() == BEFORE


FILM = "DCIM/100CANON/MVI_0001.MP4"
THUMB = "DCIM/100CANON/MVI_0001.THM"


def _longer(card: Path) -> None:
    (card / THUMB).write_bytes(b"faces")


def _other(card: Path) -> None:
    (card / THUMB).write_bytes(b"ecaf")


def _gone(card: Path) -> None:
    (card / THUMB).unlink()


def _link(card: Path) -> None:
    (card.parent / "home.jpg").write_bytes(b"face")
    (card / THUMB).unlink()
    (card / THUMB).symlink_to(card.parent / "home.jpg")


def _second_name(card: Path) -> None:
    os.link(card / THUMB, card.parent / "home.jpg")


def _folder_link(card: Path) -> None:
    (card / "DCIM").rename(card.parent / "home")
    (card / "DCIM").symlink_to(card.parent / "home")


def _folder(card: Path) -> None:
    (card / THUMB).unlink()
    (card / THUMB).mkdir()


def _proxy(card: Path) -> None:
    (card / "DCIM/100CANON/MVI_0001.LRV").write_bytes(b"proxy")


@pytest.mark.parametrize("change", [_longer, _other, _gone, _link, _second_name, _folder_link, _folder, _proxy])
def test_what_changed_since_the_plan_stops_it_before_it_begins(
    scene: Scene, ledger: Ledger, change: Callable[[Path], None]
) -> None:
    change(scene.card)
    before, rows = scene.contents(), len(ledger.entries())
    with pytest.raises(WipeError):
        scene.run(ledger)
    assert scene.contents() == before
    assert scene.vault.has(scene.ids[0])
    assert len(ledger.entries()) == rows
    if (home := scene.card.parent / "home.jpg").exists():
        assert home.read_bytes() == b"face"


def test_a_file_that_changes_while_the_wipe_is_under_way_is_left(scene: Scene, ledger: Ledger) -> None:
    class Meddling(Disk):
        def unlink(self, path: Path) -> None:
            super().unlink(path)
            (scene.card / THUMB).write_bytes(b"xxxx")
            os.utime(scene.card / THUMB, ns=(1, 1))

    with pytest.raises(WipeError, match=r"MVI_0001\.THM changed"):
        scene.run(ledger, disk=Meddling())
    assert (scene.card / THUMB).read_bytes() == b"xxxx"
    assert scene.vault.has(scene.ids[0])


def test_a_card_that_cannot_be_written_is_told(scene: Scene, ledger: Ledger) -> None:
    class ReadOnly(Disk):
        def write(self, file: BinaryIO, data: bytes) -> None:
            raise OSError(30, "Read-only file system", file.name)

    with pytest.raises(WipeError, match="Read-only file system; the plan is not done"):
        scene.run(ledger, disk=ReadOnly())
    assert scene.contents() == BEFORE


def test_another_card_is_not_taken_for_the_rest_of_this_one(tmp_path: Path, ledger: Ledger) -> None:
    """Stopped after its last intent, before a byte was overwritten: a card without the file must not end the plan."""
    scene = make(tmp_path, ledger)
    items = tuple(item for item in scene.plan.items if item.path == FILM)
    only = WipePlan(items, (), "")
    only = replace(only, digest=digest_of(only))
    (scene.card / THUMB).unlink()

    class Pulled(Disk):
        def write(self, file: BinaryIO, data: bytes) -> None:
            raise OSError(5, "Input/output error")

    with pytest.raises(WipeError):
        scene.run(ledger, only, Pulled())
    (tmp_path / "other/DCIM").mkdir(parents=True)
    with pytest.raises(WipeError, match="gone since the plan"):
        replace(scene, card=tmp_path / "other").run(ledger, only)
    assert unfinished(ledger) == only
    scene.run(ledger, only)
    assert FILM not in scene.contents()


# --- interrupted anywhere -------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is no more."""


class Book:
    """A ledger in memory that can be killed before or after a row is kept."""

    def __init__(self) -> None:
        self.rows: list[SimpleNamespace] = []
        self.step: Callable[[], bool] = lambda: False

    def append(self, kind: str, clip: str | None, payload: dict[str, Any]) -> int:
        late = self.step()
        self.rows.append(SimpleNamespace(kind=kind, clip=clip, payload=payload, seq=len(self.rows) + 1))
        if late:
            raise Killed
        return len(self.rows)

    def entries(self, kind: str | None = None, clip: str | None = None) -> list[SimpleNamespace]:
        return [r for r in self.rows if kind in (None, r.kind) and clip in (None, r.clip)]


class Killer(Disk):
    """Dies at its ``at``-th step: before it, or (``late``) just after it; a write dies in the middle as well."""

    def __init__(self, at: int, late: bool) -> None:
        self.at, self.late, self.steps = at, late, 0

    def step(self) -> bool:
        """Count one step; die before it, or say that it is to die after it."""
        self.steps += 1
        if self.steps == self.at and not self.late:
            raise Killed
        return self.steps == self.at

    def write(self, file: BinaryIO, data: bytes) -> None:
        half = len(data) // 2 // 512 * 512  # a sector is written whole or not
        for piece in (data[:half], data[half:]):
            late = self.step()
            super().write(file, piece)
            if late:
                raise Killed

    def sync(self, file: BinaryIO) -> None:
        self._do(super().sync, file)

    def rename(self, path: Path, to: Path) -> None:
        self._do(super().rename, path, to)

    def unlink(self, path: Path) -> None:
        self._do(super().unlink, path)

    def sync_folder(self, path: Path) -> None:
        self._do(super().sync_folder, path)

    def _do(self, call: Callable[..., None], *args: Any) -> None:
        late = self.step()
        call(*args)
        if late:
            raise Killed


class DyingVault:
    def __init__(self, vault: Vault, killer: Killer) -> None:
        self._vault, self._killer = vault, killer

    def destroy(self, id: str) -> None:
        self._killer._do(self._vault.destroy, id)

    def forget_unfinished(self) -> None:
        self._killer._do(self._vault.forget_unfinished)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_killed_at_every_step_a_rerun_completes_and_takes_nothing_more(tmp_path: Path, late: bool) -> None:
    points = 0
    while True:
        book = Book()
        scene = make(tmp_path / str(points), book)
        killer = Killer(points + 1, late)
        book.step = killer.step
        try:
            execute(
                scene.plan,
                scene.plan.digest,
                scene.card,
                book,
                DyingVault(scene.vault, killer),
                tied=tied_files,
                disk=killer,
            )
        except Killed:
            pass
        else:
            break
        points += 1
        book.step = lambda: False
        assert scene.contents().items() >= AFTER.items(), f"more was touched at step {points}"
        _nothing_went_without_an_intent(scene, book)
        if any(row.kind == END for row in book.rows):
            with pytest.raises(WipeError, match="works once"):
                scene.run(book)
        else:
            again = unfinished(book) or scene.plan
            assert again.items == scene.plan.items
            scene.run(book, again)
        assert scene.contents() == AFTER, f"killed at step {points}"
        assert scene.vault.ids() == [scene.ids[1]]
        assert outcomes(book) == {(item.path, item.sha256) for item in scene.plan.items}
        assert unfinished(book) is None
    print(f"killed {'after' if late else 'before'} each of {points} steps")
    assert points >= 25


def _nothing_went_without_an_intent(scene: Scene, book: Book) -> None:
    intended = {row.payload["path"] for row in book.rows if row.kind == "wipe_intent"}
    now = scene.contents()
    for name, data in BEFORE.items():
        assert name in intended or now[name] == data


def test_a_rerun_does_not_take_a_file_that_took_the_place_of_a_wiped_one(tmp_path: Path) -> None:
    """Whatever step it was killed at: a new film under the old name stops the rerun and stays whole."""
    points = 0
    while True:
        book = Book()
        scene = make(tmp_path / str(points), book)
        killer = Killer(points + 1, True)
        try:
            scene.run(book, disk=killer)
        except Killed:
            pass
        else:
            break
        points += 1
        new = os.urandom(len(FILM_A))
        (scene.card / FILM).write_bytes(new)
        with pytest.raises(WipeError):
            scene.run(book)
        assert scene.contents()[FILM] == new
        assert scene.vault.has(scene.ids[0])
    assert points >= 10
