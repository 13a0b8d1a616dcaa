"""A process that does one job: ``python -m pipelines.comparing.worker``, the job on its input.

Its input stays open for as long as whoever started it is there. When it closes, for they were
killed, the worker ends as if Ctrl-C had been pressed: nobody is left to train for.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback

from cache.errors import RamieError
from pipelines.comparing.jobs import Job, do_job

INTERRUPTED = 130


def main() -> int:
    """Do the job and return the exit code; what went wrong is on standard error, last."""
    # A comparison in the background of a shell is deaf to Ctrl-C and hands that on; we are not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    job = Job.model_validate_json(sys.stdin.readline())
    threading.Thread(target=_watch, daemon=True).start()
    try:
        do_job(job)
    except RamieError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception:
        # The log is all that people get to see of this process.
        traceback.print_exc()
        return 1
    return 0


def _watch() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # A thread is still reading the input, which the end of the interpreter would wait for.
    os._exit(code)
