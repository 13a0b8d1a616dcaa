"""What the page of an explanation adds to the look of the inspection page."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
.verdict { font-size: .8rem; font-weight: 600; padding: .1em .55em; border-radius: 4px;
  background: var(--wash); color: var(--dim); }
.verdict.right { background: hsl(150 45% var(--tint)); color: hsl(150 70% var(--light)); }
.verdict.wrong { background: hsl(8 70% var(--tint)); color: hsl(8 70% var(--light)); }
.side { font-size: .8rem; color: var(--dim); margin-top: .7rem; }
.side:first-child { margin-top: 0; }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(25rem, 1fr));
  gap: 0 2.5rem; }
.counts caption { text-align: left; font-size: .85rem; font-weight: 600; padding: 1.2rem 0 .3rem; }
.counts.plain tr:nth-child(2) { font-weight: 400; }
article > section > h3 { margin: 1.75rem 0 .6rem; }
.weighed { border-top: 2px solid var(--line); }
.weighed > li { display: grid; grid-template-columns: 17rem minmax(0, 1fr); gap: 1.5rem;
  padding: .7rem 0; border-bottom: 1px solid var(--line); }
.bars { display: grid; grid-template-columns: 4.8rem 1fr 4rem; gap: .15rem .5rem;
  align-items: center; align-content: start; font-size: .78rem; color: var(--dim); }
.bars b { color: var(--ink); font-weight: 600; text-align: right;
  font-variant-numeric: tabular-nums; }
.bars h3 { grid-column: 1 / -1; margin: 0 0 .2rem; }
.bar { position: relative; height: 9px; border-radius: 3px; background: var(--wash);
  overflow: hidden; }
.bar i { position: absolute; top: 0; bottom: 0; background: var(--accent); }
.bar.signed::after { content: ""; position: absolute; left: 50%; top: 0; bottom: 0; width: 1px;
  background: var(--dim); }
.bar .for { background: hsl(150 55% 42%); }
.bar .against { background: hsl(8 70% 52%); }
@media (max-width: 760px) { .weighed > li, .tables { grid-template-columns: minmax(0, 1fr); } }
"""
