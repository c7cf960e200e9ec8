"""A dunlin process for the tests: starts it, reads the URL and the key that it prints, and ends it by process id."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import tempfile
import time
from pathlib import Path

URL_LINE = re.compile(r"http://127\.0\.0\.1:(\d+)")
KEY_LINE = re.compile(r"([\w-]{3,}\.[\w-]{3,}):([\w+/=-]{8,})")
READY_WITHIN_S = 10
CONFIG = """
[[namespaces]]
id = "mutable"
mutable_messages = true

[[namespaces]]
id = "persisted"
persisted = true
"""


class Server:
    """A running server: `port`, `key`, `key_name`, `key_secret`."""

    def __init__(self) -> None:
        base = Path(os.environ.get("E2E_RUN_DIR") or tempfile.mkdtemp(prefix="dunlin-e2e-"))
        room = Path(tempfile.mkdtemp(prefix="server-", dir=base))
        config = room / "dunlin.toml"
        config.write_text(CONFIG)
        command = [os.environ["E2E_BINARY"], "serve", "--listen", "127.0.0.1:0"]
        command += ["--data-dir", str(room / "data"), "--config", str(config)]
        with (room / "stderr.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        with (base / "pids").open("a") as pids:
            pids.write(f"{self._process.pid}\n")
        self._read_banner()

    def _read_banner(self) -> None:
        end = time.monotonic() + READY_WITHIN_S
        printed = ""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while time.monotonic() < end:
                if not selector.select(end - time.monotonic()):
                    break
                chunk = os.read(self._process.stdout.fileno(), 65536)
                printed += chunk.decode(errors="replace")
                url, key = URL_LINE.search(printed), KEY_LINE.search(printed)
                if url and key and printed.endswith("\n"):
                    self.port = int(url.group(1))
                    self.key, self.key_name, self.key_secret = key.group(0), key.group(1), key.group(2)
                    return
                if not chunk:
                    break
        self.stop()
        raise RuntimeError(f"no URL and key on stdout; it printed: {printed!r}")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
