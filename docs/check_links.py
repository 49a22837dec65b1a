"""Check the links within the site: python docs/check_links.py build/docs."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Collect the links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        """Take what leads away, and what can be led to."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            if name in ("id", "name") and value:
                self.anchors.add(value)


def broken(folder: Path) -> list[str]:
    """Return the links that lead to no file, or to no anchor of a page."""
    paths = [path.resolve() for path in folder.rglob("*.html")]
    # what is static is the theme's, templates among it
    pages = {path: Page(path) for path in paths if "_static" not in path.parts}
    found = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue  # it leads outside
            where = unquote(parts.path)
            target = (path.parent / where).resolve() if where else path
            anchors = pages[target].anchors if target in pages else {parts.fragment}
            has_anchor = not parts.fragment or unquote(parts.fragment) in anchors
            if not (target.exists() and has_anchor):
                found.append(f"{path.relative_to(folder.resolve())}: {link}")
    return found


if __name__ == "__main__":
    if bad := broken(Path(sys.argv[1])):
        sys.exit("broken links:\n" + "\n".join(bad))
