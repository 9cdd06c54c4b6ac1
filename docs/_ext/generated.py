"""Writing generated pages: only what changed, so that Sphinx reads nothing twice; what nobody writes any more goes."""

from pathlib import Path


class Folder:
    """A folder that holds generated pages only; used as a context, it removes pages of earlier builds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: set[Path] = set()

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            for path in set(self.path.rglob("*.md")) - self._written:
                path.unlink()

    def keep(self, name: str, mark: str) -> bool:
        """Keep a page of an earlier build if it holds `mark`, a digest of all that it was made from."""
        path = self.path / name
        kept = path.exists() and mark in path.read_text(encoding="utf-8")
        if kept:
            self._written.add(path)
        return kept

    def write(self, name: str, text: str) -> None:
        """Write a page, unless it is there already."""
        path = self.path / name
        self._written.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def toctree(*entries: str, hidden: bool = True, depth: int = 1) -> str:
    """Return a MyST toctree."""
    options = [":hidden:"] if hidden else []
    return "\n".join(["```{toctree}", *options, f":maxdepth: {depth}", "", *entries, "```", ""])


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table; bars and line breaks inside cells are escaped."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in rows:
        lines.append("| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) + " |")
    return "\n".join(lines) + "\n"


def fields(facts: list[tuple[str, str]]) -> str:
    """Return a MyST list of fields: what a reader wants to know at a glance."""
    return "\n".join(f":{name}: {text}" for name, text in facts) + "\n"
