"""Headless Chromium by the protocol of WebDriver, with the standard library alone."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_SECONDS_TO_START = 30


class Browser:
    """A session of a browser of a width."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, method: str, path: str, **content: Any) -> Any:
        body = json.dumps(content).encode() if method == "POST" else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, page: pathlib.Path) -> None:
        self.ask("POST", "/url", url=page.resolve().as_uri())

    def run(self, script: str) -> Any:
        """Returns the value of a JavaScript expression."""
        return self.ask("POST", "/execute/sync", script=f"return {script}", args=[])

    def complaints(self) -> list[str]:
        """Returns what the browser wrote to its console since the last call."""
        return [entry["message"] for entry in self.ask("POST", "/se/log", type="browser")]


@contextlib.contextmanager
def browser(width: int, height: int = 900, dark: bool = False) -> Iterator[Browser]:
    """Yields a browser whose window has a width in pixels, as a phone has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # Chromium leaves some behind
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": folder.name},
    )
    service = Browser(f"http://127.0.0.1:{port}")
    session = None
    try:
        for _ in range(10 * _SECONDS_TO_START):
            with contextlib.suppress(urllib.error.URLError, OSError):
                if service.ask("GET", "/status")["ready"]:
                    break
            time.sleep(0.1)
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options = {
            "binary": CHROMIUM,
            "args": [*arguments, *(["--force-dark-mode"] if dark else [])],
            "mobileEmulation": {
                "deviceMetrics": {"width": width, "height": height, "pixelRatio": 1}
            },
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        answer = service.ask("POST", "/session", capabilities={"alwaysMatch": wanted})
        session = Browser(f"{service._address}/session/{answer['sessionId']}")
        if dark:
            session.ask(
                "POST",
                "/goog/cdp/execute",
                cmd="Emulation.setEmulatedMedia",
                params={"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
            )
        yield session
    finally:
        if session is not None:
            with contextlib.suppress(Exception):
                session.ask("DELETE", "")
        driver.terminate()
        driver.wait(30)
        folder.cleanup()
