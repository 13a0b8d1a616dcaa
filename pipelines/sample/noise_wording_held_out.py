"""Wording of planted noise, second half: written after the phrases that the filters know.

No phrase was added to the filters because of it; how points add up
(`retrieval.curation.noise.lexicon`) was chosen among several settings with the recall on it in
view, so its figures are kind.

See `pipelines.sample.noise_wording`. Whoever changes a filter because of a phrase below moves the
phrase to the first half and writes a new one here; else `ramie bench evidence` means nothing.
"""

from __future__ import annotations

from typing import Final

WORDING: Final[dict[str, tuple[str, ...]]] = {
    "boilerplate": (
        "Latest | Opinion | Culture | {x} | Photos | [Crossword/Shop/Weather]",
        "We value your privacy. We and our vendors use cookies to show relevant ads and "
        "measure traffic on {x}.",
        "Love {x}? Get our weekly round-up by email. No spam, we promise.",
        "This article is for subscribers only. Sign in or subscribe to read the rest about {x}.",
        "Thank you for reading {x}. Please consider making a small donation to keep us going.",
        "Share: Facebook X LinkedIn Reddit. Save for later. Report a problem with this page. {x}",
        "Sign in with Google. Sign in with Apple. Continue as guest. {x} account help.",
        "{x} is part of the {w} network. About. Press. Terms. Privacy. Cookies. Contact.",
        "Up next: more videos like this. Autoplay is on. Subscribe to {x} and ring the bell.",
        "Search this site. Categories. Archives. Recent posts. Recent comments. Meta. {x}",
        "Get {x} news alerts on your phone. Tap allow to turn on notifications.",
        "Rate this page. Was this helpful? Yes. No. Send feedback about {x}.",
    ),
    "too_short": (
        "[Zoom/Print/Credits/Reuters/Advertisement]",
        "[See photo/Via Twitter/Click here]",
        "[Hello !/Part 2/Thanks]",
        "-- --",
    ),
    "wrong_language": (
        "Já faz muito tempo que {x} não aparece em público, dizem os vizinhos.",
        "{x} werd gisteren voor het eerst sinds jaren weer in de stad gezien.",
        "Podczas wakacji [rodzina/grupa znajomych] odwiedziła {x} i zrobiła setki zdjęć.",
        "Det är många som undrar vad som egentligen hände med {x} förra veckan.",
        "Herkes {x} hakk\u0131nda konuşuyor ama kimse gerçeği bilmiyor.",
        "Pemerintah setempat mengatakan bahwa {x} akan dibuka kembali bulan depan.",
        "\u0412\u0441\u0435 \u0445\u043e\u0442\u044f\u0442 "
        "\u0443\u0432\u0438\u0434\u0435\u0442\u044c {x}, \u043d\u043e "
        "\u0431\u0438\u043b\u0435\u0442\u044b \u0443\u0436\u0435 "
        "\u0434\u0430\u0432\u043d\u043e "
        "\u0437\u0430\u043a\u043e\u043d\u0447\u0438\u043b\u0438\u0441\u044c.",
        "Vaikka sää oli huono, moni tuli katsomaan, mitä {x} tekee seuraavaksi.",
        "Nach dem Essen erzählte der alte Mann eine lange Geschichte über {x}.",
        "Il y a longtemps que {x} n'était pas revenu dans son quartier.",
        "Muchos vecinos recuerdan todavía cuando {x} era apenas un rumor.",
        "Dopo la pioggia siamo andati tutti insieme a vedere {x} in centro.",
    ),
    "keyword_list": (
        "{x} quotes, {x} memes, {x} gif, {x} fan art, {x} stickers, {x} emoji",
        "#{w} #sunset #{w} #summer #{w} #friends #goals",
        "wood, metal, {w}, glass, ceramic, {x}, leather, cotton, silk",
        "{x} episode {x} season {x} stream {x} subtitles {x} torrent",
        "vans {w} | trucks {w} | {x} dealers | used cars | parts | insurance | finance",
        "{w} tattoo ideas {x} tattoo designs {w} small simple {w} men women arm",
        "Topics: {x} / {w} / gaming / esports / {w} / consoles / reviews",
    ),
    "adult": (
        "Sexy housewives in {x} looking for discreet fun. Sign up free and see who is near you.",
        "Stream thousands of XXX movies with {x}: amateur, teen, mature and anal.",
        "Warning: {x} contains sexually explicit material. Leave now if you are under 18.",
        "Gorgeous escort from {x}, [outcall/incall] only, satisfaction guaranteed, call for "
        "rates.",
        "See {x} naked! Leaked private photos that she never wanted you to see.",
        "Live sex shows with {x}: chat with nude models and control their toys.",
        "{x} shows her boobs in a wet t-shirt, hottest nude gallery of the year.",
    ),
    "spam": (
        "Join {x} casino today, get 150 free spins and play blackjack with a live dealer!",
        "Get 5k followers and 10k likes in one day. {x} is the cheapest panel on the web.",
        "Turn $250 into $10,000 with {x}, the bitcoin system that banks don't want you to use.",
        "Attention: unclaimed funds of 2.5 million USD in the name of {x}. Contact our agent "
        "by email.",
        "Doctors are amazed: this {x} trick melts fat fast without diet or exercise. Order "
        "your bottle.",
        "Borrow up to $5000 from {x} even with bad credit. Money in your account within an hour.",
        "You won! Complete a short survey about {x} and get a $1000 gift card.",
        "Authentic {x} watches and bags at factory prices, save 85%, we ship worldwide.",
        "Guaranteed first page on Google. {x} offers link building and SEO from $9.",
        "Make $300 a day from your phone with {x}. No experience needed, limited spots, join now!",
    ),
    "unrendered": (
        "Sorry, we couldn't find the page you were looking for. {x}",
        "Forbidden. You don't have permission to view {x}. Error code 1020.",
        "Let's confirm you are human. Complete the security check before continuing to {x}.",
        "JavaScript seems to be disabled in your browser. {x} needs it to work.",
        "Sorry, something went wrong. Please refresh the page or try again. {x}",
        "Service unavailable. The server is temporarily unable to handle your request. {x}",
        "{{% extends base %}} {{% block content %}} {x} {{% endblock %}}",
        "You are being redirected to {x}. If nothing happens, click here.",
        "Connection timed out. The web server {x} is not returning a response.",
        "{x} caf\u00c3\u00a9 r\u00c3\u00a9sum\u00c3\u00a9 d\u00c3\u00a9but na\u00c3\u00afve "
        "fa\u00c3\u00a7ade \u00c3\u00a9l\u00c3\u00a8ve",
        "Your browser doesn't support this video player. Install the latest version to watch {x}.",
        "This page isn't working. {x} redirected you too many times.",
        "Lorem ipsum dolor sit amet, {x} consectetur adipiscing elit.",
    ),
}
