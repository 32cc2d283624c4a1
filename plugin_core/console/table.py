"""Plain tables: columns as wide as their cells, the last one free to run on, nothing that a pipe could not take."""

from __future__ import annotations

from collections.abc import Sequence

import click

from plugin_core.console.formatting import clean


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads; text is left, numbers stand as they come."""
    cells = [[clean(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads) - 1)]
    for row in cells:
        fixed = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False) if width)
        click.echo(f"{fixed}  {row[-1]}".rstrip())
