"""`sam2rl model`."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from commands import Run

WEIGHTS = b"the weights of Meta's tiny model"


class Hub(BaseHTTPRequestHandler):
    """What the hub's client asks for when it fetches a file; this hub has one."""

    def do_GET(self) -> None:
        if self.command == "GET":
            self.server.fetched.append(self.path)  # type: ignore[attr-defined]
        is_there = self.path == "/facebook/sam2.1-hiera-tiny/resolve/main/sam2.1_hiera_tiny.pt"
        body = WEIGHTS if is_there else b""
        self.send_response(200 if is_there else 404)
        if is_there:
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
        else:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.fetched = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(name: str, **environment: str) -> tuple[int, str]:
    """`sam2rl model fetch NAME` by a process of its own: the hub's client reads its variables when it is imported."""
    command = [sys.executable, "-m", "sam2rl_tracker", "model", "fetch", name]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(command, capture_output=True, text=True, env={**inherited, **environment})
    return done.returncode, " ".join(done.stderr.split())


def test_model_commands(run: Run) -> None:
    status, out, _ = run("model", "list")
    assert status == 0
    assert "nano" in out
    assert "sam2.1_hiera_large" in out
    status, out, _ = run("model", "info", "nano")
    assert status == 0
    assert "128 x 128 pixels" in out
    assert run("model", "info", "nonsense")[0] == 2


@pytest.mark.slow  # four processes
def test_fetch_obeys_the_variables_of_the_hubs_own_tools(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    """HF_ENDPOINT names a mirror, HF_HOME the cache, and HF_HUB_OFFLINE forbids the network."""
    address = f"http://127.0.0.1:{hub.server_port}"
    here = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}

    status, said = fetch("sam2.1_hiera_tiny", **here, HF_HUB_OFFLINE="1")
    assert status == 2
    assert "facebook/sam2.1-hiera-tiny has not been fetched, and HF_HUB_OFFLINE forbids the network: unset it" in said
    assert hub.fetched == []  # type: ignore[attr-defined]

    status, said = fetch("sam2.1_hiera_tiny", **here)
    assert status == 0, said
    (path,) = re.findall(r"\(Hugging Face hub, facebook/sam2\.1-hiera-tiny\): (.*)", said)
    assert Path(path).is_relative_to(tmp_path / "home")
    assert Path(path).read_bytes() == WEIGHTS

    status, said = fetch("sam2.1_hiera_tiny", HF_HOME=here["HF_HOME"], HF_HUB_OFFLINE="1")
    assert status == 0, said
    assert path in said

    status, said = fetch("nobody/nothing", **here)
    assert status == 2
    assert f"config.yaml of nobody/nothing could not be fetched from the Hugging Face hub at {address}" in said
    assert "Traceback" not in said
