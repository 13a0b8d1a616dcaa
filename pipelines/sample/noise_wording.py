"""Wording of planted noise, first half: what the filters were written and set against.

Only the world of `SETTING_SEED` draws from it. All others draw from `noise_wording_held_out`,
which was written when the filters were finished: so a lexicon that knows no more than these very
phrases shows. ``{x}`` is a name, ``{w}`` an invented word; of ``[a/b/c]`` one is chosen.
"""

from __future__ import annotations

from typing import Final

SETTING_SEED: Final = 7

WORDING: Final[dict[str, tuple[str, ...]]] = {
    "boilerplate": (
        "Home | News | {x} | Contact | Privacy | [Terms of use/Imprint/Help]",
        "We use cookies. [Accept/Allow] all cookies to read more about {x}.",
        "Sign up for our [free /daily /]newsletter and never miss a story about {x}. Share "
        "this page.",
        "Share on Facebook. Share on Twitter. [Print this article/Email this to a friend]. {x}",
        "This site uses cookies to improve your experience. By continuing you agree to our "
        "cookie policy.",
        "Subscribe now to continue reading. Already a subscriber? Log in. {x}",
        "Copyright {year} {x}. All rights reserved. Terms of service. Privacy policy.",
        "Skip to main content. Menu. Search. Sign in. Register. My account. {x}",
        "[Related/Recommended] articles. Most read. Trending now. Load more. {x}",
        "Start | Sports | Weather | {x} | Jobs | [Mobile apps/Newsletters/E-paper]",
        "We and our partners store and access information on a device, such as cookies, and "
        "process personal data. {x}",
        "Get the best of {x} delivered to your inbox every [morning/week]. Unsubscribe at "
        "any time.",
        "You have reached your limit of free articles. Subscribe for unlimited access to {x}.",
        "Thanks for visiting {x}! Don't forget to like, comment and subscribe to the channel.",
        "{year} {x} Media Group. All rights reserved. Privacy notice. Accessibility. Site map.",
        "Create an account or log in to see photos of {x}. Forgot your password?",
        "Skip navigation. Browse categories. Wish list. Basket (0). Checkout. {x}",
        "Advertisement. Story continues below. You may also like: more from {x}. Leave a comment.",
        "Your choices regarding cookies on this site. [Manage settings/Reject all]. Accept "
        "all. {x}",
        "Download our free app for [iPhone/Android] and turn on push notifications about {x}.",
        "Front page | Local | Obituaries | {x} | Classifieds | [E-edition/Podcasts/Puzzles]",
        "This website stores cookies on your computer to remember you. If you decline, your "
        "information won't be tracked when you visit {x}.",
        "Enjoying this article? Sign up to get more stories about {x} [by email/every Friday].",
        "You are reading a preview. To read the full story about {x}, please log in or start "
        "your free trial.",
        "Follow {x} on Instagram, Twitter and YouTube. Tell a friend. Add us to your favourites.",
        "By clicking Agree you consent to the use of technologies such as cookies by {x} and "
        "third parties.",
        "{x} Publishing Ltd. Registered in England. Contact the editor. Corrections. Cookie "
        "settings.",
        "Already registered? Sign in here. New to {x}? Create your free account in seconds.",
        "Jump to content. Main menu. Donate. Create account. Log in. Personal tools. {x}",
        "Tags: {x}. Share this: Facebook, Twitter, Pinterest, WhatsApp. Like this: Like Loading.",
        "Comments are closed. Previous article. Next article. About the author. {x}",
        "Please support our journalism. Become a subscriber today from only one pound a week. {x}",
    ),
    "too_short": (
        "[More/Here/Photo/Video/Untitled/Yes]",
        "[Read more/See all/Old stuff/No comment/Soon]",
        "[Ok/Hm/Wow] .",
        "{x}",
        "...",
        "[Share/Next/Gallery/Nice/Advert]",
        "[See below/Watch video/Great pic/To follow/In pictures]",
        "[1 comment/Page 2/No results]",
        "-",
        "[Cool/Same/Lol] !",
        "[Listen/Audio/Source/Logo/Oops]",
        "[Buy now/Full story/Stock image/File photo]",
        "[Yes !/Top 10/To be continued]",
        "*",
    ),
    "wrong_language": (
        "{x} wurde in einem kleinen Dorf [an der Küste/in den Bergen] geboren und lebt heute "
        "in der Stadt.",
        "Am Wochenende besuchten viele Menschen {x}, obwohl es den ganzen Tag geregnet hat.",
        "{x} est bien connu dans la région et attire [chaque été/tous les ans] de nombreux "
        "visiteurs.",
        "On ne sait pas encore si {x} sera présent à la fête de la semaine prochaine.",
        "{x} anunció ayer que no va a volver [este año/este verano], según fuentes cercanas.",
        "La historia de {x} empezó hace mucho tiempo en un barrio muy pobre de la ciudad.",
        "{x} ha raccontato la sua storia [al giornale/alla radio] e molti lettori hanno "
        "risposto con affetto.",
        "Nessuno avrebbe mai pensato che {x} potesse tornare così presto a casa.",
        "{x} nasceu numa pequena cidade do interior e hoje vive [perto do mar/longe da família].",
        "Ninguém sabe ao certo quando {x} voltará a ser visto na televisão brasileira.",
        "{x} is vorige week door [honderden/duizenden] mensen bezocht, ondanks de harde regen.",
        "Volgens de krant gaat het sinds kort veel beter met {x} dan iedereen had verwacht.",
        "{x} jest bardzo znany w całej okolicy, chociaż niewielu wie dlaczego.",
        "Wczoraj wieczorem wiele osób czekało na {x}, ale nikt się nie pojawił.",
        "{x} blev känd redan under [sommaren/hösten] och har sedan dess fått många vänner.",
        "{x} geçen y\u0131l büyük bir ilgi gördü ve bu yaz yeniden gündeme geldi.",
        "Banyak orang datang untuk melihat {x} karena cuaca hari ini sangat baik.",
        "{x} \u043d\u0435\u0434\u0430\u0432\u043d\u043e \u0441\u0442\u0430\u043b "
        "\u0438\u0437\u0432\u0435\u0441\u0442\u0435\u043d \u043d\u0430 \u0432\u0441\u044e "
        "\u0441\u0442\u0440\u0430\u043d\u0443, \u0438 \u043e \u043d\u0451\u043c "
        "\u043f\u0438\u0448\u0443\u0442 \u0432\u0441\u0435 "
        "\u0433\u0430\u0437\u0435\u0442\u044b.",
        "Die Zeitung berichtete gestern, dass {x} schon bald wieder zu sehen sein wird.",
        "Depuis plusieurs mois, tout le monde parle de {x} sans savoir pourquoi.",
        "{x} syntyi pienessä kylässä ja muutti myöhemmin perheensä kanssa kaupunkiin.",
        "Kukaan ei tiedä, miksi {x} on yhtäkkiä niin suosittu nuorten keskuudessa.",
        "{x} ble sist sett på torget i går kveld, men ingen vet hvor turen gikk videre.",
        "Mange mennesker rejser hvert år langt for at se {x} med egne øjne.",
        "{x} s-a născut într-un sat mic și a devenit foarte cunoscut în toată țara.",
        "A legtöbb ember még soha nem hallott arról, hogy {x} valaha itt járt volna.",
        "Nikdo neví, proč se {x} tak rychle [vrátil/vrátila] domů, ale všichni o tom mluví.",
        "Theo báo chí địa phương, {x} đã thu hút rất nhiều khách du lịch trong năm nay.",
        "{x} es una de las cosas más comentadas de la semana en nuestro pueblo.",
        "Avant de partir, {x} a remercié [ses amis/sa famille] pour leur aide et leur patience.",
        "Alle reden über {x}, aber kaum jemand weiß, was wirklich geschehen ist.",
    ),
    "keyword_list": (
        "{x}, {x} news, {x} photos, {x} wiki, {x} age, {x} height, {x} net worth",
        "#{w} #{w} #trending #viral #{w} #follow #love",
        "best {w} cheap {w} buy {w} {x} online free {w} download",
        "{x} | {w} | {w} | shop | gallery | pictures | prices | map",
        "{w} {w} {x} review price size colour {w} sale discount {x} shipping",
        "tags: {x}; {w}; travel; food; fashion; beauty; sport; photos",
        "{x} biography, {x} family, {x} songs, {x} movies, {x} instagram, {x} birthday",
        "#{w} #photooftheday #{w} #instagood #{w} #picoftheday #{w} #like4like",
        "{w}, {w}, {w}, vintage, retro, handmade, gift, poster, {x}, print, canvas",
        "{x} wallpaper {x} hd {x} images {x} download {x} free {x} 4k",
        "hotel {w} | flights {w} | car hire {w} | holidays {x} | cruises | city breaks",
        "Keywords: {x} / {w} / {w} / music / concert / tickets / tour / dates / venue",
        "{w} shoes {w} bags {x} jackets women men kids new season online store",
        "{x} lyrics, {x} tour dates, {x} merch, {x} vinyl, {x} concert, {x} live",
        "#{w} #{w} #weekendvibes #{w} #tbt #nofilter #{w}",
        "sofa, table, lamp, {w}, carpet, {x}, curtains, oak, furniture, delivery",
        "{x} cheats {x} mods {x} trailer {x} release date {x} gameplay",
        "apartments {w} | villas {w} | {x} rentals | studio | duplex | sea view | pool",
        "{w} recipe {w} chicken {x} pasta vegan easy dinner ideas {w} sauce",
        "Categories: {x} / {w} / cycling / running / {w} / yoga / outdoor",
    ),
    "adult": (
        "Hot singles near {x} want to meet you tonight. Adults only, 18+.",
        "Watch {x} nude [videos/pics/scenes] for free, xxx content updated daily.",
        "[Sexy/Naughty] webcam girls live now, {x} uncensored, no sign up.",
        "Escort service in {x}: erotic massage, discreet and available all night.",
        "You must be 18 or older to enter this adult site with explicit sex content about {x}.",
        "Sexy girls from {x} are waiting to chat with you. Join our adult cam site today.",
        "Full leaked {x} sex tape, uncut and uncensored. Over 18s only.",
        "Find local singles in {x} for casual sex and no strings attached hookups.",
        "Free porn [clips/movies]: {x}, amateur, hardcore and many more categories.",
        "{x} strips completely naked in this steamy [video/photo shoot]. NSFW, viewer discretion.",
        "Nude art? No, {x} goes topless again: see the explicit pictures on our XXX blog.",
        "Erotic stories about {x}: lust, lingerie and forbidden nights. Mature readers only.",
        "Meet horny women from {x} who want sex tonight. Free registration, no credit card.",
        "{x} XXX: the hottest pornstars in full HD, new hardcore scenes every day.",
        "Enter only if you are at least 18 years old. {x} contains nudity and sexual content.",
        "Private escorts in {x}, [blonde/mature/young] companions for hotel visits and "
        "sensual nights.",
        "Teasing striptease by {x}: she takes everything off in front of the webcam.",
        "Uncensored nudes of {x} from her OnlyFans account, download the whole set.",
        "Adult toys, lingerie and fetish wear by {x}, shipped in plain packaging.",
    ),
    "spam": (
        "Win big at {x} casino! [100/200/50] free spins and a welcome bonus with no deposit.",
        "Buy followers and likes for your {x} page, cheap and fast delivery.",
        "{x} crypto giveaway: send 1 BTC and get 2 BTC back, limited time only!",
        "Work from home and earn $[500/900/3000] a day, click here to start now. {x}",
        "Cheap [viagra/cialis/pills] online without prescription, order now, {x} pharmacy.",
        "Congratulations! You have been selected to win a free iPhone. Claim your prize now. {x}",
        "Play slots and live roulette at {x} and get a 200% bonus on your first deposit!",
        "Grow your audience: get 10,000 real Instagram followers for {x} in 24 hours, guaranteed.",
        "{x} is giving away 5000 ETH! Send any amount to this wallet and receive double back.",
        "I made [$4,000/$7,500] last week trading with {x}. Message me on Telegram to learn how.",
        "Lose 20 pounds in two weeks with the {x} keto pill doctors don't want you to know about.",
        "Need cash fast? {x} offers instant loans with no credit check. Apply today.",
        "Dear winner, your email was selected in the {x} lottery. Contact us to claim your prize.",
        "Top quality replica [watches/handbags] at {x}, up to 80% off, free worldwide shipping.",
        "Boost your ranking: {x} sells high quality backlinks and cheap SEO packages.",
        "Bet on {x} tonight with our free tips and promo code, best odds and instant payout!",
        "Spin the wheel at {x} and double your deposit. Over 500 slots and huge jackpots!",
        "Want more subscribers? {x} sells views, likes and followers at the lowest prices.",
        "Invest in {x} coin today: guaranteed 300% return in 30 days, no risk, withdraw anytime.",
        "Mrs {x} lost her husband and wants to transfer 4.5 million dollars to you. Reply "
        "urgently.",
        "Burn belly fat overnight with {x} slimming tea. Order today and get one bottle free.",
        "Bad credit? No problem! {x} approves loans in [five/ten] minutes, cash in your "
        "account today.",
        "You are our 1,000,000th visitor! Click here to receive your {x} reward.",
        "Buy cheap {x} sunglasses and sneakers, 90% discount today only, free delivery.",
        "Rank first on Google with {x}: 500 dofollow backlinks for only $19.",
        "Become a millionaire from home: this {x} trading robot makes $1000 daily on autopilot.",
    ),
    "unrendered": (
        "Page not found. You searched for {x}. Try again later or go back home.",
        "Error 404. The page you requested could not be found. {x}",
        "Access denied. You don't have permission to access {x} on this server.",
        "Please enable JavaScript [and cookies /]to continue. {x}",
        "Please complete the captcha to prove you are not a robot. {x}",
        "{{{{ page.title }}}} | {{{{ site.name }}}} {{{{ user.name }}}} {x}",
        "Loading... Loading... Please wait while {x} loads.",
        "{x} \u00c3\u00a2\u00e2\u201a\u00ac\u00e2\u20ac\u0153 "
        "l\u00e2\u20ac\u2122\u00c3\u00a9t\u00c3\u00a9 d\u00c3\u00a9j\u00c3  pass\u00c3\u00a9 "
        "\u00c3  c\u00c3\u00b4t\u00c3\u00a9 du caf\u00c3\u00a9",
        "undefined undefined NaN [object Object] {x} null",
        "Oops! That page can't be found. It looks like nothing was found at this location. {x}",
        "403 Forbidden. You are not allowed to view {x}. nginx",
        "Just a moment... Checking if the site connection is secure. {x} needs to review the "
        "security of your connection before proceeding.",
        "You need to enable JavaScript to run this app. {x}",
        "Our systems have detected unusual traffic from your computer network. {x}",
        "Your browser is out of date. Update it to view {x} correctly.",
        "504 Gateway Time-out. The server didn't respond in time. {x}",
        "<% if user %> <%= user.name %> <% end %> {x} <div class=card> </div>",
        "${{post.title}} ${{post.author}} - {x} - ${{post.body}}",
        "Sorry, this content isn't available right now. The link may be broken or removed. {x}",
        "{x} \u00d0\u0178\u00d1\u20ac\u00d0\u00b8\u00d0\u00b2\u00d0\u00b5\u00d1\u201a "
        "\u00d0\u00bc\u00d0\u00b8\u00d1\u20ac \u00c3\u00bcber \u00c3\u00b6ffentliche "
        "Stra\u00c3\u0178e \u00e2\u20ac\u201c gr\u00c3\u00b6\u00c3\u0178er",
        "Press and hold to confirm you are a human and not a bot. {x}",
        "This account has been suspended. Contact your hosting provider for more information. {x}",
        "404 - File or directory not found. The resource {x} might have been removed or renamed.",
        "You are not authorized to view this page. HTTP Error 401. {x}",
        "Attention required! Please solve the challenge to prove that you are human. {x}",
        "This site requires Javascript and cookies. Please switch them on and reload {x}.",
        "Robot check. Type the characters you see in this image to visit {x}.",
        "We're sorry, but {x} doesn't work properly without JavaScript enabled.",
        "HTTP 500. An unexpected error occurred while processing your request. {x}",
        "{{{{#each items}}}} {{{{this.title}}}} {{{{/each}}}} {x} {{{{> footer}}}}",
        "Whoops, looks like something went wrong. Please contact the administrator of {x}.",
        "Error establishing a database connection. {x}",
        "{x} \u00c3\u2013sterreich m\u00c3\u00b6chte f\u00c3\u00bcr K\u00c3\u00a4ufer "
        "gr\u00c3\u00b6\u00c3\u0178ere R\u00c3\u00a4ume schaffen",
        "The page is taking too long to load. Check your internet connection and retry. {x}",
        "Website under maintenance. We will be back shortly. {x}",
    ),
}
