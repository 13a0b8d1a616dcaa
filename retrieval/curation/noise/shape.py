"""Noise that shows in the shape of a text, whatever it says: menus, lists, damage."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from retrieval.curation.dedup_text import words


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# What sentences are held together by, in the languages that evidence mostly comes in; a text of
# some length without any is a list.
# English; German, Dutch, Scandinavian; Romance languages; Polish, Turkish, Indonesian.
_FUNCTION_WORDS: Final = _set(
    """
    a an the this that these those of in on at by for from with to and or but as is are was
    were be been has have had do does did will would can could may not no it its he she they
    we you i his her their our your my who what when where how why after before over under
    about into than amid via per off again while during between against near vs versus then
    there here if so up out all more most some any just only also
    der die das den dem des ein eine einer einem und oder ist sind war mit von zu im am auf
    für nicht sich er sie es wir het een van en dat voor met zijn niet aan och att det som är
    på till av med og ikke
    le la les un une et est dans pour que qui sur avec pas ne du au aux il elle el los las una
    y por con para su se lo es o os as um uma do da dos das em na não che di gli per è non ha
    della
    w z i na się nie jest do to ve bir bu için ile de dan yang di untuk dengan ini dari
    """
)
_NAVIGATION: Final = _set(
    """
    home news sport sports contact about privacy terms imprint login log register sign
    subscribe menu search help faq shop cart blog video videos photos weather business
    politics opinion entertainment culture lifestyle travel tech technology world local jobs
    careers advertise sitemap archive archives cookies accessibility support account
    newsletter rss feedback events gallery services products team press media legal more
    arts music film books food health science money markets classifieds puzzles crossword games
    podcasts magazine latest trending popular reviews brands collections sale deals store
    donate forum members community links tags categories obituaries football celebrity style
    """
)
# Labels, exclamations and pointers.
_FILLER: Final = _set(
    """
    about above advert again all also amazing and audio awesome back beautiful below best buy
    caption click clip comment comments cool courtesy credit credits details download easy
    enlarge external facebook file find follow for free from full funny further gallery get
    getty go good great happy hello here hey hi home image images in info information instagram
    is it just later learn like link links list listen live lol look loading love me media menu
    missing more my new next nice no not now of off ok old on one online only open original out
    page part photo photograph photos pic pics picture pictures play post posted preview
    previous print read results reuters sample save say see share shop show slide so some soon
    source stay stock story stuff such thank thanks that the them this thumbnail to too top
    tune tweet twitter two unavailable unknown untitled update updated us via video videos view
    views visit watch wait well what who why wow yes you your zoom be continued results found
    available coming tbd tba reply tap swipe article a account ad ads advertisement advertising
    an any are archive as at article articles be before by card chart close cover data date
    default description details do does document don t embed end enjoy entry error even ever
    excerpt exclusive expand feature featured figure files fig first for gif graphic has have
    headline hide hidden hmm icon if illustration item items it its just label last left less
    letter like likes list logo mail main many minute min mins moment name nope nothing note
    number null of oh okay only or other our over own picture please poll posts press privacy
    private quote ready really recent related reports return right same screen screenshot
    search second section select self send short sign sorry still stop subtitle summary sure
    tag tags tba tbc text then there these thing things this those thread time title today
    tomorrow transcript true try type up user very wait was web website week welcome were what
    when where which will with wow year yesterday yet n na nil none ok omg lol haha hi 0 1 2 3
    4 5 6 7 8 9 10
    """
)
# What keywords of shops and of pictures are made of.
_STOCK: Final = (
    _set(
        """
    4k accessories affordable age apartments app apk art background backgrounds bags band bargain
    beauty best bio biography birthday blog booking bookings books boots brand buy card cards cars
    catalog catalogue cheap cheapest clearance clipart clothes clothing code codes collectibles
    colour color comparison concert cosplay cost costume coupon coupons crafts custom deal deals
    decor delivery design designer discount discounts diy download downloads dresses ebook episodes
    episode facts fanart fashion fitness flights font for forum free full furniture gallery game
    gameplay gift gifts gif gifs girlfriend guide guides hairstyle handmade hd height hire holidays
    home hotel hotels how icon icons ideas images instagram jewelry jewellery kids kit lessons list
    logo lyrics magazine makeup map maps meaning meme memes merch mod mods movie movies mp3 mp4
    music near nearby net new news offers online outfit outfits outlet parts pdf photo photos
    pics pictures png poster posters price prices print prints printable quotes ranking rating
    recipe recipes rent rental rentals repair replica reseller resort retro review reviews ringtone
    sale sales secondhand seller sellers service services shipping shirt shirts shoes shop shopping
    shops size sizes songs stickers stock store stores streaming style supplier suppliers svg tag
    tags template templates tickets tips top torrent tour tours toys trailer travel trends tutorial
    tutorials tv unboxing used vector video videos villas vintage wallpaper wallpapers watch wear
    wedding wholesale wife wiki wikipedia worth youtube
    """
    )
    - _FUNCTION_WORDS
)
# Bounded, for blanks without a bar behind them are read again from every blank.
_BAR: Final = re.compile(r"\s{0,8}[|»\u203a•·>/\n\t]\s{0,8}|\s{1,8}[-\u2013\u2014]\s{1,8}")
_SEPARATOR: Final = re.compile(r"[,;|•·/\n\t]")
_ENTRY_END: Final = re.compile(r"[,;|•·/\n\t»>:.]|\s[-\u2013\u2014]\s")
_HASHTAG: Final = re.compile(r"(?<!\w)#\w+")
_SENTENCE_END: Final = re.compile(r"[.!?\u2026](?:\s|$)")
# Text of one encoding read as another, and signs that stand for lost ones.
_REST: Final = r"[\u0080-\u00bf\u0152-\u0178\u0192\u02c6\u02dc\u2018-\u2022\u203a\u20ac\u2122]"
_DAMAGE: Final = re.compile(
    rf"[ÃÂâðÐÑÎÏØÙ\u00d7ÅÄ]{_REST}|[à-ï]{_REST}{{2}}|\ufffd|ï¿½|â€|Ã."
    r"|[\u0420\u0421][\u00a0-\u00bb\u0402-\u040f\u0452-\u045f\u2018-\u203a\u20ac\u2116\u2122]"
    r"|[\u25a1\u25af\ufffc]{2}"
)
# Signs written out that were to be read: "\\u00e9", "&#39;", "%20", "=C3=A9".
_ESCAPED: Final = re.compile(
    r"\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|&(?:#\d{2,5}|amp|nbsp|quot|lt|gt|rsquo|ldquo|rdquo);"
    r"|%[0-9A-F]{2}|=[0-9A-F]{2}=[0-9A-F]{2}|\?{4}",
    re.IGNORECASE,
)
_TEMPLATE: Final = re.compile(
    r"\{\{.{0,80}?\}\}|\{%.{0,80}?%\}|<%.{0,80}?%>|\$\{.{0,80}?\}|%\(\w+\)s|\[object Object\]"
    r"|\[\[.{0,40}?\]\]|</?(?:div|span|script|html|body|style|head|meta|table|iframe|link)\b|<\?(?:php|xml|=)|<!doctype"
    r"|@media\b|function\s*\(|=>\s*\{|\bdocument\.\w+|\bwindow\.\w+|\b(?:var|let|const) \w+ ="
    r"|\{\w*\"\w+\":|\"\w+\":\s?[\"\[{\d]|#\{\w.{0,40}?\}|\{\$?\w+(?:\.\w+)*\}|%%\w+%%|##\w+##"
    r"|\b__\w+__\b|\[\w+ \w+=.{0,60}?\]|\[/\w+\]|\[(?:insert|your) [\w ]{1,30}\]|-->|;\s*\}",
    re.IGNORECASE,
)
_CODE_SIGN: Final = re.compile(r"[{<\[%$@(=_#}>\"]|document|window")
_FEWEST_WORDS: Final = 8
_FEWEST_SEGMENTS: Final = 4
_FEWEST_CUES: Final = 2
_FEWEST_ENTRIES: Final = 5
_LONGEST_ENTRY: Final = 3
_FEWEST_SAME: Final = 4
_MOST_FUNCTION: Final = 0.2


def names_nothing(found: Sequence[str], title: Sequence[str]) -> bool:
    """Return whether a short text is a mere label, as "read more" is.

    Args:
        found: its words.
        title: words of its title; what that has named is not named again.
    """
    more = [word for word in found if word not in title]
    return bool(more) and all(word in _FILLER or word.isdigit() for word in more)


def menu(text: str) -> str:
    """Return why ``text`` is a menu: short segments, some of them the names of site sections."""
    segments = [segment.split() for segment in _BAR.split(text) if segment.strip()]
    short = [segment for segment in segments if len(segment) <= 3]
    if len(segments) < _FEWEST_SEGMENTS or len(short) < 0.7 * len(segments):
        return ""
    sections = sum(any(word.casefold() in _NAVIGATION for word in segment) for segment in short)
    return (
        f"menu: {sections} of {len(segments)} segments are site sections" if sections >= 2 else ""
    )


def keyword_list(text: str, found: Sequence[str]) -> str:
    """Return why ``text`` (of the words ``found``) is a list of keywords: two signs of it."""
    hashtags = len(_HASHTAG.findall(text))
    if hashtags >= 3 and hashtags >= (0.4 if hashtags > 3 else 0.6) * len(found):
        return f"{hashtags} hashtags in {len(found)} words"
    listed = _segments(text, found)
    if listed:
        return listed
    if len(found) < _FEWEST_WORDS:
        return ""
    # Function words of running text are a third of it or more; headlines have a few.
    function = sum(word in _FUNCTION_WORDS for word in found)
    if function > _MOST_FUNCTION * len(found):
        return ""
    stock = sum(word in _STOCK for word in found)
    cues = ["no function words"] if function <= 0.06 * len(found) else []
    if stock >= 3 and stock >= 0.25 * len(found):
        cues.append(f"{stock} stock keywords")
    separators = len(_SEPARATOR.findall(text))
    longest = max(len(entry.split()) for entry in _SEPARATOR.split(text))
    if separators >= 3 and separators >= 0.25 * len(found) and longest <= _LONGEST_ENTRY + 1:
        cues.append(f"{separators} separators")
    named = Counter(word for word in found if word not in _FUNCTION_WORDS)
    most, times = max(named.items(), key=lambda known: (known[1], known[0]))
    if times >= 3 and times >= 0.2 * len(found) and len(most) > 2:
        cues.append(f"{most!r} {times} times")
    if (
        text.isascii()
        and _starts_small(text)
        and not _SENTENCE_END.search(text)
        and _lower_case(text) > 0.6
    ):
        cues.append("lower case without an end")
    return ", ".join(cues) if len(cues) >= _FEWEST_CUES else ""


def _segments(text: str, found: Sequence[str]) -> str:
    """Return why ``text`` (of the words ``found``) is a list of short entries, each a keyword."""
    entries = [words(entry) for entry in _ENTRY_END.split(text)]
    entries = [entry for entry in entries if entry]
    stock = sum(word in _STOCK for word in found)
    fewest = _FEWEST_ENTRIES - (stock >= 3)
    if _repeated(entries):
        return f"{len(entries)} entries of the same"
    if len(entries) < fewest or len(found) > _LONGEST_ENTRY * len(entries):
        return ""
    if max(map(len, entries)) > _LONGEST_ENTRY + 1:
        return ""
    function = sum(word in _FUNCTION_WORDS for word in found)
    # Who lists in a sentence ends with "and".
    if entries[-1][0] in ("and", "or") or function > _MOST_FUNCTION * len(found):
        return ""
    bare = not function and len(entries) > _FEWEST_ENTRIES and len(found) <= 2 * len(entries)
    small = _starts_small(text) and _lower_case(text) > 0.6
    if not (stock >= 2 or bare or small):
        return ""
    return f"{len(entries)} entries of {len(found)} words"


def _repeated(entries: Sequence[Sequence[str]]) -> bool:
    """Return whether most ``entries`` are short and about the same word, as searches are."""
    if len(entries) < _FEWEST_SAME or max(map(len, entries)) > 2 * _LONGEST_ENTRY:
        return False
    named = Counter(word for entry in entries for word in set(entry) - _FUNCTION_WORDS)
    return bool(named) and max(named.values()) >= max(_FEWEST_SAME - 1, 0.7 * len(entries))


def damage(text: str, found: Sequence[str]) -> str:
    """Return why ``text`` is no text: template code, or another encoding read as this one."""
    code = len(_TEMPLATE.findall(text)) if _CODE_SIGN.search(text) else 0
    if code >= 2 or (code and code >= 0.1 * len(found)):
        return f"{code} pieces of code"
    tokens = text.split()
    if any(sign in text for sign in "\\&%=?"):
        escaped = sum(_ESCAPED.search(token) is not None for token in tokens)
        if escaped >= 2 and escaped >= 0.25 * len(tokens):
            return f"{escaped} of {len(tokens)} words are escaped"
    if text.isascii():
        return ""
    lost = sum(_DAMAGE.search(token) is not None for token in tokens)
    # A damaged dash or name is a slip of an otherwise readable page.
    if (lost >= 3 and lost >= 0.25 * len(tokens)) or (lost >= 2 and lost >= 0.4 * len(tokens)):
        return f"{lost} of {len(tokens)} words are damaged"
    return ""


def _starts_small(text: str) -> bool:
    return next((sign for sign in text if sign.isalpha()), "A").islower()


def _lower_case(text: str) -> float:
    tokens = [token for token in text.split() if token[0].isalpha()]
    return sum(token[0].islower() for token in tokens) / max(len(tokens), 1)
