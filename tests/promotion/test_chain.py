"""Chains of statements: one that the program wrote is read, and one in which anything else stands is broken."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ladder.contract.promotion import Workflow
from ladder.promotion import Broken
from ladder.promotion.chain import LARGEST, Chain, file_name, read_chain
from ladder.promotion.statements import Kind, Link, Observed, as_moment, as_statement, digest_of
from tests.promotion.ladders import LADDER, SIGNERS, START, Writer, links, sealed, verify, versions

KINDS = st.lists(st.sampled_from(Kind), min_size=1, max_size=5)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def read(at: Path, environment: str = "dev") -> Chain:
    return read_chain(at / environment, environment, SIGNERS, verify)


def written(writer: Writer, kinds: list[Kind], data: st.DataObject, environment: str = "dev") -> list[Link]:
    """Any statements of those kinds, in a chain."""
    every: list[Link] = []
    for kind in kinds:
        link = data.draw(links(kind, st.just(writer.place(environment))))
        writer.append(link)
        every.append(link)
    return every


def four(at: Path) -> Writer:
    """Of dev a statement of each kind, and an observation of staging."""
    writer = Writer(at)
    pin = writer.pin("dev", versions(1))
    writer.approve("dev", pin, versions(1))
    seen = writer.observe("dev", versions(1))
    writer.cut("dev", versions(1), seen)
    writer.observe("staging", versions(1))
    return writer


@settings(max_examples=50)
@given(KINDS, st.data())
def test_what_was_appended_is_read_back_in_order(kinds: list[Kind], data: st.DataObject) -> None:
    with folder() as at:
        writer = Writer(at)
        expected = written(writer, kinds, data)
        chain = read(at)
        assert [entry.link for entry in chain.entries] == expected
        assert [entry.file for entry in chain.entries] == [f"dev/{path.name}" for path in writer.files("dev")]
        assert [entry.digest for entry in chain.entries] == [
            digest_of(path.read_bytes()) for path in writer.files("dev")
        ]
        assert [entry.logged for entry in chain.entries] == [
            START + timedelta(minutes=minute) for minute in range(len(kinds))
        ]
        assert all(chain.find(entry.digest) is entry for entry in chain.entries)
        head = chain.head
        assert head is not None
        assert (head.environment, head.sequence, head.digest) == ("dev", len(kinds), chain.entries[-1].digest)
        assert chain.next == (len(kinds) + 1, head.digest)


def test_where_there_is_no_folder_or_none_in_it_there_is_no_statement(tmp_path: Path) -> None:
    for _ in range(2):
        chain = read(tmp_path)
        assert (chain.entries, chain.head, chain.next, chain.find(None)) == ((), None, (1, None), None)
        (tmp_path / "dev").mkdir(exist_ok=True)


def test_the_chains_of_all_environments_are_read_each_by_itself(tmp_path: Path) -> None:
    chains = four(tmp_path).chains()
    assert {name: len(chain.entries) for name, chain in chains.items()} == {"dev": 4, "staging": 1, "prod": 0}
    assert tuple(chains) == LADDER


@settings(max_examples=50)
@given(KINDS, st.data())
def test_a_chain_with_any_byte_altered_is_broken_and_the_file_is_named(kinds: list[Kind], data: st.DataObject) -> None:
    with folder() as at:
        writer = Writer(at)
        written(writer, kinds, data)
        path = data.draw(st.sampled_from(writer.files("dev")))
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        with pytest.raises(Broken, match=f"^dev/{path.name}: "):
            read(at)


@settings(max_examples=50)
@given(KINDS, st.data())
def test_a_chain_that_lacks_any_but_the_last_is_broken(kinds: list[Kind], data: st.DataObject) -> None:
    with folder() as at:
        writer = Writer(at)
        written(writer, [*kinds, Kind.OBSERVED], data)
        files = writer.files("dev")
        gone = data.draw(st.integers(0, len(files) - 2))
        files[gone].unlink()
        with pytest.raises(Broken, match=f"^dev/{files[gone + 1].name}: statement {gone + 1} of dev is missing"):
            read(at)


@settings(max_examples=50)
@given(KINDS, st.data())
def test_of_a_chain_cut_off_at_its_end_only_an_anchored_head_tells(kinds: list[Kind], data: st.DataObject) -> None:
    """What is left is a chain, as it was read before the last was written."""
    with folder() as at:
        writer = Writer(at)
        written(writer, kinds, data)
        before = read(at)
        written(writer, [data.draw(st.sampled_from(Kind))], data)
        anchored = read(at).head
        writer.files("dev")[-1].unlink()
        assert read(at) == before
        assert before.head != anchored


@settings(max_examples=50)
@given(KINDS, st.data())
def test_a_chain_in_which_any_two_changed_places_is_broken(kinds: list[Kind], data: st.DataObject) -> None:
    """Under their own names' kinds or each other's."""
    with folder() as at:
        writer = Writer(at)
        written(writer, [*kinds, Kind.OBSERVED], data)
        files = writer.files("dev")
        one, other = data.draw(st.lists(st.sampled_from(files), min_size=2, max_size=2, unique=True))
        first, second = one.read_bytes(), other.read_bytes()
        if data.draw(st.booleans()):
            one.write_bytes(second)
            other.write_bytes(first)
        else:
            one.unlink()
            other.unlink()
            one.with_name(one.name[:7] + other.name[7:]).write_bytes(second)
            other.with_name(other.name[:7] + one.name[7:]).write_bytes(first)
        with pytest.raises(Broken, match=rf"^dev/0*{min(int(one.name[:6]), int(other.name[:6]))}-"):
            read(at)


def renamed(path: Path, name: str) -> str:
    path.rename(path.with_name(name))
    return name


def copied(path: Path, to: Path) -> str:
    shutil.copy(path, to)
    return to.name


def linked(path: Path) -> str:
    """The same bytes, behind a link."""
    shutil.move(path, path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")
    return path.name


def grown(path: Path) -> str:
    path.write_bytes(b" " * (LARGEST + 1))
    return path.name


def made(path: Path) -> str:
    path.mkdir()
    return path.name


SPOILED: dict[str, tuple[Callable[[Path], str], str]] = {
    "the last under another number": (
        lambda dev: renamed(dev / "000004-candidate.sigstore.json", "000005-candidate.sigstore.json"),
        "statement 4 of dev is missing",
    ),
    "the first under no number": (
        lambda dev: renamed(dev / "000001-request.sigstore.json", "000000-request.sigstore.json"),
        "statement 1 of dev is missing",
    ),
    "two of one number": (
        lambda dev: copied(dev / "000004-candidate.sigstore.json", dev / "000003-request.sigstore.json"),
        "is missing, or another has its number",
    ),
    "the last once more": (
        lambda dev: copied(dev / "000004-candidate.sigstore.json", dev / "000005-candidate.sigstore.json"),
        "is statement 4, and stands as 5",
    ),
    "under another kind of the same signer": (
        lambda dev: renamed(dev / "000004-candidate.sigstore.json", "000004-request.sigstore.json"),
        "says it is of the kind candidate",
    ),
    "under another kind of another signer": (
        lambda dev: renamed(dev / "000004-candidate.sigstore.json", "000004-approval.sigstore.json"),
        "is signed by",
    ),
    "of another environment": (
        lambda dev: copied(
            dev.parent / "staging" / "000001-observed.sigstore.json", dev / "000005-observed.sigstore.json"
        ),
        "speaks of staging",
    ),
    "a foreign file": (
        lambda dev: copied(dev / "000001-request.sigstore.json", dev / "README.md"),
        "is not a statement's",
    ),
    "a hidden file": (lambda dev: copied(dev / "000001-request.sigstore.json", dev / ".keep"), "is not a statement's"),
    "a number of seven digits": (
        lambda dev: renamed(dev / "000001-request.sigstore.json", "0000001-request.sigstore.json"),
        "is not a statement's",
    ),
    "a kind there is not": (
        lambda dev: renamed(dev / "000004-candidate.sigstore.json", "000004-wish.sigstore.json"),
        "is not a statement's",
    ),
    "a folder": (lambda dev: made(dev / "000005-request.sigstore.json"), "is not a statement's"),
    "a link": (lambda dev: linked(dev / "000002-approval.sigstore.json"), "is not a statement's"),
    "too large": (lambda dev: grown(dev / "000002-approval.sigstore.json"), f"is larger than {LARGEST} bytes"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_folder_is_broken_and_the_file_is_named(how: str, tmp_path: Path) -> None:
    spoil, says = SPOILED[how]
    four(tmp_path)
    read(tmp_path)
    name = spoil(tmp_path / "dev")
    with pytest.raises(Broken) as raised:
        read(tmp_path)
    assert str(raised.value).startswith(f"dev/{name}: ")
    assert says in str(raised.value)


@pytest.mark.parametrize("what", ["a link to the folder", "a file", "a link to nothing"])
def test_what_is_no_folder_of_statements_is_broken(what: str, tmp_path: Path) -> None:
    four(tmp_path)
    shutil.move(tmp_path / "dev", tmp_path / "moved")
    match what:
        case "a file":
            (tmp_path / "dev").write_bytes(b"")
        case "a link to nothing":
            (tmp_path / "dev").symlink_to(tmp_path / "nowhere")
        case _:
            (tmp_path / "dev").symlink_to(tmp_path / "moved")
    with pytest.raises(Broken, match=r"^dev: is not a folder of statements"):
        read(tmp_path)


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "follows from nothing": ({"previous": None}, "does not follow from the statement before it"),
    "follows from another": ({"previous": digest_of(b"another")}, "does not follow from the statement before it"),
    "a later place": ({"sequence": 6}, "is statement 6, and stands as 5"),
    "an earlier place": ({"sequence": 4}, "is statement 4, and stands as 5"),
    "another environment": ({"environment": "prod"}, "speaks of prod"),
    "a later time than it was signed at": ({"at": "2031-03-04T05:21:08Z"}, "and the log has it of"),
    "an earlier time than it was signed at": ({"at": "2031-03-04T05:00:06Z"}, "and the log has it of"),
}


def appended(writer: Writer, **changed: object) -> Path:
    """An observation as dev's fifth statement, rightly signed, with other values."""
    right = {
        "problems": (),
        "services": {
            name: {"revision": "0c" * 20, "pods": 1, **each.model_dump()} for name, each in versions(1).items()
        },
    }
    link = Observed.model_validate({**right, **writer.place("dev"), **changed})
    path = writer.folder / "dev" / file_name(link.model_copy(update={"sequence": 5}))
    path.write_bytes(sealed(as_statement(link), SIGNERS.observed, writer.now))
    return path


def test_a_statement_in_its_place_is_read(tmp_path: Path) -> None:
    appended(four(tmp_path))
    assert len(read(tmp_path).entries) == 5


@pytest.mark.parametrize("how", WRONG)
def test_a_rightly_signed_statement_that_is_not_the_next_is_broken(how: str, tmp_path: Path) -> None:
    changed, says = WRONG[how]
    path = appended(four(tmp_path), **changed)
    with pytest.raises(Broken) as raised:
        read(tmp_path)
    assert str(raised.value).startswith(f"dev/{path.name}: ")
    assert says in str(raised.value)


def test_a_first_statement_that_follows_from_another_is_broken(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    (tmp_path / "dev").mkdir()
    path = appended(writer, sequence=1, previous=digest_of(b"another"))
    path = path.rename(path.with_name("000001-observed.sigstore.json"))
    with pytest.raises(Broken, match=f"^dev/{path.name}: does not follow"):
        read(tmp_path)


@pytest.mark.parametrize(("minutes", "broken"), [(-11, True), (-10, False), (10, False), (11, True)])
def test_a_statement_is_of_within_ten_minutes_of_its_signature(minutes: int, broken: bool, tmp_path: Path) -> None:
    writer = four(tmp_path)
    path = appended(writer, at=as_moment(writer.now + timedelta(minutes=minutes)))
    if broken:
        with pytest.raises(Broken, match=f"^dev/{path.name}: says .* and the log has it of"):
            read(tmp_path)
    else:
        assert len(read(tmp_path).entries) == 5


def test_a_statement_signed_before_the_one_that_it_follows_is_broken(tmp_path: Path) -> None:
    writer = four(tmp_path)
    last = read(tmp_path).entries[-1].logged
    writer.now = last
    path = appended(writer)
    assert len(read(tmp_path).entries) == 5
    writer.now = last - timedelta(seconds=1)
    assert appended(writer) == path
    with pytest.raises(Broken, match=f"^dev/{path.name}: was signed before the statement that it follows"):
        read(tmp_path)


SIGNER = {Kind.CANDIDATE: "request", Kind.REQUEST: "request", Kind.APPROVAL: "approval", Kind.OBSERVED: "observed"}


@pytest.mark.parametrize("kind", Kind)
@given(data=st.data())
@settings(max_examples=5)
def test_of_all_signers_only_the_kinds_own_is_believed(kind: Kind, data: st.DataObject) -> None:
    every: dict[str, Workflow] = {name: getattr(SIGNERS, name) for name in ("request", "approval", "observed", "load")}
    own = every[SIGNER[kind]]
    every["a tag's"] = own.model_copy(update={"ref": "refs/tags/v1"})
    every["a fork's"] = own.model_copy(update={"repository": "https://github.com/mallory/environment-ladder"})
    every["another issuer's"] = own.model_copy(update={"issuer": "https://accounts.example.com"})
    for name, signer in every.items():
        with folder() as at:
            writer = Writer(at)
            link = data.draw(links(kind, st.just(writer.place("dev"))))
            writer.append(link, signer=signer)
            if name == SIGNER[kind]:
                assert len(read(at).entries) == 1
            else:
                with pytest.raises(Broken, match=f"^dev/{file_name(link)}: is signed by"):
                    read(at)


def test_a_signed_text_that_is_no_statement_is_broken(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    path = tmp_path / "dev" / "000001-observed.sigstore.json"
    path.write_bytes(sealed(json.dumps({"predicateType": "x"}).encode(), SIGNERS.observed, START))
    with pytest.raises(Broken, match=f"^dev/{path.name}: is no statement of this project"):
        read(tmp_path)


def test_the_largest_statement_is_still_read_to_be_refused_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    path = tmp_path / "dev" / "000001-observed.sigstore.json"
    path.write_bytes(b" " * LARGEST)
    with pytest.raises(Broken, match=f"^dev/{path.name}: is not signed"):
        read(tmp_path)
