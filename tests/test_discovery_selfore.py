"""SelfORE's loop: what is clustered, what the clusters teach, and when it is over."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from discovery_helpers import features, lively, reader, told_by_one_word, told_by_words
from torch import Tensor

from model.discovery.classify import Lesson, PairClassifier, Teacher
from model.discovery.pairs import Pairs
from model.discovery.scores import agreement
from model.discovery.selfore import selfore
from model.discovery.settings import SelfOreSettings

FAST = SelfOreSettings(loops=3, epochs=2, hidden=16, latent=4, warm_epochs=10, refine_epochs=5)
HALVES, THIRDS, PAIRS = ([place // size for place in range(12)] for size in (6, 4, 2))


class Loop:
    """Watches what is clustered and taught, and sets what is found.

    Attributes:
        finds: labellings, one for each time that clusters are looked for.
        clustered: the vectors that clusters were looked for in.
        taught: the classes that the classifiers learned.
        classifiers: who learned them.
        sees: what the network sees in the posts after each lesson.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *finds: list[int]) -> None:
        self.finds = finds
        self.clustered: list[Tensor] = []
        self.taught: list[list[int]] = []
        self.classifiers: list[PairClassifier] = []
        self.sees: list[Tensor] = []
        self.teach = Teacher.teach
        monkeypatch.setattr("model.discovery.selfore.adapt", self.adapt)
        monkeypatch.setattr(Teacher, "teach", lambda *given: self.watch(*given))

    def adapt(self, pairs: Tensor, clusters: int, settings: SelfOreSettings, seed: int) -> Tensor:
        self.clustered.append(pairs)
        return torch.tensor(self.finds[len(self.clustered) - 1])

    def watch(self, teacher: Teacher, lesson: Lesson, steps: int, name: str) -> float:
        loss = self.teach(teacher, lesson, steps, name)
        self.taught.append(lesson.classes.tolist())
        self.classifiers.append(teacher.classifier)
        self.sees.append(teacher.reader.look(teacher.classifier.network, lesson.posts))
        return loss


def test_every_loop_clusters_what_the_network_sees_after_the_lesson_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, pairs = reader(tmp_path), Pairs(features(told_by_words(12, "train")))
    loop = Loop(monkeypatch, HALVES, THIRDS, PAIRS)

    found = selfore(reads, pairs, 6, FAST)

    untrained = reads.look(reads.network(), reads.prepare(pairs))
    assert torch.equal(loop.clustered[0], untrained)
    for before, after, seen in zip(loop.clustered, loop.clustered[1:], loop.sees, strict=False):
        assert float((after - before).abs().max()) > 1e-3
        assert torch.equal(after, seen)
    assert loop.taught == [HALVES, THIRDS, PAIRS]
    assert len(set(map(id, loop.classifiers))) == 3
    assert len({id(classifier.network) for classifier in loop.classifiers}) == 1
    says = reads.look(loop.classifiers[-1], reads.prepare(pairs)).argmax(dim=1)
    assert found.assign(pairs).tolist() == says.tolist()


def test_new_pairs_belong_to_the_clusters_that_the_classifier_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = Pairs(features(told_by_one_word(12, "train")))
    test = Pairs(features(told_by_one_word(6, "test", 12)))
    Loop(monkeypatch, [2, 0, 1] * 4)

    found = selfore(
        lively(reader(tmp_path)), train, 3, FAST.model_copy(update={"loops": 1, "epochs": 20})
    )

    assert found.assign(test).tolist() == [2, 0, 1] * 2


@pytest.mark.parametrize(
    ("settled", "finds", "lessons"),
    [
        pytest.param(1e-6, [HALVES, THIRDS, PAIRS], 1, id="any agreement is enough"),
        pytest.param(1.0, [HALVES, THIRDS, PAIRS], 3, id="no agreement is enough"),
        pytest.param(1.0, [HALVES, THIRDS, THIRDS[::-1]], 2, id="the same under other numbers"),
        pytest.param(0.95, [HALVES, THIRDS, HALVES], 3, id="the same as long before"),
    ],
)
def test_the_loop_ends_when_two_labellings_in_a_row_agree_enough(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settled: float,
    finds: list[list[int]],
    lessons: int,
) -> None:
    assert 0 < agreement(HALVES, THIRDS) < 0.95
    loop = Loop(monkeypatch, *finds)
    settings = FAST.model_copy(update={"settled": settled, "epochs": 1})

    selfore(reader(tmp_path), Pairs(features(told_by_words(12, "train"))), 6, settings)

    assert loop.taught == finds[:lessons]
    assert len(loop.clustered) == min(lessons + 1, 3)
