"""The card of a dataset on the model hub, in Markdown: the metadata that the hub reads, what the dataset holds, its
columns with their units, examples, where it comes from, its licence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from leia.base.text import markdown, markdown_table
from leia.reports.example_rows import Examples
from leia.reports.lineage import Source
from leia.reports.provenance import source_table, steps

if TYPE_CHECKING:
    from datasets import Dataset

LICENSE = "cc-by-sa-4.0"
"""Of Wikipedia's text."""

_COLUMNS = {
    "title": "title of the article",
    "language": "language code of the Wikipedia",
    "text": "plain text of the article",
    "anchors": "links of the text: `start` and `end` in characters of `text` (end exclusive), `title` of the page that "
    "the link leads to, `wikidata_id` of that page, null where it has none",
    "input_ids": "token ids of the text",
    "entity_start_positions": "first token of each entity: an index into `input_ids`",
    "entity_end_positions": "end of each entity in tokens, exclusive",
    "alternative_entity_input_ids": "token ids of each entity's name, without tags; in several languages a list",
    "sentence_start_positions": "first token of each sentence: an index into `input_ids`",
}
_OWN_NAMES = ", `name` where the text itself gives one"
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_SIZES += ((10**8, "10M<n<100M"), (10**9, "100M<n<1B"))

_METHOD = (
    "LEIA, Lightweight Entity-based Inter-language Adaptation ([arXiv 2402.11485](https://arxiv.org/abs/2402.11485))"
)
_ARTICLES = "{texts} as plain text, with their links and the Wikidata ids of the pages that these lead to."
_ENCODED = """\
{texts} as token ids{of_whom}, with the place of each linked entity and the token ids of its name{whose}."""
_ATTRIBUTION = """\
The texts are articles of Wikipedia by its authors, under \
[CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/) (older parts also under the GFDL). \
The history of each article names its authors: {history}. Changes: markup, tables, lists, notes and templates were \
taken out. Who passes this dataset on gives the same credit and uses the same licence."""
_LOADING = """\
```python
from datasets import load_dataset

dataset = load_dataset("OWNER/NAME", split="train")
```

For LEIA make a folder of it, `dataset.save_to_disk("FOLDER")`; put `dataset_manifest.json` there as `manifest.json`."""
_OTHER_LICENCE = "The dataset is under the licence `{license}`, as who published it says."
_WIKIDATA = "Wikidata's ids and sitelinks are under [CC0](https://creativecommons.org/publicdomain/zero/1.0/)."


@dataclass(frozen=True)
class Card:
    """What a card is written from. `languages`: codes for the hub, that of the texts first; `manifest`: of the dataset,
    None where it has none; `of_wikipedia`: whether Wikipedia is where the texts are from; `counts`: names and values of
    the table of sizes."""

    name: str
    license: str
    languages: Sequence[str]
    dataset: "Dataset"
    manifest: Mapping[str, Any] | None
    sources: Sequence[Source]
    of_wikipedia: bool
    counts: Sequence[tuple[str, str]]
    examples: Examples

    def __str__(self) -> str:
        header = yaml.safe_dump(self.metadata(), allow_unicode=True, sort_keys=False)
        sections = [
            f"---\n{header}---",
            f"# {markdown(self.name)}",
            self._about(),
            markdown_table(["", "number"], self.counts, numbers=True),
            "## Columns",
            markdown_table(["column", "type", "what it holds"], self._columns()),
            "## Load it",
            _LOADING,
            *self._example_section(),
            "## Sources",
            source_table(self.sources),
            "## How it was made",
            *steps(self.manifest, self.sources),
            "## Licence",
            self._licence_section(),
        ]
        return "\n\n".join(section.rstrip() for section in sections) + "\n"

    def metadata(self) -> dict[str, Any]:
        """The header that the hub reads."""
        rows = len(self.dataset)
        size = next((name for bound, name in _SIZES if rows < bound), "n>1B")
        return {
            "pretty_name": self.name,
            **({"language": list(self.languages)} if self.languages else {}),
            "license": self.license,
            "size_categories": [size],
            "task_categories": ["text-generation"],
            "tags": ["leia", *(["wikipedia"] if self.of_wikipedia else []), "wikidata", "entities"],
            "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
        }

    def _about(self) -> str:
        texts = "Articles of Wikipedia" if self.of_wikipedia else "Texts"
        if "input_ids" not in self.dataset.column_names:
            return f"{_ARTICLES.format(texts=texts)} The corpus of {_METHOD}."
        options = (self.manifest or {}).get("options", {})
        tokenizer = options.get("tokenizer", {}).get("name")
        of_whom = f" of the tokenizer of {markdown(tokenizer)}" if tokenizer else ""
        about = _ENCODED.format(texts=texts, of_whom=of_whom, whose=self._whose_names(options))
        return f"{about} For {_METHOD}, which inserts these names in training."

    def _whose_names(self, options: Mapping[str, Any]) -> str:
        codes = options.get("name_languages") or [options.get("pivot_language", "en")]
        languages = f"language{'s' * (len(codes) > 1)} `{markdown(', '.join(codes))}`"
        if file := options.get("names_file"):
            whose = f" in the file `{markdown(file)}`"
        elif self.of_wikipedia:
            whose = f" in the Wikipedia of the {languages}"
        else:
            whose = f" in the {languages}, from the text's own links or from Wikipedia"
        control = "; then the names were exchanged: each entity has another one's, as a control"
        return whose + (control if options.get("shuffle_names") is not None else "")

    def _columns(self) -> list[list[str]]:
        schema = self.dataset.features.arrow_schema
        said = dict(_COLUMNS)
        if "anchors" in schema.names and schema.field("anchors").type.value_type.get_field_index("name") >= 0:
            said["anchors"] += _OWN_NAMES
        unknown = "not a column of LEIA"
        return [[f"`{field.name}`", markdown(str(field.type)), said.get(field.name, unknown)] for field in schema]

    def _example_section(self) -> list[str]:
        head, rows, note = self.examples
        return ["## Examples", note, markdown_table(head, [list(map(markdown, row)) for row in rows])]

    def _licence_section(self) -> str:
        if self.license != LICENSE or not self.of_wikipedia:
            return f"{_OTHER_LICENCE.format(license=self.license)}\n\n{_WIKIDATA}"
        host = self.languages[0] if self.languages else "<language>"
        history = f"`https://{host}.wikipedia.org/w/index.php?action=history&title=TITLE`"
        return f"{_ATTRIBUTION.format(history=history)}\n\n{_WIKIDATA}"
