"""Live video on this machine: small videos whose frames tell their numbers, and servers that give them or fail to."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

FPS = 20
STEP = 10
"""Grey levels between two frames."""


def grey_frames(count: int, size: tuple[int, int] = (48, 64)) -> Iterator[NDArray[np.uint8]]:
    """Frames of one grey each, which tells their number: see `number_of`."""
    for index in range(count):
        yield np.full((*size, 3), STEP * index, dtype=np.uint8)


def number_of(image: NDArray[np.uint8]) -> int:
    """The number of a grey frame, from 1, however it was compressed."""
    return round(float(image.mean()) / STEP) + 1


def encode(images: Iterator[NDArray[np.uint8]], kind: str = "mpegts") -> bytes:
    """A video in memory: H.264 at `FPS`, in a container that FFmpeg knows by this name."""
    file = BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = _add_stream(container, {})
        for index, image in enumerate(images):
            _encode_into(container, stream, image, is_first=index == 0)
        container.mux(stream.encode(None))
    return file.getvalue()


def _add_stream(container: Any, options: dict[str, str]) -> Any:
    stream = container.add_stream("h264", rate=FPS, options={"crf": "10", "preset": "ultrafast", "g": "5", **options})
    stream.pix_fmt = "yuv420p"
    return stream


def _encode_into(container: Any, stream: Any, image: NDArray[np.uint8], is_first: bool) -> None:
    if is_first:  # then the encoder opens
        stream.height, stream.width = image.shape[:2]
    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def http_folder(folder: Path) -> Iterator[str]:
    """The address under which a folder's files are served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def one_answer(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """HOST:PORT of a server that treats every caller in the same way, and hangs up when it is done."""
    server = socket.create_server(("127.0.0.1", 0))

    def treat(caller: socket.socket) -> None:
        with caller, suppress(OSError):  # the caller has hung up
            answer(caller)

    def serve() -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:  # closed: the test is over
                return
            threading.Thread(target=treat, args=(caller,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.close()


def http_part(data: bytes, sent: int, silent: float = 0) -> Callable[[socket.socket], None]:
    """Promises all of the data, sends a part of it, and hangs up after some seconds."""

    def answer(caller: socket.socket) -> None:
        caller.recv(1 << 16)
        caller.sendall(f"HTTP/1.0 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:sent])
        time.sleep(silent)

    return answer


def rtp_packets(images: Iterator[NDArray[np.uint8]]) -> list[bytes]:
    """H.264 at `FPS` in packets of RTP, as cameras send it."""
    packets: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)
        with av.open(f"rtp://127.0.0.1:{ear.getsockname()[1]}", "w", format="rtp") as container:
            stream = _add_stream(container, {"tune": "zerolatency"})
            for index, image in enumerate(images):
                _encode_into(container, stream, image, is_first=index == 0)
                with suppress(BlockingIOError):  # all has come
                    while True:
                        packets.append(ear.recv(1 << 16))
    return packets


def rtsp(packets: list[bytes], pause: float) -> Callable[[socket.socket], None]:
    """A camera on the network: RTP within the RTSP connection (RFC 2326, 10.12), which it closes at the end.

    Args:
        packets: Of H.264.
        pause: Seconds between two packets.
    """
    description = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
        "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track\r\n"
    )

    def answer(caller: socket.socket) -> None:
        requests = caller.makefile("rb")
        method = ""
        while method != "PLAY":
            head = b"".join(iter(requests.readline, b"\r\n")).decode()
            if not head:
                return
            method = head.split()[0]
            fields = dict(line.split(": ", 1) for line in head.splitlines()[1:])
            more, body = {
                "OPTIONS": ("Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n", ""),
                "DESCRIBE": (f"Content-Type: application/sdp\r\nContent-Length: {len(description)}\r\n", description),
                "SETUP": ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", ""),
            }.get(method, ("", ""))
            caller.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {fields['CSeq']}\r\nSession: 1\r\n{more}\r\n{body}".encode())
        for packet in packets:
            caller.sendall(struct.pack("!cBH", b"$", 0, len(packet)) + packet)
            time.sleep(pause)

    return answer


@contextmanager
def piped(data: bytes, silent: float = 0) -> Iterator[int]:
    """A descriptor from which the data can be read; the pipe is closed after some seconds more."""
    reading, writing = os.pipe()

    def write() -> None:
        try:
            with os.fdopen(writing, "wb") as file:
                file.write(data)
                file.flush()
                time.sleep(silent)
        except BrokenPipeError:
            pass

    threading.Thread(target=write, daemon=True).start()
    try:
        yield reading
    finally:
        os.close(reading)
