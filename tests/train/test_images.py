"""Pictures: resizing and standardizing against NumPy, files, resuming, stopping, bad input."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "vecrecall[images]"')

from vecrecall.train import TrainingProgress, TrainingStoppedError, images  # noqa: E402

Picture = npt.NDArray[np.uint8]


def pictures(n: int, seed: int = 0, shape: tuple[int, int] = (12, 10)) -> Picture:
    return np.random.default_rng(seed).integers(256, size=(n, *shape, 3)).astype(np.uint8)


class MeanColor(torch.nn.Module):  # type: ignore[misc]
    """The mean of each channel; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def forward(self, batch: Any) -> Any:
        self.seen.append(batch)
        return batch.mean(dim=(2, 3))


def test_mean_colors_are_those_of_numpy() -> None:
    given = pictures(10)
    encoder = MeanColor()
    found = images(encoder, given, keys=[f"p{i}" for i in range(10)], size=None, batch_size=4)
    # A sum of 120 float32 numbers below 1, each rounded at 2**-24.
    np.testing.assert_allclose(found.matrix, given.mean(axis=(1, 2)) / 255, atol=1e-5)
    assert found.ids == [f"p{i}" for i in range(10)]
    assert found.metric == "cosine"
    assert [tuple(batch.shape) for batch in encoder.seen] == [(4, 3, 12, 10)] * 2 + [(2, 3, 12, 10)]
    assert found.about["data"] == {"images": 10}


def test_a_batch_has_the_pixels_where_they_belong() -> None:
    given = pictures(2)
    encoder = MeanColor()
    images(encoder, given, size=None)
    expected = given.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(encoder.seen[0].numpy(), expected)


def test_mean_and_std() -> None:
    given, mean, std = pictures(3), (0.5, 0.4, 0.3), (0.2, 0.1, 0.4)
    found = images(MeanColor(), given, size=None, mean=mean, std=std)
    expected = (given.mean(axis=(1, 2)) / 255 - mean) / std
    np.testing.assert_allclose(found.matrix, expected, atol=1e-4)


def test_sizes() -> None:
    encoder = MeanColor()
    given = [pictures(1, i, (8 * i, 24))[0] for i in (1, 2, 3)]
    images(encoder, given, size=(4, 6))
    assert tuple(encoder.seen[0].shape) == (3, 3, 4, 6)
    # To 1 x 1 pixel from a picture that is even in both directions: its mean, within float32.
    images(encoder, [np.full((8, 8, 3), 51, np.uint8)], size=1)
    np.testing.assert_allclose(encoder.seen[-1].numpy(), 0.2, atol=1e-6)
    images(encoder, given, size=24)
    np.testing.assert_array_equal(
        encoder.seen[-1][2].numpy(), given[2].transpose(2, 0, 1) / np.float32(255)
    )
    with pytest.raises(ValueError, match=r"one size without `size`, got .* in row 1"):
        images(encoder, given, size=None)
    with pytest.raises(ValueError, match=r"one size without `size`, got .* in row 1"):
        images(encoder, given, size=None, batch_size=1)


def test_resizing_is_that_of_averaged_blocks() -> None:
    """Half the size with antialiasing: a triangle over four pixels in each direction."""
    given = pictures(1, shape=(16, 16))
    encoder = MeanColor()
    images(encoder, given, size=8)
    weights = np.array([1, 3, 3, 1]) / 8
    inner = given[0].astype(float)[1:-1, 1:-1] / 255
    rows = sum(w * inner[i : i + 11 : 2] for i, w in enumerate(weights))
    both = sum(w * rows[:, i : i + 11 : 2] for i, w in enumerate(weights))
    got = encoder.seen[0][0].numpy().transpose(1, 2, 0)[1:-1, 1:-1]
    np.testing.assert_allclose(got, both, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_a_random_network_tells_colors_apart(seed: int) -> None:
    """Nearest neighbors have the color; by chance 1 in 4 has."""
    rng = np.random.default_rng(seed)
    colors = np.array([[220, 30, 30], [30, 220, 30], [30, 30, 220], [200, 200, 30]])
    kinds = np.arange(40) % 4
    noise = rng.integers(-30, 30, size=(40, 20, 20, 3))
    given = (colors[kinds][:, None, None] + noise).clip(0, 255).astype(np.uint8)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
        )
    found = images(network, given, size=16, mean=(0.5,) * 3, std=(0.25,) * 3)
    near = found.to_index().search(found.matrix, 4, exclude=np.arange(40)[:, None]).ids
    assert (kinds[near] == kinds[:, None]).mean() > 0.9


def test_files_are_as_arrays(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    given = pictures(3)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, picture in zip(paths, given, strict=True):
        image.fromarray(picture).save(path)
    expected = images(MeanColor(), given).matrix
    for form in (paths, [str(path) for path in paths], np.array([str(p) for p in paths], object)):
        assert images(MeanColor(), form).matrix.tobytes() == expected.tobytes()
    image.fromarray(given[0]).convert("L").save(paths[0])
    gray = images(MeanColor(), paths[:1]).matrix[0]
    assert np.ptp(gray) == 0
    paths[1].write_text("no picture")
    with pytest.raises(ValueError, match="images: expected a picture in row 1"):
        images(MeanColor(), paths)
    with pytest.raises(FileNotFoundError):
        images(MeanColor(), [tmp_path / "missing.png"])


def test_files_of_other_modes(tmp_path: Path) -> None:
    """A middle gray is one in any mode, and what is behind transparency does not matter."""
    image = pytest.importorskip("PIL.Image")
    deep = np.full((3, 5), 128 * 256, np.uint16)
    palette = image.new("P", (5, 3), 1)
    palette.putpalette([0, 0, 0, 128, 128, 128])
    made = {
        "gray": image.new("L", (5, 3), 128),
        "deep": image.fromarray(deep),
        "clear": image.new("RGBA", (5, 3), (128, 128, 128, 0)),
        "gray_clear": image.new("LA", (5, 3), (128, 0)),
        "palette": palette,
    }
    for name, picture in made.items():
        picture.save(tmp_path / f"{name}.png")
    palette.save(tmp_path / "palette_clear.png", transparency=b"\x00\x80")
    paths = sorted(str(path) for path in tmp_path.glob("*.png"))
    assert len(paths) == 6
    for form in (paths, np.array(paths)):
        found = images(MeanColor(), form, size=None).matrix
        np.testing.assert_array_equal(found, np.full((6, 3), 128 / 255, np.float32))
    image.new("F", (5, 3), 0.5).save(tmp_path / "float.tiff")
    with pytest.raises(ValueError, match=r"expected a picture in row 0, .* range is not known"):
        images(MeanColor(), [tmp_path / "float.tiff"])


def test_files_that_are_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("L", (30, 30)).save(tmp_path / "large.png")
    monkeypatch.setattr(image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="images: expected a picture in row 0"):
        images(MeanColor(), [tmp_path / "large.png"])


def test_files_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"vecrecall\[images\]"):
        images(MeanColor(), ["a.png"])


def test_a_module_is_in_evaluation_mode_and_left_as_it_was() -> None:
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Dropout(), MeanColor())
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    given = pictures(6)
    one, two = (images(network, given, size=8, batch_size=n).matrix for n in (2, 6))
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert [module.training for module in network.modules()] == [True, True, False, True]
    assert all(torch.equal(before[name], v) for name, v in network.state_dict().items())


def test_double_precision() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2)).double()
    assert images(network, pictures(2), size=2).matrix.shape == (2, 2)


def test_arrays_that_cannot_be_written() -> None:
    given = pictures(2)
    given.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images(MeanColor(), given)
        images(MeanColor(), given[:, ::-1])


def test_resuming(tmp_path: Path) -> None:
    given = pictures(10)

    def interrupt(report: TrainingProgress) -> None:
        if report.share > 0.5:
            raise KeyboardInterrupt

    whole = images(MeanColor(), given, batch_size=3)
    first, second = MeanColor(), MeanColor()
    kept = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        images(first, given, batch_size=3, checkpoint=kept, progress=interrupt)
    resumed = images(second, given, batch_size=3, checkpoint=kept)
    assert resumed.matrix.tobytes() == whole.matrix.tobytes()
    assert len(first.seen) + len(second.seen) == 4
    with pytest.raises(ValueError, match="checkpoint: "):
        images(MeanColor(), given[::-1], batch_size=3, checkpoint=kept)
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), MeanColor())
    images(other, given, batch_size=3, checkpoint=tmp_path / "other")
    with torch.no_grad():
        other[0].weight += 1
    with pytest.raises(ValueError, match="checkpoint: "):
        images(other, given, batch_size=3, checkpoint=tmp_path / "other")


def test_stopping() -> None:
    encoder = MeanColor()
    found = images(encoder, pictures(10), batch_size=3, stop=lambda: len(encoder.seen) == 2)
    assert found.ids == list(range(6))
    assert found.about["stopped"]
    with pytest.raises(TrainingStoppedError):
        images(encoder, pictures(10), stop=lambda: True)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.zeros((2, 4, 4), np.uint8), ValueError, r"shape \(n, h, w, 3\), got \(2, 4, 4\)"),
        (np.zeros((2, 3, 4, 4), np.uint8), ValueError, r"shape \(h, w, 3\), .* row 0"),
        (np.zeros((2, 4, 4, 3)), TypeError, "expected uint8, got float64 in row 0"),
        (np.zeros((0, 4, 4, 3), np.uint8), ValueError, "at least one, got none"),
        ([], ValueError, "at least one, got none"),
        ([np.zeros((4, 4, 3), np.uint8), None], TypeError, "got NoneType in row 1"),
        ([np.zeros((0, 4, 3), np.uint8)], ValueError, "row 0"),
        ("a.png", TypeError, "expected several, got one str"),
        (7, TypeError, "images: "),
    ],
)
def test_bad_pictures(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        images(MeanColor(), given)


@pytest.mark.parametrize(
    ("encoder", "error", "message"),
    [
        (7, TypeError, "encoder: expected a module, got int"),
        (lambda batch: batch, ValueError, "encoder: .*rows 0 to 1"),
        (lambda batch: batch.mean(dim=(2, 3))[:1], ValueError, "expected 2 rows, one per picture"),
        (lambda batch: batch.mean(dim=(2, 3)) * torch.nan, ValueError, "NaN or .* row 0"),
        (lambda batch: "text", TypeError, "encoder: "),
    ],
)
def test_bad_encoders(encoder: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        images(encoder, pictures(2))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 0}, ValueError, "size: "),
        ({"size": (4, 4, 4)}, ValueError, "size: "),
        ({"size": 4.5}, TypeError, "size: "),
        ({"mean": (0.5, 0.5)}, ValueError, "mean: expected three numbers"),
        ({"mean": (0.5, 0.5, float("inf"))}, ValueError, "mean: expected finite"),
        ({"std": (1, 1, 0)}, ValueError, "std: expected numbers > 0"),
        ({"batch_size": 0}, ValueError, "batch_size: "),
        ({"keys": [1]}, ValueError, "keys: expected 2 rows, got 1"),
        ({"keys": [1, 1]}, ValueError, "keys: "),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        images(MeanColor(), pictures(2), **options)
