"""What noise says, kind by kind; `Lexicon` says how the points of phrases count.

2 points: hardly anything else says it. 1 point: seldom said elsewhere. Less: ordinary words that
tell only together. Set on half of the sample world's wording, and against real headlines, captions
and passages, of which hardly any may fall.
"""

from __future__ import annotations

from typing import Final

from retrieval.curation.noise.lexicon import Lexicon

BOILERPLATE: Final = Lexicon(
    {
        2.0: """
            site map, accept all cookies, allow all cookies, reject all cookies, cookie policy,
            cookie settings, cookie preferences, manage cookies, use of cookies, uses cookies, we
            use cookies, accept cookies, all rights reserved, skip to main content, skip to
            content, skip to navigation, sign up for our, subscribe to our newsletter, subscribe
            to our channel, join our newsletter, our newsletter, daily newsletter, weekly
            newsletter, email newsletter, already a subscriber, already have an account, forgot
            your password, forgot password, subscribe now, subscribe today, subscribe to continue,
            to continue reading, free articles, share on facebook, share on twitter, share on
            whatsapp, tweet this, pin it, follow us on, like us on facebook, terms of use, terms
            of service, terms and conditions, privacy policy, privacy notice, do not sell my, your
            privacy choices, back to top, powered by wordpress, leave a reply, post a comment,
            your email address will not be published, required fields are marked, turn on
            notifications, enable notifications, hit the bell, like and subscribe, download our
            app, get the app, download the app, share this article, share this story, share this
            page, share this post, view all comments, add a comment, thanks for visiting, thank
            you for visiting, thanks for watching, thanks for reading, at any time unsubscribe,
            unsubscribe at any time, delivered to your inbox, straight to your inbox, in your
            inbox, to your inbox, limit of free articles, free articles remaining, monthly limit,
            article limit, unlimited access to, story continues below, article continues below,
            accept all, reject all, manage settings, manage preferences, privacy settings, consent
            choices, our partners store, and our partners, partners use, process personal data,
            store and access information, personal data such as, skip navigation, push
            notifications, comment and subscribe, like comment, hit the like, smash that like, our
            free app, our mobile app, add to cart, add to basket, add to wishlist, wish list,
            create an account, create a free account, sign in to, log in to, log in or, sign up
            or, forgot your, reset your password, enter your email, your email address, cookies on
            this site, this website uses, this site uses, all reserved rights
        """,
        1.0: """
            newsletter, subscribe, unsubscribe, log in, login, sign in, sign up, sitemap, imprint,
            faq, rss, disclaimer, read more, load more, show more, see more, see all, view all,
            most read, you may also like, you might also like, trending now, previous post, next
            post, email this, follow us, join us, never miss, don t miss, stay up to date, stay
            informed, inbox, your browser, your device, your experience, by continuing, you agree,
            vendors, opt out, paywall, unlimited access, free trial, cancel anytime, toggle
            navigation, permalink, wishlist, gdpr, newsletters, subscribed, log out, signed in,
            sign me up, username, checkout, e paper, mobile apps, our app, bookmark, copy link, ad
            choices, view more, you may like, print this, your choices, your preferences, our
            partners, personalised, personalized, days free, premium content, members only, your
            consent, don t forget to, leave a comment
        """,
        0.6: """
            create account, my account, advertise with us, careers, click here, related articles,
            related posts, related stories, recommended articles, more stories, latest news,
            previous article, next article, share this, print this article, partners may,
            personalised ads, personalized ads, personalise content, personalize content, third
            party, legitimate interest, main menu, search, footer, sidebar, breadcrumb, home page,
            photo gallery, sponsored content, hit subscribe, bell icon, help center, help centre,
            cart, cookie, cookies, consent, subscriber, subscribers, register, contact us, about
            us, advertise, copyright, most popular, recommended for you, more from, share, menu,
            navigation, advertisement, sponsored, comments, reply, notifications, privacy, terms,
            subscription, password, basket, skip, browse, accessibility, app store, google play,
            mobile app, advertisements, promoted, recommended, related, previous, tweet,
            preferences, settings, become a member, article, preview, story, stories, read,
            reading, read the full, full story, sign, sign in here, logged in, logged, log,
            account, accounts, create, free account, registered, already registered, email, e
            mail, emails, mail, get more, follow, facebook, twitter, instagram, youtube,
            pinterest, linkedin, tiktok, whatsapp, snapchat, tell a friend, favourites, favorites,
            like this, tags, tagged, categories, category, filed under, posted in, posted by,
            written by, published, updated, last updated, min read, about the author, author,
            comments are closed, closed, next, older posts, newer posts, support our journalism,
            our journalism, journalism, donate, donation, contribute, become, member, membership,
            pound a week, a month, per month, a week, offer, offers, edition, e edition, print
            edition, front page, obituaries, classifieds, podcasts, puzzles, crosswords,
            horoscopes, archives, archive, ltd, limited, inc, registered in, registered office,
            company number, corrections, editor, contact, help, support, faqs, jobs, personal
            tools, tools, main page, random page, jump to, jump to content, content, site,
            website, web site, this website, this site, visitor, visitors, visit, stores,
            technologies, third parties, partners, tracked, tracking, track, analytics,
            advertising, ads, advertisers, ad, adverts, personalise, personalize, tailor,
            clicking, by clicking, agree, i agree, decline, allow, deny, got it, ok, close,
            dismiss, hide, expand, collapse, continue, cancel, submit, send, save, saved,
            download, install, app, apps, ios, android, update, alerts, breaking news alerts,
            latest, breaking, top stories, headlines, roundup, digest, weekly, daily, every
            friday, every day, delivered, straight, miss, want, interested, related topics,
            topics, sections, quick links, links, useful links, language, languages, english,
            choose, select, view, full site, desktop, mobile, version, feed, print, listen, watch
            live, live tv, schedule, tickets, shop, store, orders, wishlists, delivery, returns,
            shipping policy, customer service, gift cards, store locator, find a store, powered
            by, hosted by, designed by, theme, wordpress, blogger
        """,
    }
)
ADULT: Final = Lexicon(
    {
        2.0: """
            sex videos, sex video, sex chat, sex tape videos, nude pics, nude videos, erotic
            massage, escort service, escort services, escort girls, call girls, hot singles,
            adults only, adult content, adult site, adult video, adult videos, adult webcam,
            webcam girls, cam girls, live sex, free sex, sex cams, explicit sex, sexually
            explicit, explicit content, must be 18, over 18 only, 18 or older, 18 years or older,
            of legal age, onlyfans leak, onlyfans leaks, naked girls, sexy girls, big tits, big
            boobs, cam site, sex tape leaked, leaked sex tape, free porn, porn videos, porn
            movies, porn clips, porn stars, adult cam, live cams, sex shop, mature readers, viewer
            discretion, over 18s, 18s only, adults 18, adult dating, fully nude, strips naked,
            naked pics, naked photos, hardcore sex, uncut and uncensored, xxx blog, girls waiting,
            girls are waiting, chat with girls, sensual massage, happy ending
        """,
        1.3: """
            porn, porno, pornhub, xxx, milf, hentai, camgirl, camgirls, nsfw, horny, blowjob,
            threesome, fetish
        """,
        1.0: """
            nudes, erotic, escort, escorts, uncensored, naughty, webcam, onlyfans, hookup,
            hookups, kinky, busty, babes, striptease, strippers, orgasm, bdsm, swingers,
            seductive, erotica, uncut, strips, sex tape, local singles, forbidden nights, dating
            site, meet women, sugar daddy, sugar baby, playboy, playmate, hot girls, hot babes,
            kink, casual sex, no strings attached, erotic stories, sex stories, sex dating, sex
            toys, for adults, adult entertainment, completely naked, goes topless, pornstar,
            pornstars, camsex, nudity, sexual content, fetish wear, adult toys, strip tease,
            private escorts, escorts in, sexual, aroused, seduce, undress, undresses, threesomes,
            orgy, gangbang, blowjobs, cum, cock, pussy, dildo, vibrator, vibrators, butt, boobs,
            tits, nipples, panties, swinger, cougar, cougars, shemale, trans girls, gay sex,
            lesbian sex, stepmom, teen sex, sex tonight, want sex, sex now, hot women, hot milfs,
            mature women, sexting, nude selfies, onlyfans account
        """,
        0.6: """
            nude photos, nude scenes, leaked nudes, webcams, 18, adult, adults, hook up, strip,
            stripper, discreet, discreetly, intimate encounters, casual encounters, affair, cam,
            xrated, x rated, dirty talk, meet tonight, tonight only, girls near, women near,
            singles near, near you, in your area, sex, sexy, nude, naked, singles, lingerie,
            topless, steamy, hardcore, amateur, lust, sensual, explicit, mature, intimate, leaked,
            dirty, hottest, women, girls, ladies, companions, blonde, brunette, asian, meet,
            tonight, chat, lonely, flirt, flirty, dating, date, massage, private, hotel visits, at
            least 18, 18 years, aged 18, over 18, age, takes everything off, everything off, takes
            it off, bare, revealing, bikini, wet, hot, desire, desires, fantasy, fantasies,
            passion, pleasure, pleasures, tease, teasing, wild, free registration, full hd, new
            scenes, scenes, whole set, gallery, galleries, hd, members area, verify your age, bed,
            bedroom, whip, bondage, domination, dominatrix, latex, nylon, stockings, toys, condoms
        """,
    }
)
SPAM: Final = Lexicon(
    {
        2.0: """
            free spins, no deposit, welcome bonus, deposit bonus, casino bonus, online casino,
            online casinos, sports betting bonus, slot games, online slots, buy followers, buy
            likes, buy instagram, real followers, instagram followers, followers and likes, get
            followers, crypto giveaway, bitcoin giveaway, btc giveaway, eth giveaway, double your
            bitcoin, double your money, double your crypto, guaranteed profit, guaranteed profits,
            guaranteed returns, guaranteed income, passive income, forex signals, trading signals,
            earn money online, make money online, make money fast, without prescription, no
            prescription, no prescription needed, cheap viagra, buy viagra, generic viagra,
            cialis, weight loss pills, lose weight fast, miracle cure, claim your prize, claim
            your reward, claim your free, claim now, free iphone, free gift card, you have won,
            you ve won, you have been selected, you have been chosen, lucky winner, click here to
            claim, act now, limited time offer, limited time only, risk free, payday loan, payday
            loans, instant loan, instant approval, no credit check, replica watches, cheap
            replica, designer replica, essay writing service, buy essays, whatsapp me, dm me now,
            text me on, 100 free, seo services, buy backlinks, cheap seo, real instagram
            followers, tiktok followers, youtube subscribers, followers for, grow your audience,
            grow your instagram, giving away, receive double, double back, send any amount, to
            this wallet, message me on telegram, message me on whatsapp, on telegram to, dm me,
            learn how i, last week trading, trading with, lose 20 pounds, lose 10 pounds, pounds
            in, diet pill, diet pills, keto pill, keto pills, keto gummies, doctors don t want,
            doctors hate, one weird trick, weird trick, need cash, cash fast, instant loans,
            personal loans, apply today, dear winner, dear customer, dear friend, dear sir, your
            email was selected, was selected, claim your, contact us to claim, top quality
            replica, replica handbags, free worldwide shipping, worldwide shipping, up to 80 off,
            up to 70 off, up to 90 off, up to 50 off, boost your ranking, boost your seo, quality
            backlinks, seo packages, seo package, first deposit, your first deposit, best odds,
            free tips, betting tips, instant payout, live roulette, play slots, play now, male
            enhancement, enlargement, get rich, be your own boss, from the comfort of your home,
            24 hours guaranteed, money back guarantee, satisfaction guaranteed, 100 guaranteed, no
            experience needed, no experience required, earn money, inheritance fund, next of kin,
            wire transfer, western union
        """,
        1.0: """
            spins, slots, bookmaker, promo code, giveaway, airdrop, btc, eth, usdt, presale,
            forex, viagra, slimming, click here, click the link, click below, link in bio, order
            now, buy now, shop now, sign up now, join now, register now, call now, act fast,
            hurry, limited time, lowest prices, free shipping, gift card, gift cards, wallet,
            backlinks, replica, dm, blackjack, bookie, wager, promo, coupon, coupons, voucher,
            doge, binary options, testosterone, payday, credit check, 50 off, 70 off, 80 off, 90
            off, work from home and earn, need money, apply now, bet on, financial freedom, work
            from home, make money, dofollow, slimming tea, belly fat, fat burner, burn fat, no
            problem, wants to transfer, autopilot, millionaire, guaranteed return, withdrawal,
            withdrawals, spin the wheel, your deposit, bank details, lost her husband, late
            husband, beneficiary, million dollars to you, reply urgently, urgently, sells views,
            views likes, likes and followers, 90 discount, discount today, today only, only today,
            free delivery, one free, get one free, buy one get one, rank first, first on google,
            page one of google, trading robot, trading bot, robot makes, cash in your, loans in,
            approves loans, minutes cash, click here to, receive your, coin today, return in, days
            no, per day guaranteed
        """,
        0.6: """
            jackpots, bonus, coupon code, discount code, deposit, token sale, to the moon, invest
            now, investment opportunity, returns, earn, a day, per day, per week, from home, extra
            cash, easy money, fast cash, cash out, bad credit, limited offer, while stocks last,
            100, money back, prizes, free, send, no risk, fast delivery, start now, start today,
            double your, casino, casinos, jackpot, betting, followers, bitcoin, ethereum, crypto,
            signals, loan, loans, pills, pharmacy, prescription, keto, detox, best price, lowest
            price, cheap, cheapest, congratulations, winner, selected, prize, iphone, guaranteed,
            seo, discount, instant, instantly, telegram, whatsapp, roulette, poker, odds, payout,
            payouts, trading, profit, profits, passive, likes, ranking, pill, supplement,
            supplements, debt, discounts, lottery, claim, high quality, top quality, spin, wheel,
            invest, investment, investor, investors, coin, coins, token, tokens, return, risk,
            withdraw, days, millions, million dollars, transfer, funds, inheritance, husband,
            widow, lawyer, barrister, reply, urgent, burn, fat, belly, overnight, weight, slim,
            tea, order, order today, bottle, trial, credit, approved, approves, approval, cash,
            minutes, account today, account, reward, rewards, click, receive, visitor, sunglasses,
            sneakers, handbags, watches, rolex, louis, gucci, buy, sale, only, today, delivery,
            google, rank, views, subscribers, sells, want more, huge, daily, makes, make, income,
            rich, wealth, secret, secrets, trick, tricks, formula, system, method, robot,
            software, miracle, cure, natural, doctors, doctor, proven, results, amazing,
            incredible, exclusive, vip, offer, offers, deal, deals, bargain, save, off, win, won,
            winning, winners, lucky, chance, chances, raffle, sweepstakes, survey, download,
            install, apply, contact us, call us, text, visit our website, visit our site, website,
            whatsapp number, agent, trusted, legit, verified, percent, x10, 10x, moon, pump, gem,
            nft, nfts, stake, staking, mining, miner, broker, brokers, leverage, spells, spell
            caster, psychic, love spell, herbal, erection, libido, potency, hair loss, anti aging,
            wrinkle, wrinkles, mortgage, refinance, insurance quotes, diploma, degree, degrees
            online, essay, essays, homework, assignment help, dissertation
        """,
    }
)
UNRENDERED: Final = Lexicon(
    {
        2.0: """
            failed to load, page not found, error 404, 404 error, 404 not found, 404 page, not be
            found, page you requested, page you are looking for, page you re looking for, page you
            were looking, page doesn t exist, page does not exist, page no longer exists, access
            to this page has been denied, 403 forbidden, error 403, you don t have permission, you
            do not have permission, request blocked, you have been blocked, unusual traffic,
            automated access, automated requests, enable javascript, javascript is disabled,
            javascript is required, requires javascript, javascript enabled, javascript must be,
            turn on javascript, without javascript, browser is not supported, browser not
            supported, unsupported browser, browser is out of date, supported browser, checking
            your browser, checking if the site, verify you are human, verify that you are,
            verifying you are human, you are human, you are not a robot, not a robot, are you a
            robot, you re not a robot, complete the captcha, solve the captcha, captcha,
            recaptcha, hcaptcha, ray id, performance security by cloudflare, ddos protection,
            internal server error, 500 error, error 500, 502 bad gateway, bad gateway, gateway
            timeout, gateway time out, 503 service, service unavailable, service temporarily, too
            many requests, connection timed out, connection reset, this site can t be reached,
            site can t be reached, err connection, database connection, something went wrong, oops
            something, please try again later, try again later, site is under maintenance, coming
            soon page, content is unavailable, content isn t available, content not available,
            video unavailable, account suspended, account has been suspended, domain is for sale,
            domain for sale, lorem ipsum, object object, undefined undefined, null null, loading
            loading, page is loading, loading please wait, please wait while, being redirected,
            redirecting you, if you are not redirected, apache server, default web page, page can
            t be found, page cannot be found, that page can t, nothing was found, nothing found,
            nothing here, looks like nothing, not allowed to view, not authorized to, are not
            allowed, 504 gateway, gateway time, didn t respond in time, server didn t respond,
            site connection is secure, security of your connection, review the security, before
            proceeding, one moment please, need to enable, run this app, out of date update,
            update your browser, upgrade your browser, detected unusual, press and hold, hold to
            confirm, you are a human, human and not a bot, not a bot, are a human, prove you are
            human, confirm you are, isn t available right now, not available right now, link may
            be broken, may have been removed, hosting provider, page has expired, session expired,
            session has expired, page is unavailable, unavailable in your, not available in your,
            cannot be displayed, can t be displayed, could not be displayed, failed to fetch,
            unable to connect, refused to connect, took too long, dns probe, ssl error,
            certificate error, invalid certificate, connection is not private, your connection is
            not, application error, fatal error, parse error, syntax error, stack trace, traceback
            most recent, uncaught typeerror, exception in, warning mysql, undefined index,
            undefined variable, sample page, your content goes here, content goes here, click
            edit, placeholder text, insert text, sit amet, dolor sit, consectetur adipiscing,
            directory not found, file or directory, http error, not authorized to view, attention
            required, robot check, type the characters, characters you see, switch them on, error
            establishing, establishing a database, unexpected error, error occurred, an error has,
            error has occurred, looks like something went, taking too long, check your internet,
            be back shortly, be right back, we ll be back, will be back, work properly without,
            without javascript enabled, try reloading, hard refresh
        """,
        1.0: """
            access denied, 404, 403, 500, 502, 503, oops, unauthorized, not found, timeout, timed
            out, try again, reload, back home, broken link, javascript, cloudflare, firewall,
            loading, please wait, redirected, redirecting, undefined, null, nan, placeholder,
            nginx, requested url, url, ip address, 401, 504, whoops, unauthorised, can t be found,
            cannot be found, apache, time out, verifying, lorem, ipsum, dolor, traceback,
            nullpointerexception, typeerror, no longer available, on this server, has been
            blocked, security check, temporarily unavailable, under maintenance, just a moment,
            may be broken, been suspended, http, internet connection, challenge, authorized,
            retry, request, requests, processing your request, resource, renamed, directory,
            database, page, this page, went wrong, unexpected, occurred, network, vpn, proxy,
            host, dns, login required, session, cache, clear your cache, plugin, adblock, ad
            blocker, disable your ad, flash player, install flash, adobe flash
        """,
        0.6: """
            errors, sorry, denied, couldn t find, could not find, can t find, cannot find, unable
            to load, could not load, could not be loaded, refresh the page, reload the page,
            human, redirect, none, the requested, this domain, under construction, index of,
            address bar, mistyped, continue, prove, error, forbidden, unavailable, server,
            refresh, go back, homepage, moved, deleted, removed, expired, cookies, browser, robot,
            robots, bot, verify, verification, maintenance, permission, blocked, webmaster,
            administrator, gateway, bots, suspended, broken, home page, connection, secure,
            exception, please, we re sorry, view this, load, loads, load this, slow, visit,
            properly, work, working, doesn t work, shortly, back, contact, solve, type, image,
            characters, code, file, website, site, switch, enable, enabled, disabled, disable,
            required, requires, allowed, restricted, region, support, supported, update, upgrade,
            old version, version, browsers, chrome, firefox, safari, explorer, edge, technical,
            difficulties, technical difficulties, problem, issue, fail, failed, fails, invalid,
            missing, empty, exist, exists, existed, found, access, connect, displayed, display,
            show, content, link, links, click, here, search
        """,
    }
)
