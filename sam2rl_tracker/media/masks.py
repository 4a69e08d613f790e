"""Mask files: what their pixels mean, and index masks of our own.

An index mask is uint8 [h, w], where 0 is background, k is object k, and 255 is void, an area that nobody scores. Files
by other tools hold the same in many ways, and in a black and white mask 255 is the object instead. `read_mask` tells
what one file says; `MaskReader` decides between the two for all masks of a sequence.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath, atomic_path
from sam2rl_tracker.media.images import Image, Labels, Mask, decode

IGNORED = 255
"""The label of pixels that belong to no object and that no measure counts."""

_HALF = 128
"""From here on a shade of gray counts as white."""

_NEAR = 5
"""What differs by no more from black and from white counts as such."""

_FEW = 8
"""Up to so many values without a solid area can be the ids of tiny objects."""

_LOW = 64
"""Ids of objects are lower than this, as a rule; soft edges reach it."""

_MANY = 32
"""More colours than this, and few of them in an area, are a picture."""

_EXPECTED = "an index PNG (pixel value k = object k)"
_SAVE_AS = "save it with a palette or in 8-bit gray, pixel value k = object k, or in pure black and white"

_SOFT = "it has shades of gray between black and white, which were cut at half: the lighter half is the object"
_FAINT = "its shades of gray are all darker than half, so it was taken for empty; save it with the object in white"
_OPAQUE = "it is transparent in part: opaque pixels are the object"
_VOID = "255 was taken for void, as other masks hold ids; if white is the object, save all masks in black and white"
_SPECKS = "its few pixels of low values were taken for objects, and 255 for void; if white is the object, remove them"
_NO_BACKGROUND = "none of its pixels is 0, which is background: every area was taken for an object"
_ONE_WAY = "save all masks of a sequence in one way"
_WHITE_CORNERS = "white, in all four corners too, was taken for the object; invert it if black is the object"
_CORNERS = ([0, 0, -1, -1], [0, -1, 0, -1])


class Meaning(Enum):
    """What a mask file's pixel values can mean.

    Attributes:
        ANY: Background only, or one-bit white: object 1 in a black and white sequence and in an index sequence.
        WHITE: 0 and 255 only: black and white, or background and void.
        SPECKS: A few pixels of low values: tiny objects, or what is left of soft edges.
        SOFT: Black and white with shades of gray between, which are no objects.
        INDEX: Object ids.
    """

    ANY = auto()
    WHITE = auto()
    SPECKS = auto()
    SOFT = auto()
    INDEX = auto()


@dataclass(frozen=True)
class MaskFile:
    """What one mask file says.

    Attributes:
        path: The file.
        values: uint8 [h, w]: object ids and void, or shades of gray, as `meaning` tells.
        meaning: How the values are to be taken.
        note: What a user should know of how the pixels were taken, without the file's name; None: they are plain.
    """

    path: Path
    values: Labels
    meaning: Meaning
    note: str | None = None


class MaskReader:
    """Reads all masks of a sequence in one sense: black and white (255 = object 1), or index masks (255 = void).

    All files decide, not the first: they are read in turn until one leaves no doubt, so index masks cost one or two
    files. Only black and white ones are all read twice. One mask is held at a time.

    Args:
        files: The masks of one sequence, in order; a single one too.

    Attributes:
        binary: Whether the masks are black and white.

    Raises:
        Sam2rlError: A file is missing, damaged or no mask.
    """

    def __init__(self, files: Iterable[StrPath]) -> None:
        seen: set[Meaning] = set()
        for file in files:
            seen.add(read_mask(file).meaning)
            if seen & {Meaning.INDEX, Meaning.SOFT}:
                break
        self.binary = Meaning.SOFT in seen or (Meaning.WHITE in seen and not seen & {Meaning.INDEX, Meaning.SPECKS})
        self._sure = Meaning.INDEX in seen
        self._void_beside_ids = False
        self._notes: Counter[str] = Counter()
        self._examples: dict[str, Path] = {}

    def read(self, path: StrPath) -> Labels:
        """One of the masks as an index mask.

        Returns:
            uint8 [h, w], 0 = background, k = object k, 255 = void; without void if the masks are black and white.

        Raises:
            Sam2rlError: The file is missing, damaged, no mask, or of another sense than the others.
        """
        mask = read_mask(path)
        labels = self._labels(mask)
        if self.binary:
            self._tell_binary(mask, labels)
        else:
            self._tell_index(mask, labels)
        return labels

    def _labels(self, mask: MaskFile) -> Labels:
        if self.binary and mask.meaning is Meaning.INDEX:
            raise Sam2rlError(
                f"{mask.path} holds object ids, but others of its sequence are black and white: {_ONE_WAY}."
            )
        if not self.binary and mask.meaning is Meaning.SOFT and _shades(mask.values).size > _FEW:
            raise Sam2rlError(
                f"{mask.path} is black and white with soft edges, but others of its sequence hold ids: {_ONE_WAY}."
            )
        if self.binary and mask.meaning is not Meaning.ANY:
            return (mask.values >= _HALF).astype(np.uint8)
        return mask.values

    def _tell_binary(self, mask: MaskFile, labels: Labels) -> None:
        if labels[_CORNERS].all():
            self._note(_WHITE_CORNERS, mask.path)
        if mask.note:
            self._note(mask.note, mask.path)

    def _tell_index(self, mask: MaskFile, labels: Labels) -> None:
        if mask.note and mask.meaning is not Meaning.SOFT:  # the few shades of a soft one are tiny objects here
            self._note(mask.note, mask.path)
        void = labels == IGNORED
        if labels.all() and not void.all():
            self._note(_NO_BACKGROUND, mask.path)
        if void.any() and mask.meaning is Meaning.WHITE:
            self._note(_VOID, mask.path)
        elif void.any():
            self._void_beside_ids = True
            if mask.meaning is Meaning.SPECKS and not self._sure:
                self._note(_SPECKS, mask.path)

    def _note(self, text: str, path: Path) -> None:
        self._notes[text] += 1
        self._examples.setdefault(text, path)

    @property
    def notes(self) -> list[str]:
        """What a user should know of the masks read so far, a sentence each, with a file as the example."""
        return [
            f"{self._examples[text]}{f' and {count - 1} more' if count > 1 else ''}: {text}."
            for text, count in self._notes.items()
            if text != _VOID or not self._void_beside_ids
        ]


# ---------------------------------------------------------------- one file


def read_mask(path: StrPath) -> MaskFile:
    """Read one mask file for what it means.

    Palette, gray (8 and 16 bits), one-bit, gray with alpha, and RGB(A) in black and white or in the DAVIS colours. Of
    transparent pixels counts what is visible on black; where that is a picture or nothing, opaque is object.

    Args:
        path: An image file. A lossy one (JPEG) must be black and white.

    Raises:
        Sam2rlError: The file is missing, damaged, or a picture rather than a mask.
    """
    image = decode(path, _EXPECTED)
    path = Path(path)
    if image.mode == "1":
        return MaskFile(path, np.array(image).astype(np.uint8), Meaning.ANY)
    if image.mode == "P":
        return _from_palette(path, image)
    if image.mode == "L" and image.format != "JPEG":
        return _from_gray(path, np.array(image))
    if image.mode.startswith("I"):
        return _from_16_bits(path, np.asarray(image).astype(np.int64))
    if image.mode in ("LA", "PA", "RGBA"):
        return _from_transparent(path, np.array(image.convert("RGBA")))
    lossy = image.format == "JPEG" or (image.format == "WEBP" and _is_lossy_webp(path.read_bytes()))
    if image.mode in ("L", "RGB"):
        mask = _from_colours(path, np.array(image.convert("RGB")), lossy)
        if mask:
            return mask
    if lossy:
        raise Sam2rlError(
            f"{path} is a {image.format}, whose compression alters object ids, expected {_EXPECTED}: save it as PNG."
        )
    raise Sam2rlError(
        f"{path} has pixels of mode {image.mode} that are neither black and white nor of the DAVIS colours, expected "
        f"{_EXPECTED}: {_SAVE_AS}."
    )


def read_index_mask(path: StrPath) -> Labels:
    """The values of a single mask file, uint8 [h, w], where 255 stays 255; soft edges are cut at half.

    Raises:
        Sam2rlError: The file is missing, damaged, or a picture rather than a mask.
    """
    mask = read_mask(path)
    return np.where(mask.values >= _HALF, np.uint8(255), np.uint8(0)) if mask.meaning is Meaning.SOFT else mask.values


def _is_lossy_webp(data: bytes) -> bool:
    """A WebP file is a list of chunks of name, size and data; `VP8 ` is lossy, `VP8L` is not (RFC 9649, 2.3-2.7)."""
    start = 12  # after RIFF, size, WEBP
    while start < len(data) and data[start : start + 4] not in (b"VP8 ", b"VP8L"):
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        start += 8 + size + size % 2
    return data[start : start + 4] == b"VP8 "


def _from_palette(path: Path, image: PILImage.Image) -> MaskFile:
    """The index is the object's id, unless a tool has sorted the palette anew: then the colour tells."""
    index = np.array(image)
    palette = np.zeros((256, 3), dtype=np.uint8)
    stored = np.array(image.getpalette() or [], dtype=np.uint8).reshape(-1, 3)
    palette[: len(stored)] = stored
    used = np.flatnonzero(np.bincount(index.ravel(), minlength=256))
    colors = palette[used]
    if "transparency" in image.info and (colors == colors[0]).all():
        rgba = np.array(image.convert("RGBA"))
        if len(np.unique(rgba[..., 3])) == len(used) > 1:  # what quantizing a shape on a transparent ground makes
            return _from_transparent(path, rgba)
    davis = np.array([_DAVIS_IDS.get(tuple(color), -1) for color in colors.tolist()])
    if (davis == used).all():
        return MaskFile(path, index, _index_meaning(used))

    # Black is background; a palette that has it elsewhere than at index 0 was not made for an index mask.
    sorted_anew = palette[0].max() > _NEAR and (colors.max(axis=1) <= _NEAR).any()
    note: str | None = None
    if (palette == palette[:, :1]).all():  # of grays
        gray = _from_gray(path, palette[index][..., 0])
        if sorted_anew and (len(used) == 2 or gray.meaning in (Meaning.WHITE, Meaning.SOFT)):
            note = "index 0 of its palette is the bright one, which was taken for the object all the same"
            return MaskFile(path, (gray.values >= _HALF).astype(np.uint8), Meaning.ANY, note)
        if gray.meaning is Meaning.WHITE and used[-1] == 1:
            return MaskFile(path, index, Meaning.ANY)
        if gray.meaning is Meaning.SOFT and _gray_meaning(index) is not Meaning.INDEX:
            return gray
    elif (davis >= 0).all():
        note = "its palette has the colours of DAVIS in another order; objects were told by their colours"
        by_color = np.zeros(256, dtype=np.uint8)
        by_color[used] = davis
        return MaskFile(path, by_color[index], _index_meaning(davis), note)
    if sorted_anew:
        raise Sam2rlError(
            f"{path} has a palette with the colour {tuple(palette[0].tolist())} as index 0, the background, and "
            f"with black as another, expected black as index 0: {_SAVE_AS}."
        )
    if len(used) > _MANY and _gray_meaning(index) is Meaning.SOFT:
        raise Sam2rlError(
            f"{path} is a picture with a palette of {len(used)} colours, expected {_EXPECTED}: {_SAVE_AS}."
        )
    if palette[0].max() >= _HALF:
        note = "index 0 of its palette is a bright colour, which was taken for the background all the same"
    return MaskFile(path, index, _index_meaning(used), note)


def _from_gray(path: Path, values: Labels) -> MaskFile:
    """Object ids or shades of gray, uint8 [h, w]."""
    meaning = _gray_meaning(values)
    if meaning is not Meaning.SOFT:
        return MaskFile(path, values, meaning)
    shades = _shades(values)
    if shades.size > _FEW and ((values <= _NEAR) | (values >= 255 - _NEAR)).mean() < 0.25:
        raise Sam2rlError(
            f"{path} is a picture of {shades.size} shades of gray, hardly any of it black or white, expected "
            f"{_EXPECTED}: {_SAVE_AS}."
        )
    if values.max() < 255 - _NEAR and _count_levels(values) > 1:
        raise Sam2rlError(
            f"{path} has areas of several grays and shades between them, as object ids have that were resized with "
            f"interpolation, expected {_EXPECTED}: resize by the nearest neighbour."
        )
    return MaskFile(path, values, meaning, _SOFT if values.max() >= _HALF else _FAINT)


def _gray_meaning(values: Labels) -> Meaning:
    """What gray values mean, by where they lie: objects are areas, soft edges are lines or slopes around white."""
    counts = np.bincount(values.ravel(), minlength=256)
    shades = _shades(values)
    if not shades.size:
        return Meaning.WHITE if counts[255] else Meaning.ANY
    flat = _flat(values)
    # Around much white, also areas of light gray are edges: those of a mask that was enlarged, and of a trimap.
    around_white = shades[-1] >= _HALF - 1 and counts[255] > counts[1:255].sum()
    if 2 * _shades(flat).size >= shades.size and not around_white:
        return Meaning.INDEX
    few = shades.size <= (_FEW if counts[255] else _MANY)
    return Meaning.SPECKS if few and shades[-1] < _LOW else Meaning.SOFT


def _flat(values: Labels) -> Labels:
    """The pixels inside the edge, [h - 2, w - 2], where they equal their four neighbours, and 0 elsewhere."""
    flat = values[1:-1, 1:-1]
    for neighbours in (values[:-2, 1:-1], values[2:, 1:-1], values[1:-1, :-2], values[1:-1, 2:]):
        flat = np.where(flat == neighbours, flat, 0)
    return flat


def _count_levels(values: Labels) -> int:
    """Of how many grays there are large areas, each at least a tenth of what is not black."""
    areas = np.bincount(_flat(values).ravel(), minlength=256)[_NEAR + 1 :]
    lit = int((values > _NEAR).sum())
    return int((10 * areas >= max(lit, 1)).sum())


def _shades(values: Labels) -> NDArray[np.intp]:
    """The values that occur, without 0 and 255, in ascending order."""
    return 1 + np.flatnonzero(np.bincount(values.ravel(), minlength=256)[1:255])


def _index_meaning(ids: NDArray[Any]) -> Meaning:
    """What the values of a mask with a palette mean."""
    if ((ids != 0) & (ids != IGNORED)).any():
        return Meaning.INDEX
    return Meaning.WHITE if (ids == IGNORED).any() else Meaning.ANY


def _from_16_bits(path: Path, values: NDArray[np.int64]) -> MaskFile:
    ids = values[values < 65535]
    if ids.any() and ids.max() < IGNORED:
        values = np.where(values == 65535, IGNORED, values)  # void
    if values.min(initial=0) >= 0 and values.max(initial=0) <= 255:
        return _from_gray(path, values.astype(np.uint8))
    if values.min(initial=0) >= 0 and values.max(initial=0) <= 65535:
        mask = _from_gray(path, ((values + 128) // 257).astype(np.uint8))
        if mask.meaning in (Meaning.WHITE, Meaning.SOFT):
            return mask
    raise Sam2rlError(
        f"{path} has 16 bits, with values from {values.min()} to {values.max()}, expected object ids up to 254: "
        f"{_SAVE_AS}."
    )


def _from_colours(path: Path, rgb: Image, lossy: bool = False) -> MaskFile | None:
    """Black and white, gray, or the DAVIS colours; None for anything else."""
    packed = _packed(rgb)
    colours = np.unique(packed)
    ids = [_DAVIS_IDS.get((int(c) >> 16, int(c) >> 8 & 255, int(c) & 255), -1) for c in colours[:257]]
    if -1 not in ids and len(colours) > 1 and not lossy:
        labels = np.array(ids, dtype=np.uint8)[np.searchsorted(colours, packed)]
        return MaskFile(
            path,
            labels,
            _index_meaning(labels),
            "it has the colours of DAVIS and no palette; objects were told by their colours",
        )
    saturation = int((rgb.max(axis=2) - rgb.min(axis=2)).max(initial=0))
    if saturation > 16:  # less is what compression leaves in black and white
        return None
    mask = _from_gray(path, rgb[..., 1])
    exact = saturation == 0 and not lossy
    white = mask.meaning in (Meaning.WHITE, Meaning.SOFT) and bool((rgb >= 255 - _NEAR).any())
    return mask if exact or white or (lossy and mask.meaning is Meaning.ANY) else None


def _packed(rgb: Image) -> NDArray[np.int32]:
    """A number for each colour of uint8 [..., 3]."""
    return rgb.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)


def _from_transparent(path: Path, rgba: NDArray[np.uint8]) -> MaskFile:
    """What is visible on black, where that is a mask; else opaque is object, as in a picture that was cut out."""
    alpha, colours = rgba[..., 3], rgba[..., :3]
    if (alpha >= 255 - _NEAR).all():
        if mask := _from_colours(path, colours):
            return mask
        raise Sam2rlError(f"{path} shows a picture, expected {_EXPECTED}: {_SAVE_AS}.")
    visible = colours[alpha > _NEAR]  # [pixels, 3]
    black_or_white = ((visible <= _NEAR) | (visible >= 255 - _NEAR)).all(axis=1)
    is_picture = len(np.unique(_packed(visible))) > _FEW and black_or_white.mean() < 0.25
    is_soft = ((alpha > _NEAR) & (alpha < 255 - _NEAR)).any()
    if not is_picture and not (is_soft and (visible == visible[0]).all()):
        seen = ((colours.astype(np.uint16) * alpha[..., None] + 127) // 255).astype(np.uint8)
        if seen.any() and (mask := _from_colours(path, seen)):
            return mask
    return MaskFile(path, (alpha >= _HALF).astype(np.uint8), Meaning.ANY, _OPAQUE)


@dataclass(frozen=True)
class PackedMask:
    """A mask that takes about as much memory as its PNG.

    Attributes:
        shape: Height and width.
        bits: A bit a pixel, deflated.
    """

    shape: tuple[int, int]
    bits: bytes

    @classmethod
    def pack(cls, mask: Mask) -> PackedMask:
        """Pack bool [h, w]."""
        height, width = mask.shape
        return cls((height, width), zlib.compress(np.packbits(mask).tobytes(), level=1))

    def unpack(self) -> Mask:
        """The mask, bool [h, w]."""
        bits = np.frombuffer(zlib.decompress(self.bits), dtype=np.uint8)
        return np.unpackbits(bits, count=self.shape[0] * self.shape[1]).reshape(self.shape).astype(bool)


# ---------------------------------------------------------------- index masks


def object_masks(labels: Labels) -> dict[int, Mask]:
    """Split an index mask into one mask per object.

    Args:
        labels: uint8 [h, w].

    Returns:
        {id: bool [h, w]} in ascending order of ids, without background (0) and ignored area (255).
    """
    return {int(k): labels == k for k in np.unique(labels) if k not in (0, IGNORED)}


def write_index_mask(path: StrPath, labels: NDArray[Any]) -> None:
    """Write an index mask as a PNG with the DAVIS colours, atomically.

    Args:
        path: Where to write, usually `*.png`.
        labels: integers 0..255, [h, w].

    Raises:
        Sam2rlError: The file cannot be written.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.min(initial=0) < 0 or labels.max(initial=0) > 255:
        raise ValueError(f"labels must be [h, w] with values 0..255, got shape {labels.shape}")
    image = PILImage.fromarray(np.ascontiguousarray(labels, dtype=np.uint8))
    image.putpalette(_PALETTE)  # makes it mode P; pixel values stay
    with atomic_path(path) as temporary:
        # Runs are what masks consist of: found as such, files are a quarter smaller and written in half the time.
        image.save(temporary, format="PNG", compress_type=zlib.Z_RLE)


def _davis_palette() -> bytes:
    """The 256 colours of DAVIS and PASCAL VOC: the bits of an index, three at a time, fill R, G, B from the top bit."""
    palette = bytearray()
    for index in range(256):
        for channel in range(3):
            palette.append(sum(((index >> (3 * level + channel)) & 1) << (7 - level) for level in range(3)))
    return bytes(palette)


_PALETTE = _davis_palette()
_DAVIS_IDS = {tuple(_PALETTE[3 * k : 3 * k + 3]): k for k in range(256)}
"""{(r, g, b): object id}."""
