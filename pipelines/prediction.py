"""One new post through the same retrieval as a build, then through a trained run."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from cache import Recordings, open_store
from cache.errors import InputError, StoreError
from cache.manifest import read_manifest
from cache.reader import features_of
from cache.records import Evidence, Example, Post, StoredExample
from model.data import Task, check_post
from model.predictor import Prediction, load_run
from model.run import Run, read_run
from pipelines.building import curation_of
from pipelines.config import Recipe
from pipelines.options import note
from pipelines.runs import place_of_task, recipe_of_run
from pipelines.sources import fetch_client, make_providers
from retrieval.asking.answers import MemoryBook
from retrieval.asking.manner import Manner
from retrieval.building.builder import RECORDINGS, make_fetcher
from retrieval.building.cases import Seen
from retrieval.building.gather import Gatherer
from retrieval.building.reference import reference_ids
from retrieval.features.maker import FeatureMaker
from retrieval.settings import LOCAL_PROVIDERS, AskSettings
from retrieval.sight.observe import Observer
from retrieval.sight.photos import Photo, load_photo

_BAR_WIDTH = 20
_TEXT_SHOWN = 90


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A prediction with the post and the evidence that it rests on."""

    post: Post
    prediction: Prediction
    evidence: tuple[Evidence, ...]

    def weighed(self) -> list[tuple[float, Evidence]]:
        """Return the evidence with its weight (attention times gate), most first."""
        pairs = zip(self.prediction.evidence_weights, self.evidence, strict=True)
        return sorted(pairs, key=lambda pair: -pair[0])

    def to_json(self) -> dict[str, object]:
        """Return the answer without vectors."""
        return {
            "tokens": list(self.post.tokens),
            "entities": [entity._asdict() for entity in self.prediction.entities],
            "relations": [
                {"label": label, "probability": probability}
                for label, probability in self.prediction.relations
            ],
            "evidence": [
                {"weight": weight, "rank": evidence.rank, **_plain(evidence)}
                for weight, evidence in self.weighed()
            ],
        }


def predict_post(
    run: Path,
    post: Post,
    image: Path | None,
    *,
    ask: AskSettings | None = None,
    device: str = "auto",
) -> Answer:
    """Return what ``run`` says of ``post``, after retrieving evidence as its recipe does.

    Args:
        run: folder of a trained run.
        post: the new post; relations need its two mentions.
        image: its photo.
        ask: who is asked, if not whom the run names; live providers have to be named here.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: run, photo, or post cannot be used.
        ProviderUnavailable: a provider could not be asked; no prediction rests on half of it.
    """
    recipe, store = recipe_of_run(run)
    recipe = _with_trusted_providers(recipe, ask)
    there = read_run(run)
    task = _task(there, post)
    if task == "entities" and post.head is not None:
        raise InputError(
            f"{run} finds entities, and mentions are given. Leave out --head and --tail, or name "
            "a run of relations."
        )
    recipe, store = of_task(recipe, store, there, task)
    predictor = load_run(run, task=task, device=device)
    check_post(post, task)
    observer = Observer(recipe.observe)
    maker = FeatureMaker(recipe.observe, observer)
    _refuse_other_makers(run, there, maker)
    photo = load_photo(image, observer.needs) if image is not None else None
    stored = retrieve(recipe, store, post, photo, observer)
    media = None if photo is None else photo.media
    arrays = maker.of_post(predictor.parts.collator.needs, stored, media)
    features = features_of(stored)._replace(arrays=arrays)
    return Answer(post, predictor.predict([features])[0], stored.evidence)


def _refuse_other_makers(folder: Path, run: Run, maker: FeatureMaker) -> None:
    """Refuse arrays that something else makes than made those that the run learned from.

    The recipe of a run is that of its training, and its store may have been built with another.
    Runs of earlier versions do not say what made theirs.
    """
    for name, learned in run.shapes.items():
        if learned.source and (here := maker.source(name)) != learned.source:
            raise InputError(
                f"{folder} learned from a {name} made by {learned.source!r}, and by its recipe "
                f"it would be made by {here!r} here. Repeat `ramie train RECIPE --out {folder}` "
                "with the [observe] that the store was built with (what is finished is not "
                "trained again while its checkpoint is there), install the versions that the "
                "store was built with, or build it here and train on it."
            )


def _task(run: Run, post: Post) -> Task:
    """Return the run's task; of one that does both, relations where mentions are given."""
    if run.second is None:
        return run.task
    return "entities" if post.head is None else "relations"


def of_task(recipe: Recipe, store: Path, there: Run, task: Task) -> tuple[Recipe, Path]:
    """Return how evidence is found for ``task`` of a run, and the store it is compared with.

    The recipe of a run that does both tasks is that of the first one's store. How the other's was
    curated stands in that store.
    """
    store, trained_on = place_of_task(recipe, store, there, task)
    if task != there.task:
        with suppress(StoreError):
            recipe = recipe.model_copy(update={"curate": curation_of(store)})
    with suppress(StoreError):
        if trained_on and read_manifest(store).fingerprint != trained_on:
            note(f"{store} was built anew since the run was trained; its posts and answers count.")
    return recipe, store


def _with_trusted_providers(recipe: Recipe, ask: AskSettings | None) -> Recipe:
    """Return the recipe of a run with providers that whoever calls answers for.

    A run may come from a stranger: it must not decide to which address a post, or a key, is sent.
    """
    if ask is not None:
        return recipe.model_copy(update={"ask": ask})
    live: list[str] = [name for name in recipe.ask.providers if name not in LOCAL_PROVIDERS]
    if "lancedb" in recipe.ask.providers and "://" in recipe.ask.lancedb.uri:
        live.append(f"lancedb at {recipe.ask.lancedb.uri[:_TEXT_SHOWN]}")
    if live:
        raise InputError(
            f"the run was trained on evidence of {', '.join(live)}, and a run does not decide "
            "whom your machine asks. Name your own recipe with --recipe; its [ask] says it."
        )
    return recipe


def retrieve(
    recipe: Recipe, store: Path, post: Post, photo: Photo | None, observer: Observer
) -> StoredExample:
    """Return ``post`` as a store built with ``recipe`` would hold it.

    Args:
        recipe: says who is asked and what is kept.
        store: built with it: its recorded answers are used again, and its posts are what the
            evidence is compared with. It is only read.
        post: the new post.
        photo: its photo.
        observer: with the models of the recipe.
    """
    status = "ok" if photo is not None else "none"
    observation = observer.observe([post], [photo], [status])[0]
    ask = recipe.ask
    with ExitStack() as stack:
        book = MemoryBook(stack.enter_context(Recordings(store / RECORDINGS)))
        client = fetch_client(ask)
        gatherer = Gatherer(
            make_providers(ask, observer),
            book,
            observer,
            ask.hits_per_query,
            recipe.curate,
            Manner(polite=ask.polite),
            None if client is None else make_fetcher(client, ask, book),
        )
        posts, reference = _earlier_posts(store, recipe.curate.reference_posts)
        gatherer.look_around([*posts, post], reference)
        gathered = gatherer.gather_one(Seen(observation, photo.media if photo else None))
    return StoredExample(Example(post, "test"), observation, gathered.evidence)


def _earlier_posts(store: Path, count: int) -> tuple[list[Post], list[Seen]]:
    """Return all posts of ``store``, and those that its build compared evidence with."""
    try:
        with open_store(store, reader="parquet") as reader:
            names = reader.example_ids()
            posts = [reader.features(name).example.post for name in names]
            seen = [reader.read(name).observation for name in reference_ids(names, count)]
            return posts, [
                Seen(one, None if one.photo_key is None else reader.media(one.photo_key))
                for one in seen
            ]
    except StoreError as problem:
        note(f"evidence is not compared with what is found for other posts: {problem}")
        return [], []


def describe(answer: Answer, num_evidence: int) -> str:
    """Return the answer for a person: what was found, and the evidence that weighed most."""
    tokens = answer.post.tokens
    lines = [" ".join(tokens), ""]
    for entity in answer.prediction.entities:
        name = " ".join(tokens[entity.start : entity.end])
        lines.append(f"  {entity.label:<6} {name}  ({100 * entity.probability:.0f} %)")
    if answer.prediction.relations:
        label, probability = answer.prediction.relations[0]
        lines.append(f"  {_mention(answer, 'head')} -> {_mention(answer, 'tail')}: {label}")
        lines[-1] += f"  ({100 * probability:.0f} %)"
    elif not answer.prediction.entities:
        lines.append("  no entity found")
    lines += ["", f"evidence that weighed most (of {len(answer.evidence)} kept)"]
    weighed = answer.weighed()
    # Gates let little of any one item in, so bars are against the heaviest.
    heaviest = max((weight for weight, _ in weighed), default=0.0) or 1.0
    for weight, evidence in weighed[:num_evidence]:
        hit = evidence.hit
        bar = "#" * round(weight / heaviest * _BAR_WIDTH)
        what = hit.text or hit.title or hit.document_id
        short = what if len(what) <= _TEXT_SHOWN else what[: _TEXT_SHOWN - 1] + "…"
        lines.append(f"  {weight:5.2f} {bar:<{_BAR_WIDTH}} {hit.level} {hit.modality}: {short}")
        lines.append(f"        {hit.provider} {hit.document_id} {hit.url}".rstrip())
    return "\n".join(lines)


def _mention(answer: Answer, end: str) -> str:
    span = answer.post.head if end == "head" else answer.post.tail
    return " ".join(answer.post.tokens[span.start : span.end]) if span else "?"


def _plain(evidence: Evidence) -> dict[str, object]:
    fields = asdict(evidence.hit)
    del fields["embedding"]
    return fields
