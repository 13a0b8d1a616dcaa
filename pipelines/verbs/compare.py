"""``ramie compare``: several systems on one store, with spread and significance."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.options import (
    add_device,
    add_recipe,
    note,
    numbers,
    print_result,
    read_recipe,
    words,
)
from pipelines.recipe_files import RecipeError

if TYPE_CHECKING:
    from pipelines.comparing.compare import Grid

HELP = "train and compare systems on one store: mean, spread, significance; resumes"
EXAMPLE = "ramie compare sample --fusion text_only,synthesis --seeds 3 --ablate levels --workers 2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_recipe(parser)
    _add_rows(parser)
    parser.add_argument(
        "--worlds",
        metavar="S,S",
        help="sample recipes: run the grid in the made-up worlds of these seeds, which are made "
        "under data/worlds where missing, and pool the results; each has a store of its own, and "
        "--store is not read",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="W",
        help="train W runs side by side, each in a process with one thread and, where there are "
        "several GPUs, one of them in turn (default: 1, here, with all threads)",
    )
    parser.add_argument(
        "--finished", action="store_true", help="train nothing: the table of what is finished"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the runs (default: runs/compare/NAME)"
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="copy the table and what it is made of (every run's tests and curve, no weights) "
        "there: small enough for version control, and an --out to go on from",
    )
    parser.add_argument(
        "--plots",
        action="store_true",
        help="also draw figures, as SVG and PNG, into OUT/plots",
    )
    parser.add_argument(
        "--noise",
        type=Path,
        metavar="FILE",
        help="with --plots: curves.json of `ramie bench evidence --only robustness`, to draw too",
    )
    add_device(parser)


def _add_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fusion",
        default="text_only,synthesis",
        metavar="A,B",
        help="systems; the first is the baseline (default: text_only,synthesis)",
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 1 to N (3)")
    parser.add_argument(
        "--ablate",
        default="",
        metavar="WHAT",
        help="also take away parts, one after the other: any of levels, modalities, consistency "
        "(the weighting), names (equal names attract), filters (of curation; a copy of the store "
        "is curated without)",
    )
    parser.add_argument(
        "--ablated",
        metavar="A,B",
        help="systems that lose the parts (default: synthesis where it is compared, else all)",
    )
    parser.add_argument(
        "--share",
        default="100",
        metavar="P,P",
        help="percent of the training posts to learn from; a block of rows for each (100)",
    )
    parser.add_argument(
        "--controls",
        nargs="?",
        choices=("test", "all"),
        const="all",
        default="none",
        help="also give every system that reads evidence that of other posts: `test`, in the test "
        "alone, which trains nothing and is also done without each part that --ablate takes away; "
        "`all` (what --controls alone means), in training and test as well",
    )


def run(options: argparse.Namespace) -> int:
    """Compare, and print the table and where it lies; 1 where runs failed."""
    from pipelines.comparing.compare import compare
    from pipelines.comparing.keep import keep, refuse_to_keep
    from pipelines.comparing.workers import check_workers

    check_workers(options.workers)
    if options.noise and not options.plots:
        raise RecipeError("--noise goes with --plots. Add it.")
    if options.plots:
        from pipelines.comparing.plots import check_plots

        check_plots(options.noise)
    grid = _grid(options)
    if options.keep:
        refuse_to_keep(grid, options.keep)
    done = compare(grid, workers=options.workers, only_finished=options.finished, say=note)
    plots: list[str] = []
    if options.plots:
        from pipelines.comparing.plots import write_plots

        plots = [str(path) for path in write_plots(done, grid, options.noise)]
    print_result(
        {"out": str(grid.out), **done.to_json(), "plots": plots}, done.to_text(), options.json
    )
    if options.keep:
        note(f"{options.keep}: {keep(done, grid, options.keep)} runs kept")
    return 1 if done.failures else 0


def _grid(options: argparse.Namespace) -> Grid:
    from pipelines.comparing.compare import Grid
    from pipelines.comparing.places import one_place
    from pipelines.comparing.systems import blocks_of, systems_in

    recipe, store = read_recipe(options)
    out = options.out or Path("runs/compare") / recipe.name
    ablate = words(options.ablate)
    blocks = blocks_of(
        words(options.fusion),
        recipe=recipe,
        shares=[percent / 100 for percent in numbers("--share", options.share, float)],
        ablate=ablate,
        ablated=words(options.ablated) or None,
        controls=options.controls,
    )
    filters_off = "filters" in ablate
    if options.worlds:
        from pipelines.comparing.worlds import world_places

        seeds = numbers("--worlds", options.worlds, int)
        both = any(system.fusion == "joint" for system in systems_in(blocks))
        places = world_places(recipe, seeds, out, unfiltered=filters_off, partner=both, say=note)
    else:
        places = [one_place(recipe, store, out, unfiltered=filters_off, say=note)]
    seeds = list(range(1, options.seeds + 1))
    return Grid(recipe, tuple(blocks), tuple(places), tuple(seeds), out, device=options.device)
