"""The paragraphs of a newspaper: words, places, headlines and their articles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Paragraph = Sequence[tuple[str, str]]
"""The words of a paragraph, each with its part of speech."""

PLACE = "ns"

IGNORED = frozenset(("w", "m", "u", "t"))
"""Parts of speech that say little of what a text is about: marks, numbers, particles, times."""

MIN_BODY = 20
"""Words of a paragraph that counts as text of an article; shorter ones are signatures, dates."""

MIN_TITLE, MAX_TITLE = 3, 15
"""Words of a headline."""

# In captions, dates and sentences.
_NO_TITLE = "。！？；…：（"  # noqa: RUF001
_LOOK_AHEAD = 2  # a headline may be followed by the author's name before the text


@dataclass(frozen=True)
class Article:
    """A headline and the text below it.

    Attributes
    ----------
    title : list of str
        Its words.
    paragraphs : list of int
        Numbers of its paragraphs in the corpus, at least one.
    """

    title: list[str]
    paragraphs: list[int]


def content_words(paragraph: Paragraph) -> list[str]:
    """Return the words of a paragraph that say what it is about.

    Parameters
    ----------
    paragraph : sequence of (str, str)

    Returns
    -------
    list of str
    """
    return [word for word, tag in paragraph if tag not in IGNORED]


def places_of(paragraph: Paragraph) -> list[str]:
    """Return the places that a paragraph names, in order; one named twice in a row counts once.

    Parameters
    ----------
    paragraph : sequence of (str, str)

    Returns
    -------
    list of str
    """
    named = [word for word, tag in paragraph if tag == PLACE]
    return [place for n, place in enumerate(named) if n == 0 or named[n - 1] != place]


def text_of(paragraph: Paragraph) -> str:
    """Return a paragraph as written: Chinese has no spaces between words.

    Parameters
    ----------
    paragraph : sequence of (str, str)

    Returns
    -------
    str
    """
    return "".join(word for word, _ in paragraph)


def is_text(paragraph: Paragraph) -> bool:
    """Tell text of an article from headlines, dates and signatures.

    Parameters
    ----------
    paragraph : sequence of (str, str)

    Returns
    -------
    bool
    """
    return len(paragraph) >= MIN_BODY


def find_articles(paragraphs: Sequence[Paragraph]) -> list[Article]:
    """Find the articles: headline-like lines, each with the text until the next one.

    A headline is short, has a verb, no mark that ends a sentence and no bracket, and text follows
    within two lines.

    Parameters
    ----------
    paragraphs : sequence of sequence of (str, str)

    Returns
    -------
    list of Article
    """
    found: list[Article] = []
    for number, paragraph in enumerate(paragraphs):
        if _is_headline(paragraphs, number):
            found.append(Article(content_words(paragraph), []))
        elif found and is_text(paragraph):
            found[-1].paragraphs.append(number)
    return [article for article in found if article.paragraphs]


def _is_headline(paragraphs: Sequence[Paragraph], number: int) -> bool:
    line = paragraphs[number]
    if not MIN_TITLE <= len(line) <= MAX_TITLE:
        return False
    if not any(tag.startswith("v") for _, tag in line):
        return False
    if any(word in _NO_TITLE for word, _ in line):
        return False
    return any(is_text(below) for below in paragraphs[number + 1 : number + 1 + _LOOK_AHEAD])
