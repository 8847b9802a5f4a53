"""``fairseq-alone flags``: the plugin's own flags of fairseq's commands, which fairseq's ``--help`` does not show."""

import argparse
import dataclasses
import difflib
import json
import shutil
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from fairseq_alone import compat
from fairseq_alone.errors import UserError

if TYPE_CHECKING:
    from fairseq_alone.flags import Flag

_OPTION_OF_KIND = {"architecture": "--arch", "criterion": "--criterion", "optimizer": "--optimizer", "task": "--task"}

_MARKDOWN_HEADER = """\
# Flags

The flags that this plugin adds to those of fairseq. This file is what `fairseq-alone flags --markdown` prints; a test \
keeps it so.
`fairseq-alone flags transformer_alone` shows those of one architecture, criterion, optimizer or task.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to show, and how."""
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="an --arch, --criterion, --optimizer or --task of this plugin: show its flags only; default: all",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print a list with one object for each flag")
    how.add_argument("--markdown", action="store_true", help="print Markdown, as in docs/flags.md")


def run(args: argparse.Namespace) -> None:
    """Print the flags."""
    compat.require_fairseq()
    from fairseq_alone.flags import own_flags

    flags = own_flags()
    if args.name is not None:
        _require_known(args.name)
        flags = [
            dataclasses.replace(flag, defaults={args.name: flag.defaults[args.name]})
            for flag in flags
            if args.name in flag.defaults
        ]
    if args.json:
        print(json.dumps([dataclasses.asdict(flag) for flag in flags], indent=1, ensure_ascii=False))
    elif args.markdown:
        print(markdown(groups(flags)), end="")
    else:
        print(text(groups(flags), shutil.get_terminal_size().columns))


def _require_known(name: str) -> None:
    """Raise UserError unless the plugin registers something of this name."""
    from fairseq_alone.flags import names

    known = names()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(known)}"
        raise UserError(f"this plugin has no architecture, criterion, optimizer or task '{name}'{hint}")


def groups(flags: list["Flag"]) -> dict[str, list["Flag"]]:
    """Flags by the title of their group: those that the same architectures take, or criterions ..., are one group."""
    everyone: dict[str, set[str]] = {}
    for flag in flags:
        everyone.setdefault(flag.kind, set()).update(flag.defaults)
    found: dict[str, list[Flag]] = {}
    for flag in flags:
        found.setdefault(_title(_OPTION_OF_KIND[flag.kind], list(flag.defaults), everyone[flag.kind]), []).append(flag)
    return found


def _title(option: str, takers: list[str], everyone: set[str]) -> str:
    """Who takes a flag, in words: ``every --arch with 'alone' in its name``."""
    if len(takers) == 1:
        return f"{option} {takers[0]}"
    if len(takers) == len(everyone):
        return f"every {option} of this plugin"
    for word in takers[0].split("_"):
        if {name for name in everyone if word in name.split("_")} == set(takers):
            return f"every {option} with '{word}' in its name"
    return f"{option} " + ", ".join(takers)


def text(grouped: dict[str, list["Flag"]], width: int) -> str:
    """For the screen: flag, default and meaning in columns, the meaning wrapped to ``width``."""
    rows = [(_flag(flag), *_default(flag)) for flags in grouped.values() for flag in flags]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    indent = sum(widths) + 6
    lines = []
    for title, flags in grouped.items():
        names = textwrap.wrap(_takers(flags), width, initial_indent="  ", subsequent_indent="  ")
        lines += [f"{title}:", *(names if len(flags[0].defaults) > 1 else []), ""]
        for flag in flags:
            default, exceptions = _default(flag)
            meaning = flag.help + (f" [{exceptions}]" if exceptions else "")
            first, *others = textwrap.wrap(meaning, max(width - indent, 30), break_on_hyphens=False) or [""]
            lines.append(f"  {_flag(flag).ljust(widths[0])}  {default.ljust(widths[1])}  {first}".rstrip())
            lines += [" " * indent + other for other in others]
        lines.append("")
    return "\n".join(lines[:-1])


def markdown(grouped: dict[str, list["Flag"]]) -> str:
    """The same as a Markdown document."""
    lines = [_MARKDOWN_HEADER]
    for title, flags in grouped.items():
        lines += [
            f"## {title[0].upper()}{title[1:]}",
            "",
            _takers(flags),
            "",
            "| flag | default | meaning |",
            "|---|---|---|",
        ]
        for flag in flags:
            default, exceptions = _default(flag)
            cells = [f"`{_flag(flag)}`", default + (f"; {exceptions}" if exceptions else ""), flag.help]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _takers(flags: list["Flag"]) -> str:
    """The names of what takes the flags of a group."""
    return ", ".join(flags[0].defaults)


def _flag(flag: "Flag") -> str:
    return f"{flag.flag} {flag.values}".rstrip()


def _default(flag: "Flag") -> tuple[str, str]:
    """The default that most have, and in words those of the others."""
    shown = {name: _value(value) for name, value in flag.defaults.items()}
    usual = Counter(shown.values()).most_common(1)[0][0]
    return usual, ", ".join(f"{name}: {value}" for name, value in shown.items() if value != usual)


def _value(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
