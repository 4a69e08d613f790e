"""What is common to videos that FFmpeg decodes, files and streams alike: which stream counts, and which way is up."""

from __future__ import annotations

import re
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData

from sam2rl_tracker.media.images import Image


def is_hidden(packet: Any) -> bool:
    """Whether a packet holds no picture to show: one before an edit list's start, or a mere reference of VP8."""
    vp8 = packet.size > 0 and packet.stream.codec_context.name == "vp8"
    return bool(packet.is_discard) or (vp8 and not bytes(packet)[0] & 0x10)  # RFC 6386, 9.1: show_frame


def main_stream(container: Any) -> Any:
    """The largest video stream that moves: a preview is smaller, and a cover is a single picture."""
    return max(moving_streams(container), key=lambda s: (s.frames != 1, s.width * s.height, "default" in _flags(s)))


def moving_streams(container: Any) -> list[Any]:
    still = {"attached_pic", "timed_thumbnails", "still_image"}
    return [stream for stream in container.streams.video if not still & _flags(stream)]


def _flags(stream: Any) -> set[str]:
    return {flag.name for flag in type(stream.disposition) if flag in stream.disposition}


def size_text(stream: Any) -> str:
    return f"{stream.width}x{stream.height}"


def promised_seconds(container: Any, stream: Any) -> float | None:
    """The duration by the header, where that is not merely an estimate from the file's size."""
    text = stream.metadata.get("DURATION", "")  # Matroska: 00:00:04.800000000
    if re.fullmatch(r"\d+:\d\d:\d\d(\.\d+)?", text):
        hours, minutes, seconds = text.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    if container.format.name in ("matroska,webm", "flv") and len(container.streams) == 1 and container.duration:
        return float(container.duration / av.time_base)
    return None


def upright(frame: Any) -> Image:
    """RGB pixels as players show them.

    Unlike an image's EXIF data, a video's rotation is applied: `ffmpeg` applies it to the frames one draws masks on.
    The matrix [[a, b, u], [c, d, v], [x, y, w]] takes a stored (p, q) to (a p + c q + x, b p + d q + y), which turns by
    quarters, mirrors, or does both (ISO 14496-12, 8.3.2).
    """
    image = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get(SideData.DISPLAYMATRIX)
    if matrix is None:
        return image
    a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5].tolist()
    if abs(b) > abs(a):
        image, right, down = image.transpose(1, 0, 2), c, b
    else:
        right, down = a, d
    return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
