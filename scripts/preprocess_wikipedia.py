r"""Turn WikiExtractor's output into articles with anchors that know their Wikidata ids.

Reads the output folder of `wikiextractor DUMP -o OUT --html-safe "" --links --no-templates`, a redirect file and an id
file of the same language, and writes a dataset folder (columns title, language, text, anchors[start, end, title,
wikidata_id], positions in characters, end exclusive) with manifest.json in it.

    python scripts/preprocess_wikipedia.py --wikiextractor_output_dir jawiki-text --redirect_file jawiki-redirects.tsv \
        --wikidata_id_file wikidata/ja-wikidata-ids.tsv --output_dir jawiki-preprocessed
"""

from leia.base.cli import (
    OUTPUT_FOLDER,
    input_file,
    input_folder,
    num_workers_option,
    output_option,
    overwrite_option,
    step_command,
)


@step_command
@input_folder("--wikiextractor_output_dir", "run_wikiextractor.py", "Folder with AA/wiki_00 ...")
@input_file("--redirect_file", "extract_wikipedia_redirects.py")
@input_file("--wikidata_id_file", "extract_wikidata_ids.py", "Id file of the articles' own language.")
@output_option("--output_dir", OUTPUT_FOLDER, "Dataset folder to write; replaced as a whole.")
@num_workers_option
@overwrite_option
def main(
    wikiextractor_output_dir: str,
    redirect_file: str,
    wikidata_id_file: str,
    output_dir: str,
    num_workers: int,
    overwrite: bool,
) -> None:
    from leia.base.datasets import PREPROCESSED_SCHEMA, NewDataset, save_dataset
    from leia.base.step import open_step
    from leia.corpus.preprocessing import preprocess_files

    inputs = [wikiextractor_output_dir, redirect_file, wikidata_id_file]
    output = NewDataset(output_dir, PREPROCESSED_SCHEMA)
    with open_step("preprocess_wikipedia", inputs, output, overwrite=overwrite) as step:
        save_dataset(step.target, PREPROCESSED_SCHEMA, preprocess_files(*inputs, num_workers, step))


if __name__ == "__main__":
    main()
