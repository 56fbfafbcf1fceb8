"""Vectors of pictures by any torch module."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.arrays import _scalars, _validation
from vecrecall.train._columns import Column, check_keys, check_unique, values_of
from vecrecall.train._embedding import Embedding, about
from vecrecall.train._encoding import encode_batches
from vecrecall.train._training import PathLike, Progress, Stop, Training, fingerprint

Encoder: TypeAlias = Callable[[Any], Any]
Picture: TypeAlias = npt.NDArray[np.uint8]


def images(
    encoder: Encoder,
    images: Any,
    *,
    keys: Column | None = None,
    size: int | tuple[int, int] | None = 224,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
    batch_size: int = 16,
    progress: Progress | None = None,
    stop: Stop | None = None,
    checkpoint: PathLike | None = None,
) -> Embedding:
    """Encode pictures into vectors by a torch module.

    Nothing is learned here, and no weights come with the library: bring a module that was trained
    on pictures, such as one of torchvision without its last layer.

    Parameters
    ----------
    encoder : torch.nn.Module or callable
        Called with a float32 tensor of shape (b, 3, h, w), values from 0 to 1 before `mean` and
        `std`. Returns a tensor or array of real numbers of shape (b, d). A module is in evaluation
        mode meanwhile, and gets batches on the device and in the dtype of its parameters.
    images : ndarray of uint8, shape (n, h, w, 3), or sequence of n arrays or paths
        Red, green and blue. Arrays in a sequence may differ in size. Files are read by Pillow,
        a batch at a time, and turned as their EXIF orientation says. Gray is red, green and blue
        alike, transparency is left out, and of 16 bits the upper 8 count.
    keys : column of hashable, n of them, optional
        Default the row numbers.
    size : int or (height, width) or None
        Pictures are resized to it, bilinear with antialiasing; their proportions are not kept.
        None takes them as they are; they must have one size then.
    mean, std : three numbers
        Each channel becomes ``(value - mean) / std``. Take those of the module's training; for
        ImageNet (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225).
    batch_size : int
        Pictures per call of the encoder.
    progress : callable, optional
        Called before each batch, and at the end, with a `TrainingProgress` whose `share` is that
        of the pictures.
    stop : threading.Event or callable, optional
        Asked before each batch. Once it is set or true, the vectors of the pictures before that
        batch are returned, and ``about["stopped"]`` is true.
    checkpoint : path-like, optional
        A folder with the finished batches, from which the same call continues. It knows an
        encoder by its name and parameters, a file by its path, size and time of change.

    Returns
    -------
    Embedding
        By cosine.

    Raises
    ------
    ImportError
        If torch is not installed, or Pillow, where `images` are paths:
        ``pip install 'vecrecall[images]'``.
    TypeError, ValueError
        If a picture is not as described, a file is no picture, a key stands twice, or the encoder
        returns something else; the message names the row.
    FileNotFoundError
        If a file does not exist.
    TrainingStoppedError
        If a stop was asked for before the first batch was finished.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from vecrecall.train import images
    >>> def mean_color(batch):  # stands for a network
    ...     return batch.mean(dim=(2, 3))
    >>> pictures = np.zeros((2, 8, 8, 3), np.uint8)
    >>> pictures[1, :, :, 0] = 255
    >>> images(mean_color, pictures, keys=["black", "red"], size=None).matrix.tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    needed("torch", "images", "images")
    if not callable(encoder):
        raise TypeError(f"encoder: expected a module, got {type(encoder).__name__}")
    pictures = _Pictures(images)
    names = _keys(keys, len(pictures))
    shape = _size(size)
    at_once = _scalars.check_positive_int(batch_size, "batch_size")
    settings: dict[str, Any] = {
        "encoder": _name_of(encoder),
        "size": shape,
        "mean": _channels(mean, "mean"),
        "std": _channels(std, "std"),
        "batch_size": at_once,
    }
    if min(settings["std"]) <= 0:
        raise ValueError(f"std: expected numbers > 0, got {tuple(settings['std'])}")
    mark = (
        "" if checkpoint is None else fingerprint(settings, _digest_of(encoder), *pictures.marks())
    )
    training = Training("images", 1, progress, stop, checkpoint, mark)
    batches = _Batches(encoder, pictures, settings)
    ends = [*range(at_once, len(pictures), at_once), len(pictures)]
    matrix, done = batches.encode_all(training, ends)
    made = about("images", settings, {"images": done}, ["torch"])
    made |= {"stopped": training.stopped, "seconds": round(training.seconds, 3)}
    return Embedding(names[:done], matrix[:done], metric="cosine", about=made)


class _Pictures:
    """Pictures in memory or in files."""

    def __init__(self, given: Any) -> None:
        if isinstance(given, (str, bytes, os.PathLike)):
            raise TypeError(f"images: expected several, got one {type(given).__name__}")
        if isinstance(given, np.ndarray) and given.dtype.kind not in "OUT":
            if given.ndim != 4:
                raise ValueError(f"images: expected shape (n, h, w, 3), got {given.shape}")
            self._of: Any = given
        elif isinstance(given, (list, tuple)):
            self._of = given
        else:
            self._of = values_of(given, "images")
        if not len(self._of):
            raise ValueError("images: expected at least one, got none")
        for row, one in enumerate(self._of):
            if not _is_path(one):
                _check_picture(one, row)
        if any(map(_is_path, self._of)):
            needed("PIL", "images", "images from files")

    def __len__(self) -> int:
        return len(self._of)

    def read(self, row: int) -> Picture:
        """Return a picture."""
        one = self._of[row]
        if not _is_path(one):
            return np.ascontiguousarray(one)
        from PIL import Image, ImageOps, UnidentifiedImageError

        try:
            with Image.open(one) as file:
                return _rgb(ImageOps.exif_transpose(file))
        except FileNotFoundError:
            raise
        except (
            *(UnidentifiedImageError, Image.DecompressionBombError),
            *(OSError, SyntaxError, ValueError),
        ) as error:
            raise ValueError(f"images: expected a picture in row {row}, got {one}: {error}") from (
                error
            )

    def marks(self) -> list[Any]:
        """Return what tells these pictures from others."""
        return [_mark(one) for one in self._of]


def _rgb(image: Any) -> Picture:
    """Return the pixels of a picture of Pillow; transparency is left out."""
    if image.mode.startswith("I;16"):  # which Pillow would cut at 255
        gray = (np.asarray(image) >> 8).astype(np.uint8)
        return np.stack([gray] * 3, axis=2)
    if image.mode in ("I", "F"):
        raise ValueError("32 bits per pixel, whose range is not known")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def _mark(one: Any) -> Any:
    if not _is_path(one):
        return np.ascontiguousarray(one)
    found = Path(one).stat()
    return [os.fspath(one), found.st_size, found.st_mtime_ns]


class _Batches:
    """Pictures and their encoder."""

    def __init__(self, encoder: Encoder, pictures: _Pictures, settings: dict[str, Any]) -> None:
        self._encoder, self._pictures, self._settings = encoder, pictures, settings
        self._dim: int | None = None
        self._first: tuple[int, ...] | None = None

    def encode_all(
        self, training: Training, ends: Sequence[int]
    ) -> tuple[npt.NDArray[np.float32], int]:
        """Encode batches until all are done or a stop is asked for."""
        from vecrecall.train.networks._images import for_use

        with for_use(self._encoder):
            return encode_batches(training, ends, self._encode)

    def _encode(self, begin: int, end: int) -> npt.NDArray[np.float32]:
        from vecrecall.train.networks._images import batch_of, called

        rows = range(begin, end)
        pictures = [self._pictures.read(row) for row in rows]
        size = self._settings["size"]
        if size is None:
            self._check_one_size(pictures, begin)
        batch = batch_of(pictures, size, self._settings["mean"], self._settings["std"])
        return self._checked(called(self._encoder, batch), begin, end)

    def _check_one_size(self, pictures: Sequence[Picture], begin: int) -> None:
        first = self._pictures.read(0).shape if self._first is None else self._first
        self._first = first
        for place, picture in enumerate(pictures):
            if picture.shape != first:
                raise ValueError(
                    f"images: expected pictures of one size without `size`, got {picture.shape} "
                    f"in row {begin + place} after {first}"
                )

    def _checked(self, returned: Any, begin: int, end: int) -> npt.NDArray[np.float32]:
        of = f"from the pictures in rows {begin} to {end - 1}"
        try:
            vectors = _validation.check_matrix(returned, "encoder", self._dim)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{error} {of}") from None
        if len(vectors) != end - begin:
            raise ValueError(
                f"encoder: expected {end - begin} rows, one per picture, got {len(vectors)} {of}"
            )
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            raise ValueError(
                "encoder: expected finite numbers, got NaN or infinity "
                f"from the picture in row {begin + int(finite.argmin())}"
            )
        self._dim = vectors.shape[1]
        return np.asarray(vectors, np.float32)


def _keys(keys: Column | None, n: int) -> list[Hashable]:
    names = check_keys(range(n) if keys is None else keys, "keys", n)
    check_unique(names, "keys")
    return names


def _is_path(one: object) -> bool:
    return isinstance(one, (str, os.PathLike))


def _check_picture(one: object, row: int) -> None:
    if not isinstance(one, np.ndarray):
        raise TypeError(
            f"images: expected an array or a path, got {type(one).__name__} in row {row}"
        )
    if one.dtype != np.uint8:
        raise TypeError(f"images: expected uint8, got {one.dtype} in row {row}")
    if one.ndim != 3 or one.shape[2] != 3 or 0 in one.shape:
        raise ValueError(f"images: expected shape (h, w, 3), got {one.shape} in row {row}")


def _size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(sides) != 2:
        raise ValueError(f"size: expected a number or (height, width), got {size!r}")
    height, width = (_scalars.check_positive_int(side, "size") for side in sides)
    return height, width


def _channels(values: Sequence[float], name: str) -> list[float]:
    if not isinstance(values, (list, tuple, np.ndarray)) or len(values) != 3:
        raise ValueError(f"{name}: expected three numbers, got {values!r}")
    found = [_scalars.check_float(value, name) for value in values]
    if not np.isfinite(found).all():
        raise ValueError(f"{name}: expected finite numbers, got {values!r}")
    return found


def _name_of(encoder: Encoder) -> str:
    """Name an encoder, the same in another process."""
    of = encoder if hasattr(encoder, "__qualname__") else type(encoder)
    return f"{of.__module__}.{of.__qualname__}"


def _digest_of(encoder: Encoder) -> str:
    """Return a digest of a module's parameters and buffers, empty for another callable."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in getattr(encoder, "state_dict", dict)().items():
        digest.update(name.encode())
        digest.update(repr(value.shape).encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().double().numpy()).data)
    return digest.hexdigest()
