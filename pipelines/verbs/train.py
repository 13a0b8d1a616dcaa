"""``ramie train``: train a model on a store; goes on where an earlier run stopped."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pipelines.options import add_device, add_recipe, print_result, read_recipe

HELP = "train a model on a store; resumes"
EXAMPLE = "ramie train sample --out runs/sample --set model.fusion=text_only"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_recipe(parser)
    parser.add_argument("--out", type=Path, metavar="RUN", help="run folder (default: runs/NAME)")
    add_device(parser)
    parser.add_argument(
        "--track",
        action="append",
        metavar="TOOL",
        help="show figures in tensorboard, wandb, mlflow or trackio; repeatable, or none "
        "(default: tensorboard where it is installed)",
    )


def run(options: argparse.Namespace) -> int:
    """Train, and print where the run is and its best dev F1.

    Started by ``torchrun``, only the first process writes and prints.
    """
    # DDP warns, from C++ and in every process, where all parameters happen to be used.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from model.training import train
    from model.training.ranks import EndedElsewhere
    from model.training.trackers import default_tools
    from pipelines.runs import code_commit, write_recipe
    from pipelines.tasks import model_task

    recipe, store = read_recipe(options)
    out = options.out or Path("runs") / recipe.name
    tools = options.track or default_tools()
    try:
        report = train(
            store,
            model_task(recipe),
            recipe.model,
            recipe.train,
            out,
            second=recipe.second_store(),
            device=options.device,
            progress=True,
            trackers=[tool for tool in tools if tool != "none"],
            code=code_commit(),
        )
    except EndedElsewhere:
        return 1
    if not report.first:
        return 0
    write_recipe(out, recipe, store, report.codes)
    result = {
        "run": str(out),
        "best_dev_f1": report.best_f1,
        "best_epoch": report.best_epoch,
        "steps": report.steps,
        "seconds": report.seconds,
        "posts_per_second": report.posts_per_second,
    }
    text = (
        f"{out}: dev F1 {100 * report.best_f1:.1f} in epoch {report.best_epoch}, "
        f"{report.posts_per_second:.0f} posts/s, {report.seconds:.0f} s in this sitting"
    )
    print_result(result, text, options.json)
    return 0
