"""The command ``ramie``: one verb per file under ``pipelines/verbs/``.

Exit codes: 0 it worked; 1 it failed, and the message says what to do; 2 the call was wrong;
130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cache.errors import InputError, RamieError
from pipelines.options import note
from pipelines.recipe_files import RecipeError

VERBS = (
    "build",
    "plan",
    "verify",
    "push",
    "pull",
    "merge",
    "diff",
    "migrate",
    "audit",
    "inspect",
    "train",
    "evaluate",
    "explain",
    "compare",
    "reproduce",
    "discover",
    "predict",
    "kb",
    "sample",
    "demo",
    "bench",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    parser = _parser(_first_word(sys.argv[1:] if arguments is None else list(arguments)))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    _quieten_libraries()
    try:
        _refuse_torchrun(options.verb)
        code: int = options.run(options)
        # Here and not at exit, where a reader that went away could not be dealt with.
        sys.stdout.flush()
    except RamieError as error:
        note(f"ramie {options.verb}: {error}")
        return 2 if isinstance(error, RecipeError) else 1
    except KeyboardInterrupt:
        print(
            f"ramie {options.verb}: interrupted; what was finished is kept. "
            "Run the same command again to go on.",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`ramie ... | head`); that is no failure of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        note(f"ramie {options.verb}: {_explain(error)}")
        return 1
    return code


def _refuse_torchrun(verb: str) -> None:
    """Refuse to begin one thing in several processes; only a training is shared among them.

    Raises:
        InputError: ``torchrun`` started this process and others.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if verb == "train" or not count.isdecimal() or int(count) < 2:
        return
    instead = " (runs side by side: --workers W)" if verb in ("compare", "reproduce") else ""
    raise InputError(
        f"torchrun started {count} processes (WORLD_SIZE={count}), and each would do all of it, "
        "into one folder; only `ramie train` is shared among processes. Start it without "
        f"torchrun{instead}, or unset WORLD_SIZE where something else has set it."
    )


def _explain(error: OSError) -> str:
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
        way_out = "Free space or mend the permissions; what was finished is kept."
    else:
        way_out = "Check the path and run the same command again."
    return f"{error.strerror or error}{place}. {way_out}"


def _first_word(arguments: list[str]) -> str | None:
    return next((word for word in arguments if not word.startswith("-")), None)


def _parser(verb: str | None) -> argparse.ArgumentParser:
    """Return the parser; only the verb that is called pays for its imports."""
    parser = argparse.ArgumentParser(
        prog="ramie",
        description="Retrieval-augmented multimodal information extraction: build evidence stores "
        "offline, train on nothing but a store.",
        epilog="Example: ramie demo    (every verb has its own --help)",
    )
    # Its length also makes argparse leave room for the longest verb beside what it is for.
    parser.add_argument("-V", "--version", action="version", version=f"ramie {version('ramie')}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name in VERBS:
        if verb in VERBS and verb != name:
            verbs.add_parser(name)
            continue
        module = importlib.import_module(f"pipelines.verbs.{name}")
        sub = verbs.add_parser(
            name,
            help=module.HELP,
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=f"Example: {module.EXAMPLE}",
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def _quieten_libraries() -> None:
    """Keep third-party chatter off the screen; warnings and errors still come through."""
    for name in ("httpx", "transformers", "ultralytics", "open_clip", "timm", "root"):
        logging.getLogger(name).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
