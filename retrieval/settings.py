"""What decides the content of a store; each group has its own fingerprint.

Machine facts (paths, device, workers, keys) live here only where a recipe must name them, are
marked ``MachinePath`` or ``exclude``d from the fingerprint, and are identified by content instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cache.records import FeatureSet, Level, Modality


class Settings(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetSettings(Settings):
    """Which posts to read.

    Attributes:
        reader: the raw format.
        task: ``mner`` finds entities, ``mre`` the relation between two given mentions.
        root: folder of the data set (a machine fact: the posts' content is what is fingerprinted).
        photos: folder of the photos; None means the reader's usual place under ``root``.
        limit: at most this many posts of each split, in file order; None reads all.
        protocol: which version of the data set, where several are about: ``original`` or
            ``refined`` labels of Twitter-2015, ``clean`` (regions of one's own) or
            ``legacy-objects`` (contaminated) for MNRE. It is checked against the posts where they
            tell; None leaves it to them.
        legacy_objects: the published objects, for that protocol (a machine fact).
    """

    reader: Literal["twitter", "mnre", "jsonl"]
    task: Literal["mner", "mre"]
    root: Path
    photos: Path | None = None
    limit: int | None = Field(default=None, ge=1)
    protocol: Literal["original", "refined", "clean", "legacy-objects"] | None = None
    legacy_objects: Path | None = None


_DTYPES_OF: Final = {
    "torch": ("float32", "bfloat16", "float16"),
    "openvino": ("float32", "bfloat16"),
    "onnxruntime": ("float32",),
}
Letterbox = Literal["square", "tight"]
# Settings that came later: as long as they are at their default, a manifest stays as it was.
_LATER: Final = ("backend", "decode", "letterbox")


class ObserveSettings(Settings):
    """What is seen in a post.

    Attributes:
        detector: ``yolo`` (ultralytics) or ``none``.
        detector_weights: published name or local path.
        detector_confidence: boxes below it are not regions.
        max_regions: at most this many regions of a photo, best first.
        encoder: open_clip model name, ``local-dir:PATH``, or ``none`` (no embeddings).
        encoder_weights: open_clip ``pretrained`` tag or file; empty for ``local-dir:``.
        dtype: of weights and arithmetic in detector and encoder; ``float16`` is for CUDA.
        batch_size: posts, crops or texts in one forward pass; 0 takes 8 on a CPU, and on CUDA
            as many as half of the free memory holds.
        backend: what computes the forward passes of detector and encoder. All but ``torch`` run on
            the CPU, and their results deviate from it within a bound that is checked.
        decode: ``scaled`` scales large photos, as they are decoded, to what the models read of
            them; regions are in pixels of the photo itself all the same.
        letterbox: what the detector reads of a photo: ``square`` with grey above and below (or
            beside) it, or ``tight``, with less of it, as ``YOLO.predict`` does; for CPUs, where
            photos then go through the detector one by one.
        features: feature sets that the store gets beside what is always seen, for the systems
            that read them; a store may be given more of them later.
        parser: of ``parse``: ``chain`` (the head of each token is the one before it) or
            ``spacy:NAME``, a pipeline that is installed.
    """

    detector: Literal["yolo", "none"] = "yolo"
    detector_weights: str = "yolov8n.pt"
    detector_confidence: float = Field(default=0.25, gt=0, lt=1)
    max_regions: int = Field(default=3, ge=0)
    encoder: str = "ViT-B-32"
    encoder_weights: str = "laion2b_s34b_b79k"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = Field(default=8, ge=0)
    backend: Literal["torch", "openvino", "onnxruntime"] = "torch"
    decode: Literal["full", "scaled"] = "full"
    letterbox: Letterbox = "square"
    features: tuple[FeatureSet, ...] = ()
    # By name alone: a path would run what a stranger's folder registers.
    parser: str = Field(default="chain", pattern=r"^(chain|spacy:[A-Za-z][A-Za-z0-9_]*)$")

    @model_validator(mode="after")
    def _can_be_computed(self) -> Self:
        able = _DTYPES_OF[self.backend]
        if self.dtype not in able:
            raise ValueError(
                f"backend {self.backend} computes in {' or '.join(able)}, not in {self.dtype}; "
                "choose another dtype, or backend = 'torch'"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what older stores do not know, where it is as it was for them."""
        told: dict[str, Any] = whole(self)
        return {
            name: value
            for name, value in told.items()
            if name not in _LATER or value != type(self).model_fields[name].default
        }


class PoliteSettings(Settings):
    """How the world outside is treated: machine facts, in no fingerprint.

    Attributes:
        seconds_between: between the starts of two requests to one host.
        together: requests under way at one host at a time, where several providers ask it: each
            of them asks one thing at a time.
        timeout_s: for connecting, and for every pause between bytes.
        deadline_s: for one whole request.
        attempts: tries of one request before it counts as not answered.
        first_pause_s: before the second try at most so long, doubled with each further one.
        longest_wait_s: a server that asks for a longer pause (``Retry-After``) is a block.
        failures_to_break: failures in a row after which a provider is left alone ...
        rest_s: ... for so long, before one request tries it again.
        max_queries: at most so many questions are asked in one run, canaries included; two that
            one request answers are two. None sets no limit.
        max_minutes: no question is asked later than this after the start; None sets no limit.
    """

    seconds_between: float = Field(default=2.5, ge=0)
    together: int = Field(default=1, ge=1)
    timeout_s: float = Field(default=10, gt=0)
    deadline_s: float = Field(default=30, gt=0)
    attempts: int = Field(default=4, ge=1)
    first_pause_s: float = Field(default=2, ge=0)
    longest_wait_s: float = Field(default=300, ge=0)
    failures_to_break: int = Field(default=5, ge=1)
    rest_s: float = Field(default=300, ge=0)
    max_queries: int | None = Field(default=None, ge=0)
    max_minutes: float | None = Field(default=None, ge=0)


class FetchSettings(Settings):
    """What is fetched of the pages and images that a live provider names, and how much of it.

    Attributes:
        pages: fetch the pages behind snippets and keep their text; False keeps the snippets.
        max_page_bytes: of the decoded page; more is refused.
        max_page_chars: of the text that is kept of a page.
        max_image_bytes: of the image as it comes; more is refused.
        max_image_side: larger images are kept scaled down to this many pixels.
        robots: obey robots.txt.
        allowed_hosts: ``host`` or ``host:port`` with a private address that may be fetched all
            the same (an intranet, a test server); a machine fact.
        together: fetches under way at a time, over all hosts; a machine fact.
        seconds_between: between the starts of two fetches from one host, which are never under
            way together; a longer ``Crawl-delay`` counts. A machine fact.
    """

    pages: bool = True
    max_page_bytes: int = Field(default=2 * 2**20, ge=1)
    max_page_chars: int = Field(default=2000, ge=100)
    max_image_bytes: int = Field(default=10 * 2**20, ge=1)
    max_image_side: int = Field(default=768, ge=32)
    robots: bool = True
    allowed_hosts: tuple[str, ...] = ()
    together: int = Field(default=8, ge=1)
    seconds_between: float = Field(default=0.5, ge=0)


class ImportSettings(Settings):
    """Evidence that others published with a data set, for provider ``recorded``.

    What a passage is joined by follows from its level, because that is all a question tells: the
    photo's name at level ``image``, the cleaned sentence at level ``sentence``.

    Attributes:
        path: file; or folder or zip for ``conll-context``, folder for ``mnre-lists``. A machine
            fact: the content is what is fingerprinted.
        format: ``captions`` (``id.jpg :text``), ``conll-context`` (CoNLL with ``<EOS>`` and
            words labelled X), or ``mnre-lists`` (``caption`` and ``entity`` in MNRE's lines).
        level: of the evidence. None of the formats says what a region's evidence is.
        modality: of the evidence. None of the formats holds images.
        field: which of the two lists, for ``mnre-lists`` alone.
    """

    path: Path
    format: Literal["captions", "conll-context", "mnre-lists"]
    level: Level
    modality: Modality
    field: Literal["caption", "entity"] | None = None

    @model_validator(mode="after")
    def _can_be_joined(self) -> Self:
        if self.modality == "image":
            raise ValueError(
                "these formats hold text only; set modality = 'text', and put images into a "
                "knowledge base (`ramie kb build`)"
            )
        if self.level == "object":
            raise ValueError(
                "these formats do not say which region of a photo a passage is of; "
                "set level = 'image' if it is of the whole photo"
            )
        if self.format == "captions" and self.level == "sentence":
            raise ValueError(
                "captions are known by their photo, which a question of level 'sentence' does not "
                "name; set level = 'image', or write them as conll-context"
            )
        if (self.format == "mnre-lists") != (self.field is not None):
            raise ValueError(
                "mnre-lists need field = 'caption' or 'entity' (one import for each that is "
                "wanted); other formats have no field"
            )
        return self


class WebSettings(Settings):
    """Provider ``web``: DuckDuckGo through ``ddgs``.

    Attributes:
        backend: the one engine that is asked; never a mixture, so that a store can be repeated.
        region: of the searcher, as ddgs spells it.
        safesearch: as ddgs spells it.
        proxy: address of a proxy; a machine fact.
    """

    backend: Literal["duckduckgo"] = "duckduckgo"
    region: str = Field(default="us-en", pattern=r"^[a-z]{2}-[a-z]{2}$")
    safesearch: Literal["on", "moderate", "off"] = "moderate"
    proxy: str | None = None


class WikipediaSettings(Settings):
    """Provider ``wikipedia``: a MediaWiki action API.

    Attributes:
        endpoint: of the wiki's ``api.php``.
        contact: mail address or page of whoever builds; the API demands it in the User-Agent. A
            machine fact.
        thumbnail_px: width of the page image that is asked for.
    """

    endpoint: str = "https://en.wikipedia.org/w/api.php"
    contact: str = ""
    thumbnail_px: int = Field(default=640, ge=32)


class SearxngSettings(Settings):
    """Provider ``searxng``: a self-hosted SearXNG with its JSON format switched on.

    Attributes:
        address: of the instance, e.g. ``http://localhost:8888``.
        engines: asked by the instance; empty leaves its own choice.
        language: of the results, as SearXNG spells it.
    """

    address: str = ""
    engines: tuple[str, ...] = ()
    language: str = "en"


class VisionSettings(Settings):
    """Provider ``vision``: Google Vision web detection.

    Attributes:
        endpoint: of ``images:annotate``.
        key_variable: environment variable that holds the key; the key itself is nowhere else.
    """

    # A recipe may come from anybody: it must not name other secrets, nor send the key in the open.
    endpoint: str = Field(
        default="https://vision.googleapis.com/v1/images:annotate",
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])",
    )
    key_variable: str = Field(default="RAMIE_VISION_KEY", pattern=r"^RAMIE_[A-Z0-9_]*KEY$")


class LanceDbSettings(Settings):
    """Provider ``lancedb``: a table that `ramie kb export` wrote.

    Attributes:
        uri: folder, or place in an object store (``s3://bucket/path``); a machine fact, for the
            table says what is in it.
        table: its name.
    """

    uri: str = ""
    table: str = Field(default="documents", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")


class QdrantSettings(Settings):
    """Provider ``qdrant``: a collection of a Qdrant server, with vectors of the recipe's encoder.

    Attributes:
        address: of the server, e.g. ``http://localhost:6333``.
        collection: its name.
        text_vector: name of the vectors of texts; empty where there are none.
        image_vector: name of the vectors of images; empty where there are none.
        min_score: what scores less is not found; None finds the nearest, however far.
        key_variable: environment variable that holds the key, if the server wants one; the key
            itself is nowhere else.
    """

    address: str = ""
    collection: str = Field(default="documents", pattern=r"^[A-Za-z0-9_-]{1,255}$")
    text_vector: str = Field(default="text", pattern=r"^[A-Za-z0-9_-]{0,255}$")
    image_vector: str = Field(default="image", pattern=r"^[A-Za-z0-9_-]{0,255}$")
    min_score: float | None = Field(default=None, ge=-1, le=1)
    key_variable: str = Field(default="RAMIE_QDRANT_KEY", pattern=r"^RAMIE_[A-Z0-9_]*KEY$")


class PriceSettings(Settings):
    """What providers take for a thousand requests, for `ramie plan`: no answer depends on it.

    Attributes:
        currency: of all prices.
        web: of provider ``web``; None where it is not known to cost anything.
        wikipedia: of provider ``wikipedia``.
        searxng: of provider ``searxng``.
        vision: of provider ``vision``.
    """

    currency: str = Field(default="", max_length=20)
    web: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    wikipedia: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    searxng: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    vision: float | None = Field(default=None, ge=0, allow_inf_nan=False)


LOCAL_PROVIDERS: Final = frozenset({"kb", "lancedb", "recorded"})
"""Providers whose content does not change under a build; all others are live."""


# As long as nobody asks them, a manifest stays as it was before they were known.
_LATER_PROVIDERS: Final = ("lancedb", "qdrant")


class AskSettings(Settings):
    """Who is asked, and for how much.

    Attributes:
        providers: names of providers, asked in this order; none makes a text-only store.
        hits_per_query: answers asked of each provider per query.
        kb: folder of a built knowledge base, for provider ``kb``.
        imports: evidence that others published, for provider ``recorded``; where several answer
            the same question, the passages of the first come first.
        web: of provider ``web``.
        wikipedia: of provider ``wikipedia``.
        searxng: of provider ``searxng``.
        vision: of provider ``vision``.
        lancedb: of provider ``lancedb``.
        qdrant: of provider ``qdrant``.
        fetch: of the pages and images that live providers name.
        polite: how live providers are asked; a machine fact.
        prices: of a thousand requests, by provider; a machine fact, as bills are.
        ca_file: certificates to trust instead of the usual ones; a machine fact.
    """

    providers: tuple[
        Literal["kb", "lancedb", "recorded", "web", "wikipedia", "searxng", "vision", "qdrant"],
        ...,
    ] = ("kb",)
    hits_per_query: int = Field(default=20, ge=1)
    kb: Path | None = None
    imports: tuple[ImportSettings, ...] = ()
    web: WebSettings = WebSettings()
    wikipedia: WikipediaSettings = WikipediaSettings()
    searxng: SearxngSettings = SearxngSettings()
    vision: VisionSettings = VisionSettings()
    lancedb: LanceDbSettings = LanceDbSettings()
    qdrant: QdrantSettings = QdrantSettings()
    fetch: FetchSettings = FetchSettings()
    polite: PoliteSettings = PoliteSettings()
    prices: PriceSettings = PriceSettings()
    ca_file: Path | None = None

    @model_serializer(mode="wrap")
    def _without_providers_of_later(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what older stores do not know, where it is as it was for them."""
        told: dict[str, Any] = whole(self)
        fields = type(self).model_fields
        later = {n for n in _LATER_PROVIDERS if getattr(self, n) == fields[n].default}
        return {name: value for name, value in told.items() if name not in later}


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


class BuildSettings(Settings):
    """All of it.

    Attributes:
        shard_size: posts in one shard, which is written as a whole; an interruption loses what was
            seen in those that were open (`retrieval.building.line`).
    """

    dataset: DatasetSettings
    observe: ObserveSettings = ObserveSettings()
    ask: AskSettings = AskSettings()
    curate: CurateSettings = CurateSettings()
    shard_size: int = Field(default=256, ge=1)
