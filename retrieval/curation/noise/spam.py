"""What spam says, family by family mixed: gambling, coins, loans, cures, followers, prizes, fakes.

Written from what such pages say in general; `retrieval.curation.noise.lexicon` says how points
count. 2 points: hardly anything else says it. 1 point: seldom said elsewhere. Less: ordinary
words that tell only together. Points between are of phrases that need a sign beside them.
"""

from __future__ import annotations

from typing import Final

from retrieval.curation.noise.lexicon import Lexicon

SPAM: Final = Lexicon(
    {
        2.0: """
            100 free, 100 guaranteed, 24 hours guaranteed, act now, apply today, be your own boss,
            best odds, betting tips, bitcoin giveaway, boost your ranking, boost your seo, btc
            giveaway, buy backlinks, buy essays, buy followers, buy instagram, buy likes, buy
            viagra, cash fast, casino bonus, cheap replica, cheap seo, cheap viagra, cialis, claim
            now, claim your, claim your free, claim your prize, claim your reward, click here to
            claim, contact us to claim, crypto giveaway, dear customer, dear friend, dear sir,
            dear winner, deposit bonus, designer replica, diet pill, diet pills, dm me, dm me now,
            doctors don t want, doctors hate, double back, double your bitcoin, double your
            crypto, double your money, earn money, earn money online, enlargement, essay writing
            service, eth giveaway, first deposit, followers and likes, followers for, forex
            signals, free gift card, free iphone, free spins, free tips, free worldwide shipping,
            from the comfort of your home, generic viagra, get followers, get rich, giving away,
            grow your audience, grow your instagram, guaranteed income, guaranteed profit,
            guaranteed profits, guaranteed returns, inheritance fund, instagram followers, instant
            approval, instant loan, instant loans, instant payout, keto gummies, keto pill, keto
            pills, last week trading, learn how i, limited time offer, limited time only, link
            building, live roulette, lose 10 pounds, lose 20 pounds, lose weight fast, lucky
            winner, make money fast, make money online, male enhancement, message me on telegram,
            message me on whatsapp, miracle cure, money back guarantee, need cash, next of kin, no
            credit check, no deposit, no experience needed, no experience required, no
            prescription, no prescription needed, on telegram to, one weird trick, online casino,
            online casinos, online slots, passive income, payday loan, payday loans, personal
            loans, play now, play slots, pounds in, quality backlinks, real followers, real
            instagram followers, receive double, replica handbags, replica watches, risk free,
            satisfaction guaranteed, send any amount, seo package, seo packages, seo services,
            slot games, sports betting bonus, text me on, tiktok followers, to this wallet, top
            quality replica, trading signals, trading with, up to 50 off, up to 70 off, up to 80
            off, up to 90 off, was selected, weight loss pills, weird trick, welcome bonus,
            western union, whatsapp me, wire transfer, without prescription, worldwide shipping,
            you have been chosen, you have been selected, you have won, you ve won, your email was
            selected, your first deposit, youtube subscribers
        """,
        1.6: """
            1 1 quality, 100 legal, 100 legit, 100 safe, 1000 followers, 1000x, 100x gains, 10k
            followers, 10x gains, 2 for 1, 5k followers, a tiny stake, aaa quality, acca, account
            generator, account has been limited, account has been locked, account manager, account
            will be closed, account will be suspended, act fast, act today, activation key, add me
            on, all credit, all expenses paid, ancient remedy, ancient tonic, answer a few
            questions, anti aging cream, antivirus expired, approved in minutes, approved in your
            name, approved within, ask for the kit, at a fraction of, atm card, auto trading,
            automated trading, avoid being charged, avoid suspension, bad credit ok, banks don t
            want, banks hate, be your boss, beautiful ladies, before it is banned, before it s
            banned, before your due date, best price guaranteed, bet now, big pharma, billing
            details, bitcoin doubler, bitcoin system, blacklisted, blood sugar support, bonus
            code, book your free, bottles left, bottles remaining, brand new in box, bring back
            your, bulk email, burn calories while you sleep, buy 2 get, buy adderall, buy driver s
            license, buy driving license, buy one, buy oxycodone, buy reviews, buy subscribers,
            buy traffic, buy tramadol, buy views, buy xanax, call our technicians, call today,
            canadian pharmacy, card details, cash machine, cash out instantly, changed my life,
            cheap insurance, cheapest panel, cheat tool, claim compensation, claim yours, clean
            your pc, clear criminal, clearance sale, clinically proven, cloned cards, closeout
            sale, cloud mining, compensation fund, complete a survey, computer has been infected,
            confirm your account, confirm your details, confirm your identity, confirm your
            password, connect your wallet, consolidate your debt, contact her on, contact him on,
            contact me on, contact us on whatsapp, copy and paste job, copy trading, cracked
            version, credit score fast, crypto signals, cured of, custom essays, customs fee,
            daily pay, daily payouts, daily profit, daily profits, daily returns, data entry jobs,
            dating profile, dear account holder, dear beneficiary, dear client, dear sir or madam,
            dear user, delivery fee, designer inspired, designer outlet, detox tea, dm for, do not
            ignore, do not restart, do not shut down, doctor recommended, doctors were speechless,
            domain authority, don t miss out, don t miss this, don t wait, downline, driver
            updater, drop pounds, dying widow, early holders, early investors, earn daily, earn
            extra, earn from home, earn up to, earn weekly, email list for sale, email me at, ends
            soon, ends today, ends tonight, entitled to compensation, erectile dysfunction, essay
            help, everything must go, ex back, exact strategy, exam help, exclusive deal,
            exclusive offer, expires soon, extra cash, extra chips, extra income, factory prices,
            fat burning, fda approved formula, final chance, find your soulmate, fire your boss,
            fix your credit, fixed match, fixed matches, flexible hours, for the price of one,
            foreign partner, forex robot, forgotten root, free accounts, free antivirus, free bet,
            free bets, free bitcoin, free cash, free consultation, free cruise, free crypto, free
            diamonds, free download full, free ebook, free guide, free picks, free quote, free
            quotes, free report reveals, free robux, free shipping on all, free spins on, free
            stream, free tarot, free trial bottle, free v bucks, free webinar, full crack, full
            movie free, full version, generic pills, get a quote, get out of debt, get your money
            back, get yours, get yours now, gift card giveaway, god fearing, google reviews, got
            my money back, grab yours, guest post, guest posting, guest posts, hack tool, hacker
            for hire, has expired renew, has lapsed, hd for free, herbal cure, herbal remedy, high
            roller, hire a hacker, home based business, home typing, home typists, homework help,
            hot deal, hot deals, hurry up, i saw your profile, ielts certificate, immediate start,
            in hd for free, in play betting, in stock now, inbox for, increase your size, infected
            with, initial coin offering, interested to know you, into a fortune, join our
            telegram, join our vip, joining bonus, joint pain relief, just pay postage, just pay
            shipping, ladies looking, last chance to, license key, life changing opportunity,
            limited seats, limited spots, live dealer, live dealers, live stream free, lock of the
            day, loophole, lost lover, love spells, lower your bills, lowest price guaranteed,
            mail order bride, managed account, matched deposit, meet singles, melt fat, melts fat,
            message for prices, message me, microsoft certified technician, minimum deposit,
            minimum investment, mining contract, mirror quality, mlm, monthly returns, more
            followers, natural remedy, never worn, next bitcoin, no collateral, no documents, no
            guarantor, no human verification, no paperwork, no registration, no survey, no
            wagering, no win no fee, offer ends, offer expires, offer valid, once in a lifetime,
            online drugstore, online hack, online pharmacy, online rummy, online survey, order
            your bottle, order yours, organic traffic, outlet sale, outlet store online, page of
            google, paid surveys, paper help, paper writing service, parlay, parlays, pay only
            shipping, payment details, payment method declined, pc runs slow, penis enlargement,
            plagiarism free, play for real money, poor credit, postage included, pre sale, premium
            logins, price guarantee, product key, professional hacker, proven method, proven
            system, psychic reading, psychic readings, quick survey, quit your job, reach out to
            her, reach out to him, ready to invest, real money games, recover lost, recover your
            lost, recovery expert, recovery phrase, referral bonus, registered documents, registry
            cleaner, reload bonus, remote access to your, renewal failed, repair your credit,
            research paper writing, reserve your spot, return on your investment, reverse
            diabetes, reverses diabetes, risk free trial, russian brides, same day cash, same day
            funding, same day loans, save on your, saw your profile, scientists are stunned,
            scratch cards, seats are filling, seats left, secret formula, secret method, secret
            system, secure your spot, seed phrase, serial key, serious buyers, shed pounds, ship
            worldwide, shipping anywhere, shipping fee, shipping included, ships worldwide, short
            survey, sign up bonus, signals group, signup bonus, single ladies, singles in your
            area, smm panel, social media marketing panel, speak to an adviser, speak to an
            advisor, special discount, special promotion, speed up your pc, spell caster, spots
            are filling, spots left, spy on, start earning, starter bonus, starter kit, stimulus
            check for you, stream free, stubborn fat, stuff envelopes, subscription expired, sugar
            babies, sugar daddies, sugar partner, support number, sure bets, sure odds, sure wins,
            suspicious activity on your, take my class, take my exam, take surveys, talk to an
            adviser, targeted traffic, tarot reading, tech support number, teen patti, term paper,
            term papers, text me,  thesis helper, they don t want you,
            thinking of investing, this one simple, timeshare, to avoid interruption, today s
            deal, toll free, top of google, top of search results, top up bonus, trading platform
            that, trading software, unclaimed funds, unclaimed inheritance, unclaimed money,
            unclaimed parcel, unusual activity on your, unusual sign in, update your billing,
            update your payment, urgent hiring, vacation package, vehicle warranty, verify your
            account, verify your identity, vip club, vip group, vip signals, virus detected,
            viruses detected, wallet address, was cured, watch free, watch online free, we ship,
            wealthy members, web traffic, website traffic, whatsapp for, whatsapp him, while
            supplies last, win a brand new, win prizes, winning tips, wired within, with serial,
            without exam, women looking for, work at home, write me at, write me back, write my
            essay, write your essay, writing service, you may be entitled, you won t believe, your
            bottle, your computer is infected, your day job, your future, your horoscope reading,
            your package, your package is waiting, your parcel, your soulmate, yours today
        """,
        1.0: """
            50 off, 70 off, 80 off, 90 discount, 90 off, airdrop, apply now, approves loans,
            autopilot, backlinks, bank details, belly fat, beneficiary, bet on, binary options,
            blackjack, bookie, bookmaker, btc, burn fat, buy now, buy one get one, call now, cash
            in your, click below, click here, click here to, click the link, coin today, coupon,
            coupons, credit check, days no, discount today, dm, dofollow, doge, eth, fat burner,
            financial freedom, first on google, forex, free delivery, free shipping, get one free,
            gift card, gift cards, giveaway, guaranteed return, hurry, join now, late husband,
            likes and followers, limited time, link in bio, loans in, lost her husband, lowest
            prices, make money, million dollars to you, millionaire, minutes cash, need money, no
            problem, one free, only today, order now, page one of google, payday, per day
            guaranteed, presale, promo, promo code, rank first, receive your, register now,
            replica, reply urgently, return in, robot makes, sells views, shop now, sign up now,
            slimming, slimming tea, slots, spin the wheel, spins, testosterone, today only,
            trading bot, trading robot, urgently, usdt, viagra, views likes, wager, wallet, wants
            to transfer, withdrawal, withdrawals, work from home, work from home and earn, your
            deposit
        """,
        0.9: """
            a fortune, activation fee, adderall, advance fee, adviser, advisor, airpods, altcoin,
            altcoins, antivirus, apr, apy, arthritis, astrologer, backlink, bank transfer,
            beneficiaries, betting site, betting sites, bingo, bitcoin mining, bitcoins, black
            magic, bookmakers, brokerage, business opportunity, business proposal, buy real,
            capsules, car warranty, cash advance, cash app, cash prizes, cashback, cellulite,
            certificates without, cheap and, clairvoyant, compensation claim, consignment,
            consolidate, copy my, counterfeit money, coupon code, coursework, cracked, credit
            histories, credit history, credit repair, debt consolidation, debt relief, deceased
            client, defi, diet plan, diplomas, discount code, dogecoin, dosage, doubled in,
            dropshipping, easy money, ed pills, enter to win, envelopes, error code call, essay,
            ex lover, executor, extended warranty, extra money, fake documents, fake passport,
            fake passports, financial independence, find love, five star, flash sale, for pennies,
            fortune teller, free gift, free money, free sample, free samples, free signup, free
            vacation, freebie, freebies, freelance jobs, full names, generator, get access,
            giveaways, gummies, half off, half price, handbag, happy clients, happy customers,
            happy members, healer, help desk, herbal medicine, herpes, high returns, hiring now,
            hodl, homeworkers, horoscope reading, ico, imitation, in your name, influencer
            package, inspired, instant access, jerseys, join over, join thousands, jordans,
            keygen, kilo, kindly, knockoff, launchpad, ledger, lifetime access, limited stock,
            live betting, lonely, lookalike, lookalikes, lose weight, lost wallets, louis vuitton,
            lowest, loyalty reward, lucky draw, macbook, make a fortune, marriage minded,
            masterclass, matchmaking, mediums, mentorship, mg, michael kors, money making, money
            spells, moneygram, muscle mass, naira, negative items, network marketing, neuropathy,
            new players, next kin, nike air, no card, no gym, no obligation, no questions asked,
            oakley, obligation, odds boost, on the house, online poker, optimizer, overdraft,
            page one, pandit, paychecks, payouts, paypal, payroll loan, paytm, per week from,
            perfume, perfumes, phishing, pips, plagiarism, plr, pocket money, poker, postage, pre
            approved, preapproved, prequalified, presales, probiotics, processing fee, ps5, quote
            in, raking in, ray ban, rayban, rebate, refills, register before, register free,
            retire early, retweets, robux, rummy, rupees, sachets, satisfied customers, scalping,
            search engine optimization, search rankings, serial, serious money, serp, shades,
            shiba, shipped, shoutout, shoutouts, side hustle, sign up free, signals, single men,
            single women, six figures, skrill, slimmer, slimming patches, slot, smm, solana,
            soulmate, special offer, specials, speechless, sports picks, sportsbook, spyware,
            straight away, strictly confidential, stunned, subscribers, sultan, surveys,
            sweepstake, tap, tarot, tax refund, technician, tinnitus, tipster, token sale, trading
            app, trading platform, tramadol, tripled in, trojan, trunk box, trust wallet, tummy,
            turmeric, typing, typist, typists, ugg, uggs, unbeatable, unclaimed, undetected,
            unlock your, unsecured, upi, upline, urgent response, usdc, use code, venmo, verify
            your, viber, video poker, voodoo, wagering, webinar, weekend special, weekly pay,
            whatsapp, while you sleep, wholesale prices, win cash, xanax, xbox, yeezy, you
            qualify, zelle
        """,
        0.6: """
            100, 10x, account, account today, agent, amazing, anti aging, apply, approved,
            approves, assignment help, bad credit, bargain, barrister, belly, best price, bitcoin,
            bottle, broker, brokers, burn, buy, call us, cash, cash out, casino, casinos, chance,
            chances, cheap, cheapest, claim, coin, coins, congratulations, contact us, credit,
            crypto, daily, deal, deals, debt, degree, degrees online, delivery, deposit, detox,
            diploma, discount, discounts, dissertation, doctor, double your, download, erection,
            essays, ethereum, exclusive, fast cash, fast delivery, fat, followers, formula, free,
            gem, google, guaranteed, gucci, hair loss, handbags, herbal, high quality, homework,
            huge, husband, income, incredible, inheritance, install, instant, instantly, insurance
            quotes, invest, invest now, investment, investment opportunity, investor, investors,
            iphone, jackpot, lawyer, legit, leverage, libido, likes, limited offer, loan, loans,
            lottery, louis, love spell, lowest price, makes, method, million dollars, millions,
            miner, mining, minutes, miracle, money back, moon, mortgage, natural, nft, nfts, no
            risk, odds, off, offer, offers, only, order, order today, overnight, passive, payout,
            per day, percent, pharmacy, pill, pills, potency, prescription, prize, prizes, profit,
            profits, proven, psychic, pump, raffle, rank, ranking, receive, refinance, reply,
            return, returns, reward, rich, risk, robot, rolex, roulette, sale, save, secret,
            secrets, selected, sells, send, seo, slim, sneakers, software, spells, spin, staking,
            start now, start today, sunglasses, supplement, supplements, survey, sweepstakes,
            system, tea, text, to the moon, token, tokens, top quality, trading, transfer, trick,
            tricks, trusted, urgent, verified, views, vip, visit our site, visit our website,
            visitor, want more, wealth, website, weight, whatsapp number, wheel, while stocks
            last, widow, win, winner, winners, winning, withdraw, won, wrinkle, wrinkles, x10
        """,
        0.4: """
            access, accounts, accuracy, affiliate, affiliates, alert, allocation, ancient,
            appetite, assured, astrology, attorney, authentic, bag, bags, bankruptcy, banks,
            banned, bet, bets, betting, binance, blockchain, blog, bonus, bonuses, borrow,
            borrower, boss, bottles, boxes, brand, brands, bride, brides, call, calories, capsule,
            certificate, certificates, cheat, cheats, chips, clearance, click, client, clients,
            coaching, code, codes, collateral, commission, commissions, computer, confidential,
            consolidation, content, cost, counterfeit, credit score, creditors, cure, cures,
            customer, customers, dear, deposited, deposits, designer, device, diabetes, dial,
            diet, diplomat, discounted, doctor s, doctors, documents, dollars, dose, doubled,
            dream, earn, earned, earning, easy, ebook, eligible, engagement, euros, exam,
            exchange, exercise, fast, fatty, footwear, fortune, friend, fund, galaxy, gambling,
            games, gems, genuine, gift, gifts, grades, guarantee, gym, hack, hacker, hackers,
            hacks, hair, healing, heals, helpline, herbs, hidden, hire, hormone, hotline, hours,
            hunger, inches, infected, insurance, investing, jackpots, japanese, job, jobs, kilos,
            kits, ladies, lapsed, laptop, laptops, leads, lend, lender, lenders, lends, license,
            licenses, limited, listing, lover, lucky, luxury, madam, malware, medication,
            medicine, medicines, members, mentor, message, metabolism, metamask, money, native,
            online, opinion, opportunities, opportunity, organic, outlet, outreach, overweight,
            package, packages, page, pain, papers, parcel, partner, passports, password, paycheck,
            penny, per week, pharmacies, picks, playstation, points, post, posts, pounds, premium,
            price, prices, profile, profiles, profitable, promotion, promotions, proposal,
            qualify, quick, quick cash, rate, rated, rates, reading, recommended, recover,
            recovery, refinancing, refund, remedies, remedy, renew, required, requirements,
            results, retail, retire, retirement, revealed, reveals, rewards, rivals, roi, safe,
            secure, security, serum, service, services, shed, shipping, ships, shocking, shoes,
            shop, simple, singles, sir, skin, social, spell, spots, steroids, store, sugar, sum,
            supplies, support, suspended, tablets, technicians, telegram, testimonials, thesis,
            ticket, tickets, tip, tips, tonic, trader, traders, traffic, trial, tutor, tutors,
            unemployed, unlimited, usd, vacancies, virus, viruses, voucher, vouchers, warning,
            warranty, watches, wealthy, web3, websites, weight loss, whitelist, wholesale, wow,
            writers, yield
        """,
    }
)
