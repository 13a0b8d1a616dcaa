"""One process of the steps that `pipelines.bench.training.ddp` times; alone or under torchrun."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from model.build import place
from model.settings import TrainSettings
from model.training.optimizer import make_optimizer
from model.training.plan import Plan
from model.training.ranks import joined
from model.training.step import Stepper
from pipelines.bench.training.encoder import whole_words
from pipelines.bench.training.network import network_on
from pipelines.bench.training.posts import TEXTS, made_up_posts


def main() -> None:
    """Take the steps, and write their losses and times into ``FOLDER/rank-N.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", required=True)
    for name in ("steps", "posts", "seed", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = TrainSettings(batch_size=options.posts, seed=options.seed)
    cpu = torch.device("cpu")
    with joined(cuda=False) as ranks:
        parts = network_on(options.encoder, options.seed)
        place(parts, cpu)
        made = made_up_posts(
            options.posts * options.steps, TEXTS["step"], whole_words(), options.seed
        )
        posts = [parts.preparer.prepare(post) for post in made]
        plan = Plan(posts, parts.collator, settings, settings.mismatch)
        optimizer = make_optimizer(parts.network, settings)
        stepper = Stepper(parts.network, optimizer, settings, cpu, bfloat16=False, ranks=ranks)
        losses = []
        for step in range(options.steps):
            if step == 1:  # the first one allocates, and is no measure
                began, processor = time.perf_counter(), time.process_time()
            shown = len(plan.turns(step))
            losses.append(stepper.take(plan.parts(step, ranks), shown, step + 1))
        times = {
            "losses": losses,
            "seconds": time.perf_counter() - began,
            "processor_seconds": time.process_time() - processor,
        }
        (options.folder / f"rank-{ranks.rank}.json").write_text(json.dumps(times))


if __name__ == "__main__":
    main()
