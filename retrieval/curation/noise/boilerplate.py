"""What the furniture of pages says: banners, menus, prompts, legal lines, tools.

Written from what such pages say in general; `retrieval.curation.noise.lexicon` says how points
count. 2 points: hardly anything else says it. 1 point: seldom said elsewhere. Less: ordinary
words that tell only together. Points between are of phrases that need a sign beside them.
"""

from __future__ import annotations

from typing import Final

from retrieval.curation.noise.lexicon import Lexicon

BOILERPLATE: Final = Lexicon(
    {
        2.0: """
            accept all, accept all cookies, accept cookies, add a comment, add to basket, add to
            cart, add to wishlist, all reserved rights, all rights reserved, allow all cookies,
            already a subscriber, already have an account, and our partners, article continues
            below, article limit, at any time unsubscribe, back to top, comment and subscribe,
            consent choices, cookie policy, cookie preferences, cookie settings, cookies on this
            site, create a free account, create an account, daily newsletter, delivered to your
            inbox, do not sell my, download our app, download the app, email newsletter, enable
            notifications, enter your email, follow us on, forgot password, forgot your, forgot
            your password, free articles, free articles remaining, get the app, hit the bell, hit
            the like, in your inbox, join our newsletter, leave a reply, like and subscribe, like
            comment, like us on facebook, limit of free articles, log in or, log in to, manage
            cookies, manage preferences, manage settings, monthly limit, our free app, our mobile
            app, our newsletter, our partners store, partners use, personal data such as, pin it,
            post a comment, powered by wordpress, privacy notice, privacy policy, privacy
            settings, process personal data, push notifications, reject all, reject all cookies,
            required fields are marked, reset your password, share on facebook, share on twitter,
            share on whatsapp, share this article, share this page, share this post, share this
            story, sign in to, sign up for our, sign up or, site map, skip navigation, skip to
            content, skip to main content, skip to navigation, smash that like, store and access
            information, story continues below, straight to your inbox, subscribe now, subscribe
            to continue, subscribe to our channel, subscribe to our newsletter, subscribe today,
            terms and conditions, terms of service, terms of use, thank you for visiting, thanks
            for reading, thanks for visiting, thanks for watching, this site uses, this website
            uses, to continue reading, to your inbox, turn on notifications, tweet this, unlimited
            access to, unsubscribe at any time, use of cookies, uses cookies, view all comments,
            we use cookies, weekly newsletter, wish list, your email address, your email address
            will not be published, your privacy choices
        """,
        1.6: """
            about us contact, accept and close, accept and continue, accepts no liability,
            accessibility help, accessibility links, accessibility statement, activate
            subscription, activate your account, ad blocker, ad blockers, ad free, ad partners,
            adblocker, add to bag, add to favorites, add to favourites, add to list, add to my
            list, add topic, advanced search, advertise here, advertisement continue, advertiser
            content, affiliate commission, affiliate links, agree and continue, all access, all
            fields are required, all posts by, all trademarks, allow ads, already a member,
            already registered, also bought, also read, also viewed, analytics cookies, apply
            filters, archives january, are their own, are trademarks, article continues after,
            article left, articles by, articles left, articles this month, ask for your
            permission, ask me later, ask your permission, at no cost to you, at no extra cost,
            atom feed, autoplay is, autoplay next, available on apple, available on the app store,
            awaiting approval, awaiting moderation, back issues, back to home, be civil, be nice,
            be respectful, be the first to comment, be the first to know, be the first to review,
            become a patron, become a subscriber, become a supporter, before you go, best
            experience, better in the app, better on the app, billed annually, billed monthly,
            brand studio, breaking news alert, breaking news emails, broadcast rewritten, browse
            all, browse by, browser notifications, browsing experience, buy it now, buy me a
            coffee, by creating an account, by email, by registering, by signing up, by
            submitting, by subscribing, by using our, by using this site, cancel any time,
            captions off, cart is empty, change language, change region, change your preferences,
            change your settings, check your email, check your inbox, chip in, choose a language,
            choose your country, choose your language, choose your location, choose your plan,
            cite this, clear all, clear history, click to enlarge, click to expand, click to
            share, close gallery, close menu, closed captions, comment policy, commenting rules,
            comments are moderated, comments policy, comments powered, community guidelines,
            community rules, community standards, company registration, compare plans, compare
            products, confirm password, confirm your subscription, connect with us, consent to,
            contact the author, contact us about, content continues, content licensed, content
            warning, contents index, continue as guest, continue in browser, continue reading,
            continue reading below, continue with apple, continue with email, continue with
            facebook, continue with google, continue without accepting, contributing writer,
            cookie banner, cookie notice, cookies help us, copied to clipboard, copy and paste
            this code, copy the link, copy url, copyright holder, copyright notice, corrections
            policy, create password, current time, customer reviews, customers also, customers
            who, decrease font, delivery and returns, desktop notifications, desktop version, did
            you find this, did you find what, digital access, digital edition, digital replica,
            digital subscription, disable ad, disqus, don t have an account, don t miss these, don
            t show this again, donate today, download as pdf, download episode, download pdf,
            download transcript, drop us a line, duration, earn a commission, earn commission,
            edit profile, editor s choice, editor s pick, editor s picks, editorial guidelines,
            editorial policy, editorial standards, editors choice, editors picks, email a friend,
            email address required, email alerts, email this to, email to a friend, emails you
            want, embed code, embed this, embed video, enter a valid, enter your details, enter
            your password, episode transcript, essential cookies, estimated reading, ethics code,
            evening briefing, every morning, every pound counts, exclusive to subscribers, exit
            fullscreen, explore more, external content, external links, external sites, external
            websites, fact checking policy, filed to, filter by, find us on, first month, first
            published, first time here, flag as, follow author, follow her on, follow him on,
            follow the author, follow the topic, follow this topic, follow topic, follow us, font
            size, for everyone to read, for informational purposes, for subscribers, forgotten
            password, free for everyone, free preview, free returns, free stories, free story,
            from around the web, from our partners, from our sponsors, full bio, full size image,
            full website, fullscreen, functional cookies, get alerts, get embed, get full access,
            get full digital, get notified, get the best of, get the latest, get updates, gift
            article, gift this article, give feedback, give monthly, give once, give us feedback,
            go premium, go to homepage, go to top, got a tip, guest checkout, have an account,
            have your say, help fund, help keep, help us improve, hide replies, high contrast,
            home delivery, hosted by, hosted by a third party, house rules, how can we improve,
            how often we contact, how to complain, i have read and, image 1 of, image 2 of, image
            3 of, image caption, image credit, image source, improve your experience, in case you
            missed, in our app, in stock, in this article, increase font, invalid email, ipso, is
            a contributor, is a freelance writer, is a reporter at, is a senior writer, is a staff
            writer, items per page, join for free, join free, join our community, join our
            mailing, join our team, join the club, join the conversation, join the discussion,
            jump to navigation, just gave, keep in touch, keep it clean, keep me logged in, keep
            reading, keep up to date, keep us going, keyboard shortcuts, last free, last modified,
            last reviewed, latest articles, latest posts, latest stories, latest videos, leave
            feedback, leave your comment, legitimate interests, let us know in the comments,
            letter to the editor, letters to the editor, licensed under, like our facebook, like
            our page, like us, limited liability, link copied, listen now, listen to article,
            listen to this article, listen to this story, loading comments, log in to comment, log
            in with, login to post, login with, lost password, lost your password, mailing list,
            main content, main navigation, make a contribution, make a donation, manage my
            account, manage subscription, manage topics, manage your profile, mark as spam, may be
            copied, may be used without, may not be published, may not be reproduced, may not be
            republished, may receive compensation, maybe later, measure traffic, media enquiries,
            media kit, media playback, members can, might interest you, minute read, minutes read,
            mobile version, moderation policy, monthly donation, more articles, more articles by,
            more by this author, more from our, more from this, more headlines, more like this,
            more on these topics, more on this story, more posts by, more topics, more videos,
            morning briefing, most commented, most discussed, most recent, most relevant, most
            shared, most viewed, most watched, my list, my subscription, necessary cookies, need
            an account, new here, new user, newest first, news alerts, news tips, next slide, next
            story, next video, no account, no commitment, no liability, no part of this, no
            results found, no spam, not a member, not constitute, not responsible for,
            notification settings, notify me of, now playing, of results, oldest first, on google
            play, on patreon, on this page, one off donation, open gallery, open in app, open in
            the app, open menu, opinions expressed, order reprints, order status, originally
            published, others also, our daily, our fundraiser, our mailing, our podcast, our
            vendors, our weekly, out of stock, outbrain, page was last, paid content, paid
            partnership, paid post, part of the, partner content, payment methods, people who
            read, photo credit, picture in picture, place an ad, place an advert, play audio, play
            video, playback speed, please be, popular articles, popular now, popular on, popular
            posts, popular searches, popular stories, popular tags, previous slide, previous
            story, prices may vary, primary navigation, print article, print page, prior written
            permission, privacy choices, proceed to checkout, product description, product
            details, promoted by, promoted content, push alerts, qr code, qualifying purchases,
            quick links, rate this article, rate this page, reach her, reach him, reach them at,
            reached your limit, read also, read full article, read full story, read it later, read
            later, read next, read on the app, read the full article, read the rest, reader
            rewards, reader supported, readers also, reading list, reading time, recent articles,
            recent comments, recent news, recent posts, recent searches, recommended by,
            recommended for, recommended reading, recommended stories, refine by, register with,
            registered address, registered company, registered trademarks, related content,
            related coverage, related items, related links, related news, related video, related
            videos, relevant ads, remaining time, remember me, remind me later, remove ads, replay
            video, report a mistake, report a problem, report a typo, report abuse, report an
            error, report this, reprints, reproduced without, reproduction in whole, reproduction
            prohibited, republish, republish this, request a correction, request permissions,
            required field, resend code, reserved to, reset filters, respective owners,
            responsible for the content, results per page, return to home, return to homepage,
            return to top, reuse content, reuse this content, rewritten or redistributed, rights
            and permissions, rights reserved, round up by email, rss feed, rss feeds, save
            article, save as pdf, save for later, save my name, save this article, scan the qr,
            scroll down, scroll for more, scroll to continue, scroll to top, search results,
            search the site, search this blog, search this site, secure checkout, see also, see
            full bio, see plans, select language, select your country, select your language,
            select your region, send by email, send feedback, send tips, send to a friend, send us
            a tip, sent straight, sent to you, set your location, share by, share it with, share
            link, share on, share via, share with friends, shop all, shop by, shop the, show
            filters, show replies, showing 1, sign in to comment, sign in with, sign up for free,
            sign up here, sign up to get, sign up to our, sign up to receive, sign up today, sign
            up with, similar technologies, since you re here, site navigation, site search, size
            chart, size guide, skip ad, skip ad in, skip ads, skip intro, slide 1 of, small
            donation, sms alerts, social media content, sort by, sponsor content, spot a mistake,
            spotted an error, staff picks, start the conversation, start your day, start your
            free, start your subscription, stay connected, stay in the loop, stay in touch, stay
            logged in, stay signed in, stay signed up, stories left, stories this month, story
            continues after, stream type, strictly necessary, submit a tip, subscribe for free,
            subscribe on, subscribe or, subscribe to get, subscribe to read, subscribe to receive,
            subscribe via, subscriber exclusive, subscriber only, subscribers only, subtitles off,
            subtotal, suggest a correction, suggest an edit, support independent journalism,
            support our mission, support our work, support us, table of contents, taboola, tap for
            more, tap to expand, tell us how, tell us what you think, text size, thank you for
            signing, thank you for subscribing, thanks for subscribing, third party content, third
            party cookies, this article is, this content, this page was, this post was, this video
            is, to view this, to your email, toggle menu, top of page, top picks, top stories
            today, topics covered, track order, track your order, trademark of, trademarks of,
            translated by, trending articles, trending searches, trending stories, trending
            topics, trending videos, unlock all, unlock this, unlock unlimited, unmute, up next,
            update your profile, upgrade to, use my location, use the app, used all your, useful
            links, vacation hold, vat number, verification code, video player, view all posts,
            view cart, view desktop, view full size, view gallery, view in app, view photos, view
            plans, view profile, view replies, view slideshow, view the gallery, view this
            content, views expressed, visitors also, was originally published, was this article
            helpful, was this helpful, was this page helpful, watch next, watch now, we depend on,
            we may receive, we noticed, we promise, we rely on, we respect your privacy, we value
            your privacy, we ve noticed, we won t share, weekly round up, what do you think, what
            s hot, what to read next, while you re here, whitelist our, withdraw your consent,
            without permission, without written permission, work for us, work with us, write a
            comment, write a review, write to us, you agree to, you are here, you can unsubscribe,
            you have read, you may be interested, you may have missed, you might like, you must be
            logged in, you ve read, your bag, your basket, your cart, your consent, your
            contribution, your donation, your feedback, your last free, your location, your
            privacy, your support, zoom in, zoom out
        """,
        1.0: """
            ad choices, bookmark, by continuing, cancel anytime, checkout, copy link, days free,
            disclaimer, don t forget to, don t miss, e paper, email this, faq, free trial, gdpr,
            imprint, inbox, join us, leave a comment, load more, log in, log out, login, members
            only, mobile apps, most read, never miss, newsletter, newsletters, next post, opt out,
            our app, our partners, paywall, permalink, personalised, personalized, premium
            content, previous post, print this, read more, rss, see all, see more, show more, sign
            in, sign me up, sign up, signed in, sitemap, stay informed, stay up to date,
            subscribe, subscribed, toggle navigation, trending now, unlimited access, unsubscribe,
            username, vendors, view all, view more, wishlist, you agree, you may also like, you
            may like, you might also like, your browser, your choices, your device, your
            experience, your preferences
        """,
        0.9: """
            accessibility, alerts, all categories, all posts, all topics, allow, annual plan, app
            store, archives, around the web, autoplay, blogroll, bookmarks, breadcrumbs, brought
            to you, buffering, bylines, caption, captions, carousel, ccpa, clipboard, code of
            ethics, comment, complimentary, conditions apply, conditions of use, contents, cookie,
            cookies, copy, copyright, creative commons, credits, dark mode, deutsch, disclaimers,
            disclosure, disclosures, dismiss, donate now, dropdown, e mail, editor in chief,
            embed, english, enter your, español, every dollar, facebook x, favorite, favourite,
            feedback, filter, filters, financial advice, first page, flipboard, français,
            frequently bought, full screen, get in touch, gift wrap, guest, hearts, help us,
            helpful, homepage, hot topics, hyperlink, in partnership with, in the app, independent
            journalism, italiano, keep up with, last page, light mode, likes, linkedin, loaded,
            logout, media group, medical advice, messenger, moderated, moderation, moderator,
            moderators, more on this, mute, newer, newest, newsroom, next page, no responsibility,
            no thanks, non profit, nonprofit, not now, notifications, older, oldest, on the app
            store, opt in, ownership, page 1, page 2, passcode, patreon, pdf, people also,
            permalinks, pingback, pingbacks, pinned, pinterest, plain text, playback, pop up,
            popup, português, preferences, premium, press releases, press room, previous page,
            printable, printed, printer friendly, publications, publisher, publishing, qr, qty,
            quantity, readers like you, reblog, recently, reddit, redistributed, refund policy,
            registered trademark, replies, reply, reproduced, results for, retry, retweet, screen
            reader, scroll, settings, shipping information, sign out, signup, sitewide, skip, sku,
            slideshow, sort, sponsored by, staff writer, stockists, storefront, strictly
            prohibited, subscribe to, subscriber, subtitles, swipe, tag, tap, tax deductible, tcf,
            terms apply, this article was, this story was, toggle, trackback, trackbacks,
            trademark, trademarks, transcript, tumblr, two factor, uncategorized, unlock, url,
            user agreement, vendors list, we need your help, webinars, whatsapp, whitepaper,
            widget, widgets, wishlists, zoom
        """,
        0.6: """
            a month, a week, about the author, about us, account, accounts, ad, ads, advertise,
            advertise with us, advertisement, advertisements, advertisers, advertising, adverts,
            agree, analytics, android, app, apps, archive, article, author, basket, become, become
            a member, bell icon, blogger, breadcrumb, breaking, breaking news alerts, browse, by
            clicking, cancel, careers, cart, categories, category, choose, classifieds, click
            here, clicking, closed, collapse, comments, comments are closed, company number,
            consent, contact, contact us, content, continue, contribute, corrections, create,
            create account, crosswords, customer service, daily, decline, delivered, delivery,
            deny, designed by, desktop, digest, donate, download, e edition, edition, editor,
            emails, every day, every friday, expand, facebook, faqs, favorites, favourites, feed,
            filed under, find a store, follow, footer, free account, front page, full site, full
            story, get more, gift cards, google play, got it, headlines, help, help center, help
            centre, hide, hit subscribe, home page, horoscopes, i agree, inc, instagram, install,
            interested, ios, jobs, journalism, jump to, jump to content, language, languages, last
            updated, latest, latest news, legitimate interest, like this, links, listen, log,
            logged, logged in, ltd, mail, main menu, main page, member, membership, menu, min
            read, miss, mobile, mobile app, more from, more stories, most popular, my account,
            navigation, newer posts, next article, obituaries, offer, offers, ok, older posts,
            orders, our journalism, partners may, password, per month, personal tools,
            personalise, personalise content, personalised ads, personalize, personalize content,
            personalized ads, photo gallery, podcasts, posted by, posted in, pound a week, powered
            by, preview, previous, previous article, print edition, print this article, privacy,
            promoted, published, puzzles, random page, read, read the full, reading, recommended,
            recommended articles, recommended for you, register, registered, registered in,
            registered office, related, related articles, related posts, related stories, related
            topics, returns, roundup, save, saved, schedule, select, send, share this, shipping
            policy, shop, sidebar, sign, sign in here, site, snapchat, sponsored, sponsored
            content, store, store locator, stores, stories, story, straight, submit, subscribers,
            subscription, support, support our journalism, tagged, tags, tailor, technologies,
            tell a friend, terms, theme, third parties, third party, this site, this website,
            tickets, tiktok, tools, top stories, topics, track, tracked, tracking, tweet, twitter,
            update, updated, version, view, visit, visitor, visitors, want, watch live, web site,
            website, weekly, wordpress, written by, youtube
        """,
        0.4: """
            access, advert, affiliate, affiliates, arts, blocker, brand, brands, briefing,
            browser, calendar, cite, click, close, compare, conditions, contributor, contributors,
            copied, covering, covers, credit, culture, data, details, device, devices, digital,
            discover, donation, donations, email, enter, episode, episodes, error, ethics, euro,
            euros, evening, events, experience, explore, feature, features, find out more, font,
            full, fundraiser, gallery, gave, guide, guidelines, hd, hot, improve, in association
            with, inboxes, issue, item, items, join, learn more, legal, less, let us, liability,
            license, lifestyle, like, limited, live, load, magazine, measure, min, mins, minute,
            minutes, mode, morning, music, network, next, no results, opinion, order, page, pages,
            paid, partner, partners, per week, per year, performance, permission, photo, photos,
            picks, policies, policy, popular, posted, press, press office, prices, print, product,
            products, promotions, purposes, rate, rated, rating, ratings, reach, react, reactions,
            reader, readers, reading this, recent, recommend, recommendation, region, remember,
            reporter, reserved, results, review, reviews, rights, seconds, section, sections,
            share, share your, sold out, source, sponsor, sponsors, sport, sports, spotlight,
            staff, start watching, stream, supporters, telegram, tell us, text, tips, topic,
            traffic, trailers, trending, trial, unlimited, valid, video, videos, viewers, watch,
            writer, yes
        """,
    }
)
