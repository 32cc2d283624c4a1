"""Debian's Chromium, without a window, driven by its own WebDriver: plain HTTP and JSON, no library needed."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

PATIENCE = 90.0
"""Seconds after which something will never happen, however busy the machine is."""
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One window."""

    def __init__(self, client: httpx.Client, capabilities: dict[str, Any], profile: bytes) -> None:
        self._client = client
        self.profile = profile
        """The folder that its processes are known by."""
        found = self._call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/session/{found['sessionId']}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        value = self._client.request(method, path, json=body if method == "POST" else None).json()["value"]
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{value['error']}: {value['message']}")
        return value

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Call the session; https://www.w3.org/TR/webdriver2."""
        return self._call(method, self._session + path, body or {})

    def open(self, url: str) -> None:
        self.ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of an async function in the page, and return what it returns."""
        whole = f"const end = arguments[arguments.length - 1]; (async () => {{ {script} }})()"
        whole += ".then((value) => end([true, value]), (error) => end([false, String(error && error.stack)]));"
        is_right, value = self.ask("POST", "/execute/async", {"script": whole, "args": list(arguments)})
        assert is_right, value
        return value

    def until(self, expression: str, *arguments: Any) -> Any:
        """Wait until an expression is true in the page, and return its value."""
        ends = time.monotonic() + PATIENCE
        while not (value := self.run(f"return {expression}", *arguments)):
            assert time.monotonic() < ends, f"never true: {expression}; {self.text()}"
            time.sleep(0.05)
        return value

    def text(self) -> str:
        return str(self.run("return document.body ? document.body.innerText : ''"))

    def find(self, selector: str) -> str:
        """Return an element, as WebDriver names it."""
        self.until(f"document.querySelector({selector!r})")
        return str(self.ask("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT])

    def click(self, selector: str) -> None:
        """Click as a person does: an element that is hidden or covered cannot be."""
        self.ask("POST", f"/element/{self.find(selector)}/click")

    def write(self, selector: str, text: str) -> None:
        self.ask("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def press(self, key: str) -> None:
        """Press a key wherever the focus is."""
        acts = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": acts}]})

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.command("Emulation.setDeviceMetricsOverride", metrics)

    def command(self, name: str, parameters: dict[str, Any]) -> Any:
        """Call Chromium's own protocol."""
        return self.ask("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Be in another tab for a while; the one that is left is hidden meanwhile, and frozen as a browser does it."""
        window = self.ask("GET", "/window")
        self.command("Page.setWebLifecycleState", {"state": "frozen"})
        other = self.ask("POST", "/window/new", {"type": "tab"})["handle"]
        self.ask("POST", "/window", {"handle": other})
        try:
            yield
        finally:
            self.ask("DELETE", "/window")
            self.ask("POST", "/window", {"handle": window})

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))

    def complaints(self) -> list[str]:
        """Return what the console said since the last call: broken scripts, and what the policy forbade."""
        return [entry["message"] for entry in self.ask("POST", "/se/log", {"type": "browser"})]

    def close(self) -> None:
        self.ask("DELETE", "")


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """Start Chromium with a profile of its own; the test is skipped where there is none.

    Args:
        folder: takes the profile.
    """
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    process = subprocess.Popen(
        [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        port = next(found[1] for line in process.stdout if (found := re.search(r"on port (\d+)\.", line)))
        arguments = [
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"),
            *("--autoplay-policy=no-user-gesture-required", f"--user-data-dir={folder}", "--window-size=1280,900"),
            *("--enable-precise-memory-info", "--js-flags=--expose-gc", "--no-first-run", "--disable-extensions"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        ]
        capabilities = {
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": int(PATIENCE * 1000)},
        }
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as client:
            browser = Browser(client, capabilities, os.fsencode(folder))
            try:
                yield browser
            finally:
                browser.close()
    finally:
        # Chromium is a child of its driver, and of the same session.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
