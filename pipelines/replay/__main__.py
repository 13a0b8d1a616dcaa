"""Run the made-up web as a process of its own."""

from pipelines.replay.server import main

main()
