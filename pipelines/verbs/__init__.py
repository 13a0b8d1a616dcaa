"""One short file per verb of the command ``ramie``.

Each has ``HELP``, ``EXAMPLE``, ``add_arguments`` and ``run``.
"""
