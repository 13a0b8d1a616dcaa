from __future__ import annotations

from pathlib import Path

import pytest

from cache.errors import InputError
from cache.records import Example, Post, Span
from retrieval.datasets import Dataset, read_dataset
from retrieval.settings import DatasetSettings

TRAIN = "IMGID:7\nBob\tB-PER\nSmith\tI-PER\nran\tO\n\nIMGID:7\nParis\tB-LOC\n"


def make(root: Path, **files: str) -> Path:
    for name, text in files.items():
        (root / f"{name}.txt").write_text(text, encoding="utf-8")
    return root


def read(root: Path, photos: Path | None = None, limit: int | None = None) -> Dataset:
    return read_dataset(
        DatasetSettings(reader="twitter", task="mner", root=root, photos=photos, limit=limit)
    )


def test_posts_come_in_file_order_and_several_may_show_one_photo(tmp_path: Path) -> None:
    make(tmp_path, train=TRAIN, valid="IMGID:O_8\nX\tO\n", test="IMGID:9\nIt\tB-OTHER\n")

    dataset = read(tmp_path)

    assert dataset.examples == (
        Example(
            Post("train-00000-7", ("Bob", "Smith", "ran"), "7.jpg"),
            "train",
            entities=(Span(0, 2, "PER"),),
        ),
        Example(
            Post("train-00001-7", ("Paris",), "7.jpg"), "train", entities=(Span(0, 1, "LOC"),)
        ),
        Example(Post("dev-00000-O_8", ("X",), "O_8.jpg"), "dev", entities=()),
        Example(Post("test-00000-9", ("It",), "9.jpg"), "test", entities=(Span(0, 1, "MISC"),)),
    )
    assert dataset.labels == ("LOC", "MISC", "PER")


def test_relabelling_changes_the_digest_and_nothing_of_the_posts(tmp_path: Path) -> None:
    before = read(make(tmp_path, train=TRAIN))
    after = read(make(tmp_path, train=TRAIN.replace("B-LOC", "B-ORG")))

    assert [e.post for e in before.examples] == [e.post for e in after.examples]
    assert before.digest != after.digest


def test_the_digest_does_not_depend_on_where_the_files_lie(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    one, two = (read(make(tmp_path / name, train=TRAIN)) for name in ("a", "b"))

    assert one.digest == two.digest


def test_a_missing_photo_is_counted_and_the_post_goes_on_without_any(tmp_path: Path) -> None:
    make(tmp_path, train=TRAIN + "\nIMGID:inf\nx\tO\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "inf.jpg").write_bytes(b"anything")

    dataset = read(tmp_path)

    assert dataset.photos == {"train-00002-inf": (tmp_path / "images" / "inf.jpg").resolve()}
    assert dataset.problem_counts["photo missing"] == 2
    assert len(dataset.examples) == 3


@pytest.mark.parametrize("folder", ["images", "photos", "{root}_images", "../{root}_images"])
def test_photos_are_found_at_the_usual_places(tmp_path: Path, folder: str) -> None:
    root = tmp_path / "twitter2017"
    root.mkdir()
    photos = root / folder.format(root="twitter2017")
    photos.mkdir()
    (photos / "7.jpg").touch()

    assert len(read(make(root, train=TRAIN)).photos) == 2


@pytest.mark.parametrize(
    "photo_id",
    ["../secret", "/etc/passwd", "a/b", "a\\b", "../images/ok", "a\0b", "a\x1bb", "x" * 300],
)
def test_a_photo_id_that_is_no_file_name_never_becomes_a_path(
    tmp_path: Path, photo_id: str
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "secret.jpg").touch()
    dataset = read(make(tmp_path, train=f"IMGID:{photo_id}\na\tO\n"))

    assert dataset.photos == {}
    assert dataset.examples[0].post.photo_name == ""
    assert dataset.examples[0].post.example_id == "train-00000"
    assert dataset.problem_counts["photo name refused"] == 1
    assert "train.txt:1" in dataset.problems[-1].places[0]


def test_a_link_out_of_the_photos_folder_is_refused_and_one_within_is_followed(
    tmp_path: Path,
) -> None:
    photos = tmp_path / "images"
    photos.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (photos / "7.jpg").symlink_to(tmp_path / "secret.txt")
    (photos / "real.jpg").touch()
    (photos / "8.jpg").symlink_to("real.jpg")
    (photos / "9.jpg").symlink_to("nowhere.jpg")
    (photos / "10.jpg").symlink_to("10.jpg")
    posts = "".join(f"IMGID:{name}\na\tO\n\n" for name in (7, 8, 9, 10))

    dataset = read(make(tmp_path, train=posts))

    assert dataset.photos == {"train-00001-8": (photos / "real.jpg").resolve()}
    assert dataset.problem_counts["photo refused"] == 3


def test_a_given_photos_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Set dataset\.photos"):
        read(make(tmp_path, train=TRAIN), photos=tmp_path / "typo")


def test_a_label_of_test_that_train_lacks_is_reported_and_kept(tmp_path: Path) -> None:
    make(tmp_path, train=TRAIN, test="a\tO\n\nb\tB-GPE\nc\tB-GPE\n")

    dataset = read(tmp_path)

    assert dataset.examples[-1].entities == (Span(0, 1, "GPE"), Span(1, 2, "GPE"))
    assert "GPE" in dataset.labels
    (problem,) = [p for p in dataset.problems if "GPE" in p.kind]
    assert problem.kind == "label 'GPE' in test but not in train (counts as missed)"
    assert problem.count == 2
    assert problem.places[0].endswith("test.txt:3")


def test_a_label_outside_the_declared_ones_is_an_error_with_its_place(tmp_path: Path) -> None:
    make(tmp_path, train=TRAIN, labels="O\nB-PER\nI-PER\nB-LOK\n")

    with pytest.raises(InputError, match=r"train\.txt:6: label 'LOC' is unknown.*LOK, PER"):
        read(tmp_path)


def test_the_limit_holds_for_each_split(tmp_path: Path) -> None:
    make(tmp_path, train=TRAIN, test=TRAIN)

    ids = [example.post.example_id for example in read(tmp_path, limit=1).examples]

    assert ids == ["train-00000-7", "test-00000-7"]


def test_files_with_context_are_read_without_it(tmp_path: Path) -> None:
    make(tmp_path, train="Bob\tB-PER\r\n<EOS>\tX\r\nfacts\tX\r\n\r\n")

    dataset = read(tmp_path)

    assert dataset.examples == (
        Example(Post("train-00000", ("Bob",)), "train", entities=(Span(0, 1, "PER"),)),
    )
    assert dataset.problem_counts["no IMGID: line in the data set"] == 1


def test_orphans_and_blank_words_are_counted(tmp_path: Path) -> None:
    dataset = read(make(tmp_path, train="IMGID:1\na\tO\n\xa0\tO\nb\tI-PER\nc\tI-LOC\n"))

    assert dataset.problem_counts["I- after O (opens an entity)"] == 1
    assert dataset.problem_counts["I- after another type (opens an entity)"] == 1
    assert dataset.problem_counts["blank word"] == 1


def test_a_folder_without_the_files_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"looked for train\.txt.*Set dataset\.root"):
        read(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        read(tmp_path / "typo")


def test_two_files_for_one_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Move one of them away"):
        read(make(tmp_path, train=TRAIN, valid=TRAIN, dev=TRAIN))


def test_twitter_has_no_relations(tmp_path: Path) -> None:
    make(tmp_path, train=TRAIN)

    with pytest.raises(InputError, match=r"no annotations for task 'mre'.*'mner'"):
        read_dataset(DatasetSettings(reader="twitter", task="mre", root=tmp_path))
