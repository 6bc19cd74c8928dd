r"""Write the Wikipedias of an invented world, in English and in an invented language, and questions about its facts.

Reads nothing; writes to OUTPUT_DIR two dumps and a variant of one, the table of sitelinks and one with shuffled English
names, facts.jsonl for the tasks crosslingual_facts, and manifest.json. leia/demonstration/wikis.py tells what is in
them; docs/demonstration.md what they are for. The same seed and sizes give the same bytes.

    python scripts/make_invented_world.py --seed 1 --output_dir work/demonstration/seed1/world
"""

from dataclasses import asdict, fields
from typing import Any

import click

from leia.base.cli import OUTPUT_FOLDER, options_of, output_option, overwrite_option, step_command
from leia.demonstration.wikis import Amounts
from leia.demonstration.world import Sizes


@step_command
@output_option("--output_dir", OUTPUT_FOLDER, "Folder to write; an earlier world there is replaced.")
@click.option("--seed", type=click.IntRange(0), default=1, help="Of all that is drawn.")
@options_of(Sizes)
@options_of(Amounts)
@overwrite_option
def main(output_dir: str, seed: int, overwrite: bool, **settings: Any) -> None:
    from leia.base.outputs import NewFolder
    from leia.base.step import open_step
    from leia.demonstration.wikis import FILES, write_wikis
    from leia.demonstration.world import draw_world

    sizes, amounts = (kind(**{field.name: settings[field.name] for field in fields(kind)}) for kind in (Sizes, Amounts))
    options = {"seed": seed, **asdict(sizes), **asdict(amounts)}
    output = NewFolder(output_dir, tuple(FILES.values()))
    with open_step("make_invented_world", [], output, options, overwrite) as step:
        for name, count in write_wikis(draw_world(sizes, seed), amounts, step.target).items():
            step.count(name).kept = count


if __name__ == "__main__":
    main()
