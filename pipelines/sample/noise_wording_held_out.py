"""Wording of planted noise, second half: written by somebody who had not seen the filters.

See `pipelines.sample.noise_wording`. Whoever changes a filter because of a phrase below moves the
phrase to the first half and writes a new one here; else `ramie bench evidence` means nothing.
"""

from __future__ import annotations

from typing import Final

WORDING: Final[dict[str, tuple[str, ...]]] = {
    "boilerplate": (
        "Before you continue to {x}: some of the cookies we set are essential, others help us "
        "improve. Manage choices [Reject all / Accept all]",
        "Skip to main content Home About us Our team {x} Press room Careers Contact",
        "You have 2 free articles left this month. Subscribe from $1 a week to keep reading "
        "about {x}.",
        "Already a member? Log in here. Forgot your password? New to {x}? Create an account in "
        "less than a minute.",
        "© {year} {x} Media Group. Reproduction in whole or in part without permission is "
        "prohibited. Terms of use · Privacy notice · Do not sell my info",
        "Share this: Click to share on Facebook (Opens in new window) Click to share on "
        "[WhatsApp/Reddit/Telegram] (Opens in new window) Click to print {x}",
        "Get {x} stories straight to your inbox. Enter your email address. By signing up you "
        "agree to receive marketing messages and may unsubscribe at any time.",
        "Home » [News/Archive/Topics] » {x} » Page 3 of 17 « Previous 1 2 3 4 5 … 17 Next »",
        "This content is not available in your region. If you believe you are seeing this "
        "message in error, please contact the {x} help desk.",
        "Leave a Reply. Your email address will not be published. Required fields are marked * "
        "Save my name, email, and website in this browser for the next time I comment on {x}.",
        "It looks like you're using an ad blocker. {x} is funded by advertising, so please "
        "consider adding us to your whitelist.",
        "Sorry, we couldn't find the page you were looking for. Try searching for {x} or go back "
        "to the homepage.",
        "Advertisement. Scroll to continue. Story continues below. More from {x} Most read Most "
        "commented Editor's picks",
        'Showing 1-20 of 348 results for "{x}". Sort by: Relevance Date. Filter by type: All '
        "Articles Videos Galleries",
        "Download the {x} app on the App Store or get it on Google Play. Follow us on Facebook, "
        "X, Instagram and YouTube.",
        "The views expressed are those of the author and do not necessarily reflect those of "
        "{x}. We may earn a commission from links on this page.",
        "Men Women Kids Sale New in {x} Gift cards Store locator Returns Track my order Basket "
        "(0)",
        "Strictly necessary: always active. Performance cookies: off. Targeting cookies: off. "
        "Vendor list for {x}. Confirm my choices",
        "Was this article helpful? Yes No 12 out of 31 found this helpful. Have more questions? "
        "Submit a request. Related: {x}",
        "Our {x} newsletter has been sent to your address. Didn't get it? Check your junk folder "
        "or request another link.",
    ),
    "too_short": (
        "{x}…",
        "See: {x}",
        "[Photo/Image/Video] ({x})",
        "{x} - 0:42",
        "re: {x}",
        "More >>",
        "{x} {year}",
    ),
    "wrong_language": (
        "Nach Angaben der Stadtverwaltung wird {x} im kommenden Frühjahr wieder für Besucher "
        "geöffnet. Die Arbeiten haben länger gedauert als geplant.",
        "Selon nos informations, {x} aurait quitté la réunion avant la fin des discussions, sans "
        "répondre aux questions des journalistes.",
        "El pasado martes {x} presentó su nuevo proyecto ante cientos de vecinos que llenaron la "
        "plaza desde primera hora.",
        "Dopo mesi di silenzio {x} è tornato a parlare del suo futuro: «Non ho ancora deciso, ma "
        "sono sereno».",
        "A prefeitura confirmou que {x} vai participar da festa no fim de semana; a entrada é "
        "gratuita para crianças.",
        "Volgens de krant heeft {x} afgelopen jaar meer bezoekers getrokken dan ooit tevoren.",
        "W sobotę {x} spotkał się z mieszkańcami, którzy od rana czekali przed urzędem.",
        "{x} kertoi maanantaina, että uusi kausi alkaa vasta syyskuussa, koska remontti on "
        "kesken.",
        "{x} geçen hafta verdiği röportajda ekibinin yeni dönemde daha güçlü geleceğini söyledi.",
        "Theo báo địa phương, {x} sẽ trở lại vào cuối tháng này sau thời gian dài vắng mặt.",
        "Menurut warga setempat, {x} sudah lama dikenal karena sering membantu orang di sekitar "
        "pasar.",
        "Předseda uvedl, že {x} letos dostane víc peněz, než se původně čekalo.",
        "Вчера вечером {x} впервые за долгое время появился на публике. Зрители встретили гостя "
        "аплодисментами.",
        "Σύμφωνα με πληροφορίες, {x} θα βρεθεί στην πόλη την ερχόμενη Πέμπτη, όπου θα μιλήσει "
        "στους κατοίκους.",
        "قال المتحدث إن {x} سيشارك في المعرض الذي يبدأ الأسبوع المقبل وسط اهتمام كبير من الزوار.",
        "לפי הדיווחים, {x} צפוי להגיע לעיר בשבוע הבא ולפגוש את התושבים.",
        "स्थानीय लोगों के अनुसार {x} ने पिछले साल यहाँ एक बड़ा कार्यक्रम किया था।",
        "昨日{x}在市中心举行了新闻发布会。许多市民前来围观。",
        "{x}は先週、新しい作品を発表し、会場には多くのファンが集まりました。",
        "{x} 측은 이번 행사를 다음 달로 연기한다고 밝혔다. 구체적인 날짜는 아직 정해지지 않았다.",
        "เมื่อวานนี้ {x} ได้เปิดงานใหม่ท่ามกลางผู้คนจำนวนมากที่มารอตั้งแต่เช้า",
    ),
    "keyword_list": (
        "{x} biography, {x} age, {x} height, {x} net worth, {x} wife, {x} family, {x} wiki",
        "Tags: {x}, {w}, {w}, {w}, [travel/music/sports/politics], {year}, viral, trending",
        "#{w} #{w} #{w} #instagood #photooftheday #love #follow #{w} {x}",
        "where is {x} where was {x} who owns {x} how old is {x} what is {x} known for",
        "{x} wallpaper | {x} hd images | {x} png | {x} logo vector | {x} clipart | {x} icon",
        "People also search for: {x} {w} · {w} {x} · {x} near me · {x} today · {x} reviews",
        "buy {x} online best {x} price {x} discount {x} coupon code {x} free shipping {x} sale",
        "Categories: {w} (14) {w} (9) {w} (3) {x} (27) {w} (1) Uncategorized (112)",
        "{w}; {w}; {w}; {w}; {x}; {w}; {w}; {w}",
        "{x} tickets {x} tickets {year} cheap {x} tickets {x} last minute tickets {x} seating",
        "Related searches\n{x} map\n{x} hotels\n{x} weather\n{x} airport\n{x} things to do",
        "stock photo, illustration, {x}, background, isolated, white, design, symbol, business, "
        "concept, {w}, modern, vector, banner",
        "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z: {w}, {w}, {w}, {x}, {w}, {w}",
        "{x} mp3 download, {x} lyrics, {x} full movie, {x} torrent, {x} subtitles, watch {x} "
        "online free",
        "Keywords: {w} · {w} · {x} · {w} · heritage · culture · local news · {w}",
        "{x} phone number, {x} email address, {x} opening hours, {x} address, {x} customer "
        "service, {x} complaints, {x} jobs",
        "best {w} in {x}, top 10 {w} {x}, affordable {w} {x}, professional {w} services {x}, 24 "
        "hour {w} {x}",
    ),
    "adult": (
        "You must be at least 18 years old to enter. By clicking Enter you confirm that {x} "
        "content of an adult nature does not offend you.",
        "Hot singles near {x} want to meet you tonight. No strings attached, no credit card.",
        "{x} leaked private photos, uncensored set, see the full gallery before it is gone",
        "Live cam shows with gorgeous models, 24/7. Chat with {x} in a private room and get 50 "
        "free tokens.",
        "Independent [escort/companion] in {x}, incall and outcall, discreet and very sensual. "
        "Rates on request.",
        "Watch {x} XXX videos for free in HD on the biggest porn tube. Updated daily.",
        "Subscribe to my OnlyFans for exclusive spicy pics of {x}, 40% off this week only ;)",
        "Erotic massage parlours in {x}: reviews, prices and photos of the ladies.",
        "This section contains mature themes and nudity. Verify your age to view {x}, or leave "
        "now.",
        "Married but lonely? Thousands of discreet affairs start near {x} every day. Join free "
        "and browse naughty profiles.",
        "{x} nude scenes compilation - NSFW - 1.2M views - 94% liked it",
        "Shop sexy lingerie, toys and lubes at {x}. Plain packaging, nobody will know what is "
        "inside.",
        "milf amateur couple homemade {x} sex tape full video watch now",
        "Strip club guide {x}: lap dances, VIP rooms and the best adult nightlife in town.",
        "Kinky hookups with local swingers, {x} edition. Swipe, chat, get laid.",
        "Steamy adult fiction, 18+ only: read how {x} ended up in bed with two strangers. "
        "Explicit chapters for members.",
    ),
    "spam": (
        "CONGRATULATIONS! Your {x} ticket was selected as today's winner. Claim your iPhone "
        "before the timer runs out.",
        "I turned $250 into $9,400 in eleven days thanks to {x}'s trading bot. Message my "
        "manager on Telegram @{w}fx, she is honest and pays on time.",
        "Spin the {x} slots now: 200% welcome bonus, 150 free spins, instant withdrawal, no "
        "deposit needed.",
        "Order generic [Viagra/Cialis/Tramadol] without prescription. Overnight delivery to {x}, "
        "lowest price guaranteed.",
        "Need cash fast? Bad credit OK! {x} personal loans up to $35,000 approved in 5 minutes.",
        "Get 10k real followers for {x} in 24 hours. Likes, views, comments - cheapest panel on "
        "the market.",
        "Doctors are stunned: {x} lost 42 pounds in a month by drinking this before bed. Big "
        "Pharma wants it banned.",
        "Dear customer, your {x} account has been suspended due to unusual activity. Verify your "
        "details within 24 hours to avoid permanent closure.",
        "WhatsApp +44 7700 900431 to buy registered driving licence, IELTS certificate or "
        "passport, {x} agents available.",
        "Great post! I really enjoyed reading about {x}. Visit my website for cheap replica "
        "watches and designer handbags.",
        "Work from home and earn $87/hr just for 2 hours on your laptop. My neighbour from {x} "
        "bought a new car last month. Copy this link >>> {w}cash24.biz",
        "I am Mr. {w} {w}, attorney to the late {x}, who left the sum of USD 12.5 million "
        "without next of kin. Kindly reply with your full name and bank information.",
        "A powerful spell caster brought back my husband after he left me for {x}. Contact Dr. "
        "{w} today for love, lottery and fertility spells.",
        "${w} is about to 100x! {x} just endorsed the presale. Connect your wallet and claim the "
        "airdrop before whales get in.",
        "Your parcel from {x} could not be delivered because of an unpaid customs fee of 1.99. "
        "Reschedule here: {w}-post.top/track",
        "WARNING: 4 viruses found while visiting {x}. Call the toll free support number now and "
        "do not turn off your computer.",
        "Bet on {x} today with the best odds! Sign up using promo code [GOAL200/WIN500/MAXBET] "
        "and double your first stake.",
        "High DA backlinks, guest posts and guaranteed first page of Google for {x}. Limited "
        "slots, DM for price list.",
        "FREE V-bucks and gems generator {year}, works for {x} too, no human verification 100% "
        "legit",
        "Lonely Russian and Asian brides are waiting for a man from {x}. Register now and get "
        "your first message free!",
        "Hemp CBD gummies endorsed by {x} - end joint pain, anxiety and sugar cravings. Buy 2 "
        "get 3 bottles free, only 17 left!!!",
        "Essay due tomorrow? Our PhD writers will do your {x} homework, plagiarism free, from "
        "$7.99 per page.",
    ),
    "unrendered": (
        "{{{{ page.title }}}} | {x} {{{{#each items}}}} {{{{this.name}}}} {{{{/each}}}}",
        "Just a moment... {x} needs to review the security of your connection before proceeding. "
        "Ray ID: 7d1f0ac29bce4417",
        "{x} window.dataLayer = window.dataLayer || []; function gtag(){{dataLayer.push("
        "arguments);}} gtag('js', new Date());",
        "{x} - CafÃ© dâ€™Ã©tÃ© â€“ lâ€™histoire complÃ¨te Ã\xa0 dÃ©couvrir",
        "Loading... Please wait while we fetch {x}. If nothing happens, refresh the page.",
        '<div class="card-body"><h3 class="title">{x}</h3><p class="text-muted"></p></div>',
        'Warning: Undefined array key "{x}" in /var/www/html/wp-content/themes/{w}/single.php '
        "on line 218",
        '{{"@context":"https://schema.org","@type":"WebPage","name":"{x}","image":'
        'null,"description":""}}',
        "[object Object] {x} undefined NaN undefined [object Object]",
        "Lorem ipsum dolor sit amet, consectetur adipiscing elit. {x} sed do eiusmod tempor "
        "incididunt ut labore.",
        "<%= render partial: 'header', locals: {{ name: '{x}' }} %> <%= yield %>",
        ".hero-{w} {{ display:flex; margin:0 auto; max-width:1140px }} @media (max-width:600px) "
        "{{ .hero-{w} {{ padding:8px }} }} {x}",
        '[vc_row][vc_column width="1-2"][vc_single_image image="4410"]{x}[vc_empty_space]',
        "Select all images with traffic lights to prove you are human, then continue to {x}. "
        "reCAPTCHA",
        "502 Bad Gateway nginx ({x})",
        "Your browser is out of date and cannot display {x}. Please upgrade to a supported "
        "version of Chrome, Firefox or Safari.",
        "common.header.menu.home common.header.menu.about entity.detail.title {x} "
        "entity.detail.body.empty",
        "%PDF-1.5 %âãÏÓ 12 0 obj <</Type /Page /Title ({x}) /Contents 14 0 R>> endobj stream",
        "{x} &lt;p&gt;&amp;nbsp;&lt;/p&gt;&lt;span style=&quot;color:#333&quot;&gt;&lt;/span&gt;",
        "${{article.headline}} by ${{article.author}} • {x} • ${{formatDate(article.published)}}",
        "??? ?????? ?? {x} ???????? ?? ??? ????? ??????",
    ),
}
