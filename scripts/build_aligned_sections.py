r"""Align the sections of two Wikipedias that are about the same: the pairs that a retriever is pretrained on.

Reads the dump, the redirect file and the id file of a source and of a target language. Writes into one folder the
datasets sections/<language> of both (columns id, wikidata_id, title, heading, text, link_ids) and
aligned/<source>-<target> (columns source, target, similarity, shared_ids, source_negatives, target_negatives), and with
--held_out the collection held_out/<source>-<target>, each with manifest.json in it. What is complete is not made again:
several pairs of languages may share the folder.

    python scripts/build_aligned_sections.py --source_dump_file eswiki-dump --source_redirect_file es-redirects.tsv \
        --source_wikidata_id_file wikidata/es-wikidata-ids.tsv --target_dump_file jawiki-dump \
        --target_redirect_file ja-redirects.tsv --target_wikidata_id_file wikidata/ja-wikidata-ids.tsv \
        --output_dir aligned-sections
"""

from pathlib import Path
from typing import Any

import click

from leia.base.cli import (
    OUTPUT_FOLDER,
    InputPath,
    allow_missing_parts_option,
    allow_truncated_option,
    command,
    input_file,
    num_workers_option,
    option,
    options_of,
    output_option,
    overwrite_option,
)
from leia.retrieval.section_alignment import AlignmentSettings


def dump_of(side: str) -> Any:
    help = f"Dump of the {side} language; of a dump in parts each (repeatable), or the folder that holds them."
    return click.option(f"--{side}_dump_file", type=InputPath(), multiple=True, required=True, help=help)


@command
@dump_of("source")
@input_file("--source_redirect_file", "extract_wikipedia_redirects.py")
@input_file("--source_wikidata_id_file", "extract_wikidata_ids.py", "Id file of the source language.")
@dump_of("target")
@input_file("--target_redirect_file", "extract_wikipedia_redirects.py")
@input_file("--target_wikidata_id_file", "extract_wikidata_ids.py", "Id file of the target language.")
@output_option("--output_dir", OUTPUT_FOLDER, "Folder to write into; what else it holds stays.")
@option("Sections", "--source_variant", show_default="the first that the language falls back to",
        help="Writing of the source to choose where a text has several, say zh-hant.")  # fmt: skip
@option("Sections", "--target_variant", show_default="the same for the target", help="Writing of the target.")
@option("Sections", "--min_sentences", type=click.IntRange(0), default=2, help="A section has so many sentences,")
@option("Sections", "--min_characters", type=click.IntRange(0), default=100, help="or so many characters.")
@options_of(AlignmentSettings)
@num_workers_option
@allow_missing_parts_option
@allow_truncated_option
@overwrite_option
def main(
    source_dump_file: tuple[str, ...],
    source_redirect_file: str,
    source_wikidata_id_file: str,
    target_dump_file: tuple[str, ...],
    target_redirect_file: str,
    target_wikidata_id_file: str,
    output_dir: str,
    source_variant: str | None,
    target_variant: str | None,
    min_sentences: int,
    min_characters: int,
    num_workers: int,
    allow_missing_parts: bool,
    allow_truncated: bool,
    overwrite: bool,
    **settings: Any,
) -> None:
    from dataclasses import asdict

    from leia.base.datasets import NewDataset, save_dataset
    from leia.base.errors import UsageError
    from leia.base.outputs import NewFolder
    from leia.base.step import open_step, unless_complete
    from leia.corpus.dump_parts import as_inputs, find_parts, name_of
    from leia.corpus.extraction import wiki_of
    from leia.retrieval.aligned_pairs import align_sections
    from leia.retrieval.held_out import COLLECTION_FILES, hold_out
    from leia.retrieval.section_alignment import ALIGNED_SCHEMA
    from leia.retrieval.sections import SECTIONS_SCHEMA, read_sections

    alignment, out = AlignmentSettings(**settings), Path(output_dir)
    dumps = [source_dump_file, target_dump_file]
    files = [(source_redirect_file, source_wikidata_id_file), (target_redirect_file, target_wikidata_id_file)]
    parts = [find_parts(dump, allow_missing_parts) for dump in dumps]
    languages = [wiki_of(of_dump).language for of_dump in parts]
    if languages[0] == languages[1]:
        found = f"expected dumps of two languages, found {languages[0]!r} in {name_of(parts[0])}, too"
        raise UsageError(f"{name_of(parts[1])}: {found}; give --target_dump_file another one")

    options, pair = asdict(alignment), "-".join(languages)
    collection = out / "held_out" / pair
    for earlier in (collection, out / "held_out" / "-".join(reversed(languages))):
        if earlier.exists() and not (alignment.held_out and earlier == collection):
            advice = "give --held_out and the languages as then, or remove this folder"
            raise UsageError(f"{earlier}: holds pairs that an earlier call set aside; {advice}")

    reading = {"allow_missing_parts": allow_missing_parts, "allow_truncated": allow_truncated}
    least = {"min_sentences": min_sentences, "min_characters": min_characters}
    folders = [out / "sections" / language for language in languages]
    variants = source_variant, target_variant
    for dump, of_dump, lookups, folder, variant in zip(dumps, parts, files, folders, variants, strict=True):
        inputs, output = [*as_inputs(dump), *lookups], NewDataset(folder, SECTIONS_SCHEMA)
        of_step = {"variant": variant, **reading, **least}
        with unless_complete(), open_step("extract_sections", inputs, output, of_step, overwrite) as step:
            batches = read_sections(of_dump, *lookups, num_workers, step, variant, allow_truncated, **least)
            save_dataset(step.target, SECTIONS_SCHEMA, batches)

    output = NewDataset(out / "aligned" / pair, ALIGNED_SCHEMA)
    with unless_complete(), open_step("align_sections", folders, output, options, overwrite) as step:
        save_dataset(step.target, ALIGNED_SCHEMA, align_sections(*folders, alignment, step))
    if alignment.held_out:
        output = NewFolder(collection, COLLECTION_FILES, made_by="hold_out_sections")
        with unless_complete(), open_step("hold_out_sections", folders, output, options, overwrite) as step:
            hold_out(step.target, *folders, alignment, step)


if __name__ == "__main__":
    main()
