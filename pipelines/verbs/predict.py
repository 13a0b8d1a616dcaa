"""``ramie predict``: a new post through the same retrieval, then through a trained run."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cache.errors import InputError
from pipelines.options import add_run, print_result

if TYPE_CHECKING:
    from cache.records import Post, Span

HELP = "find the entities of a new post, or the relation between two mentions, with the evidence"
EXAMPLE = 'ramie predict runs/sample --text "Meet me at Velora today" --image photo.jpg'
_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    add_run(parser)
    parser.add_argument("--text", required=True, help="the post")
    parser.add_argument("--image", type=Path, metavar="FILE", help="its photo")
    parser.add_argument(
        "--recipe",
        help="your own recipe, whose [ask] says who is asked; needed where the run was trained on "
        "evidence of live providers, for a run may come from a stranger",
    )
    for end in ("head", "tail"):
        parser.add_argument(
            f"--{end}",
            metavar="A:B",
            help=f"tokens of the {end} mention, end-exclusive, from 0 (relations only)",
        )


def run(options: argparse.Namespace) -> int:
    """Retrieve, predict, and print what was found with the evidence that weighed most."""
    post = _post(options)
    # After the call was found right: what follows loads models.
    from pipelines.config import load_recipe
    from pipelines.prediction import describe, predict_post

    own = load_recipe(options.recipe).ask if options.recipe else None
    prediction = predict_post(
        options.run_folder, post, options.image, ask=own, device=options.device
    )
    print_result(prediction.to_json(), describe(prediction, _SHOWN), options.json)
    return 0


def _post(options: argparse.Namespace) -> Post:
    from cache.records import Post
    from pipelines.words import split_words

    tokens = split_words(options.text)
    if not tokens:
        raise InputError(f"--text {options.text!r} has no words. Give the text of the post.")
    spans = [_span(options, end, len(tokens)) for end in ("head", "tail")]
    if (spans[0] is None) != (spans[1] is None):
        raise InputError("give both --head and --tail (relations), or neither (entities).")
    name = options.image.name if options.image else ""
    return Post("new", tokens, photo_name=name, head=spans[0], tail=spans[1])


def _span(options: argparse.Namespace, end: str, num_tokens: int) -> Span | None:
    from cache.records import Span

    text: str | None = getattr(options, end)
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6}):(\d{1,6})", text)
    if not match or not int(match[1]) < int(match[2]) <= num_tokens:
        raise InputError(
            f"--{end} {text!r} is no span of the {num_tokens} tokens of the text; write "
            f"START:END with 0 <= START < END <= {num_tokens}."
        )
    return Span(int(match[1]), int(match[2]))
