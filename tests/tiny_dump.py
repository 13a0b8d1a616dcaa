"""A small made-up MediaWiki dump."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="en">
<siteinfo><sitename>Tiny</sitename><base>https://tiny.test/wiki/Main_Page</base>
<namespaces><namespace key="0" case="first-letter" /><namespace key="6">Datei</namespace>
<namespace key="14">Kategorie</namespace></namespaces></siteinfo>
"""

ARTICLE = """{{Infobox city|name=Paris|image=[[File:x.jpg]]|pop={{formatnum:2}}}}
'''Paris''' is the [[capital city|capital]] of [[France]].<ref name="a">A book.</ref> It lies on
the [[Seine]]&nbsp;river.<!-- hidden words --> See [https://paris.test the city's page].
[[Datei:Tower.jpg|thumb|The [[Eiffel Tower]] at night]]
[[Kategorie:Capitals]] [[fr:Paris]]

== History ==
The [[Parisii]] lived here; the town grew around an island in the river, long ago.
{| class="wikitable"
! Year !! People
|-
| 1800 || 546,856
|}
* It was sacked once or twice, and rebuilt by those who had stayed in it.

== References ==
{{reflist}}
"""


def page(
    title: str,
    text: str,
    *,
    number: int,
    ns: int = 0,
    redirect: bool = False,
    model: str = "wikitext",
) -> str:
    """Return a page as dumps have it."""
    leads = f'<redirect title="{escape(title)} (other)" />' if redirect else ""
    return (
        f"<page><title>{escape(title)}</title><ns>{ns}</ns><id>{number}</id>{leads}<revision>"
        f"<id>9</id><contributor><username>somebody</username><id>77</id></contributor>"
        f'<model>{model}</model><format>text/x-wiki</format><text bytes="1" xml:space="preserve">'
        f"{escape(text)}</text></revision></page>\n"
    )


PAGES: tuple[str, ...] = (
    page("Paris", ARTICLE, number=12),
    page("Talk:Paris", "Let us talk about this page for a while, shall we?", number=13, ns=1),
    page("Lutetia", "#REDIRECT [[Paris]]", number=14, redirect=True),
    page("Paris.css", "body { color: red; and more characters here }", number=15, model="css"),
    page("Nothing & more", "{{stub}}", number=16),
    page("Tōkyō", "東京 is the capital of Japan, and 🗼 stands in the middle of it.", number=17),
)


def dump(pages: Sequence[str] = PAGES) -> bytes:
    """Return a dump of ``pages``."""
    return (HEAD + "".join(pages) + "</mediawiki>\n").encode()
