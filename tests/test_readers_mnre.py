from __future__ import annotations

from pathlib import Path

import pytest

from cache.errors import InputError
from cache.records import Example, Post, Span
from retrieval.datasets import Dataset, read_dataset
from retrieval.datasets.mnre import read_mnre_file
from retrieval.settings import DatasetSettings

LINE = (
    "{'token': ['The', 'Circle', 'Undone', 'ends'], 'h': {'name': 'Circle Undone', 'pos': [1, 3]},"
    " 't': {'name': 'ends', 'pos': [3, 4]}, 'img_id': 'a.jpg', 'relation': '/misc/misc/part_of'}"
)
NONE_LINE = LINE.replace("/misc/misc/part_of", "None")


def make(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_SPACE", " ")
        path = path.with_name(path.name + ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    return root


def read(root: Path, photos: Path | None = None) -> Dataset:
    return read_dataset(DatasetSettings(reader="mnre", task="mre", root=root, photos=photos))


def read_line(tmp_path: Path, text: str) -> Dataset:
    return read(make(tmp_path, ours_train=text))


def test_a_line_is_one_example_and_its_mentions_carry_no_label(tmp_path: Path) -> None:
    dataset = read_line(tmp_path, LINE)

    post = Post(
        "train-00000", ("The", "Circle", "Undone", "ends"), "a.jpg", Span(1, 3), Span(3, 4)
    )
    assert dataset.examples == (Example(post, "train", relation="/misc/misc/part_of"),)
    assert post.head is not None
    assert post.head.label == ""


@pytest.mark.parametrize(
    ("train", "dev"),
    [
        ("mnre_txt__mnre_train", "mnre_txt__mnre_val_SPACE"),
        ("mnre_txt__mnre_train", "mnre_txt__mnre_val"),
        ("mnre_train", "mnre_val_SPACE"),
        ("txt__ours_train", "txt__ours_val"),
        ("ours_train", "ours_val"),
    ],
)
def test_the_layouts_in_circulation_are_understood(tmp_path: Path, train: str, dev: str) -> None:
    photo = tmp_path / "img_org" / "val" / "a.jpg"
    photo.parent.mkdir(parents=True)
    photo.touch()

    dataset = read(make(tmp_path, **{train: LINE, dev: NONE_LINE}))

    assert [example.split for example in dataset.examples] == ["train", "dev"]
    assert dataset.photos == {"dev-00000": photo.resolve()}
    assert dataset.none_label == "None"
    assert dataset.labels == ("None", "/misc/misc/part_of")


@pytest.mark.parametrize("below", ["train", "."])
def test_given_photos_may_lie_by_split_or_together(tmp_path: Path, below: str) -> None:
    photos = tmp_path / "elsewhere"
    (photos / below).mkdir(parents=True)
    (photos / below / "a.jpg").touch()

    assert len(read(make(tmp_path, ours_train=LINE), photos=photos).photos) == 1


def test_two_layouts_in_one_folder_are_refused(tmp_path: Path) -> None:
    make(tmp_path, mnre_txt__mnre_train=LINE, txt__ours_train=LINE)

    with pytest.raises(InputError, match="two layouts"):
        read(tmp_path)


def test_a_folder_that_is_not_mnre_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"looked for mnre_txt/mnre_train\.txt"):
        read(tmp_path)


def test_the_label_file_gives_the_order_and_a_label_outside_it_is_an_error(tmp_path: Path) -> None:
    rel2id = tmp_path / "ours_rel2id.json"
    rel2id.write_text('{"/misc/misc/part_of": 1, "None": 0, "/per/per/peer": 2}')

    assert read_line(tmp_path, LINE).labels == ("None", "/misc/misc/part_of", "/per/per/peer")

    with pytest.raises(InputError, match=r"ours_train\.txt:2: label 'none' is unknown"):
        read_line(tmp_path, LINE + "\n" + LINE.replace("/misc/misc/part_of", "none"))

    rel2id.write_text('{"None": "0"}')
    with pytest.raises(InputError, match="does not map relations to whole numbers"):
        read_line(tmp_path, LINE)
    rel2id.write_text("[" * 100_000)
    with pytest.raises(InputError, match="is not JSON"):
        read_line(tmp_path, LINE)


def test_a_relation_of_test_that_train_lacks_is_reported_and_kept(tmp_path: Path) -> None:
    dataset = read(make(tmp_path, ours_train=NONE_LINE, ours_test=LINE))

    assert dataset.examples[-1].relation == "/misc/misc/part_of"
    assert (
        dataset.problem_counts[
            "label '/misc/misc/part_of' in test but not in train (counts as missed)"
        ]
        == 1
    )


@pytest.mark.parametrize(
    "code",
    [
        "__import__('os').system('touch {target}')",
        "open('{target}', 'w')",
        "[x for x in (1, 2)]",
        "f'{{1}}'",
        "exit",
    ],
)
def test_code_in_a_line_is_refused_with_its_place_and_never_run(tmp_path: Path, code: str) -> None:
    target = tmp_path / "owned"
    line = LINE.replace("'a.jpg'", code.format(target=target))

    with pytest.raises(InputError, match=r"ours_train\.txt:2: "):
        read_line(tmp_path, LINE + "\n" + line)
    assert not target.exists()


def test_a_call_is_quoted_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds code \(.*open\('x'\).*nothing was run"):
        read_line(tmp_path, LINE.replace("'a.jpg'", "open('x')"))


@pytest.mark.parametrize(
    "line",
    [
        "not a literal",
        "{'token': ['a'",
        "['a']",
        "{1: 2}",
        "{[]: 1}",
        "{'token': " + "(" * 5000,
        "-" * 100_000 + "1",
        "{'token': " + "[" * 90 + "]" * 90 + "}",
        LINE.replace("'img_id'", "'image'"),
        LINE.replace("'The', ", "1, "),
        LINE.replace("['The', 'Circle', 'Undone', 'ends']", "[]"),
        LINE.replace("['The', 'Circle', 'Undone', 'ends']", "['', ' ']"),
        LINE.replace("'a.jpg'", "7"),
        LINE.replace("[1, 3]", "[1, 2, 3]"),
        LINE.replace("[1, 3]", "['1', 3]"),
        LINE.replace("[1, 3]", "[True, 3]"),
        LINE.replace("{'name': 'ends', 'pos': [3, 4]}", "None"),
        "{'token': " + "9" * 5000 + "}",
        "\0",
    ],
)
def test_a_line_that_does_not_parse_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"ours_train\.txt:2: ") as caught:
        read_line(tmp_path, LINE + "\n" + line)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


@pytest.mark.parametrize("position", ["[3, 5]", "[-1, 2]", "[2, 2]", "[3, 1]", "[4, 5]"])
def test_a_span_outside_the_sentence_is_named(tmp_path: Path, position: str) -> None:
    with pytest.raises(InputError, match=r"ours_train\.txt:1: 't' has pos .* 4 tokens"):
        read_line(tmp_path, LINE.replace("[3, 4]", position))


def test_overlapping_mentions_and_mentions_at_the_end_are_allowed(tmp_path: Path) -> None:
    dataset = read_line(tmp_path, LINE.replace("[3, 4]", "[2, 4]"))

    assert dataset.examples[0].post.tail == Span(2, 4)
    assert dataset.problem_counts["mention's name differs from its words"] == 1


def test_backslashes_and_split_emoji_in_tweets_are_read(tmp_path: Path) -> None:
    line = LINE.replace("'The'", r"'\d \ud83d\ude00 \ud800'")

    assert read_line(tmp_path, line).examples[0].post.tokens[0] == "\\d \U0001f600 \ufffd"


def test_a_sentence_of_ten_thousand_tokens_is_read(tmp_path: Path) -> None:
    tokens = ["word"] * 10_000
    line = LINE.replace("['The', 'Circle', 'Undone', 'ends']", repr(tokens))

    assert len(read_line(tmp_path, line).examples[0].post.tokens) == 10_000


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "a/b.jpg", "a\\0b.jpg", ""])
def test_a_photo_name_that_is_a_path_is_refused_and_the_post_goes_on(
    tmp_path: Path, name: str
) -> None:
    dataset = read_line(tmp_path, LINE.replace("a.jpg", name))

    assert dataset.examples[0].post.photo_name == ""
    assert dataset.problem_counts["photo name refused"] == 1


def test_captions_and_entities_of_a_line_are_kept_apart_from_the_example(tmp_path: Path) -> None:
    line = LINE[:-1] + ",'caption':['a caption' ,'b' ,],'entity':['']}"
    root = make(tmp_path, ours_train=line)

    (parsed,) = read_mnre_file(root / "ours_train.txt")

    assert parsed.captions == ("a caption", "b")
    assert parsed.entities == ("",)
    assert read(root).examples == read_line(tmp_path, LINE).examples
