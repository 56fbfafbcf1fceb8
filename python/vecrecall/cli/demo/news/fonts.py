"""Fonts of matplotlib that can write Chinese."""

from __future__ import annotations

_NEEDED = "北京中国"
_BOXES = "Last Resort"  # a font with a glyph for each character: its hexadecimal number in a box

MISSING = (
    "no font of matplotlib can write Chinese, so the plot has names in Latin letters; "
    "Noto Sans CJK is one that can"
)


def chinese_font() -> str | None:
    """Find a font that can write Chinese.

    Returns
    -------
    str, optional
        Its file, or None if there is none.
    """
    from matplotlib.font_manager import fontManager

    paths = [font.fname for font in fontManager.ttflist if not font.name.startswith(_BOXES)]
    return next((path for path in paths if _has_chinese(path)), None)


def _has_chinese(path: str) -> bool:
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # removed since matplotlib listed it, or of no use to it
        return False
    return all(font.get_char_index(ord(character)) for character in _NEEDED)
