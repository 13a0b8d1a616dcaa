"""``ramie evaluate``: score a trained run on a split."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.options import add_run, add_task, print_result

if TYPE_CHECKING:
    from model.scoring.evaluation import Evaluation

HELP = "score a trained run on a split of its store"
EXAMPLE = "ramie evaluate runs/sample --split test --evidence others"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_run(parser)
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="default: the store it was trained on"
    )
    add_task(parser)
    parser.add_argument("--split", default="test", choices=("train", "dev", "test"))
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="first fit a temperature on dev and keep it in RUN, for `ramie predict` too: how "
        "far probabilities can be believed before and after is printed; what is predicted stays",
    )
    parser.add_argument(
        "--evidence",
        default="own",
        choices=("own", "others", "none"),
        help="whose evidence each post is shown: its own, another post's (a control), or none",
    )


def run(options: argparse.Namespace) -> int:
    """Evaluate and print the scores with their tables, and under which protocol they are."""
    from model.scoring.calibrate import calibrate
    from model.scoring.evaluation import evaluate
    from pipelines.comparing.protocol import stated_by
    from pipelines.runs import store_of_run

    store = options.store or store_of_run(options.run_folder, options.task)
    if options.calibrate:
        calibrate(
            options.run_folder, store, task=options.task, device=options.device, progress=True
        )
    evaluation = evaluate(
        options.run_folder,
        store,
        options.split,
        options.evidence,
        task=options.task,
        device=options.device,
        progress=True,
    )
    unseen = "".join(
        f"\nlabel {label!r} was never seen in training: {count} annotations count as missed"
        for label, count in evaluation.unseen_labels.items()
    )
    stated = stated_by(store, options.run_folder)
    title = f"{options.run_folder}: {options.split}, evidence {options.evidence}"
    title = "\n".join(part for part in (title, stated.line()) if part)
    calibration = _calibration(evaluation, with_table=options.calibrate)
    print_result(
        {**evaluation.to_json(), **stated._asdict()},
        f"{title}\n{evaluation.scores.to_table()}{unseen}\n\n{calibration}",
        options.json,
    )
    return 0


def _calibration(evaluation: Evaluation, *, with_table: bool) -> str:
    """Return how far probabilities can be believed, before and after a temperature."""
    before, after = evaluation.calibration, evaluation.calibrated
    if before is None:
        return "calibration: nothing was predicted"
    lines = [f"calibration as trained: {before}"]
    if after is None:
        return f"{lines[0]}; --calibrate fits a temperature on dev"
    lines.append(f"at temperature {evaluation.temperature:.3f}: {after}")
    if with_table:
        lines += ["", "as trained", before.to_table(), "", "at the temperature", after.to_table()]
    return "\n".join(lines)
