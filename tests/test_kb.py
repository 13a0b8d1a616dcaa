from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_kb import LINES, Line, write_folder
from tiny_vision import encoded, tiny_settings, write_clip

from cache.errors import InputError, ProviderUnavailable, StoreDamaged, StoreMismatch
from cache.keys import content_key
from retrieval.kb.documents import ProblemLog, join_passage
from retrieval.kb.format import KbManifest, content_fingerprint
from retrieval.kb.json_lines import read_documents
from retrieval.kb.knowledge_base import Found, KnowledgeBase, Search, build_kb, open_kb
from retrieval.settings import ObserveSettings
from retrieval.sight.observe import Observer

NONE = tiny_settings(None)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ObserveSettings:
    return tiny_settings(write_clip(tmp_path_factory.mktemp("clip") / "tiny"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, clip: ObserveSettings) -> Path:
    folder = write_folder(tmp_path_factory.mktemp("kb") / "raw")
    return build_kb(folder, folder.parent / "kb", clip).path


def ids(found: list[Found]) -> list[str]:
    return [one.document.id for one in found]


def by_words(path: Path, text: str) -> list[str]:
    return ids(open_kb(path).search([Search("text", text, None)], 5)[0])


def everything(knowledge: KnowledgeBase, observer: Observer) -> list[object]:
    vectors = observer.embed_texts(["Paris city", "dogs"])
    searches = [
        Search(modality, text, vector)
        for modality in ("text", "image")
        for text in ("Paris city", "")
        for vector in (vectors if vectors is not None else [None])
    ]
    return [
        [
            (one.document, one.score, None if one.vector is None else one.vector.tolist())
            for one in f
        ]
        for f in knowledge.search(searches, 5)
    ]


def test_words_and_vectors_together_find_the_document(base: Path, clip: ObserveSettings) -> None:
    vectors = Observer(clip).embed_texts(["Paris Hilton the heiress"])
    assert vectors is not None
    search = Search("text", "Paris Hilton the heiress", vectors[0])
    found = open_kb(base).search([search, search._replace(modality="image")], 2)
    assert ids(found[0])[0] == ids(found[1])[0] == "paris-hilton"


def test_an_image_finds_itself_and_the_text_beside_it(base: Path, clip: ObserveSettings) -> None:
    from retrieval.sight.photos import decode_image

    vectors = Observer(clip).embed_images([decode_image(encoded(3)).pixels])
    assert vectors is not None
    images, texts = open_kb(base).search(
        [Search("image", "", vectors[0]), Search("text", "", vectors[0])], 10
    )
    assert ids(images)[0] == ids(texts)[0] == "tower"
    assert images[0].score == pytest.approx(1, abs=1e-3)
    # Documents without an image cannot be found by one; those without words hold no text.
    assert set(ids(images)) == {"paris-city", "paris-hilton", "tower", "wordless"}
    assert set(ids(texts)) == {"paris-city", "paris-hilton", "tower"}


def test_documents_without_words_are_found_by_what_their_image_shows(
    base: Path, clip: ObserveSettings
) -> None:
    vectors = Observer(clip).embed_texts(["anything"])
    assert vectors is not None
    found = open_kb(base).search([Search("image", "anything", vectors[0])], 10)[0]
    assert "wordless" in ids(found)


def test_the_same_input_gives_the_same_answers(
    base: Path, clip: ObserveSettings, tmp_path: Path
) -> None:
    # The order of lines and the place of the folder say nothing.
    again = build_kb(write_folder(tmp_path / "raw", LINES[::-1]), tmp_path / "kb", clip)
    first = open_kb(base)
    assert again.fingerprint == first.fingerprint
    observer = Observer(clip)
    assert everything(open_kb(again.path), observer) == everything(first, observer)


def test_every_other_input_has_another_fingerprint(
    base: Path, clip: ObserveSettings, tmp_path: Path
) -> None:
    found = {open_kb(base).fingerprint}
    found.add(build_kb(write_folder(tmp_path / "a", LINES[:4]), tmp_path / "ka", clip).fingerprint)
    found.add(build_kb(write_folder(tmp_path / "b"), tmp_path / "kb", NONE).fingerprint)
    half = clip.model_copy(update={"dtype": "bfloat16"})
    found.add(build_kb(write_folder(tmp_path / "b"), tmp_path / "kc", half).fingerprint)
    assert len(found) == 4


def test_without_an_encoder_words_alone_answer(tmp_path: Path) -> None:
    path = build_kb(write_folder(tmp_path / "raw"), tmp_path / "kb", NONE).path
    knowledge = open_kb(path)
    assert knowledge.encoder_fingerprint == ""
    texts, images, none = knowledge.search(
        [
            Search("text", "dogs", None),
            Search("image", "Paris", None),
            Search("text", "xyz", None),
        ],
        5,
    )
    assert ids(texts) == ["dog"]
    assert set(ids(images)) == {"paris-city", "paris-hilton"}
    assert texts[0].vector is None
    assert none == []


def test_every_problem_is_reported_with_its_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    lines: list[dict[str, object] | str | bytes] = [
        {"id": "good", "text": "a good document"},
        "{broken",
        {"title": "no id"},
        {"id": "good", "text": "the same id"},
        {"id": "empty", "title": " ", "text": ""},
        {"id": "escape", "text": "kept", "image": "../secret.png"},
        {"id": "missing", "text": "kept too", "image": "9.png"},
        {"id": "lost", "image": "9.png"},
        {"id": "notimage", "text": "and kept", "image": "text.jpg"},
        b"\xff\xfe not utf-8",
        "[1, 2]",
        "",
        {"id": "list", "text": ["a"]},
        {"id": "nul", "text": "kept as well", "image": "a\0b"},
        {"id": "long", "text": "word " * 2000},
        {"id": 17, "text": "numbers are ids"},
        "[" * 100_000,
        b"x" * 2_500_000,
        {"id": "half", "text": "\ud800"},
    ]
    plain = [json.dumps(line) if isinstance(line, dict) else line for line in lines]
    folder = write_folder(tmp_path / "raw", plain, num_images=0)
    (folder / "text.jpg").write_text("this is text")
    (tmp_path / "secret.png").write_bytes(encoded(1))
    report = build_kb(folder, tmp_path / "kb", NONE)
    assert [(problem.line, problem.kind) for problem in report.problems] == [
        (2, "broken line"),
        (3, "broken line"),
        (4, "duplicate id"),
        (5, "empty document"),
        (6, "image outside"),
        (7, "image missing"),
        (8, "image missing"),
        (9, "image not an image"),
        (10, "broken line"),
        (11, "broken line"),
        (13, "broken line"),
        (14, "image unreadable"),
        (15, "text cut"),
        (17, "broken line"),
        (18, "broken line"),
        (19, "broken line"),
    ]
    assert "line 1" in report.problems[2].message
    assert report.counts["broken line"] == 8
    assert (report.documents, report.with_image) == (7, 0)
    assert by_words(report.path, "good kept numbers word") != []
    assert by_words(report.path, "same") == []


def test_whatever_is_too_long_is_told_as_cut_or_left_out(tmp_path: Path) -> None:
    fitting, long = "t" * 1000, "t" * 1001
    lines: list[Line] = [
        {"id": "fits", "title": fitting, "url": fitting, "text": "w" * 4000},
        {"id": "title", "title": long},
        {"id": "url", "text": "kept", "url": long},
    ]
    report = build_kb(write_folder(tmp_path / "raw", lines), tmp_path / "kb", NONE)
    assert report.counts == {"title cut": 1, "url left out": 1}
    assert [problem.line for problem in report.problems] == [2, 3]
    lines_kept = (report.path / "documents.jsonl").read_text().splitlines()
    kept = [json.loads(line) for line in lines_kept]
    assert [(len(one["title"]), len(one["url"])) for one in kept] == [
        (1000, 1000),
        (1000, 0),
        (0, 0),
    ]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", [{"id": "a", "text": "a", "image": "l.png"}], 0)
    (tmp_path / "secret.png").write_bytes(encoded(1))
    (folder / "l.png").symlink_to(tmp_path / "secret.png")
    report = build_kb(folder, tmp_path / "kb", NONE)
    assert report.counts == {"image outside": 1}


@pytest.mark.parametrize("lines", [[], ["{"], [{"id": "a"}]])
def test_nothing_usable_is_an_error_that_says_what_is_expected(
    lines: list[dict[str, object] | str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no usable document"):
        build_kb(write_folder(tmp_path / "raw", lines), tmp_path / "kb", NONE)


def test_images_only_and_none_readable_is_an_error(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", [{"id": "a", "image": "9.png"}])
    with pytest.raises(InputError, match="no document"):
        build_kb(folder, tmp_path / "kb", NONE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_a_folder_without_documents_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"documents\.jsonl"):
        build_kb(tmp_path, tmp_path / "kb", NONE)


def test_a_rebuild_replaces_the_old_one_and_a_failed_one_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "kb"
    build_kb(write_folder(tmp_path / "raw"), out, NONE)
    build_kb(write_folder(tmp_path / "raw2", [{"id": "n", "text": "new words"}]), out, NONE)
    assert by_words(out, "new") == ["n"]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("retrieval.kb.finishing.build_text_index", full)
        with pytest.raises(InputError, match=r"No space left.*unchanged"):
            build_kb(tmp_path / "raw", out, NONE)
    assert by_words(out, "new") == ["n"]
    # What was finished waits for the next build, and goes with it.
    assert build_kb(tmp_path / "raw", out, NONE).resumed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kb", "raw", "raw2"]


def test_what_is_no_knowledge_base_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not overwritten"):
        build_kb(write_folder(tmp_path / "raw"), tmp_path / "home", NONE)
    assert (tmp_path / "home" / "thesis.tex").exists()


@pytest.mark.parametrize("name", ["documents.jsonl", "vectors.safetensors"])
def test_damage_is_noticed_and_named(base: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "kb"
    shutil.copytree(base, copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(StoreDamaged, match=name):
        open_kb(copy).search([Search("text", "paris", np.zeros(24, np.float32))], 5)
    (copy / name).write_bytes(data[:-3])
    with pytest.raises(StoreDamaged, match=name):
        open_kb(copy)


def test_a_missing_or_foreign_knowledge_base_is_named(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ramie kb build"):
        open_kb(tmp_path / "nowhere")
    copy = tmp_path / "kb"
    shutil.copytree(base, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    for change in ({"format": 1}, {"fingerprint": "0" * 64}, {"documents": "many"}):
        (copy / "manifest.json").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(StoreMismatch, match="ramie kb build"):
            open_kb(copy)


def test_a_manifest_cannot_name_files_elsewhere(base: Path, tmp_path: Path) -> None:
    copy = tmp_path / "kb"
    shutil.copytree(base, copy)
    text = (copy / "manifest.json").read_text()
    manifest = KbManifest.model_validate_json(text)
    files = {**manifest.files, "../../etc/passwd": manifest.files["documents.jsonl"]}
    changed = manifest.model_copy(update={"files": files})
    changed = changed.model_copy(update={"fingerprint": content_fingerprint(changed)})
    (copy / "manifest.json").write_text(changed.model_dump_json())
    with pytest.raises(StoreDamaged, match="outside"):
        open_kb(copy)


def test_images_are_given_as_they_were_and_checked(base: Path, tmp_path: Path) -> None:
    copy = tmp_path / "kb"
    shutil.copytree(base, copy)
    key = content_key(encoded(1))
    media = open_kb(copy).image(key)
    assert (media.data, media.format, media.width, media.height) == (encoded(1), "PNG", 40, 30)
    (copy / "images" / key[:2] / key).write_bytes(b"other")
    with pytest.raises(ProviderUnavailable, match="have changed"):
        open_kb(copy).image(key)
    (copy / "images" / key[:2] / key).unlink()
    with pytest.raises(ProviderUnavailable, match="cannot read"):
        open_kb(copy).image(key)
    for foreign in ("0" * 64, "../../manifest.json"):
        with pytest.raises(ProviderUnavailable, match="no image"):
            open_kb(copy).image(foreign)


@pytest.mark.parametrize(
    ("title", "text", "passage"),
    [
        ("Paris", "Paris is a city.", "Paris is a city."),
        ("Paris", "A city.", "Paris. A city."),
        ("Really?", "Yes.", "Really? Yes."),
        ("Paris", "", "Paris"),
        ("", "A city.", "A city."),
        ("", "", ""),
    ],
)
def test_a_passage_says_the_title_once(title: str, text: str, passage: str) -> None:
    assert join_passage(title, text) == passage


def test_documents_come_in_the_order_of_ids(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [{"id": str(n), "text": "t"} for n in (10, 9, 1)], 0)
    assert [d.document_id for d in read_documents(folder, ProblemLog())] == ["1", "10", "9"]


@pytest.mark.real
def test_a_real_name_finds_its_portrait_and_a_caption_its_photo(
    real_data: Path, tmp_path: Path
) -> None:
    lines = (real_data / "data" / "people_kb" / "documents.jsonl").read_text().splitlines()[:60]
    source = real_data / "data" / "people_kb"
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "documents.jsonl").write_text("\n".join(lines))
    (folder / "images").mkdir()
    for line in lines:
        image = json.loads(line)["image"]
        shutil.copyfile(source / image, folder / image)
    settings = tiny_settings(real_data / "models" / "miniclip", batch_size=8)
    report = build_kb(folder, tmp_path / "kb", settings)
    assert (report.documents, report.problems) == (60, ())
    observer, knowledge = Observer(settings), open_kb(report.path)
    names = [json.loads(line)["title"] for line in lines]
    texts = [f"{name} spoke in Washington today" for name in names]
    vectors = observer.embed_texts(texts)
    assert vectors is not None
    searches = [Search("image", t, v) for t, v in zip(texts, vectors, strict=True)]
    found = knowledge.search(searches, 5)
    right = [
        name in [one.document.title for one in f] for name, f in zip(names, found, strict=True)
    ]
    assert sum(right) >= 54  # by chance 5 of 60


def test_two_folders_may_number_their_documents_alike(tmp_path: Path) -> None:
    news = write_folder(tmp_path / "news", [{"id": "1", "text": "comet seen"}, {"id": 2}])
    people = write_folder(tmp_path / "people", [{"id": "1", "text": "comet hunter"}])

    report = build_kb([news, people], tmp_path / "kb", NONE)

    assert sorted(by_words(report.path, "comet")) == ["news/1", "people/1"]
    assert [problem.message.split(":")[0] for problem in report.problems] == ["news"]
    with pytest.raises(InputError, match="same name"):
        build_kb([news, write_folder(tmp_path / "more" / "news")], tmp_path / "kb2", NONE)
