"""What is split into sentences: the main text of a page, Markdown without its code."""

import re

from serving.archive.documents import Document, UnusableError, check_text
from serving.archive.extras import needs

_MASKED = re.compile(
    r"\A---\n.*?\n---$"  # front matter
    r"|^ {0,3}(?P<fence>`{3,}|~{3,}).*?(?:^ {0,3}(?P=fence)[`~]*\s*?$|\Z)"  # fenced code
    r"|<!--.*?(?:-->|\Z)",
    re.MULTILINE | re.DOTALL,
)


def running_text(document: Document) -> str:
    """The text that sentences are cut from and that their offsets count in.

    The original for plain text. Markdown keeps its length: front matter, fenced code and comments become blanks. A
    page becomes its main text (trafilatura: A. Barbaresi, ACL 2021), paragraphs parted by blank lines.

    Raises:
        UnusableError: a page has no main text.
    """
    if document.kind == "markdown":
        return _MASKED.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), document.text)
    if document.kind == "html":
        return check_text(_main_text(document.text))
    return document.text


def _main_text(page: str) -> str:
    with needs("archive"):
        import trafilatura
    try:
        found = trafilatura.extract(page, include_comments=False)
    except Exception as error:
        # A parser over hostile pages: whatever it raises concerns this page alone, and is told with it.
        raise UnusableError("no_main_text", f"no main text can be taken from the page: {error!r:.200}") from None
    if not found:
        raise UnusableError("no_main_text", "the page has no main text")
    return found.replace("\n", "\n\n")
