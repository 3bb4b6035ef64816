"""A real browser without a head, told what to do over a pipe by the DevTools protocol.

`--remote-debugging-pipe` takes and gives JSON on two pipes, so that no client library is needed:
https://chromedevtools.github.io/devtools-protocol/.
"""

import base64
import fcntl
import json
import os
import select
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, _NAMES)), "")
PATIENCE = 60.0  # seconds for an answer: a browser that starts on a busy machine is slow

_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--disable-default-apps", "--remote-debugging-pipe"),
)


class Page:
    """A page in the browser.

    Attributes:
        events: What the browser told of it, as (method, parameters).
    """

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive, self._buffer = send, receive, b""
        self._count, self._session = 0, ""
        self.events: list[tuple[str, dict[str, Any]]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Has something done, and returns the answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._count:
            if "method" in answer:
                self.events.append((answer["method"], answer.get("params", {})))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def look(self, *, width: int, dark: bool, height: int = 800, media: str = "") -> None:
        """Sets how wide the window is, and what its user prefers."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def open(self, path: Path) -> None:
        """Goes to a file, and waits until it is there with all that is in it."""
        self.events.clear()
        self.ask("Page.navigate", url=path.resolve().as_uri())
        until = time.monotonic() + PATIENCE
        while self.run("document.readyState") != "complete" or not self._loaded():
            assert time.monotonic() < until, f"{path} does not load"
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """Runs a script as if the user had asked for it, and returns its value, once it has one."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True,
                         returnByValue=True, userGesture=True)  # fmt: skip
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def picture(self, path: Path) -> None:
        """Saves how the whole page looks."""
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """What stands in the console."""
        said = []
        for method, told in self.events:
            if method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
                said.append(told["entry"]["text"])
            elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
                said.append(str(told["args"]))
            elif method == "Runtime.exceptionThrown":
                said.append(str(told["exceptionDetails"].get("text")))
        return said

    def requests(self) -> list[str]:
        """Where it asked for something, what is in the page itself left out."""
        asked = [told["request"]["url"] for name, told in self.events
                 if name == "Network.requestWillBeSent"]  # fmt: skip
        return [url for url in asked if not url.startswith("data:")]

    def _loaded(self) -> bool:
        return any(name == "Page.loadEventFired" for name, _ in self.events)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._receive], [], [], PATIENCE)
            if not ready:
                raise TimeoutError("the browser does not answer")
            found = os.read(self._receive, 1 << 20)
            if not found:
                raise RuntimeError("the browser has ended")
            self._buffer += found
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextmanager
def browser() -> Iterator[Page]:
    """A page of a browser of its own, which ends with it."""
    ours, theirs = [_high(end) for end in os.pipe()], [_high(end) for end in os.pipe()]
    folder = tempfile.mkdtemp(prefix="convt1d-browser-")
    command = [PROGRAM, *_OPTIONS, f"--user-data-dir={folder}"]
    # The browser reads from 3 and writes to 4.
    wired = f"exec {shlex.join(command)} 3<&{ours[0]} 4>&{theirs[1]}"
    process = subprocess.Popen(
        ["bash", "-c", wired], pass_fds=(ours[0], theirs[1]), stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    os.close(ours[0])
    os.close(theirs[1])
    try:
        page = Page(ours[1], theirs[0])
        yield page
        page._session = ""
        page.ask("Browser.close")
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()
        os.close(ours[1])
        os.close(theirs[0])
        shutil.rmtree(folder, ignore_errors=True)


def _high(descriptor: int) -> int:
    """The same under a number that is not in the way of 3 and 4."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10)
    os.close(descriptor)
    return moved
