from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.words import split_words


def test_a_tweet_is_split_as_the_data_sets_do() -> None:
    assert split_words("RT @nba: Kevin Durant's in https://t.co/x #Oakland!") == (
        *("RT", "@", "nba", ":", "Kevin", "Durant's", "in"),
        *("https://t.co/x", "#", "Oakland", "!"),
    )


@given(st.text(max_size=60))
def test_no_visible_character_is_lost(text: str) -> None:
    assert "".join(split_words(text)) == "".join(text.split())
