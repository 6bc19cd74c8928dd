"""What stops a step (`leia.base.cli` prints it as one line), and why a step leaves something out (`DropReason`)."""

from enum import StrEnum
from pathlib import Path


class InputError(Exception):
    """Bad data: the message says which file, where in it, what was expected and what to do. Exit code 1."""

    exit_code = 1


class UsageError(InputError):
    """Wrong use that only the library can see: a setting out of range, settings that do not fit. Exit code 2."""

    exit_code = 2


class MissingInput(UsageError):
    """What a step is to read is not there, and its output is not complete either."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: there is no such file or folder")


class AlreadyComplete(Exception):
    """Nothing to do: the output is there, and its manifest says that it was made from these inputs and options."""


class DropReason(StrEnum):
    """Why a page, row, article or link is not in the output: the keys of every tally, figure and report."""

    # pages of a dump
    NOT_AN_ARTICLE = "in another namespace than that of articles"
    REDIRECT = "a redirect"

    # redirects: pages
    NOT_A_REDIRECT = "not a redirect"
    OWN_PAGE = "the title has a page of its own"
    REDIRECT_CYCLE = "redirect into a cycle"

    # Wikidata ids: entities, then titles
    BROKEN_LINE = "line is not JSON"
    NOT_AN_ITEM = "not an item (property, lexeme)"
    NOT_A_QID = "id is not a QID"
    NO_SITELINKS = "no sitelinks"
    NO_SITELINK_ASKED_FOR = "no sitelink to the languages asked for"
    TITLE_WITH_TAB = "title holds a tab or a line break"
    TITLE_NOT_UNICODE = "title is not valid Unicode"
    SAME_TITLE_LATER = "a later row has the same title"
    SAME_QID_LATER = "a later row has the same Wikidata id"

    # articles, then their links, on the way to anchors
    NOT_WIKITEXT = "not wikitext"
    NO_TEXT = "no text"
    NO_LINK = "no link to an article"
    SECTION_LINK = "section link (#)"
    EXTERNAL_LINK = "external link"
    EMPTY_LINK = "empty link"

    # links of wikitext on the way to anchors
    IN_TEMPLATE = "in a template"
    IN_NOTE = "in a note (ref)"
    IN_EXTENSION = "in a gallery, formula or code"
    IN_VARIANT = "in text of another writing"
    IN_TABLE = "in a table"
    IN_LIST = "in a list"
    IN_EMPTY_SECTION = "in the heading of an empty section"
    FILE = "of a file, or in its caption"
    CATEGORY = "of a category"
    INTERLANGUAGE = "to the page in another language"
    OTHER_NAMESPACE = "to a page of another namespace"
    OTHER_WIKI = "to another wiki"
    NOT_A_LINK = "not a link"
    TEMPLATE_TARGET = "its target comes from a template"
    NO_WORDS = "link without words"
    UNACCOUNTED = "not accounted for (a bug)"

    # sections, then pairs of sections
    IN_HEADING = "in a heading"
    NO_SECTION = "no section that is long enough"
    SAME_QID_EARLIER = "an earlier article has the same Wikidata id"
    TOO_SHORT = "too short: one sentence or none, and few characters"
    ARTICLE_NOT_SHARED = "its article is in one of the languages only"
    NO_SHARED_ID = "shares no Wikidata id with a section of the other article"
    NOT_MUTUAL = "its most similar section is more similar to another one"
    TOO_FEW_SHARED = "too few shared Wikidata ids"
    NOT_SIMILAR = "not similar enough"
    HELD_OUT = "held out for the evaluation"
    BEYOND_MAX_PAIRS = "not drawn into the sample (--max_pairs)"

    # spans of texts from elsewhere on the way to anchors
    NOT_A_SPAN = "not a span: a start, an end, and a title, a Wikidata id or a name"
    OUTSIDE_TEXT = "span outside its text"
    EMPTY_SPAN = "span of no length"
    OVERLAPPING_SPAN = "span that overlaps one before it"

    # places where a term of a glossary stands
    WITHIN_WORD = "begins or ends within a word"
    OVERLAPPING_TERM = "overlaps a term that begins earlier or is longer"

    # anchors on the way to names
    NO_QID = "no Wikidata id"
    NO_PIVOT_TITLE = "no title in the pivot language"
    EXCLUDED_NAMESPACE = "title in an excluded namespace"
    LIST_TITLE = "title of a list"
    EMPTY_NAME = "title of nothing but what stands in brackets"
    START_NOT_ON_BOUNDARY = "start not on a token boundary"
    END_NOT_ON_BOUNDARY = "end not on a token boundary"
    NOT_ON_BOUNDARIES = "not on token boundaries"  # of a dataset without a manifest: one end or both
    BEYOND_MAX_LENGTH = "beyond --max_length"

    # judged collections: queries, then judgements
    NOT_JUDGED = "query without a judgement"
    NO_RELEVANT_DOCUMENT = "the query has no relevant document"
    UNKNOWN_QUERY = "of a query that is not there"
    UNKNOWN_DOCUMENT = "of a document that is not there"
    DOCUMENT_WITHOUT_TEXT = "of a document without text"
