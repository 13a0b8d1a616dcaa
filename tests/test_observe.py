from __future__ import annotations

import numpy as np
import pytest
from tiny_vision import photo, tiny_settings, write_clip, write_yolo

from cache.records import Observation, Post, Span
from retrieval.settings import ObserveSettings
from retrieval.sight.observe import Observer
from retrieval.sight.photos import Photo

POSTS = [Post(f"train-{index}", ("post", str(index % 5)), f"{index}.png") for index in range(7)]
PHOTOS: list[Photo | None] = [
    photo(1),
    None,
    photo(2, 90, 50),
    photo(1),
    photo(3, 20, 200),
    None,
    photo(4),
]
STATUSES = ["ok", "missing", "ok", "ok", "ok", "none", "ok"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ObserveSettings:
    folder = tmp_path_factory.mktemp("weights")
    return tiny_settings(write_clip(folder / "clip"), write_yolo(folder / "yolo.pt"))


@pytest.fixture(scope="module")
def observer(settings: ObserveSettings) -> Observer:
    return Observer(settings, device="cpu")


def plain(observation: Observation) -> tuple[object, ...]:
    vectors = [observation.photo_embedding, observation.sentence_embedding]
    vectors += [region.embedding for region in observation.regions]
    return (
        observation.post,
        observation.photo_key,
        observation.photo_status,
        [(region.box, region.label, region.confidence) for region in observation.regions],
        [None if vector is None else vector.tolist() for vector in vectors],
    )


def test_every_post_gets_its_own_photo_regions_and_vectors(observer: Observer) -> None:
    seen = observer.observe(POSTS, PHOTOS, STATUSES)
    assert [one.post for one in seen] == POSTS
    assert [one.photo_status for one in seen] == STATUSES
    for one, image in zip(seen, PHOTOS, strict=True):
        assert one.photo_key == (None if image is None else image.media.key)
        assert (one.photo_embedding is None) == (image is None)
        assert bool(one.regions) == (image is not None)
        assert one.sentence_embedding is not None
        if image is not None:
            crops = [
                image.pixels.crop(tuple(map(int, region.box)))  # type: ignore[arg-type]
                for region in one.regions
            ]
            expected = observer.embed_images([image.pixels, *crops])
            got = [one.photo_embedding, *(region.embedding for region in one.regions)]
            assert np.array_equal(expected, np.stack(got))  # type: ignore[arg-type]


def test_what_is_seen_in_a_post_does_not_depend_on_the_others(observer: Observer) -> None:
    together = observer.observe(POSTS, PHOTOS, STATUSES)
    for index in range(len(POSTS)):
        alone = observer.observe([POSTS[index]], [PHOTOS[index]], [STATUSES[index]])
        assert plain(alone[0]) == plain(together[index])


def test_the_type_of_a_mention_changes_nothing(observer: Observer) -> None:
    tokens = ("Obama", "in", "Paris")
    bare = Post("1", tokens, head=Span(0, 1), tail=Span(2, 3))
    typed = Post("1", tokens, head=Span(0, 1, "PER"), tail=Span(2, 3, "LOC"))
    seen = observer.observe([bare, typed], [None, None], ["none", "none"])
    assert plain(seen[0])[1:] == plain(seen[1])[1:]


def test_without_detector_and_encoder_a_post_is_still_observed() -> None:
    observer = Observer(tiny_settings(None), device="cpu")
    seen = observer.observe(POSTS, PHOTOS, STATUSES)
    assert [plain(one)[3:] for one in seen] == [([], [None, None])] * len(POSTS)
    assert seen[0].photo_key is not None
    assert observer.embed_texts(["a"]) is None
    assert observer.encoder_fingerprint == ""
    assert observer.forward_seconds == 0


def test_regions_without_encoder_have_no_vectors(settings: ObserveSettings) -> None:
    observer = Observer(settings.model_copy(update={"encoder": "none"}), device="cpu")
    regions = observer.observe(POSTS, PHOTOS, STATUSES)[0].regions
    assert regions
    assert all(region.embedding is None for region in regions)


def test_no_posts_are_no_observations(observer: Observer) -> None:
    assert observer.observe([], [], []) == []


def test_the_fingerprint_follows_every_setting(settings: ObserveSettings) -> None:
    changes: list[dict[str, object]] = [
        {},
        {"detector": "none"},
        {"encoder": "none"},
        {"dtype": "bfloat16"},
        {"batch_size": 1},
        {"max_regions": 1},
        {"detector_confidence": 0.5},
    ]
    found = {Observer(settings.model_copy(update=change)).fingerprint for change in changes}
    assert len(found) == len(changes)


def test_the_fingerprint_needs_no_model(settings: ObserveSettings) -> None:
    observer = Observer(settings)
    assert observer.fingerprint == Observer(settings).fingerprint
    assert observer.forward_seconds == 0
    assert not {"_loaded_detector", "_loaded_encoder"} & set(vars(observer))


def test_time_in_forward_passes_covers_detector_and_encoder(settings: ObserveSettings) -> None:
    both = Observer(settings, device="cpu")
    both.embed_texts(["a"])
    texts = both.forward_seconds
    both.observe(POSTS, PHOTOS, STATUSES)
    assert 0 < texts < both.forward_seconds
