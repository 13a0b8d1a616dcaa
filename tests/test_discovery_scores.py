"""Scores of clusters against scikit-learn and against the definitions, post by post."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from cache.errors import InputError
from model.discovery.few import micro_f1
from model.discovery.scores import agreement, cluster_scores

labellings = st.integers(1, 40).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(0, 5), min_size=count, max_size=count),
        st.lists(st.integers(0, 5), min_size=count, max_size=count),
    )
)


@settings(deadline=None, max_examples=60)
@given(labellings)
def test_v_measure_and_ari_are_those_of_scikit_learn(both: tuple[list[int], list[int]]) -> None:
    relations, clusters = both
    scores = cluster_scores(relations, clusters)

    wanted = oracle.homogeneity_completeness_v_measure(relations, clusters)
    found = (scores.homogeneity, scores.completeness, scores.v_measure)
    assert found == pytest.approx(wanted, abs=1e-9)
    assert scores.ari == pytest.approx(oracle.adjusted_rand_score(relations, clusters), abs=1e-9)
    assert agreement(relations, clusters) == scores.ari


@settings(deadline=None, max_examples=60)
@given(labellings)
def test_b_cubed_is_its_definition_post_by_post(both: tuple[list[int], list[int]]) -> None:
    relations, clusters = both
    count = range(len(relations))
    precision, recall = [], []
    for i in count:
        with_me = [j for j in count if clusters[j] == clusters[i]]
        like_me = [j for j in count if relations[j] == relations[i]]
        both_of_them = [j for j in with_me if relations[j] == relations[i]]
        precision.append(len(both_of_them) / len(with_me))
        recall.append(len(both_of_them) / len(like_me))

    scores = cluster_scores(relations, clusters)

    assert scores.b3_precision == pytest.approx(np.mean(precision))
    assert scores.b3_recall == pytest.approx(np.mean(recall))


def test_names_of_clusters_do_not_matter_and_the_right_ones_score_1() -> None:
    relations = ["a", "a", "b", "c", "c", "c"]

    scores = cluster_scores(relations, [7, 7, 3, 1, 1, 1])

    assert scores.b3_f1 == scores.v_measure == scores.ari == 1.0
    assert scores.posts == 6


def test_clusters_by_chance_have_no_adjusted_rand_index() -> None:
    chance = np.random.default_rng(0)
    relations = chance.integers(0, 7, 3000).tolist()

    assert abs(cluster_scores(relations, chance.integers(0, 10, 3000).tolist()).ari) < 0.01


def test_not_one_cluster_for_each_post_is_refused() -> None:
    with pytest.raises(InputError, match="2 clusters for 3 annotated posts"):
        cluster_scores(["a", "b", "c"], [0, 1])


def test_micro_f1_leaves_none_out_and_misses_what_was_never_learned() -> None:
    wanted = ["None", "in", "in", "of", "None"]
    found = ["None", "in", "None", "in", "in"]

    # 1 right; 3 predicted, 3 annotated.
    assert micro_f1(wanted, found, "None") == pytest.approx(2 * 1 / 6)
    assert micro_f1(wanted, found, None) == pytest.approx(2 / 5)
