"""Which names a build takes: of which languages, from titles or a file, exchanged or not, with which spaces."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leia.base.cli import CommaSeparated, InputPath, setting
from leia.base.errors import InputError, UsageError
from leia.base.step import Counts
from leia.corpus.id_files import check_id_file
from leia.corpus.titles import check_language
from leia.data.names import (
    EntityNames,
    NameRule,
    names_of_titles,
    read_names_file,
    read_pivot_titles,
    rules_of_languages,
    shuffle_names,
)

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class NameChoice(NameRule):
    """Each field is an option of the build. Raises `UsageError` for options that do not fit together."""

    name_languages: tuple[str, ...] = setting(
        "Names",
        "Names in several languages, with commas between; an id file for each, in this order.",
        (),
        type=CommaSeparated(),
        show_default="the pivot language alone",
    )
    names_file: str | None = setting(
        "Names",
        "Names from this file of QID<TAB>name, as they are, in place of titles.",
        None,
        type=InputPath(dir_okay=False),
    )
    shuffle_names: int | None = setting(
        "Names", "Give every entity the name of another one, drawn with this seed: a control.", None, type=int
    )
    names_in_text: bool = setting(
        "Names",
        "Tokenise names as they stand in the text, with or without a space before them: for training without tags.",
        False,
        is_flag=True,
    )
    sentences: bool = setting(
        "Names", "Write where sentences start, for training that switches them one by one.", False, is_flag=True
    )

    @property
    def languages(self) -> tuple[str, ...]:
        return self.name_languages or (self.pivot_language,)

    def check(self, id_files: Sequence[str]) -> None:
        """Raise `UsageError` or `InputError` for options or id files that do not fit together."""
        for language in self.languages:
            check_language(language)
        if len(set(self.languages)) < len(self.languages):
            raise UsageError(f"--name_languages are {','.join(self.languages)}; expected each language once")
        if self.names_file and (id_files or len(self.languages) > 1):
            raise UsageError("--names_file takes the place of --wikidata_id_file, in one language; give one of them")
        if self.shuffle_names is not None and len(self.languages) > 1:
            raise UsageError("--shuffle_names is for names in one language; leave it or --name_languages out")
        if id_files and len(id_files) != len(self.languages):
            raise UsageError(
                f"--wikidata_id_file was given {len(id_files)} times, for names in {','.join(self.languages)}; "
                "expected one for each language, in this order"
            )
        for language, path in zip(self.languages, id_files, strict=False):
            check_id_file(path, language)

    def options(self) -> dict[str, Any]:
        """What the manifest says: of what was not there once, only what is given."""
        own = asdict(self)
        once = NameRule.__dataclass_fields__.keys()
        own["names_file"] = self.names_file and Path(self.names_file).name  # which is an input, too
        if self.name_languages:
            del own["pivot_language"]
        return {name: value for name, value in own.items() if name in once or value not in (None, False, ())}

    def read(self, id_files: Sequence[str], articles: "Dataset", counts: Counts) -> dict[str, EntityNames]:
        """The names of the entities of preprocessed `articles`, by language, and those that the articles themselves
        have. Raises `InputError` where articles link to entities and no file has their names."""
        from leia.data.encoding import distinct_qids, names_of_anchors

        qids, of_anchors = distinct_qids(articles), names_of_anchors(articles)
        if of_anchors and len(self.languages) > 1:
            raise InputError("the articles have names of their own, in one language; leave --name_languages out")
        if self.names_file:
            names = {self.pivot_language: read_names_file(self.names_file, qids)}
        elif id_files:
            rules = rules_of_languages(self, self.languages)
            names = {
                rule.pivot_language: names_of_titles(read_pivot_titles(path, qids, rule, counts))
                for path, rule in zip(id_files, rules, strict=True)
            }
        elif qids:
            raise UsageError(
                f"missing --wikidata_id_file: the articles link to {len(qids):,} entities; extract_wikidata_ids.py "
                "makes it (--names_file may take its place)"
            )
        else:
            names = {self.pivot_language: {}}
        names = {language: {**found, **of_anchors} for language, found in names.items()}
        if self.shuffle_names is not None:
            names = {language: shuffle_names(found, self.shuffle_names) for language, found in names.items()}
        return names
