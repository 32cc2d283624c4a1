"""The table ``gfx`` as Lua sees it: one window of a script, with what was drawn into it, its keys and its mouse.

As strict as the true one, and stricter: what is drawn before the window is open, a name that ``gfx`` has not, and a
value of another kind are errors.
"""

from __future__ import annotations

from typing import Any

KEYS = {
    "tab": 9,
    "enter": 13,
    "escape": 27,
    "space": 32,
    "up": 30064,
    "down": 1685026670,
    "left": 1818584692,
    "right": 1919379572,
    "end": 6647396,
}
WIDTH, HEIGHT = 7, 14
"""Of a character."""

_TABLE = """
function(functions, known)
  local held = {x = 0, y = 0, w = 0, h = 0, mouse_x = 0, mouse_y = 0, mouse_cap = 0, mouse_wheel = 0}
  return setmetatable({}, {
    __index = function(_, name)
      local found = functions[name]
      if found == nil then found = held[name] end
      return found == nil and error("gfx has no " .. name) or found
    end,
    __newindex = function(_, name, value)
      if held[name] == nil then error("gfx has no variable " .. name) end
      if math.type(value) == nil then error("gfx." .. name .. " is no number") end
      held[name] = value
    end,
  }), held
end
"""


class Gfx:
    """The window of one script."""

    def __init__(self, runtime: Any) -> None:
        self.is_open = False
        self.title = ""
        self.shown: list[tuple[str, float, float, float, float]] = []
        """Texts of the last frame that was shown whole: words, x, y, right and bottom."""
        self._frame: list[tuple[str, float, float, float, float]] = []
        self.rectangles: list[tuple[float, ...]] = []
        """Those of the last frame: x, y, width, height, and whether it is filled."""
        self._drawn: list[tuple[float, ...]] = []
        self.seen: set[str] = set()
        """Every text that was ever shown."""
        self._keys: list[int] = []
        self._clicks: list[tuple[float, float]] = []
        names = ("init", "getchar", "set", "setfont", "rect", "drawstr", "measurestr", "update", "quit", "dock")
        functions = runtime.table_from({name: getattr(self, f"_{name}") for name in names})
        self.table, self._held = runtime.eval(_TABLE)(functions)

    @property
    def texts(self) -> list[str]:
        """The words of the last frame, from top to bottom and left to right."""
        return [words for words, *_ in sorted(self.shown, key=lambda one: (one[2], one[1]))]

    def has(self, words: str) -> bool:
        """Tell whether a text is shown that holds these words."""
        return any(words in one for one in self.texts)

    def press(self, *names: str) -> None:
        """Press keys."""
        self._keys += [KEYS[name] for name in names]

    def click(self, words: str) -> None:
        """Click a text that is shown, where it begins."""
        self._clicks.append(next((one[1] + 1, (one[2] + one[4]) / 2) for one in self.shown if words in one[0]))

    def close(self) -> None:
        """Close the window as people do."""
        self.is_open = False

    def _init(self, name: str, width: float, height: float, dock: float, x: float, y: float) -> int:
        _check_numbers(width, height, dock, x, y)
        self.is_open, self.title, self._place = True, str(name), (dock, x, y, width, height)
        self._held["w"], self._held["h"] = width, height
        return 1

    def _getchar(self) -> int:
        if not self.is_open:
            return -1
        is_mouse_done = not self._clicks and not self._held["mouse_cap"]
        return self._keys.pop(0) if self._keys and is_mouse_done else 0

    def _set(self, *colour: float) -> None:
        self._need()
        _check_numbers(*colour)
        assert len(colour) in (3, 4)

    def _setfont(self, index: int, face: str, size: float) -> None:
        self._need()
        _check_numbers(index, size)
        assert isinstance(face, str)

    def _rect(self, x: float, y: float, width: float, height: float, filled: int) -> None:
        self._need()
        _check_numbers(x, y, width, height, filled)
        self._drawn.append((x, y, width, height, filled))

    def _drawstr(self, words: str, flags: int, right: float, bottom: float) -> None:
        self._need()
        _check_numbers(flags, right, bottom)
        assert isinstance(words, str)
        x, y = self._held["x"], self._held["y"]
        assert 0 <= x <= right <= self._held["w"], "drawn beside the window"
        self._frame.append((words, x, y, right, bottom))

    def _measurestr(self, words: str) -> tuple[int, int]:
        self._need()
        assert isinstance(words, str)
        return WIDTH * len(words), HEIGHT

    def _update(self) -> None:
        self._need()
        self.shown, self._frame = self._frame, []
        self.seen.update(words for words, *_ in self.shown)
        self.rectangles, self._drawn = self._drawn, []
        # A button is down for one frame, and up for one at least.
        self._held["mouse_cap"] = 1 if self._clicks and not self._held["mouse_cap"] else 0
        if self._held["mouse_cap"]:
            self._held["mouse_x"], self._held["mouse_y"] = self._clicks.pop(0)

    def _quit(self) -> None:
        self._need()
        self.is_open, self.shown = False, []

    def _dock(self, wanted: int, *_more: float) -> tuple[float, ...]:
        assert wanted == -1
        return self._place

    def _need(self) -> None:
        assert self.is_open, "there is no window"


def _check_numbers(*values: object) -> None:
    assert all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in values), values
