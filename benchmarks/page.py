"""Tables that scripts write into pages of docs/results."""

from pathlib import Path


def fill(page: Path, text: str) -> None:
    """Replace what stands between the lines <!-- tables --> and <!-- /tables --> of the page."""
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- tables -->\n")
    after = rest.partition("<!-- /tables -->\n")[2]
    page.write_text(f"{before}<!-- tables -->\n{text}\n<!-- /tables -->\n{after}", encoding="utf-8")
