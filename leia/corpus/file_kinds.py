"""What is a file that is given as a dump and is none? Told by its first bytes, for the error that refuses it."""

import re
from pathlib import Path

from leia.base.errors import InputError

_KINDS = (
    (rb"(?i)\s*<(?:!doctype )?html", "a web page, as a download that failed leaves"),
    (rb"7z\xbc\xaf|\xfd7zXZ|PK\x03\x04|\x28\xb5\x2f\xfd", "a file compressed by 7z, xz, zip or zstd"),
    (rb"<doc id=", "text that run_wikiextractor.py makes"),
    (rb"(?s)\s*(?:<\?xml.{,100}?\?>\s*)?<mediawiki", "a Wikipedia's dump of pages"),
    (rb"(?s).{,10000}CREATE TABLE `wb_items_per_site`", "the table wb_items_per_site of Wikidata"),
    (rb"(?s).{,10000}CREATE TABLE `", "another SQL table"),
    (rb"\s*\[", "JSON, as Wikidata's dump is"),
    (rb"\s*\{", "JSON of another kind"),
    (rb"[^\0-\x1f]+\tQ[1-9][0-9]*\n", "an id file that extract_wikidata_ids.py makes"),
    (rb"[^\0-\x1f]+\t[^\0-\x1f]+\n", "a redirect file that extract_wikipedia_redirects.py makes"),
)


def refusal(path: Path | str, start: bytes, expected: str) -> InputError:
    """The error for a file that begins with `start` and is not the `expected`."""
    kind = next((kind for pattern, kind in _KINDS if re.match(pattern, start)), "something else")
    return InputError(f"{path}: expected {expected}, found {kind}")
