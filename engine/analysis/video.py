"""Pictures as a film that every browser of today plays: WebM with VP9, which is royalty-free."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import cast

from PIL import Image

from engine.errors import BadInputError, EngineError

FORMAT = "video/webm"
"""What a browser is told about `encode`'s bytes."""
_CODEC = "libvpx-vp9"
_QUALITY = {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "8"}
"""A tenth of the pictures' bytes and no artefacts that one sees; the slower ways are several times as slow."""


class NoEncoderError(EngineError):
    """The library that makes films, or its encoder, is not here."""


def encode(pictures: Sequence[bytes], seconds: float) -> bytes:
    """A film that shows each picture for the same time.

    Args:
        pictures: PNG files, at least two; all are shown at the size of the first, made even as the codec wants it.
        seconds: for each of them.

    Returns:
        The bytes of a WebM file.

    Raises:
        BadInputError: fewer than two pictures.
        NoEncoderError: PyAV is not installed, or was built without VP9.
    """
    if len(pictures) < 2:
        raise BadInputError("a film needs two pictures or more")
    try:
        import av

        av.Codec(_CODEC, "w")
    except (ImportError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise NoEncoderError(f"no film can be made on this machine ({reason}): pip install av") from error
    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    width, height = (max(2, side // 2 * 2) for side in images[0].size)
    film = io.BytesIO()
    with av.open(film, "w", format="webm") as container:
        rate = 1 / Fraction(seconds).limit_denominator(1000)
        stream = cast("av.VideoStream", container.add_stream(_CODEC, rate, _QUALITY))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_image(image).reformat(width, height)))
        container.mux(stream.encode())
    return film.getvalue()
