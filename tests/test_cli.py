from __future__ import annotations

import argparse
import importlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cache.errors import InputError
from cache.records import Post
from pipelines.cli import VERBS, main
from pipelines.config import load_recipe
from pipelines.prediction import predict_post
from pipelines.runs import write_recipe

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPE = """
[dataset]
reader = "jsonl"
task = "mner"
root = "{root}"
[observe]
detector = "none"
encoder = "none"
[ask]
providers = []
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Return a recipe over three posts that asks nobody."""
    posts = tmp_path / "posts"
    posts.mkdir()
    for split in ("train", "dev", "test"):
        line = {"id": f"{split}-1", "tokens": ["Hello", "Ada"], "entities": []}
        (posts / f"{split}.jsonl").write_text(json.dumps(line) + "\n")
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE.format(root=posts))
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])

    assert stopped.value.code == 0
    assert f"Example: ramie {verb}" in " ".join(capsys.readouterr().out.split())


def test_the_overview_says_what_every_verb_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    lines = capsys.readouterr().out.splitlines()
    for verb in VERBS:
        said = [line for line in lines if line.strip().startswith(f"{verb} ")]
        assert said, verb
        assert len(said[0].split()) > 3


@pytest.mark.parametrize("verb", VERBS)
def test_only_a_training_is_begun_by_several_processes(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"pipelines.verbs.{verb}")
    begun: list[str] = []

    def run(options: argparse.Namespace) -> int:
        begun.append(options.verb)
        return 0

    monkeypatch.setattr(module, "run", run)
    codes = []
    for count in ("2", "16", "1", ""):
        monkeypatch.setenv("WORLD_SIZE", count)
        codes.append(main(shlex.split(module.EXAMPLE)[1:]))

    said = capsys.readouterr().err
    if verb == "train":
        assert (codes, begun, said) == ([0, 0, 0, 0], 4 * [verb], "")
    else:
        assert (codes, begun) == ([1, 1, 0, 0], 2 * [verb])
        assert f"ramie {verb}: torchrun started 16 processes (WORLD_SIZE=16)" in said
        assert "Start it without torchrun" in said
        assert ("--workers W" in said) == (verb in ("compare", "reproduce"))


@pytest.mark.parametrize("call", [[], ["bulid"], ["build"], ["verify", "a", "b"]])
def test_a_wrong_call_exits_with_2(call: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(call)

    assert stopped.value.code == 2


def test_a_recipe_that_there_is_not_exits_with_2_and_names_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["build", "smaple"]) == 2
    assert "did you mean 'sample'?" in capsys.readouterr().err
    assert main(["build", "sample", "--set", "ask.kbb=x"]) == 2
    assert "did you mean 'kb'?" in capsys.readouterr().err


def test_a_failure_exits_with_1_and_names_the_way_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["verify", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in "".join(capsys.readouterr())


def test_a_build_says_what_it_did_and_does_it_once(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    call = ["build", str(recipe), "--store", str(store), "--json"]

    assert main(call) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(call) == 0
    second = json.loads(capsys.readouterr().out)

    assert (first["action"], second["action"]) == ("built", "nothing to do")
    assert first["counters"]["posts"] == 3
    assert main(["verify", str(store)]) == 0


def test_the_same_folder_under_another_recipe_is_refused(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    assert main(["build", str(recipe), *store]) == 0

    assert main(["build", str(recipe), *store, "--set", "ask.hits_per_query=7"]) == 1

    message = capsys.readouterr().err
    assert "hits_per_query" in message
    assert "20 -> 7" in message
    assert "manifest.json" in message  # the way out


@pytest.mark.parametrize("span", ["1", "a:b", "2:1", "0:99", "-1:1"])
def test_a_mention_outside_the_text_is_refused_before_any_model_is_loaded(
    span: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "no-run", "--text", "one two three", f"--head={span}"]) == 1
    assert "--head" in capsys.readouterr().err


def test_naming_a_verb_costs_no_heavy_import() -> None:
    # A trainer's machine may have neither; and help must be quick.
    code = (
        "import sys\nfrom pipelines.cli import main\n"
        "try:\n    main(['train', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'ultralytics', 'open_clip', 'tantivy', 'torch'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert "HEAVY []" in out.stdout


def test_one_mention_alone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "no-run", "--text", "one two three", "--head=0:1"]) == 1
    assert "both --head and --tail" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[" * 100_000, '{"recipe": {}}', "[]", "\x00"])
def test_a_damaged_recipe_of_a_run_is_an_error_and_no_traceback(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.json").write_text(content)
    assert main(["evaluate", str(tmp_path)]) == 1
    assert "damaged" in capsys.readouterr().err


def test_a_run_that_brings_its_own_detector_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = {
        "dataset": {"reader": "jsonl", "task": "mner", "root": "x"},
        "observe": {"detector_weights": str(tmp_path / "hostile.pt")},
        "name": "x",
    }
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": hostile, "store": "x"}))
    assert main(["predict", str(tmp_path), "--text", "hello"]) == 1
    assert "weights inside the run folder" in capsys.readouterr().err


def test_data_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "no\x1b[2Jwhere"]) == 1
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err


@pytest.mark.parametrize(
    ("provider", "place"),
    [
        ("searxng", "ask.searxng.address=http://127.0.0.1:9"),
        ("lancedb", "ask.lancedb.uri=s3://stranger/bucket"),
    ],
)
def test_a_run_of_a_stranger_does_not_decide_whom_this_machine_asks(
    provider: str, place: str, tmp_path: Path
) -> None:
    hostile = load_recipe("sample", [f'ask.providers=["{provider}"]', place])
    write_recipe(tmp_path, hostile, tmp_path / "store", ())

    with pytest.raises(InputError, match=rf"evidence of .*{provider}.*--recipe"):
        predict_post(tmp_path, Post("new", ("private", "words")), None)


def test_a_recipe_cannot_name_other_secrets_of_this_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for setting in (
        "ask.vision.key_variable=AWS_SECRET_ACCESS_KEY",
        "ask.vision.endpoint=http://example.org/collect",
    ):
        assert main(["build", "sample", "--set", setting]) == 2
    assert "key_variable" in capsys.readouterr().err
