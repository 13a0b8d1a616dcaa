from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cache.errors import InputError
from cache.records import Example, Post, Span
from retrieval.datasets import Dataset, read_dataset
from retrieval.datasets.jsonl import LabelsFile, PostLine
from retrieval.settings import DatasetSettings

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "jsonl-format.md"
POST = {"id": "p", "tokens": ["a", "b", "c"]}


def write(root: Path, **splits: object) -> Path:
    for split, posts in splits.items():
        assert isinstance(posts, list)
        lines = [post if isinstance(post, str) else json.dumps(post) for post in posts]
        (root / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return root


def read(root: Path, task: Literal["mner", "mre"] = "mner") -> Dataset:
    return read_dataset(DatasetSettings(reader="jsonl", task=task, root=root))


def documented(index: int) -> object:
    return json.loads(re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[index])


def test_the_documented_example_is_read_as_documented(tmp_path: Path) -> None:
    write(tmp_path, train=[documented(0)])
    (tmp_path / "labels.json").write_text(json.dumps(documented(1)))

    (entities,) = read(tmp_path).examples
    (relation,) = read(tmp_path, "mre").examples

    assert entities.entities == (Span(0, 2, "PER"), Span(5, 7, "PER"))
    assert entities.post.photo_name == "post-17.jpg"
    assert relation.post.example_id == "post-17#0"
    assert (relation.post.head, relation.post.tail) == (Span(0, 2), Span(5, 7))
    assert relation.relation == "couple"
    assert read(tmp_path, "mre").labels == ("None", "couple", "member_of")
    assert read(tmp_path, "mre").none_label == "None"


def test_a_limit_counts_posts_and_cuts_none_between_its_pairs(tmp_path: Path) -> None:
    pair = {"head": {"start": 0, "end": 1}, "tail": {"start": 1, "end": 2}, "type": "of"}
    posts = [{**POST, "id": name, "relations": [pair, pair]} for name in "abc"]
    write(tmp_path, train=["", posts[0], "", *posts[1:]], dev=[{**posts[0], "id": "d"}])
    limited = DatasetSettings(reader="jsonl", task="mre", root=tmp_path, limit=2)
    ids = [example.post.example_id for example in read_dataset(limited).examples]
    assert ids == ["a#0", "a#1", "b#0", "b#1", "d#0", "d#1"]


def test_the_documented_keys_are_those_that_are_read() -> None:
    table = re.findall(r"^\| `(\w+)` \| (yes|no) \|", DOCUMENT.read_text(), re.MULTILINE)

    fields = PostLine.model_fields
    assert {key: needed == "yes" for key, needed in table} == {
        key: field.is_required() for key, field in fields.items()
    }
    LabelsFile.model_validate_json(json.dumps(documented(1)))


def test_each_pair_of_mentions_is_an_example_and_a_post_without_is_counted(tmp_path: Path) -> None:
    first, second = {"start": 0, "end": 1}, {"start": 1, "end": 3}
    relations = [
        {"head": first, "tail": second, "type": "x"},
        {"head": second, "tail": first},
    ]
    write(tmp_path, test=[{**POST, "relations": relations}, {**POST, "id": "q"}])

    dataset = read(tmp_path, "mre")

    tokens = ("a", "b", "c")
    assert dataset.examples == (
        Example(Post("p#0", tokens, "", Span(0, 1), Span(1, 3)), "test", None, "x"),
        Example(Post("p#1", tokens, "", Span(1, 3), Span(0, 1)), "test", None, None),
    )
    assert dataset.problem_counts["post without a pair of mentions"] == 1


SPANS = st.tuples(st.integers(0, 3), st.integers(1, 4)).filter(lambda span: span[0] < span[1])


@given(
    tokens=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=4, max_size=6),
    spans=st.lists(SPANS, max_size=3),
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_back(
    tmp_path: Path, tokens: list[str], spans: list[tuple[int, int]]
) -> None:
    tokens[0] = "word"
    relations = [
        {"head": {"start": s, "end": e}, "tail": {"start": 0, "end": 1}, "type": "r"}
        for s, e in spans
    ]
    entity = {"start": 0, "end": 4, "type": "PER"}
    write(tmp_path, train=[{**POST, "tokens": tokens, "entities": [entity]}])
    assert read(tmp_path).examples == (
        Example(Post("p", tuple(tokens)), "train", entities=(Span(0, 4, "PER"),)),
    )
    if spans:
        write(tmp_path, train=[{**POST, "tokens": tokens, "relations": relations}])
        heads = [example.post.head for example in read(tmp_path, "mre").examples]
        assert heads == [Span(s, e) for s, e in spans]


def test_not_annotated_and_without_entities_are_different(tmp_path: Path) -> None:
    write(tmp_path, train=[POST, {**POST, "id": "q", "entities": []}])

    dataset = read(tmp_path)

    assert [example.entities for example in dataset.examples] == [None, ()]
    assert dataset.problem_counts["post without annotated entities"] == 1


def test_a_duplicate_id_names_both_places(tmp_path: Path) -> None:
    write(tmp_path, train=[POST], test=[{**POST, "id": "q"}, POST])

    with pytest.raises(InputError, match=r"test\.jsonl:2: the id 'p'.*train\.jsonl:1"):
        read(tmp_path)


ENTITY = {"start": 0, "end": 1, "type": "PER"}


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("{", "the line"),
        ("[]", "the line"),
        ("[" * 100_000, "the line"),
        ({"tokens": ["a"]}, "id"),
        ({"id": "p"}, "tokens"),
        ({**POST, "tokens": []}, "tokens"),
        ({**POST, "tokens": [" "]}, "tokens"),
        ({**POST, "tokens": "a b"}, "tokens"),
        ({**POST, "tokens": [1]}, "tokens.0"),
        ('{"id": "p", "tokens": ["\\ud800"]}', "the line"),
        ({**POST, "id": 7}, "id"),
        ({**POST, "id": ""}, "id"),
        ({**POST, "id": "a\nb"}, "id"),
        ({**POST, "lables": []}, "lables"),
        ({**POST, "entities": [{"start": 0, "end": 1}]}, "entities.0.type"),
        ({**POST, "entities": [{**ENTITY, "end": "1"}]}, "entities.0.end"),
        ({**POST, "entities": [{**ENTITY, "end": True}]}, "entities.0.end"),
        ({**POST, "entities": [{**ENTITY, "end": 4}]}, "entities.0 spans"),
        ({**POST, "entities": [{**ENTITY, "start": 1}]}, "entities.0 spans"),
        ({**POST, "entities": [{**ENTITY, "start": -1}]}, "entities.0.start"),
        ({**POST, "entities": [{**ENTITY, "end": 2}, {**ENTITY, "start": 1, "end": 3}]}, "overl"),
        (
            {**POST, "relations": [{"head": ENTITY, "tail": {"start": 0, "end": 1}}]},
            "relations.0.head.type",
        ),
        (
            {
                **POST,
                "relations": [{"head": {"start": 0, "end": 1}, "tail": {"start": 3, "end": 4}}],
            },
            "relations.0.tail spans",
        ),
    ],
)
def test_a_bad_line_is_named_with_its_key(tmp_path: Path, line: object, key: str) -> None:
    good = {**POST, "id": "good"}

    with pytest.raises(InputError, match=r"train\.jsonl:2: ") as caught:
        read(write(tmp_path, train=[good, line]))
    assert key in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_entities_that_touch_are_no_overlap_and_come_sorted(tmp_path: Path) -> None:
    entities = [{"start": 1, "end": 3, "type": "B"}, {"start": 0, "end": 1, "type": "A"}]

    dataset = read(write(tmp_path, train=[{**POST, "entities": entities}]))

    assert dataset.examples[0].entities == (Span(0, 1, "A"), Span(1, 3, "B"))


def test_a_photo_in_another_folder_is_refused_and_the_post_goes_on(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "ok.jpg").touch()
    posts = [{**POST, "photo": "../x.jpg"}, {**POST, "id": "q", "photo": "ok.jpg"}]

    dataset = read(write(tmp_path, train=posts))

    assert list(dataset.photos) == ["q"]
    assert dataset.problem_counts["photo name refused"] == 1


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ('{"entities": ["LOC"]}', r"train\.jsonl:1: label 'PER' is unknown"),
        ('{"entities": ["PER", "PER"]}', "listed twice"),
        ('{"entitys": []}', "entitys"),
        ("{", "labels.json"),
    ],
)
def test_the_label_file_is_kept_to(tmp_path: Path, labels: str, reason: str) -> None:
    write(tmp_path, train=[{**POST, "entities": [ENTITY]}])
    (tmp_path / "labels.json").write_text(labels)

    with pytest.raises(InputError, match=reason):
        read(tmp_path)


def test_a_folder_without_posts_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"looked for train\.jsonl"):
        read(tmp_path)
    with pytest.raises(InputError, match="no post for task mre"):
        read(write(tmp_path, train=[POST]), "mre")
