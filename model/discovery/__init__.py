"""Relations without or with few labels: the text-based line, on stores and with evidence.

`selfore` and `hiure` get no labels at all and return clusters; `metasre` gets a few labels and
many posts without. All read the pair of marked mentions through the same encoders and fusion
systems as everything else (`pairs`), so each runs with evidence and without.
"""
