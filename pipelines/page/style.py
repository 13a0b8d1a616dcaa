"""How the inspection page looks, by day and by night."""

from __future__ import annotations

from typing import Final

# Hues in degrees for labels and regions, chosen to differ from their neighbours.
_HUES: Final = (212, 20, 150, 280, 45, 330, 180, 90)

_LAYOUT: Final = """
:root { color-scheme: light dark; --paper: #fbfaf7; --card: #fff; --ink: #1d1d1f; --dim: #6b6963;
  --line: #e3dfd6; --wash: #f3f1ea; --accent: #2457a6; --light: 38%; --tint: 91%; --on: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16171a; --card: #1e2024; --ink: #e7e5df; --dim: #9b988f; --line: #33363c;
    --wash: #26292e; --accent: #8ab4f8; --light: 68%; --tint: 22%; --on: #111; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0 auto; max-width: 1240px; padding: 2.5rem 1.5rem 6rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 ui-sans-serif, system-ui, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; letter-spacing: -.015em; }
h2 { font-size: 1.15rem; margin: 0 0 1rem; }
h3 { font-size: .95rem; font-weight: 400; margin: 0 0 .6rem; color: var(--dim); }
h3 b { color: var(--ink); }
h3 small { float: right; }
h4 { font-size: .85rem; margin: 1.2rem 0 .4rem; }
p, ul, ol, figure { margin: 0; }
ul, ol { padding: 0; list-style: none; }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 2px; }
h2 a { color: inherit; text-decoration: none; }
h2 a:hover { text-decoration: underline; }
code { font: .92em ui-monospace, Menlo, Consolas, monospace; }
small, .dim { color: var(--dim); }
.dim, h2 small { font-weight: 400; }
header p { color: var(--dim); margin: .3rem 0 1rem; }
summary { cursor: pointer; color: var(--dim); }
summary:hover { color: var(--ink); }
.facts, .contents { margin-top: .6rem; }
.contents ol { columns: 2 24rem; column-gap: 2rem; margin-top: .6rem; font-size: .9rem; }
.contents li { break-inside: avoid; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { font-weight: 500; white-space: nowrap; }
.facts td { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .8rem; }
.counts td, .counts th + th { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.counts tr:nth-child(2) { font-weight: 600; }
article { margin-top: 2rem; padding: 1.5rem; background: var(--card); border-radius: 10px;
  border: 1px solid var(--line); scroll-margin-top: 1rem; }
.top { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 7fr); gap: 1.75rem; }
"""

_POST: Final = """
.photo { position: relative; display: inline-block; max-width: 100%; border-radius: 6px;
  overflow: hidden; line-height: 0; background: var(--wash); }
.photo img { display: block; width: auto; height: auto; min-width: min(18rem, 100%);
  max-width: 100%; max-height: 25rem; }
.photo svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.photo rect { fill: none; stroke: var(--hue); stroke-width: 2.5px;
  vector-effect: non-scaling-stroke; }
.photo .plate { fill: var(--hue); stroke: none; }
.photo text { fill: var(--on); font-weight: 700; text-anchor: middle; }
.no-photo { padding: 3rem 1rem; text-align: center; color: var(--dim); background: var(--wash);
  border-radius: 6px; }
figcaption { margin-top: .5rem; font-size: .85rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin-top: .25rem; }
.sentence { font: 1.28rem/2 ui-serif, Charter, Georgia, serif; max-height: 32rem;
  overflow-y: auto; }
mark { background: var(--soft); color: inherit; padding: .12em .28em; border-radius: 4px;
  box-decoration-break: clone; -webkit-box-decoration-break: clone; }
mark sub { font: 600 .58em ui-sans-serif, system-ui, sans-serif; letter-spacing: .03em;
  color: var(--hue); margin-left: .4em; vertical-align: baseline; }
.tag { background: var(--soft); color: var(--hue); padding: .05em .45em; border-radius: 4px;
  font-size: .8rem; }
.annotations { margin-top: .9rem; display: grid; gap: .3rem; }
.triple { padding: .5rem .75rem; background: var(--wash); border-radius: 6px; }
.relation { color: var(--accent); }
.relation::before { content: "— "; color: var(--dim); }
"""

_STREAMS: Final = """
.streams { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.5rem 2rem;
  margin-top: 1.5rem; }
.stream { border-top: 2px solid var(--line); padding-top: .6rem; }
.stream.empty { opacity: .55; }
.kept > li { position: relative; padding: 0 0 .9rem 2rem; }
.rank { position: absolute; left: 0; top: .1rem; width: 1.35rem; height: 1.35rem;
  border-radius: 50%; background: var(--wash); text-align: center; font-size: .78rem;
  line-height: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.card { display: flex; gap: .9rem; align-items: flex-start; }
.card > div { min-width: 0; flex: 1; }
.thumb { flex: none; width: 120px; height: 90px; margin-top: .2rem; border-radius: 5px;
  background: var(--wash) center / cover no-repeat; }
.thumb.none { display: grid; place-items: center; color: var(--dim); font-size: .75rem;
  border: 1px dashed var(--line); }
.card strong { font-weight: 600; line-height: 1.35; }
.passage { font-size: .93rem; }
.passage summary { font-size: .8rem; }
.scores { display: flex; flex-wrap: wrap; gap: 0 .8rem; align-items: center; margin-top: .2rem;
  font-size: .8rem; color: var(--dim); font-variant-numeric: tabular-nums; }
.scores b { color: var(--ink); font-weight: 600; }
.meter { display: inline-block; vertical-align: .1em; margin-left: .4rem; width: 2.5rem;
  height: 5px; border-radius: 3px; background: var(--wash); overflow: hidden; }
.meter i { display: block; height: 100%; background: var(--accent); }
.source { font-size: .78rem; color: var(--dim); }
.source b { font-weight: 600; }
.source .tag { font-size: .95em; }
.url-line { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.stream > details { margin-top: .2rem; }
.stream > details > summary { font-size: .85rem; }
.dropped > li { padding: .5rem 0 .5rem .8rem; border-left: 2px solid var(--line);
  margin-bottom: .5rem; }
.dropped .thumb { width: 80px; height: 60px; }
.dropped .card { color: var(--dim); }
.reason { font-size: .85rem; font-weight: 500; }
@media (max-width: 760px) { body { padding: 1.25rem .75rem 4rem; } article { padding: 1rem; }
  .top, .streams { grid-template-columns: minmax(0, 1fr); } }
@media print { body { max-width: none; background: none; } article { break-inside: avoid-page; } }
"""

_COLOURS: Final = "\n".join(
    f".hue{index} {{ --hue: hsl({hue} 70% var(--light)); --soft: hsl({hue} 70% var(--tint)); }}"
    for index, hue in enumerate(_HUES)
)

STYLE: Final = f"{_LAYOUT}{_POST}{_STREAMS}{_COLOURS}"
