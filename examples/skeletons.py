"""Makes exercise sheets from the lessons: python examples/skeletons.py FOLDER [LESSON.py ...]

A sheet is a lesson without its answers. The marks in the lessons are those of nbgrader: lines between
"### BEGIN SOLUTION" and "### END SOLUTION" become a line that raises NotImplementedError, lines between
"### BEGIN HIDDEN TESTS" and "### END HIDDEN TESTS", the usual mistakes, are left out.
"""

import argparse
import re
from pathlib import Path

HERE = Path(__file__).parent
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?^ *### END SOLUTION\n", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(r"\n*^ *### BEGIN HIDDEN TESTS\n.*?^ *### END HIDDEN TESTS\n", re.MULTILINE | re.DOTALL)


def lessons() -> list[Path]:
    """The numbered files, in order."""
    return sorted(HERE.glob("[0-9][0-9]_*.py"))


def skeleton(source: str) -> str:
    """The source of a lesson without its answers."""
    source = SOLUTION.sub(r"\1# YOUR CODE HERE\n\1raise NotImplementedError\n", source)
    return HIDDEN.sub("\n", source)


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes exercise sheets, lessons without answers.")
    parser.add_argument("folder", type=Path, help="where the sheets go")
    parser.add_argument("lessons", type=Path, nargs="*", help="the lessons (default: all)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for path in options.lessons or lessons():
        sheet = options.folder / path.name
        if sheet.exists():
            parser.error(f"{sheet} is there already; a sheet that somebody has filled in would be lost")
        sheet.write_text(skeleton(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(sheet)


if __name__ == "__main__":
    main()
