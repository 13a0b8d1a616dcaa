"""MetaSRE: a generator of labels that is judged by what its labels do (Hu et al., 2021).

Two networks of one build. The classifier ``f`` learns from annotated posts and from the surest
guesses on posts without annotations; the generator ``g`` makes these guesses. ``g`` is trained so
that a step of ``f`` on its guesses lowers the loss of ``f`` on annotated posts: the gradient of
that loss is taken through the step (`judge`). Posts without annotations come in increments.

The published script chooses its best model on the test set. Here dev chooses, for MetaSRE and for
its two baselines alike, and the test set is never an argument.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from model.batch import Batch
from model.data import PreparedPost
from model.discovery.classify import Lesson, PairClassifier, Teacher, endless
from model.discovery.few import Best, FewLabels, Taught
from model.discovery.pairs import PairReader, ids_of, make_optimizer, step_along_gradients
from model.discovery.settings import MetaSreSettings
from model.training.optimizer import set_rates
from model.training.step import check_finite, enough_memory


class Judged(NamedTuple):
    """What the trial step of the classifier says of the generator.

    Attributes:
        loss: of the classifier on annotated posts after the trial step.
        gradients: of ``loss`` with respect to the generator's trained parameters, in order.
    """

    loss: Tensor
    gradients: tuple[Tensor, ...]


def judge(
    classifier: nn.Module,
    generator: nn.Module,
    guessed: Batch,
    known: tuple[Batch, Tensor],
    rate: float,
) -> Judged:
    """Return the classifier's loss after a step on the generator's guesses, and its gradient.

    With ``f(x; w)`` and ``g(x; v)``, the trial step is ``w'(v) = w - rate * dL_u(w, v)/dw``, where
    ``L_u`` is the cross-entropy of f towards the soft guesses of g, each weighted by its sureness.
    Returned are ``L(w') = cross-entropy of f(. ; w') on known posts`` and ``dL(w'(v))/dv``, exact:
    no first-order shortcut. Neither network is changed.

    Args:
        classifier: f.
        generator: g.
        guessed: posts without annotations.
        known: posts with annotations, and their classes.
        rate: length of the trial step.
    """
    weights: dict[str, Tensor] = {
        n: p for n, p in classifier.named_parameters() if p.requires_grad
    }
    learned = [p for p in generator.parameters() if p.requires_grad]
    guessed, batch, classes = with_room(guessed), with_room(known[0]), known[1]
    # The fused attention kernels have no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        guesses = generator(guessed).softmax(dim=-1)
        scores = functional_call(classifier, weights, (guessed,)).log_softmax(dim=-1)
        sureness = certainty_weights(guesses.max(dim=-1).values)
        trial = -(sureness * (guesses * scores).sum(dim=-1)).sum() / sureness.sum()
        slopes = torch.autograd.grad(
            trial, list(weights.values()), create_graph=True, materialize_grads=True
        )
        moved = {
            name: weight - rate * slope
            for (name, weight), slope in zip(weights.items(), slopes, strict=True)
        }
        loss = nn.functional.cross_entropy(functional_call(classifier, moved, (batch,)), classes)
        gradients = torch.autograd.grad(loss, learned, materialize_grads=True)
    return Judged(loss.detach(), gradients)


def with_room(batch: Batch) -> Batch:
    """Return the batch with one masked place where it has no evidence item at all.

    There is no second derivative through a sum over no items; a masked one changes nothing.
    """
    roomy: dict[str, Tensor] = {}
    for kind, mask in (("text", batch.text_mask), ("visual", batch.visual_mask)):
        if mask.shape[1]:
            continue
        for field in dataclasses.fields(batch):
            if field.name.startswith(kind):
                empty: Tensor = getattr(batch, field.name)
                roomy[field.name] = empty.new_zeros(len(empty), 1, *empty.shape[2:])
    return dataclasses.replace(batch, **roomy)  # type: ignore[arg-type]


def certainty_weights(sureness: Tensor) -> Tensor:
    """Return ``exp(sureness - 1)``, in (0, 1], for probabilities of the likeliest class."""
    return (sureness - 1).exp()


def surest(
    probabilities: Float[Tensor, "posts classes"], share: float
) -> tuple[Int[Tensor, " chosen"], Int[Tensor, " chosen"], Float[Tensor, " chosen"]]:
    """Return which posts have the surest guesses, the guesses, and what each counts.

    Args:
        probabilities: of each class.
        share: of the posts that is chosen, at least one post.
    """
    sureness, guesses = probabilities.max(dim=1)
    chosen = sureness.argsort(descending=True, stable=True)[: max(1, round(share * len(guesses)))]
    return chosen, guesses[chosen], certainty_weights(sureness[chosen])


def metasre(reader: PairReader, few: FewLabels, settings: MetaSreSettings) -> Taught:
    """Return the classifier that did best on dev.

    Args:
        reader: networks and batches; its training settings give rates and seed.
        few: annotated posts, posts without annotations, and dev.
        settings: of the self-training.
    """
    torch.manual_seed(reader.train.seed)
    classifier, generator = few.classifier(reader), few.classifier(reader)
    pupil = Teacher(reader, classifier, (settings.increments + 1) * settings.steps)
    warm = settings.warm_steps
    Teacher(reader, generator, warm).teach(few.labelled, warm, "generator")
    parts = parts_of(few.unlabelled, settings.increments)
    court = _Judge(reader, classifier, generator, few.labelled, settings, len(parts))
    best, lesson = Best(reader, few), few.labelled
    for number, part in enumerate(parts):
        pupil.teach(lesson, settings.steps, f"increment {number}")
        best.offer(classifier)
        court.train(part, number)
        chosen, classes, weights = surest(
            reader.look(generator, part).softmax(dim=1), settings.chosen
        )
        guessed = Lesson([part[i] for i in chosen.tolist()], classes.numpy(), weights.numpy())
        lesson = lesson.and_then(guessed)
    # The last one, and those for which nothing was left: as many steps as the baselines take.
    for number in range(len(parts), settings.increments + 1):
        pupil.teach(lesson, settings.steps, f"increment {number}")
        best.offer(classifier)
    return best.taught(classifier)


def parts_of(posts: Sequence[PreparedPost], increments: int) -> list[list[PreparedPost]]:
    """Return the posts in ``increments`` parts of nearly equal size, none of them empty."""
    count = min(increments, len(posts))
    ends = [len(posts) * number // count for number in range(count + 1)] if count else []
    return [list(posts[start:end]) for start, end in itertools.pairwise(ends)]


class _Judge:
    """Trains the generator by what its guesses do to the classifier."""

    def __init__(
        self,
        reader: PairReader,
        classifier: PairClassifier,
        generator: PairClassifier,
        labelled: Lesson,
        settings: MetaSreSettings,
        parts: int,
    ) -> None:
        self.reader, self.settings = reader, settings
        self.classifier, self.generator = classifier, generator
        self.labelled = labelled
        self.optimizer = make_optimizer([generator], reader.train)
        self.taken, self.total = 0, parts * settings.meta_steps

    def train(self, part: Sequence[PreparedPost], number: int) -> None:
        """Take the steps of one increment."""
        reader, steps = self.reader, self.settings.meta_steps
        self.classifier.train()
        self.generator.train()
        guessed = endless(lambda epoch: reader.order(part, epoch), number)
        labelled = self.labelled.posts
        known = endless(lambda epoch: reader.order(labelled, epoch), 7919 * (number + 1))
        for _ in reader.bar(range(steps), f"judge increment {number}"):
            self._step([part[i] for i in next(guessed)], next(known))

    def _step(self, guessed: list[PreparedPost], known: list[int]) -> None:
        reader, settings = self.reader, self.settings
        set_rates(self.optimizer, self.taken, self.total, reader.train.warmup)
        batch = reader.batch([self.labelled.posts[i] for i in known])
        classes = torch.from_numpy(self.labelled.classes)[known].to(reader.device)
        other = reader.batch(guessed)
        posts = [*other.posts, *batch.posts]
        with enough_memory(other, in_parts=False):
            # No bfloat16 here: what is left of a second derivative in eight bits is noise.
            judged = judge(
                self.classifier, self.generator, other, (batch, classes), settings.inner_rate
            )
            self.optimizer.zero_grad(set_to_none=True)
            own = nn.functional.cross_entropy(self.generator(batch), classes)
            check_finite("a step has a loss", judged.loss + own, ids_of(posts))
            (settings.labelled_weight * own).backward()  # type: ignore[no-untyped-call]
            learned = [p for p in self.generator.parameters() if p.requires_grad]
            for parameter, gradient in zip(learned, judged.gradients, strict=True):
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
            step_along_gradients(self.optimizer, reader.train, posts)
        self.taken += 1
