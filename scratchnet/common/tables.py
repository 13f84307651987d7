"""A table that prints itself as text, and in a notebook as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Rows under headings. None is an empty cell; notes are lines below the table.

    The first column and all text are aligned left, numbers right.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()

    def lines(self) -> list[str]:
        """The table as text, a string for each line."""
        columns = list(zip(self.headings, *([_text(cell) for cell in row] for row in self.rows), strict=True))
        widths = [max(map(len, column)) for column in columns]
        numeric = [any(isinstance(row[i], int | float) for row in self.rows) for i in range(len(self.headings))]
        lines = []
        for cells in zip(*columns, strict=True):
            padded = [
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(cells, widths, numeric, strict=True)
            ]
            lines.append("  ".join(padded).rstrip())
        return [*lines, *self.notes]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(heading)}</th>" for heading in self.headings)
        body = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in self.rows)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


def _html_cell(cell: Cell) -> str:
    align = "right" if isinstance(cell, int | float) else "left"
    return f'<td style="text-align: {align}">{escape(_text(cell))}</td>'


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else cell
