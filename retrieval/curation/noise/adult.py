"""What adult pages say; `retrieval.curation.noise.lexicon` says how points count.

Written from what such pages say in general. 2 points: hardly anything else says it. 1 point:
seldom said elsewhere. Less: ordinary words that tell only together.
"""

from __future__ import annotations

from typing import Final

from retrieval.curation.noise.lexicon import Lexicon


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Who studies, treats, teaches, judges or mourns speaks of the same things; so does a museum.
_SOBER: Final = _set(
    """
    health medical medicine doctor doctors hospital study studies research researchers university
    education school schools students teacher teachers college curriculum literacy therapy
    therapists patients disease infection infections vaccine cancer hiv law laws rights equality
    ruling convicted convict offender offenders offence offences abuse assault rape trafficking
    victims victim crime crimes jailed prison sentenced trial scandal allegations harassment
    marriage marries married wedding church pope bishop parliament government minister council
    ban bans museum exhibition painting sculpture artist novel festival award awards director
    drama season actor actress role survey campaign charity history historian
    """
)
ADULT: Final = Lexicon(
    {
        2.0: """
            aged 18 or older, aged 18 and, persons aged 18, persons over 18, not suitable for
            minors, not suitable for work, unsuitable for minors, explicit adult content, sexual
            content intended, enter or leave, girls are online, get laid, adult themed, adult
            oriented, 18 or older, 18 years and older, 18 years or older, 18s only, 21 or older,
            adult cam, adult cams, adult chat, adult clips, adult content, adult dating, adult
            film online, adult films online, adult fun, adult galleries, adult gallery, adult
            movies, adult personals, adult photos, adult pics, adult pictures, adult site, adult
            stars, adult stories, adult video, adult videos, adult webcam, adult xxx,
            adultfriendfinder, adults 18, adults only, age restricted content, age restricted
            material, are you 18, are you over 18, barely legal, bbw, best escorts, big ass, big
            boobs, big booty, big tits, bondage videos, bongacams, brazzers, call girls, cam
            boys, cam girl, cam girls, cam model, cam models, cam show, cam shows, cam site,
            camming, cams live, casual hookups, chat with girls, chaturbate, confirm that you are
            18, confirm you are 18, confirm you are over, confirm your age, creampie, cumshot,
            cumshots, deepthroat, doggystyle, eighteen or older, enter if you are, erotic chat,
            erotic content, erotic gallery, erotic massage, erotic photos, erotic pictures,
            erotic services, erotic video, erotic videos, escort girls, escort service, escort
            services, exclusive nudes, explicit content, explicit gallery, explicit images,
            explicit material, explicit photos, explicit pics, explicit pictures, explicit
            scenes, explicit sex, explicit video, explicit videos, fansly, for adults only, free
            cams, free live sex, free nudes, free porn, free sex, free sex videos, fuck buddies,
            fuck buddy, fuckbuddy, full nude, fully naked, fully nude, gay porn, girl on girl,
            girls are waiting, girls naked, girls nude, girls waiting, handjob, happy ending,
            hardcore action, hardcore porn, hardcore sex, hardcore videos, homemade porn, horny
            girls, horny housewives, horny singles, hot singles, hot wives, i am 18, i am over
            18, intended for adults, intended for mature, lap dances, leaked onlyfans, leaked
            porn, leaked sex tape, leave if you are under, leave this site if, legal age to,
            lesbian porn, live cam, live cams, live nude, live sex, livejasmin, local girls,
            local milfs, lonely housewives, masturbate, masturbates, masturbating, mature
            content, mature readers, mature singles, milfs, minors must leave, minors not
            allowed, must be 18, myfreecams, naked girls, naked photos, naked pics, naked
            pictures, naked selfies, naked video, naked videos, naughty chat, naughty girls,
            naughty housewives, naughty photos, naughty pics, no minors, no panties, not safe for
            work, nsfw content, nsfw gallery, nude cam, nude cams, nude galleries, nude gallery,
            nude girls, nude images, nude leaks, nude models, nude photo set, nude photoshoot,
            nude pics, nude pictures, nude set, nude shoot, nude shows, nude teens, nude video,
            nude videos, nuru massage, of legal age, one night stands, onlyfans content, onlyfans
            leak, onlyfans leaks, onlyfans model, onlyfans pack, over 18 only, over 18s, over 18s
            only, over 21 only, over eighteen, parental guidance explicit, persons under 18,
            phone sex, porn channel, porn clips, porn gallery, porn gifs, porn hd, porn movies,
            porn pics, porn site, porn sites, porn stars, porn tube, porn video, porn videos,
            pornographic material, private cam, private nudes, private snaps premium, pussies,
            r18, redtube, restricted to adults, rule 34, rule34, sensual companions, sensual
            massage, sex cams, sex chat, sex clips, sex contacts, sex doll, sex dolls, sex movie,
            sex movies, sex partner tonight, sex partners in, sex personals, sex photos, sex
            pics, sex shop, sex site, sex sites, sex tape leaked, sex tape videos, sex toy shop,
            sex tube, sex video, sex videos, sex with strangers, sexting partner, sexual
            fantasies, sexually explicit, sexy cam, sexy cams, sexy girls, sexy ladies, sexy
            milf, sexy milfs, sexy photos, sexy pics, sexy pictures, sexy singles, sexy video,
            sexy videos, sexy women, softcore, spicy content, spicy photos, strip show, strip
            shows, stripchat, strippers for hire, strips naked, sugar babies, sugar dating,
            swinger club, swinger couples, swingers club, tantric massage, tits and ass, topless
            photos, topless pics, uncensored photos, uncensored pics, uncensored video,
            uncensored videos, uncut and uncensored, under 18 leave, under 18s must leave,
            undress her, upskirt, verify you are 18, verify you are over, viewer discretion, vip
            companions, vip escort, vip escorts, wank, want to hook up, webcam girls, webcam
            model, webcam models, webcam sex, webcam show, wet pussy, xhamster, xnxx, xvideos,
            xxx blog, xxx content, xxx hd, xxx movies, xxx pics, xxx video, xxx videos, years of
            age or older, youporn
        """,
        1.5: """
            adult dating site, adult fun tonight, after dark content, amateur couples, amateur
            girls, amateur videos, asian girls, asian women, bared all, bares all, bares
            everything, bares it all, baring all, behind the paywall, bhabhi, bi curious, bikini
            photos, bikini pics, blowjob, body rub, body rubs, body to body, bosom, boudoir, call
            girl, camgirl, camgirls, casual dating, casual encounter, casual fun, casual meet,
            centerfold, centrefold, cheating housewives, cheating wives, cleavage, college girls,
            cougars dating, cuckold, custom videos, deepfake nude, deepfake nudes, desi bhabhi,
            desi girls, dirty pics, dirty videos, discreet affair, discreet affairs, discreet
            dating, discreet encounters, dripping wet, elite companions, erotically, escort
            agency, escort directory, escort reviews, exotic dancer, exotic dancers, explicit
            adult, explicit nature, fap, femdom, fetish, fetishes, flirt with, footjob, friends
            with benefits, full body massage, full frontal, futanari, fwb, gay cams, gay chat,
            gay dating, gay hookup, gay hookups, gentlemen s club, gentlemens club, gfe,
            girlfriend experience, graphic nudity, graphic sexual, happy endings, hentai, high
            class escorts, hook ups, hookup app, hookup site, horny, hot guys, hot men, hot
            models, hot singles area, hot wife, hottest girls, hottest photos, hottest pics,
            hottest women, hotwife, in the buff, in the nude, incall, incest porn, independent
            escort, independent escorts, jerk off, joi, kinkiest, kinks, ladyboy, ladyboys,
            lapdance, latina girls, leak folder, leaked clip, leaked mms, leaked photos, leaked
            pics, leaked video, leaked videos, lesbian dating, lewd, lewds, lingerie models,
            lingerie photos, lingerie pics, lingerie shoot, lonely singles, lonely wives, lonely
            women, looking for fun, looking for sex, lustful, mail order bride, mail order
            brides, married and looking, married dating, masseuse, meet singles, mega folder,
            milf, mms video, nip slip, no clothes on, no strings, no strings fun, nsa fun, nsfl,
            nsfw, nude spread, nudity and, nympho, only fans, outcall, paysite, pin up girls,
            pole dancer, pole dancers, porn, porn star, pornhub, porno, pornographic, poses nude,
            posing nude, premium snapchat, private chat, private gallery, private photos, private
            show, private shows, racy photos, racy pics, racy pictures, racy snaps, raunchy, real
            girls, rent a girlfriend, rimming, roleplay sex, russian brides, russian girls,
            secret affair, seductress, see through top, sexcam, sexcams, sexiest photos, sexiest
            pics, sexiest pictures, sexiest women, sexual acts, sexual adventures, sexual
            desires, sexual encounters, sexual nature, sexual pleasure, sexual stamina, sexual
            themes, sexy chat, sexy selfies, side boob, sideboob, single girls, single ladies,
            singles near you, singles nearby, singles tonight, singles waiting, slut, sluts,
            slutty, spank, steamy photos, steamy pics, steamy scenes, steamy video, steamy
            videos, stepsis, stepsister, strapon, stripped naked, stripped off, stripping off,
            strips off, strong sexual, subscribers only nudes, thai girls, thirst trap, thirst
            traps, thot, thots, threesome, trans dating, ukrainian girls, uncensored content,
            uncensored gallery, underboob, unedited nudes, viral mms, voyeur, wardrobe
            malfunction, wearing nothing, wears nothing, wet t shirt, wet tshirt, whore, wife
            swap, wife swapping, without clothes, xxx, yiff
        """,
        1.2: """
            adult entertainment, adult toys, aroused, babes, bdsm, blowjobs, boobs, busty,
            camsex, casual sex, cock, completely naked, cougar, cougars, dating site, dildo,
            erotic, erotic stories, erotica, escort, escorts, escorts in, fetish wear, for
            adults, forbidden nights, gangbang, gay sex, goes topless, hookup, hookups, hot
            babes, hot girls, hot milfs, hot women, kink, kinky, lesbian sex, local singles,
            mature women, meet women, naughty, nipples, no strings attached, nude selfies, nudes,
            nudity, onlyfans, onlyfans account, orgasm, orgy, panties, playboy, playmate,
            pornstar, pornstars, private escorts, pussy, seduce, seductive, sex dating, sex now,
            sex stories, sex tape, sex tonight, sex toys, sexting, sexual, sexual content,
            shemale, stepmom, strip tease, strippers, strips, striptease, sugar baby, sugar
            daddy, swinger, swingers, teen sex, threesomes, tits, trans girls, uncensored, uncut,
            undress, undresses, vibrator, vibrators, want sex, webcam
        """,
        1.0: """
            18 and older, 18 and over, 18 years of age, 18plus, adults dating, aged 18 or, all
            revealed, anal, arousal, arouse, arousing, ass, asses, at least eighteen, bimbo, blow
            job, blurred, booty, busty blonde, cams, climax, come and play, come play, company
            tonight, crotch, curves, curvy, dirty chat, discretion, ejaculation, erotica books,
            exclusive photos, exhibitionist, explicit language, fantasise, fingering, foreplay,
            french kiss, fuck, fucked, fucking, fucks, g string, genitals, girlfriends, gstring,
            hooking up, hotter, hottie, hotties, hourly rates, hunks, join her, join me, juicy,
            kamasutra, lap dance, lap dancer, little to the imagination, lube, lubricant, make
            love, making love, masturbation, minors, mistress, moan, moaning, moans, my nudes, my
            pics, naked women, naughtiest, night stand, nipple, nothing to the imagination, nude
            selfie, nude women, nudist, nudists, one night stand, only subscribers, oral,
            orgasmic, orgasms, over 18, over 21, playmates, pole dancing, pornography, private
            content, private videos, privates, racy, reveals all, saucy, seduced, seduces,
            seduction, see everything, see it all, semi nude, sensuality, sensuous, sex games,
            sex guide, sex show, sex shows, sex tapes, sexier, sexiest, show you, show you
            everything, shows everything, shows it all, shows off, singles site, skimpy, snaps,
            spicy, strip club, stripped, stripping, submissive, suggestive, sultry, temptation,
            tempting, thong, thongs, tonight s girls, tranny, transsexual, twerk, twerking,
            twink, twinks, unblur, unblurred, unclothed, underage, undressed, undressing,
            unlimited chat, virgin, virgins, voluptuous, waiting for you, wank material, want to
            chat, want to meet, want you, wants to chat, wants to meet you, wants you, watch me
        """,
        0.7: """
            18, 18 years, 18s, adult, adults, adults welcome, affair, affairs, adults of 18,
            amateur, asian, at least 18, babe, bachelor party, bare skin, bedroom, bi, bikini,
            bikinis, blonde, bondage, brunette, buxom, cam, casual encounters, censored, chat,
            chat room, chatroom, chats, chemistry, companion, companions, condoms, craving,
            cravings, darling, date, dating, delight, delights, desire, desires, dirty, dirty
            talk, discreet, discreetly, divorced, domination, dominatrix, dripping, everything
            off, exotic, explicit, exposed, fans only, fantasies, fantasy, fling, flings, flirt,
            flirting, flirts, flirty, free registration, full hd, galleries, gentlemen, gents,
            girls, girls near, hardcore, hd, hook up, hotel visits, hottest, hourly, housewife,
            housewives, in your area, indulge, intimacy, intimate, intimate encounters, kiss,
            kisses, ladies night, latex, latina, latinas, leak, leaked, leaked nudes, leaks,
            leather, lingerie, live shows, lonely, love tonight, lovers, lust, lusty, massage,
            mature, meet, meet tonight, members area, moms, naked, naturist, near me, near you,
            nearby, new scenes, nude, nude photos, nude scenes, nylon, online now, passion,
            passionate, performers, photo set, playful, pleasing, pleasure, pleasures, pose,
            poses, posing, private room, provocative, redhead, relaxation, revealing, romance,
            romantic, satisfaction, satisfy, seeking, sensual, sets, sex, sexy, shameless,
            singles, singles near, sizzling, skin, snapchat, steamy, stockings, strip, strip off,
            stripper, strips down, swimsuit, takes everything off, takes it off, tease, teasing,
            teen, teens, tender, therapist, thrills, tonight, tonight only, topless, uncover,
            underwear, unforgettable night, unleash, unseen, verify your age, viewers, webcams,
            whip, whole set, wild, wildest, willing, wives, women, women near, x rated, xrated
        """,
        0.4: """
            now, tonight, online, join, full, hd, no sign up, free registration, meet, new,
            photos, pictures, images, looking, available, discover, unlimited, connect, city, 21,
            access, age, bare, bed, body, boys, click, clip, clips, couple, couples, cute, dates,
            dating app, dating apps, dating sites, download, enter, exclusive, free, full set,
            gallery, gay, girl, guide, guys, hot, ladies, legs, lesbian, lesbians, live, locals,
            lover, married women, matches, members, members only, model, models, nights, pics,
            private, profiles, relax, scenes, secret, session, sessions, show, shows, single,
            single men, single women, stream, subscribe, subscribers, swipe, thrill, touch, toys,
            trans, unlock, video, videos, vip, watch, wet, wife, young
        """,
    },
    sober=_SOBER,
)
