"""Results of ``ramie discover`` as Markdown: mean and spread over the seeds, in percent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, Final

Result = Mapping[str, Any]
_CLUSTER_COLUMNS: Final = {
    "B³ P": "b3_precision",
    "B³ R": "b3_recall",
    "B³ F1": "b3_f1",
    "hom.": "homogeneity",
    "compl.": "completeness",
    "V": "v_measure",
    "ARI": "ari",
}
_RELATED_COLUMNS: Final = {"B³ F1": "b3_f1", "V": "v_measure", "ARI": "ari"}


def table(results: Sequence[Result]) -> str:
    """Return one table for clusters, one for few labels, as far as there are results of either."""
    clusters = [result for result in results if "all" in result]
    few = [result for result in results if "f1" in result]
    parts = [_cluster_table(clusters)] if clusters else []
    parts += [_few_table(few)] if few else []
    return "\n\n".join(parts)


def _cluster_table(results: Sequence[Result]) -> str:
    posts = results[0]["all"]["posts"]
    related = results[0]["related"]
    header = ["no labels", "evidence", *_CLUSTER_COLUMNS, "clusters"]
    if related is not None:
        header += [f"{name}, related" for name in _RELATED_COLUMNS]
    rows = []
    for group in _groups(results):
        cells = [_spread([r["all"][key] for r in group]) for key in _CLUSTER_COLUMNS.values()]
        cells.append(_mean_count([r["used"] for r in group]))
        if related is not None:
            names = _RELATED_COLUMNS.values()
            cells += [_spread([r["related"][key] for r in group]) for key in names]
        rows.append([_named(group, results), group[0]["evidence"], *cells])
    note = f"{posts} test posts" + (
        f", {related['posts']} of them with a relation" if related is not None else ""
    )
    note += f"; one cluster for all has B³ F1 {100 * results[0]['one_cluster_b3_f1']:.1f}"
    return f"{_markdown(header, rows)}\n\n{note}; {_made(results)}."


def _few_table(results: Sequence[Result]) -> str:
    shares = sorted({result["share"] for result in results})
    counts = {r["share"]: r["labelled"] for r in results}
    header = ["few labels", "evidence", *(f"{100 * s:g} % ({counts[s]})" for s in shares)]
    rows: list[list[str]] = []
    for method in dict.fromkeys(result["method"] for result in results):
        for evidence in dict.fromkeys(result["evidence"] for result in results):
            mine = [r for r in results if (r["method"], r["evidence"]) == (method, evidence)]
            cells = [_spread([r["f1"] for r in mine if r["share"] == share]) for share in shares]
            if mine:
                rows.append([_named(mine, results), evidence, *cells])
    return f"{_markdown(header, rows)}\n\nmicro F1 on test (annotated posts); {_made(results)}."


def _groups(results: Sequence[Result]) -> list[list[Result]]:
    keys = dict.fromkeys((result["method"], result["evidence"]) for result in results)
    return [[r for r in results if (r["method"], r["evidence"]) == key] for key in keys]


def _spread(ratios: Sequence[float]) -> str:
    if not ratios:
        return ""
    found = [100 * ratio for ratio in ratios]
    spread = f" ± {stdev(found):.1f}" if len(found) > 1 else ""
    return f"{mean(found):.1f}{spread}"


def _mean_count(counts: Sequence[int]) -> str:
    return f"{mean(counts):g}"


def _named(group: Sequence[Result], results: Sequence[Result]) -> str:
    """Return the method, with its seeds where it has not all of them."""
    seeds = _seeds(group)
    return f"{group[0]['method']}{'' if seeds == _seeds(results) else f' (seeds {seeds})'}"


def _made(results: Sequence[Result]) -> str:
    commits = ", ".join(dict.fromkeys(r["commit"] for r in results if r["commit"]))
    return f"seeds {_seeds(results)}{f'; commit {commits}' if commits else ''}"


def _seeds(results: Iterable[Result]) -> str:
    return ", ".join(map(str, sorted({result["seed"] for result in results})))


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
