"""The colours of the page have the contrast that WCAG 2.2 AA asks for, on screens and on paper."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from aks_entra.report import html, palette
from aks_entra.report.palette import DARK, LIGHT, PRINT, SHAPES, WORDS
from tests.support.timeline_samples import timed

PALETTES = pytest.mark.parametrize("colours", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])


def luminance(colour: str) -> float:
    """The relative luminance as WCAG defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_measured_as_wcag_defines_it() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@PALETTES
@pytest.mark.parametrize("word", WORDS)
def test_text_can_be_read_on_every_ground(colours: Mapping[str, str], word: str) -> None:
    for ground in ("paper", "tint"):
        assert contrast(colours[word], colours[ground]) >= 4.5, f"{word} on {ground}"


@PALETTES
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_can_be_told_from_the_ground(colours: Mapping[str, str], shape: str) -> None:
    assert contrast(colours[shape], colours["paper"]) >= 3, shape


def test_each_palette_is_whole_and_the_page_uses_it() -> None:
    assert set(LIGHT) == set(DARK) == set(PRINT) == {*WORDS, *SHAPES, "line", "paper", "tint"}
    page = html.render(timed(1))
    assert [page.count(palette.css(one)) for one in (LIGHT, DARK, PRINT)] == [1, 1, 1]
