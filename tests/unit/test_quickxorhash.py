"""quickXorHash: the published vectors, and the definition bit by bit beside the fast way."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.quickxorhash import _ROW, QuickXorHash, quickxorhash

VECTORS = {
    b"": "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    b"hello world": "aCgDG9jwBhDc4Q1yawMZAAAAAAA=",
    b"a" * 1000: "cIADHOAABzjAAQ5waAAcgQhEIAI=",
}


def by_definition(data: bytes) -> str:
    bits = 0
    for place, byte in enumerate(data):
        for bit in range(8):
            if byte >> bit & 1:
                bits ^= 1 << (11 * place + bit) % 160
    out = bytearray(bits.to_bytes(20, "little"))
    for place, byte in enumerate(len(data).to_bytes(8, "little")):
        out[12 + place] ^= byte
    return base64.b64encode(bytes(out)).decode()


@pytest.mark.parametrize(("data", "known"), VECTORS.items())
def test_the_published_vectors(data: bytes, known: str) -> None:
    assert quickxorhash(data) == known == by_definition(data)


@given(st.binary(max_size=2000))
def test_it_is_what_the_definition_says(data: bytes) -> None:
    assert quickxorhash(data) == by_definition(data)


@given(st.integers(0, 400), st.lists(st.integers(0, 70_000), max_size=8), st.integers(0, 99))
def test_pieces_do_not_matter(more: int, cuts: list[int], seed: int) -> None:
    data = random.Random(seed).randbytes(_ROW * 2 + more)
    parts, at = QuickXorHash(), 0
    for cut in cuts:
        parts.update(memoryview(data)[at : at + cut])
        at = min(at + cut, len(data))
    copied = parts.copy()
    parts.update(data[at:])
    assert parts.base64() == quickxorhash(data)
    copied.update(data[at:])
    assert copied.digest() == parts.digest()


def test_rows_are_folded_as_the_definition_says() -> None:
    data = bytes(range(256)) * (2 * _ROW // 256) + b"tail"
    assert quickxorhash(data) == by_definition(data)


@given(st.binary(min_size=1, max_size=900), st.data())
def test_one_changed_bit_shows(data: bytes, draw: st.DataObject) -> None:
    place = draw.draw(st.integers(0, len(data) * 8 - 1))
    changed = bytearray(data)
    changed[place // 8] ^= 1 << place % 8
    assert quickxorhash(bytes(changed)) != quickxorhash(data)


@given(st.binary(max_size=300))
def test_a_byte_more_or_less_shows(data: bytes) -> None:
    assert quickxorhash(data + b"\0") != quickxorhash(data)
