"""Text and links of markup as the published implementation takes them, by BeautifulSoup with Python's html.parser: the
definition that `leia.corpus.markup` must agree with, and the floor that the preprocessing is compared with."""

import warnings

from bs4 import BeautifulSoup, Tag
from bs4.exceptions import ParserRejectedMarkup

from leia.corpus.linked_text import LinkedText


def split_links_by_beautifulsoup(markup: str) -> LinkedText:
    """The plain text of a document and its top-level links."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # markup that looks like a file name or like XML
        try:
            soup = BeautifulSoup(markup, "html.parser")
        except ParserRejectedMarkup:  # a "<![" that opens no marked section
            soup = BeautifulSoup(markup.replace("<![", "&lt;!["), "html.parser")
    length, parts = 0, []
    starts, ends, hrefs = [], [], []
    for node in soup.children:
        text = node.get_text()
        if isinstance(node, Tag) and node.name == "a" and node.has_attr("href"):
            starts.append(length)
            ends.append(length + len(text))
            hrefs.append(node["href"])
        parts.append(text)
        length += len(text)
    return LinkedText("".join(parts), starts, ends, hrefs)
