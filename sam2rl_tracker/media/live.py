"""Video as it comes: read by a thread of its own, so that tracking gets the newest frame, however long a frame takes.

What a thread hands over is one frame. A newer one takes its place, and the older one is dropped and counted.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import FrameType

from sam2rl_tracker.errors import StreamError
from sam2rl_tracker.media.frames import Frame, FrameSource
from sam2rl_tracker.media.images import Image
from sam2rl_tracker.media.receivers import TICK, receive, shown_name

TIMEOUT = 10.0
"""Seconds that a live source may be silent."""

_GRACE = 2.0  # seconds that the reader has to give up by itself, before it is taken to hang
_FAREWELL = 1.0  # seconds that the reader has to end: what it waits for may not let it go earlier


class LiveSource(FrameSource):
    """The frames of a camera, an address or standard input, named %08d by their place in the stream, from 1.

    Their numbers are places from 0, as in any video.

    It can be read once. The thread begins at once, and the first frame stays until it is taken. What can be had at any
    speed, a file from a server or a pipe, is held to its own timestamps, counted from the moment that reading begins:
    it comes as a camera would have given it.

    Args:
        source: `camera:N`, an address of http, https, rtsp or rtsps, or `-`.
        every_frame: Drop none: the source waits until tracking is ready, and its timestamps hold nothing back.
        keep: Numbers of frames that are not dropped, as prompts are on them.
        start: The number of the frame to begin with; those before it are passed over.
        timeout: Seconds that it may be silent.

    Raises:
        Sam2rlError: The source is none of these.
        StreamError: It is not there, is no video, or gave nothing for too long.
    """

    is_live = True

    def __init__(
        self,
        source: str,
        every_frame: bool = False,
        keep: Collection[int] = (),
        start: int = 0,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(shown_name(source), count=None, fps=None)
        self.start = start
        self._last: int | None = None
        self._timeout = timeout
        self._every_frame = every_frame
        self._began: float | None = None  # when reading began, by the monotonic clock
        self._handover = _Handover(None if every_frame else frozenset({start, *keep}))
        self._reader = threading.Thread(target=self._read, args=(source,), name="sam2rl live", daemon=True)
        self._reader.start()
        try:
            first = self._take(0)
            if first is None:
                raise StreamError(
                    f"{self.path} ended before frame {start}, counted from 0: begin with an earlier one."
                    if start
                    else f"{self.path} has no frame that can be decoded: check that it is a complete video."
                )
            self._first = first
        except BaseException:
            self.close()
            raise

    @property
    def dropped(self) -> int:
        """How many frames came and were not given, as a newer one was there before they were taken."""
        return self._handover.dropped

    def first(self) -> Frame:
        """The first frame, without consuming it."""
        return self._first

    def numbered(self) -> Iterator[tuple[int, Frame]]:
        return ((int(frame.name) - 1, frame) for frame in self)

    def part(self, start: int = 0, end: int | None = None) -> LiveSource:
        """This source, which ends with the frame `end`; `start` must be its own."""
        if start != self.start:
            raise ValueError(f"a live source that begins at frame {self.start} cannot begin at frame {start}")
        self._last = end
        return self

    def may_name(self, name: str) -> bool:
        return re.fullmatch(r"[0-9]{8,}", name) is not None

    def stop(self) -> None:
        """End the stream: the frame at work is the last. Signal handlers may call it, as it takes no lock."""
        self._handover.is_over = True

    def close(self) -> None:
        """End the stream and the thread that reads it."""
        self.stop()
        self._reader.join(_FAREWELL)

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Within, the first Ctrl-C, or SIGTERM, ends the stream, so that a frame is finished; the second interrupts."""
        if threading.current_thread() is not threading.main_thread():  # no other may set handlers
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)

        def stop(number: int, frame: FrameType | None) -> None:
            restore()
            self.stop()

        for number in before:
            signal.signal(number, stop)
        try:
            yield
        finally:
            restore()

    def _frames(self) -> Iterator[Frame]:
        if self._began is not None:
            raise RuntimeError("a live source can be read once")
        self._began = time.monotonic()
        frame: Frame | None = self._first
        count = 0
        while frame is not None:
            number = int(frame.name) - 1
            if self._last is not None and number > self._last:
                break
            yield frame
            count += 1
            if number == self._last:
                break
            frame = self._take(count)
            if frame is not None:
                self._check_size(frame)

    def _check_size(self, frame: Frame) -> None:
        before, now = self._first.image.shape, frame.image.shape
        if now != before:
            raise StreamError(
                f"{self.path} changed its size from {before[1]}x{before[0]} to {now[1]}x{now[0]} pixels at frame "
                f"{frame.name}: start again to track the new one."
            )

    def _take(self, count: int) -> Frame | None:
        try:
            arrival = self._handover.take(self._timeout + _GRACE)
        except TimeoutError as error:
            raise StreamError(
                f"{self.path} gave nothing for {self._timeout:g} seconds after {count} frames: check that it runs."
            ) from error
        return Frame(f"{arrival.number + 1:08d}", arrival.decode(), arrival.time) if arrival else None

    # ------------------------------------------------------------ in the thread that reads

    def _read(self, source: str) -> None:
        clock = _Clock(self._timeout)
        try:
            with closing(receive(source, self._timeout, lambda: self._handover.is_over)) as pictures:  # type: ignore[type-var]
                for number, picture in enumerate(pictures):
                    if number < self.start:
                        self._handover.heard = time.monotonic()
                        continue
                    at = clock.time(picture.stamp)
                    if number > self.start and picture.stamp is not None and not self._every_frame:
                        self._wait(at)
                    if not self._handover.give(_Arrival(number, at, picture.decode)):
                        break
        except BaseException as error:  # whatever it is, it is raised where frames are taken
            self._handover.end(error)
        else:
            self._handover.end(None)

    def _wait(self, at: float) -> None:
        """Until a frame is due, in seconds after the first one is taken."""
        while not self._handover.is_over:
            left = TICK if self._began is None else self._began + at - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(left, TICK))


@dataclass(frozen=True)
class _Arrival:
    """A frame that came.

    Attributes:
        number: In the stream, from 0.
        time: In seconds from the first one that is not passed over.
        decode: Makes an image of it.
    """

    number: int
    time: float
    decode: Callable[[], Image]


class _Handover:
    """Hands the newest frame from the thread that reads to the one that tracks.

    Args:
        keep: Numbers of frames that are not dropped; None = of all.

    Attributes:
        is_over: Set it when no more frames are wanted.
        dropped: Frames that were given and never taken.
        heard: When the source last gave a frame that nobody wants, by the monotonic clock: it is not silent then.
    """

    def __init__(self, keep: frozenset[int] | None) -> None:
        self.is_over = False
        self.dropped = 0
        self.heard = 0.0
        self._keep = keep
        self._changed = threading.Condition()
        self._waiting: deque[_Arrival] = deque()  # one that is kept, if any, and then the newest
        self._ended = False
        self._error: BaseException | None = None

    def give(self, arrival: _Arrival) -> bool:
        """Offer a frame; waits where it and one that waits already are to be kept. False: nobody wants more."""
        with self._changed:
            while self._is_kept(arrival) and any(map(self._is_kept, self._waiting)) and not self.is_over:
                self._changed.wait(TICK)
            if self.is_over:
                return False
            if self._waiting and not self._is_kept(self._waiting[-1]):
                self._waiting.pop()
                self.dropped += 1
            self._waiting.append(arrival)
            self._changed.notify_all()
            return True

    def take(self, timeout: float) -> _Arrival | None:
        """The newest frame, or one before it that is kept; None at the end.

        Raises:
            TimeoutError: None came for so many seconds.
            BaseException: What ended the stream, after the last frame.
        """
        began = time.monotonic()
        with self._changed:
            while not self._waiting and not self._ended and not self.is_over:
                self._changed.wait(TICK)
                if time.monotonic() > max(began, self.heard) + timeout:
                    raise TimeoutError
            if self.is_over:
                return None
            if self._waiting:
                self._changed.notify_all()
                return self._waiting.popleft()
            if self._error:
                raise self._error
            return None

    def end(self, error: BaseException | None) -> None:
        """No frame comes any more."""
        with self._changed:
            self._error = error
            self._ended = True
            self._changed.notify_all()

    def _is_kept(self, arrival: _Arrival) -> bool:
        return self._keep is None or arrival.number in self._keep


class _Clock:
    """Tells a stream's frames their times, in seconds from the first one.

    Args:
        longest: Seconds; where timestamps leap further, or back, the clock on the wall counts instead.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._time = 0.0
        self._stamp: float | None = None
        self._seen: float | None = None

    def time(self, stamp: float | None) -> float:
        """The time of the next frame.

        Args:
            stamp: Its own, in seconds from anywhere; None = it is the moment of this call.
        """
        now = time.monotonic()
        step = 0.0 if self._seen is None else now - self._seen
        if stamp is not None and self._stamp is not None and 0 <= stamp - self._stamp <= self._longest:
            step = stamp - self._stamp
        self._time += step
        self._stamp, self._seen = stamp, now
        return self._time
