"""Promises of retrieval.curation.noise: noise of each kind goes with its name, all else stays."""

from __future__ import annotations

import pytest
from curation_helpers import make_hit

from cache.errors import InputError
from retrieval.curation.noise import drop_noise
from retrieval.settings import NoiseSettings

OFF = NoiseSettings(
    too_short=0, boilerplate=False, keyword_list=False, adult=False, spam=False, unrendered=False
)
ENGLISH = NoiseSettings(languages=("en",))
NOISE = {
    "too_short": "More",
    "boilerplate": "Home | News | Oslo | Contact | Privacy | Imprint",
    "wrong_language": "Am Wochenende besuchten viele Menschen die Stadt, obwohl es geregnet hat.",
    "keyword_list": "oslo, oslo news, oslo photos, oslo wiki, oslo map, oslo hotels, oslo age",
    "adult": "Hot singles near Oslo want casual sex tonight. Adults only.",
    "spam": "Play at the Oslo casino: free spins and a welcome bonus with no deposit!",
    "unrendered": "Error 404. The page you requested could not be found.",
}
GOOD = (
    "The mayor of Oslo opened a new library by the harbour on Monday.",
    "A casino fire in Oslo: nobody was hurt, police say",
    "Her newsletter has a million readers, and the newspaper wants to buy it.",
    "Actor speaks about nude scenes in her new film",
    "Powerball: who won the $1.08 billion lottery jackpot?",
    "Adult education classes open in Sussex this autumn",
    "A gay couple marries in the town hall of Oslo",
    "A sex offender was convicted of abuse on Monday.",
    "Doctors advise teenagers on sex education and condoms",
    "An error by the goalkeeper cost the team the match.",
    "Access denied: reporters kept out of the hearing",
    "PM backs plan to make the bay a park \u00c3\u00a2\u00e2\u201a\u00ac what it costs",
    "Ronaldo, Messi and Neymar among the nominees for player of the year",
    "株価は三日続けて上がった",
)


def steps(text: str, settings: NoiseSettings, title: str = "") -> list[str]:
    return [one.step for one in drop_noise([make_hit("d", text, title=title)], settings)[1]]


@pytest.mark.parametrize("kind", NOISE)
def test_each_kind_goes_by_its_own_name_and_only_while_its_switch_is_on(kind: str) -> None:
    assert steps(NOISE[kind], ENGLISH) == [kind]
    off = {"too_short": 0, "wrong_language": ()}.get(kind, False)
    key = "languages" if kind == "wrong_language" else kind
    assert kind not in steps(NOISE[kind], ENGLISH.model_copy(update={key: off}))
    assert steps(NOISE[kind], OFF) == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("adult", "Meet lonely wives in Oslo for discreet fun tonight."),
        ("adult", "This website contains material for persons aged 18 or older."),
        ("unrendered", "This content is not available in your region."),
        ("unrendered", "Warning: mysqli_connect() failed in /var/www/index.php on line 12"),
        ("unrendered", "{title} by {author} on {date}"),
        ("unrendered", "&lt;b&gt;Oslo&lt;/b&gt; caf\\u00e9 &amp;nbsp;"),
        ("unrendered", "\u00d0\u009f\u00d1\u0080\u00d0\u00b8 \u00d0\u00bc\u00d0\u00b8 Oslo"),
        ("keyword_list", "cheap oslo online, buy oslo for sale, best oslo price, oslo outlet"),
        ("keyword_list", "Fjords, Vikings, Oslo, Bergen, Skiing, Ferries"),
    ],
)
def test_noise_is_known_in_other_wordings(kind: str, text: str) -> None:
    assert steps(text, NoiseSettings()) == [kind]


@pytest.mark.parametrize("text", GOOD)
def test_what_only_mentions_such_things_stays(text: str) -> None:
    assert steps(text, NoiseSettings()) == []


def test_a_long_article_may_have_a_line_of_boilerplate() -> None:
    story = "The mayor of Oslo opened a new library by the harbour on Monday. " * 8
    banner = "We use cookies. Sign up for our newsletter."
    assert steps(banner, NoiseSettings()) == ["boilerplate"]
    assert steps(story + banner, NoiseSettings()) == []


@pytest.mark.parametrize(
    "tail", ["Read more below.", "More to follow.", "Photo by our own staff."]
)
def test_a_text_that_tells_something_may_end_in_a_line_of_boilerplate(tail: str) -> None:
    story = "The mayor of Oslo opened a new library by the harbour on Monday."
    assert steps(f"{story} {tail}", NoiseSettings()) == []


def test_a_title_does_not_make_a_text_longer_but_is_a_text_where_nothing_follows() -> None:
    assert steps("Oslo town hall. Photo", NoiseSettings(), title="Oslo town hall") == ["too_short"]
    assert steps("Oslo town hall", NoiseSettings(), title="Oslo town hall") == []
    assert steps("Oslo", NoiseSettings(too_short=1)) == []


def test_of_the_shortest_texts_only_those_that_name_something_stay() -> None:
    assert steps("Bob Marley live", NoiseSettings()) == []
    assert steps("Read more here", NoiseSettings()) == ["too_short"]
    assert steps("Oslo. Photo of Oslo", NoiseSettings(), title="Oslo") == ["too_short"]
    assert steps("Bob Marley", NoiseSettings()) == ["too_short"]


def test_prices_and_orders_to_the_reader_tell_a_pitch_from_news_of_the_same_things() -> None:
    pitch = "Need a loan? Borrow $500 within the hour: no paperwork, no questions!"
    assert steps(pitch, NoiseSettings()) == ["spam"]
    assert steps("Regulators say a lender charged $500 for a loan", NoiseSettings()) == []


def test_bits_of_few_words_are_furniture_where_one_of_them_sounds_like_it() -> None:
    assert steps("Zoom in. Photo 3 of 9. Oslo. Next.", NoiseSettings()) == ["boilerplate"]
    assert steps("Singer. Born in Oslo. Three children.", NoiseSettings()) == []


def test_the_title_tells_what_a_page_is() -> None:
    text = "The resource that was asked for is gone since Monday."
    assert steps(text, NoiseSettings()) == []
    assert steps(text, NoiseSettings(), title="404 Not Found") == ["unrendered"]


def test_images_go_for_the_page_they_are_on_only_where_that_is_adult_or_spam() -> None:
    images = [make_hit(kind, text, modality="image") for kind, text in NOISE.items()]
    images.append(make_hit("bare", "", modality="image"))
    kept, dropped = drop_noise(images, ENGLISH)
    assert {one.step for one in dropped} == {"adult", "spam"}
    assert len(kept) == len(images) - 2


def test_any_of_several_languages_is_kept_and_names_decide_nothing() -> None:
    german = NOISE["wrong_language"]
    assert steps(german, NoiseSettings(languages=("en", "de"))) == []
    assert steps("Glouva married Bekuzhum in 2019 .", ENGLISH) == []
    # "want to see and"
    russian = "\u0445\u043e\u0442\u044f\u0442 \u0443\u0432\u0438\u0434\u0435\u0442\u044c \u0438"
    assert steps(russian, ENGLISH) == ["wrong_language"]


def test_an_unknown_language_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InputError, match=r"'xx'.*known are .*\ben\b"):
        drop_noise([make_hit("d", NOISE["wrong_language"])], NoiseSettings(languages=("xx",)))


def test_kept_and_dropped_are_all_hits_in_their_order() -> None:
    hits = [make_hit(str(i), text) for i, text in enumerate((*NOISE.values(), *GOOD))]
    kept, dropped = drop_noise(hits, ENGLISH)
    assert [hit for hit in hits if hit in kept] == kept
    assert len(kept) + len(dropped) == len(hits)
    assert all(one.reason for one in dropped)
