"""Arithmetic of colours: mixtures, and the contrast of text with what is behind it."""

from __future__ import annotations

Channels = tuple[float, float, float]
"""Red, green and blue, 0 to 255."""


def channels(colour: str) -> Channels:
    """`#rrggbb` as numbers.

    >>> channels("#ff8000")
    (255, 128, 0)
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def between(first: str, second: str, share: float) -> str:
    """The colour at `share` in [0, 1] of the way from the first to the second; also the second at that opacity over the first.

    >>> between("#000000", "#ffffff", 0.6)
    '#999999'
    """
    mixed = (round(a + (b - a) * share) for a, b in zip(channels(first), channels(second), strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def luminance(colour: str) -> float:
    """Relative luminance in [0, 1] (WCAG 2.1)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in channels(colour))]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.1); text needs 4.5.

    >>> contrast("#000000", "#ffffff")
    21.0
    """
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def ink(colour: str) -> str:
    """Black or white, whichever can be read better on the colour; its contrast is never below 4.5.

    >>> ink("#d5d8dc"), ink("#1f64b4")
    ('#000000', '#ffffff')
    """
    return max("#000000", "#ffffff", key=lambda text: contrast(text, colour))
