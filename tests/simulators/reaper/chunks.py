"""Items and projects as REAPER writes them, and items read back."""

from __future__ import annotations

from tests.simulators.reaper.objects import Item, Project, Source, Take, Track


def write_item(item: Item) -> str:
    """Return an item's chunk."""
    value = item.values.get
    lines = [
        "<ITEM",
        f"POSITION {value('D_POSITION', 0.0)!r}",
        f"SNAPOFFS {value('D_SNAPOFFSET', 0.0)!r}",
        f"LENGTH {value('D_LENGTH', 0.0)!r}",
        f"LOOP {int(value('B_LOOPSRC', 0.0))}",
        "ALLTAKES 0",
        f"FADEIN {int(value('C_FADEINSHAPE', 0))} {value('D_FADEINLEN', 0.0)!r} 0 1 0 0 0",
        f"FADEOUT {int(value('C_FADEOUTSHAPE', 0))} {value('D_FADEOUTLEN', 0.0)!r} 0 1 0 0 0",
        f"MUTE {int(value('B_MUTE', 0.0))} 0",
        f"SEL {int(item.is_selected)}",
        f"IGUID {item.guid}",
        "IID 1",
    ]
    for number, take in enumerate(item.takes):
        if number:
            lines.append("TAKE SEL" if number == item.active else "TAKE")
        lines += _take_lines(item, take)
    return "\n".join([*lines, ">"]) + "\n"


def _take_lines(item: Item, take: Take) -> list[str]:
    value = take.values.get
    lines = [
        f'NAME "{take.name}"',
        f"VOLPAN {item.values.get('D_VOL', 1.0)!r} {value('D_PAN', 0.0)!r} {value('D_VOL', 1.0)!r} -1",
        f"SOFFS {value('D_STARTOFFS', 0.0)!r}",
        f"PLAYRATE {value('D_PLAYRATE', 1.0)!r} {int(value('B_PPITCH', 1))} {value('D_PITCH', 0.0)!r} -1 0 0.0025",
        f"CHANMODE {int(value('I_CHANMODE', 0))}",
        f"GUID {take.guid}",
    ]
    if take.markers:
        lines.append(
            "SM " + " + ".join(f"{position!r} {source!r} {slope!r}" for position, source, slope in take.markers)
        )
    return lines + (write_source(take.source) if take.source else [])


def write_source(source: Source) -> list[str]:
    """Return the lines of a source's block."""
    lines = [f"<SOURCE {source.kind}"]
    if source.is_section and source.parent:
        if source.mode != 3:
            lines += [f"LENGTH {source.span!r}", f"STARTPOS {source.start!r}", f"OVERLAP {source.overlap!r}"]
        if source.mode:
            lines.append(f"MODE {source.mode}")
        lines += write_source(source.parent)
    elif source.path:
        lines.append(f'FILE "{source.path}"')
    return [*lines, ">"]


def read_item(chunk: str, item: Item) -> bool:
    """Set an item from a chunk; return whether it was one."""
    lines = [line.strip() for line in chunk.splitlines() if line.strip()]
    if not lines or lines[0] != "<ITEM" or lines[-1] != ">" or sum(map(_turn, lines)) != 0:
        return False
    takes: list[Take] = []
    number, chosen = 1, 0
    while number < len(lines) - 1:
        words = lines[number].split(" ", 1)
        if words[0] == "NAME" or words[0] == "TAKE":
            if words[0] == "TAKE":
                number += 1
                chosen = len(takes) if words[1:] == ["SEL"] else chosen
            takes.append(Take())
            takes[-1].texts["P_NAME"] = lines[number].split(" ", 1)[1].strip('"')
        elif words[0] == "<SOURCE":
            end = _block_end(lines, number)
            takes[-1].source = read_source(lines[number : end + 1])
            number = end
        elif takes:
            _read_take_line(takes[-1], words)
        else:
            _read_item_line(item, words)
        number += 1
    item.takes, item.active = takes, chosen
    return True


def _read_item_line(item: Item, words: list[str]) -> None:
    if words[0] in _ITEM_VALUES:
        item.values[_ITEM_VALUES[words[0]]] = float(words[1].split()[0])
    elif words[0] in ("FADEIN", "FADEOUT"):
        item.values[f"D_{words[0]}LEN"] = float(words[1].split()[1])
    elif words[0] == "IGUID":
        item.texts["GUID"] = words[1]


_ITEM_VALUES = {"POSITION": "D_POSITION", "LENGTH": "D_LENGTH", "SNAPOFFS": "D_SNAPOFFSET", "MUTE": "B_MUTE"}


def _read_take_line(take: Take, words: list[str]) -> None:
    if words[0] == "SOFFS":
        take.values["D_STARTOFFS"] = float(words[1])
    elif words[0] == "PLAYRATE":
        take.values["D_PLAYRATE"] = float(words[1].split()[0])
    elif words[0] == "GUID":
        take.texts["GUID"] = words[1]


def read_source(lines: list[str]) -> Source:
    """Return the source a block describes."""
    parent: Source | None = None
    for number, line in enumerate(lines[1:-1], 1):
        if line.startswith("<SOURCE"):
            parent = read_source(lines[number : _block_end(lines, number) + 1])
            break
    source = Source(lines[0].split()[1], parent=parent)
    for line in lines[1:]:
        words = line.split(" ", 1)
        if line.startswith("<"):
            break
        if words[0] == "FILE":
            source.path = words[1].strip('"')
        elif words[0] in ("LENGTH", "STARTPOS", "OVERLAP"):
            setattr(source, {"LENGTH": "span", "STARTPOS": "start", "OVERLAP": "overlap"}[words[0]], float(words[1]))
        elif words[0] == "MODE":
            source.mode = int(words[1])
    return source


def write_project(project: Project) -> str:
    """Return a project as an .RPP file."""
    lines = ['<REAPER_PROJECT 0.1 "7.0/fake" 1700000000', "  TEMPO 120 4 4"]
    for track in project.tracks:
        lines += ["  " + line for line in _track_lines(track)]
    return "\n".join([*lines, ">"]) + "\n"


def _track_lines(track: Track) -> list[str]:
    kind = 1 if track.depth > 0 else 2 if track.depth < 0 else 0
    lines = [f"<TRACK {track.guid}", f'  NAME "{track.name}"', f"  ISBUS {kind} {track.depth}"]
    lines.append(f"  PEAKCOL {int(track.values.get('I_CUSTOMCOLOR', 0))}")
    for item in track.items:
        lines += ["  " + line for line in write_item(item).splitlines()]
    return [*lines, ">"]


def _turn(line: str) -> int:
    return 1 if line.startswith("<") else -1 if line == ">" else 0


def _block_end(lines: list[str], start: int) -> int:
    depth = 0
    for number in range(start, len(lines)):
        depth += _turn(lines[number])
        if depth == 0:
            return number
    raise ValueError("a block has no end")
