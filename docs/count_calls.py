"""Count what a command asks of the file system that a folder lies on: python docs/count_calls.py FOLDER COMMAND...

It runs the command under strace, with all of its processes, and prints as JSON how often they called the system with a
path in the folder, by what the call does, and how many bytes they wrote. Linux only. The numbers of the page on many
machines are differences of two such runs, of which one did more of the same: see docs/numbers/many-machines.json.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

KINDS = {
    "look": {"stat", "lstat", "newfstatat", "statx", "access", "faccessat2", "readlink", "readlinkat"},
    "open": {"open", "openat"},  # to read, or a folder to list
    "list": {"getdents64"},
    "create": set[str](),  # an open that may make a file
    "make folder": {"mkdir", "mkdirat"},
    "rename": {"rename", "renameat", "renameat2", "link", "linkat"},
    "delete": {"unlink", "unlinkat", "rmdir"},
}
"""{what a call does: names of calls}."""
WRITES = {"write", "pwrite64"}
CALL = re.compile(r"^\d+ +(\w+)\((.*)$")
HERE = re.compile(r"AT_FDCWD<[^>]*>")  # where a process stands is not what it asks for


def main(arguments: Sequence[str]) -> str | None:
    """Run a command and print its counts, or say what is wrong: a sentence, or None."""
    if len(arguments) < 2:
        return "Give a folder and a command: python docs/count_calls.py W sam2rl train W."
    folder = Path(arguments[0]).resolve()
    with tempfile.NamedTemporaryFile("r", errors="replace") as log:
        calls = ",".join(["%file", "getdents64", *sorted(WRITES)])
        done = subprocess.run(["strace", "-f", "-y", "-o", log.name, "-e", f"trace={calls}", *arguments[1:]])
        if done.returncode:
            return f"The command ended with {done.returncode}: nothing is counted."
        print(json.dumps(count(log, folder)))
    return None


def count(lines: Iterable[str], folder: Path) -> dict[str, int]:
    """{what calls do: how many there were in a folder}, and "bytes" that were written there.

    Args:
        lines: Of strace, with paths behind file descriptors.
        folder: Absolute. Paths from where a process stands are taken for the folder's if they begin with its name.
    """
    found = Counter(dict.fromkeys([*KINDS, "bytes"], 0))
    inside = re.compile(rf'[<"]{re.escape(str(folder))}[/">]|"{re.escape(folder.name)}[/"]')
    for line in lines:
        call = CALL.match(line)
        if call is None or not inside.search(HERE.sub("", line)):
            continue
        name, rest = call.groups()
        if name in WRITES:
            size = re.search(r"= (\d+)$", rest.rstrip())
            found["bytes"] += int(size.group(1)) if size else 0
        elif "O_CREAT" in rest:
            found["create"] += 1
        else:
            found.update(kind for kind, names in KINDS.items() if name in names)
    return dict(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
