"""Makes corpora: people's recordings and synthetic ones, each a folder with wav files and `clips.csv`.

    python -m bench.corpora                                    # what there is
    python -m bench.corpora --to var/corpora festvox-ru klettres
    python -m bench.corpora --to var/corpora all

A run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.corpora import asterisk_ru, festvox_ru, kde, kokoro, rhvoice, synthetic
from bench.corpora.clips import CorpusError
from bench.corpora.recipe import Recipe, make
from pipeline.markdown import table

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        festvox_ru.RECIPE,
        asterisk_ru.RECIPE,
        kde.KLETTRES,
        kde.KTUBERLING,
        rhvoice.RECIPE,
        rhvoice.READERS,
        kokoro.RECIPE,
        kokoro.READERS,
        synthetic.ESPEAK,
        synthetic.FESTIVAL,
    )
}
ALL = "all"


def listing() -> str:
    """The corpora as a Markdown table."""
    rows = [(one.name, f"{one.megabytes} MB", one.licence, one.purpose) for one in RECIPES.values()]
    return table(("corpus", "download", "licence", "what for"), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where a corpus could not be made, after the others were."""
    parser = argparse.ArgumentParser(description="Make corpora of people's and of synthetic speech.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"corpora, or {ALL}; none: list them")
    parser.add_argument("--to", type=Path, default=Path("var/corpora"), help="the folder that gets a folder for each")
    options = parser.parse_args(arguments)
    if not options.names:
        print(listing())
        return 0
    names = list(RECIPES) if ALL in options.names else options.names
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"there is no corpus {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    failed = 0
    for name in names:
        try:
            make(RECIPES[name], options.to.resolve(), lambda line: print(line, flush=True))
        except CorpusError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
