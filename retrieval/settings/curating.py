"""What of the evidence is kept."""

from __future__ import annotations

from pydantic import Field

from retrieval.settings.base import Settings


class NoiseSettings(Settings):
    """Which texts are noise; each kind has its own switch.

    Attributes:
        too_short: texts of fewer words are dropped, and of just so many where none names
            anything ("read more"); 0 drops none.
        boilerplate: drop menus, cookie banners, calls to subscribe.
        languages: keep only texts in these languages (ISO 639-1); empty keeps all.
        keyword_list: drop lists of keywords that are no sentences.
        adult: drop adult content.
        spam: drop spam.
        unrendered: drop error pages, captchas and pages that need a browser.
    """

    too_short: int = Field(default=3, ge=0)
    boilerplate: bool = True
    languages: tuple[str, ...] = ()
    keyword_list: bool = True
    adult: bool = True
    spam: bool = True
    unrendered: bool = True


class LeakSettings(Settings):
    """What would give the answer away.

    Attributes:
        post_overlap: Jaccard of word trigrams from which a hit counts as a copy of the post.
        post_containment: share of a post's word trigrams in a text from which the text counts as
            a copy or quotation of it; holds for every post of the data set.
        annotations: drop texts that look like annotated data (IMGID blocks, BIO tags ...).
        denied_hosts: hits from these hosts, and from hosts below them, are dropped.
    """

    post_overlap: float = Field(default=0.8, gt=0, le=1)
    post_containment: float = Field(default=0.8, gt=0, le=1)
    annotations: bool = True
    # Where copies of the data sets are shown or can be downloaded: code hosts and their mirrors,
    # hubs of data sets. Next to nothing there tells about the people and places of a post. The
    # network that the posts are from is not among them: its pages are evidence as others are,
    # and a copy of a post is known by its words.
    denied_hosts: tuple[str, ...] = (
        "github.com",
        "githubusercontent.com",
        "github.io",
        "jsdelivr.net",
        "gitlab.com",
        "gitee.com",
        "gitcode.com",
        "huggingface.co",
        "hf.co",
        "hf.space",
        "hf-mirror.com",
        "paperswithcode.com",
        "kaggle.com",
        "modelscope.cn",
        "opendatalab.com",
        "zenodo.org",
        "drive.google.com",
        "docs.google.com",
    )


class CurateSettings(Settings):
    """What is kept.

    Attributes:
        near_duplicate_text: share of the shorter text's words that the other one has in the same
            order, in (0, 1], from which texts count as copies.
        contained_text: share of a text's word trigrams in a better one from which it counts as
            quoted there.
        near_duplicate_image_bits: Hamming distance of 64-bit perceptual hashes up to which images
            count as copies.
        near_duplicate_image_cosine: cosine from which embedded images count as copies.
        noise: which texts are noise.
        leaks: what would give the answer away.
        max_false_keeps: expected share of unrelated hits that are kept: a hit is dropped when it
            fits its post no better than it fits so large a share of other posts. 1 drops none.
        reference_posts: how many posts of the data set stand for "other posts".
        min_relevance: hits with a known relevance (cosine) below it are dropped.
        rrf_k: the constant of reciprocal-rank fusion (Cormack et al. 2009 use 60).
        keep_per_stream: at most this much evidence in each of the six streams.
    """

    near_duplicate_text: float = Field(default=0.6, gt=0, le=1)
    contained_text: float = Field(default=0.8, gt=0, le=1)
    near_duplicate_image_bits: int = Field(default=8, ge=0, le=64)
    near_duplicate_image_cosine: float = Field(default=0.98, gt=0, le=1)
    noise: NoiseSettings = NoiseSettings()
    leaks: LeakSettings = LeakSettings()
    max_false_keeps: float = Field(default=0.2, gt=0, le=1)
    reference_posts: int = Field(default=128, ge=2)
    min_relevance: float = Field(default=0.0, ge=-1, le=1)
    rrf_k: int = Field(default=60, ge=1)
    keep_per_stream: int = Field(default=5, ge=1)
