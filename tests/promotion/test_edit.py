"""Changing digests: exactly the two scalars change, whatever else stands in the file and however it is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.errors import InputError
from ladder.promotion.edit import pinned, with_digests
from ladder.promotion.statements import Pinned
from tests.promotion.ladders import digest, digests
from tests.support import ROOT

FILE = "gitops/envs/dev/web/version.yaml"
PINNED = st.builds(Pinned, image=digests(), chart=digests())
QUOTES = st.sampled_from(["{}", "'{}'", '"{}"'])
COMMENT = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=12) | digests()


@st.composite
def texts(draw: st.DrawFn) -> tuple[list[str], Pinned]:
    """A ``version.yaml`` in parts, the two digests in it at the parts "image" and "chart", and what these are."""
    held, end = draw(PINNED), draw(st.sampled_from(["\n", "\r\n"]))
    order = draw(st.permutations(["image", "chart"]))

    def comments(indent: str = "") -> str:
        lines = draw(st.lists(COMMENT, max_size=2))
        return "".join(f"{indent}# {line}{end}" for line in lines) + draw(st.sampled_from(["", end]))

    def key(name: str) -> str:
        return draw(QUOTES).format(name)

    def rest() -> str:
        return draw(st.sampled_from(["", " ", "  # {}", " # was {}"])).format(draw(COMMENT)) + end

    def block(name: str) -> list[str]:
        indent = " " * draw(st.integers(1, 5))
        before, _, after = draw(QUOTES).partition("{}")
        gap = draw(st.sampled_from([" ", "   ", f" {end}{indent}  "]))
        head = [comments(), f"{key(name)}:{rest()}", comments(indent), f"{indent}{key('digest')}:{gap}{before}"]
        return [*head, name, after + rest()]

    def literal(name: str) -> list[str]:
        style = draw(st.sampled_from(["|-", ">-"]))
        head = [comments(), f"{key(name)}:{end}  digest: {style}{rest()}    "]
        return [*head, name, end + draw(st.sampled_from(["", end]))]

    def flow(name: str) -> list[str]:
        before, _, after = draw(QUOTES).partition("{}")
        gap = draw(st.sampled_from(["", " ", f"{end}    "]))
        return [f"{comments()}{key(name)}: {{{gap}{key('digest')}: {before}", name, f"{after}{gap}}}{rest()}"]

    parts = draw(st.sampled_from([[], ["\ufeff"], [f"---{end}"], [f"# {draw(COMMENT)} \U0001f680{end}"]]))
    if draw(st.booleans()):
        for name in order:
            parts = [*parts, *draw(st.sampled_from([block, literal, flow]))(name)]
        return [*parts, comments(), draw(st.sampled_from(["", f"...{end}"]))], held
    one, other = ([f"{name}: {{digest: ", name, "}"] for name in order)
    return [*parts, comments(), "{", *one, f",{end} ", *other, f"}}{rest()}", comments()], held


def joined(parts: list[str], pins: Pinned) -> str:
    return "".join({"image": pins.image, "chart": pins.chart}.get(part, part) for part in parts)


@given(texts(), PINNED)
def test_exactly_the_two_digests_change(text: tuple[list[str], Pinned], wanted: Pinned) -> None:
    """What stands around them, and in comments perhaps the same digest, is the same to the byte."""
    parts, held = text
    before = joined(parts, held)
    assert pinned(before, file=FILE) == held
    after = with_digests(before, wanted, file=FILE)
    assert after.encode() == joined(parts, wanted).encode()
    assert pinned(after, file=FILE) == wanted
    assert with_digests(after, held, file=FILE) == before


@given(texts())
def test_the_same_digests_are_the_same_text(text: tuple[list[str], Pinned]) -> None:
    before = joined(*text)
    assert with_digests(before, text[1], file=FILE) == before


@given(PINNED)
def test_a_shipped_file_keeps_its_first_line_and_its_form(wanted: Pinned) -> None:
    shipped = (ROOT / FILE).read_bytes().decode()
    changed = with_digests(shipped, wanted, file=FILE).splitlines()
    assert changed == [
        shipped.splitlines()[0],
        "image:",
        f"  digest: {wanted.image}",
        "chart:",
        f"  digest: {wanted.chart}",
    ]


def test_digests_that_change_places_do() -> None:
    one, other = digest(1), digest(2)
    text = f"image: {{digest: {one}}} # {other}\nchart: {{digest: {other}}} # {one}\n"
    changed = with_digests(text, Pinned(image=other, chart=one), file=FILE)
    assert changed == f"image: {{digest: {other}}} # {other}\nchart: {{digest: {one}}} # {one}\n"


@pytest.mark.parametrize("same", ["image", "chart"])
def test_of_two_equal_digests_one_alone_may_change(same: str) -> None:
    one, other = digest(1), digest(2)
    text = f"chart: {{digest: {one}}}\nimage: {{digest: {one}}}\n"
    wanted = Pinned(**{"image": other, "chart": other, same: one})
    assert pinned(with_digests(text, wanted, file=FILE), file=FILE) == wanted


@given(
    st.integers(0, 70),
    st.sampled_from(["\\x{:02x}", "\\u{:04x}", "\\U{:08x}"]),
    st.booleans(),
)
def test_a_digest_that_is_written_with_escapes_is_changed_or_refused_and_never_left(
    place: int, escape: str, folded: bool
) -> None:
    held, wanted = Pinned(image=digest(1), chart=digest(2)), Pinned(image=digest(3), chart=digest(4))
    written = held.image[:place] + escape.format(ord(held.image[place])) + held.image[place + 1 :]
    if folded:
        written = "\\\n    " + written
    text = f'image: {{digest: "{written}"}}\nchart: {{digest: {held.chart}}}\n'
    assert pinned(text, file=FILE) == held
    try:
        changed = with_digests(text, wanted, file=FILE)
    except InputError as error:
        (problem,) = error.problems
        assert (problem.file, problem.line, problem.path) == (FILE, 1, "image.digest")
        return
    assert pinned(changed, file=FILE) == wanted


WHOLE = {"image": {"digest": digest(1)}, "chart": {"digest": digest(2)}}
BAD: dict[str, tuple[str, str]] = {
    "empty": ("", "is empty"),
    "only a comment": ("# nothing\n", "is empty"),
    "a list": (json.dumps([WHOLE]), "is not a map"),
    "no chart": (json.dumps({"image": WHOLE["image"]}), "is missing"),
    "one more key": (json.dumps({**WHOLE, "tag": "v1"}), "is an unknown key"),
    "a tag in place of a digest": (json.dumps({**WHOLE, "image": {"digest": "v1"}}), "does not have the required form"),
    "no text": (json.dumps({**WHOLE, "image": {"digest": 1}}), "is not accepted"),
    "a key twice": (f"{json.dumps(WHOLE)[:-1]}, image: {{digest: {digest(3)}}}}}", "stands twice"),
    "an alias": (f"image: &a {{digest: {digest(1)}}}\nchart: *a\n", "repeats another part of the file"),
    "a merge": (f"image: {{<<: {{digest: {digest(1)}}}}}\nchart: {{digest: {digest(1)}}}\n", "not a string"),
    "two documents": (f"{json.dumps(WHOLE)}\n---\n{json.dumps(WHOLE)}\n", "a second document"),
    "no YAML": ("image: {", "is not YAML"),
    "too deep": ("[" * 100_000, "is nested too deeply"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_none_is_refused(name: str) -> None:
    text, says = BAD[name]
    for attempt in (lambda: pinned(text, file=FILE), lambda: with_digests(text, WANTED, file=FILE)):
        with pytest.raises(InputError, match=says) as raised:
            attempt()
        assert {problem.file for problem in raised.value.problems} == {FILE}


def test_a_tab_that_some_parsers_do_not_take_is_told() -> None:
    with pytest.raises(InputError, match="is YAML to some parsers and not to others"):
        with_digests(SHIPPED.rstrip() + "\t", WANTED, file=FILE)


WANTED = Pinned(image=digest(5), chart=digest(6))
SHIPPED = (ROOT / FILE).read_bytes().decode()


@given(st.data())
def test_whatever_is_done_to_a_file_it_is_changed_or_refused(data: st.DataObject) -> None:
    """Characters put in, taken out, or put in place of others: never another exception, never half of it."""
    text = SHIPPED
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(begin, min(begin + 3, len(text))))
        put = st.text(
            st.sampled_from("\t\r\n \"'#:-{}[]|>&*!%@`\\?,~\x85\u2028\ufeff\x00\x7f\xa0é\U0001f680"), max_size=3
        )
        text = text[:begin] + data.draw(put) + text[end:]
    try:
        changed = with_digests(text, WANTED, file=FILE)
    except InputError:
        return
    assert pinned(changed, file=FILE) == WANTED
    assert with_digests(changed, pinned(text, file=FILE), file=FILE) == text
