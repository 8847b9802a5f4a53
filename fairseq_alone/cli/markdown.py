"""Markdown tables that are readable as text, too."""


def markdown_table(rows: list[list[str]], left_aligned: int) -> str:
    """A Markdown table with aligned columns.

    Args:
        rows: the header, then the rows, all of one length.
        left_aligned: how many columns, from the first, are names; the others are numbers and stand on the right.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * width if column < left_aligned else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    lines = []
    for row in (rows[0], rule, *rows[1:]):
        cells = [
            text.ljust(width) if column < left_aligned else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
