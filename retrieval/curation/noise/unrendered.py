"""What pages say that show nothing of what was asked for.

`retrieval.curation.noise.lexicon` says how points count.
Written from what such pages say in general. 2 points: hardly anything else says it. 1 point:
seldom said elsewhere. Less: ordinary words that tell only together.
"""

from __future__ import annotations

from typing import Final

from retrieval.curation.noise.lexicon import Lexicon

UNRENDERED: Final = Lexicon(
    {
        2.0: """
            sit tight while, hang tight while, while we prepare, while we check, while we load,
            while we verify, while we fetch, while we get things, while we redirect, while it
            loads, 0 results, 301 moved, 302 found, 400 bad request, 401 unauthorized, 402
            payment required, 403 forbidden, 404 error, 404 not found, 404 page, 405 method, 406
            not acceptable, 408 request, 410 gone, 413 request, 418 teapot, 429 too many, 451
            unavailable, 500 error, 500 internal, 500 server error, 501 not implemented, 502 bad
            gateway, 503 error, 503 service, 504 error, 504 gateway, accept cookies to view,
            access blocked, access forbidden, access has been blocked, access has been denied,
            access has been restricted, access is denied, access temporarily, access to this page
            has been denied, access to this resource, access to this service, access to this
            site, access to this website, access was denied, account disabled, account has been
            disabled, account has been account is private, account is account not found, account
            activate javascript, ad blocker detected, adblock detected, adblocker detected, add a
            description, add text here, add title, add your content, add your text, additional
            verification, adipiscing elit, adobe flash player, allow javascript, allowed memory
            size, an error has occurred, an error was, an unexpected error, an unknown error,
            anonymizer, another browser, anti bot, apache 2, apache server, app is loading,
            appears to be offline, application error, are being redirected, are you a robot,
            argument passed, array to string, article is no longer, article not found, article
            unavailable, at java, at module, at object, attributeerror, audio element,
            authenticating, authentication failed, authentication required, authorization
            required, automated access, automated queries, automated requests, automated tools,
            automated traffic, automatically redirected, available available in your country,
            available in your location, available in your region, aw snap, back to home, back to
            homepage, back to the homepage, backend fetch failed, bad gateway, bad link, bad
            request, bandwidth exceeded, bandwidth limit, be back online, be back shortly, be
            back soon, be right back soon, be with you shortly, been removed or renamed, being
            forwarded, being redirected, best viewed in, best viewed with, blocked for security,
            blocked in your, blocked your ip, bot check, bot detection, bot protection, bot
            verification, broken links, browser can t, browser cannot, browser does not support,
            browser doesn t support, browser is no longer, browser is not supported, browser is
            old, browser is out of date, browser is outdated, browser is too old, browser isn t
            supported, browser not supported, browser settings, browser version, buy domain, buy
            this domain, call to a member, call to undefined, can t be displayed, can t find that
            page, can t find the page, can t load, can t reach this, can t seem to find, cannot
            be displayed, cannot connect, cannot find the page, cannot get, cannot load, cannot
            locate, cannot modify header, cannot read properties, cannot read property, canvas
            element, captcha, caption here, certificate error, certificate has expired,
            certificate is not, characters you see, check back later, check back soon, check the
            address, check the box below, check the link, check the spelling, check the url,
            check your internet, checking if the site, checking your browser, class not found,
            classnotfoundexception, click edit, click here if the page, click here if you are
            not, click the box, click to add, click to edit, cloudflare ray, come back later,
            coming soon page, compilation error, complete the captcha, complete the challenge,
            complete the puzzle, complete the security, confirm that you are human, confirm you
            are, confirm you re human, connection closed, connection error, connection failed,
            connection has timed, connection is not private, connection is not secure, connection
            is secure, connection refused, connection reset, connection timed out, connection was
            interrupted, connection was reset, consectetur, consectetur adipiscing, content
            cannot, content could not, content couldn t, content deleted, content failed, content
            goes here, content has been removed, content is blocked, content is loading, content
            is no longer, content is not available, content is restricted, content is
            unavailable, content isn t available, content not available, content not found,
            content removed, content you requested, cookies and javascript, cookies are blocked,
            cookies are disabled, cookies are required, cookies disabled, cookies enabled,
            cookies must be, core dumped, could not be completed, could not be displayed, could
            not be processed, could not be reached, could not connect, could not find the page,
            could not locate, couldn t be loaded, couldn t find that, couldn t find the page,
            couldn t find what, couldn t load, couldn t locate, countries belonging to, court
            order blocked, critical error on this website, csrf, csrf token, currently offline,
            currently unavailable in, database connection, datadome, ddos protection, dead link,
            debug mode, debug true, default web page, demo content, demo page, description here,
            detected unusual, did not match any, didn t match any, didn t respond in time,
            different browser, directory listing, directory not found, disable your ad blocker,
            disable your adblocker, disable your vpn, disconnect reset before headers, dns
            address, dns error, dns probe, do not have access, document has moved, document not
            found, does not seem to exist, does not support frames, does not support iframes,
            doesn t appear to exist, doesn t seem to exist, doesnotexist, dolor sit, dolor sit
            amet, domain expired, domain for sale, domain has been, domain has been registered,
            domain has expired, domain is available, domain is for sale, domain is parked, domain
            is registered, domain may be, domain name for sale, domain name is, domain name may,
            domain parking, domain was recently, don t have access, don t have the rights, double
            click to edit, down for maintenance, drag the slider, duis aute, dummy text,
            econnrefused, econnreset, edit this text, eiusmod tempor, empty page, empty response,
            empty result, enable cookies, enable javascript, enable scripts, enable your browser,
            enable your cookies, enotfound, enter text, enter text here, enter title, enter your
            text, err connection, err name, err ssl, err timed, err_connection_refused,
            err_connection_timed_out, err_name_not_resolved, err_too_many_redirects, error 1009,
            error 1015, error 1020, error 403, error 404, error 500, error 502, error 503, error
            504, error 520, error 521, error 522, error 524, error 525, error encountered, error
            establishing, error has been logged, error has been reported, error has occurred,
            error id, error in your sql, error loading, error on line, error processing, error
            reference, error was encountered, error when, error while, establishing a database,
            etimedout, example page, excepteur sint, execution time exceeded, failed loading,
            failed opening, failed to connect, failed to fetch, failed to initialize, failed to
            load, failed to open, failed to open stream, failed to parse, failed to retrieve,
            false false, fatal error, fatal exception, fetching, fetching data, file not found,
            file or directory not found, file_get_contents, filenotfoundexception, filler text,
            first post edit, fixme, flash player is required, followed a broken, followed an old,
            format not supported, from your country, from your location, from your region,
            gateway error, gateway time, gateway time out, gateway timeout, gdpr countries, geo
            blocked, geo restricted, geo restriction, geoblocked, geographic restrictions,
            geographical restrictions, get flash, get this domain, go to homepage, go to the
            homepage, guru meditation, handshake failed, hard refresh, have to log in, hcaptcha,
            headers already sent, heading goes here, hello world welcome to wordpress, hold to
            confirm, hosting account, hosting provider, html5 audio, html5 video, http 403, http
            404, http 500, http 503, http error, http status, hugedomains, human and not a bot,
            human check, human verification, hydration failed, i am human, i am not a robot, i m
            not a robot, if nothing happens, if the page does not, if you are not redirected, if
            you are the owner, if you are the site owner, iframes, illegalargumentexception,
            image description, image not available, image not found, image unavailable,
            importerror, in your jurisdiction, in your location, incapsula incident, incident id,
            include_once, indexerror, initialising, initializing, inquire about this domain,
            insert content, insert here, insert image, insert name, insert text, insert title,
            insert title here, insert your, insufficient permissions, insufficient privileges,
            interested in this domain, internal server error, internal server error occurred,
            invalid certificate, invalid link, invalid request, invalid response from, invalid
            session, invalid token, invalid url, ioexception, ip address has been, ip has been,
            ip is blocked, is currently unavailable please, is loading, is not a function, is not
            defined, is unavailable right now, is undefined, isn t available in, isn t available
            right now, item not found, java lang, javascript and, javascript disabled, javascript
            enabled, javascript has been, javascript in your, javascript is currently, javascript
            is disabled, javascript is not, javascript is off, javascript is required, javascript
            is turned, javascript must be, javascript needs, javascript required, javascript
            support, javascript to, just a sec, just another wordpress site, key not found,
            keyerror, laravel, last modified size, licensing restrictions, lighttpd, limit
            exceeded, link expired, link has expired, link is broken, link is invalid, link may
            be broken, link you clicked, link you followed, listing has expired, listing is no
            longer, litespeed, loading 0, loading 99, loading app, loading application, loading
            content, loading data, loading loading, loading more, loading page, loading please
            wait, loading results, loading spinner, loading your, localhost, log in to access,
            log in to continue, log in to see, log in to view, logged in to access, logged in to
            see, logged in to view, logged out due, login to access, login to continue, login to
            view, looking for can t, looking for cannot, looking for could not, looking for doesn
            t, looking for is not, looking for isn t, looks like nothing, looks like nothing was
            found, looks like something went, lorem ipsum, lost page, magna aliqua, maintenance
            break, maintenance mode, make an offer on, maximum execution time, may have been
            removed, may take a few, media could not be, media error, media not found, members of
            this group, memory exhausted, method not allowed, minified react error, missing
            description, missing key, missing page, missing template, missing title, missing
            translation, mistyped the, modern browser, module not found, modulenotfounderror,
            must be logged, must log in, must login, must sign in, mysql error, mysql server has
            gone, mysql_connect, mysql_fetch_array, mysql_num_rows, mysql_query, mysqli, name
            last modified, nameerror, nan nan, nan undefined, need javascript, need to be logged,
            need to enable, need to have javascript, need to log in, need to login, need to sign
            in, needs javascript, newer browser, nginx 1, nginx web server, no articles found, no
            compatible source, no content available, no content found, no data available, no data
            found, no healthy upstream, no image available, no items found, no posts found, no
            posts to, no records, no records found, no results, no results for, no results found,
            no results matched, no script, no such file, no such file or directory, no such page,
            no title, node modules, nomethoderror, noscript, nosuchelementexception, not a bot,
            not a robot, not accessible from, not accessible in, not allowed to access, not
            authorized to view, not available in your, not available in your country, not
            available in your region, not be found, not found on this server, not viewable in,
            nothing matched, nothing to display, nothing to show, nothing was found at, now
            loading, null null, null pointer, null reference, null undefined, nulla facilisi,
            nullpointer, nullreferenceexception, nxdomain, object moved, object object, object
            reference not set, odbc, odbc driver, of undefined, oh snap, old browser, older
            browser, on null, one moment please, ooops, oops something, openresty,
            operationalerror, ora 00933, ora 01017, org apache, origin is unreachable, origin web
            server, outdated browser, outdated link, own this domain, owner of this domain, owner
            of this website, page can t be found, page cannot be found, page does not exist, page
            doesn t exist, page expired, page has been deleted, page has been moved, page has
            been removed, page has expired, page has gone, page has moved, page is broken, page
            is gone, page is loading, page is missing, page is no longer, page is not available,
            page is private, page is unavailable, page isn t available, page isn t here, page isn
            t working, page might have, page no longer exists, page not available, page not
            found, page unavailable, page under construction, page was deleted, page was moved,
            page you are looking for, page you have requested, page you re looking for, page you
            requested, page you tried, page you want, page you were, page you were looking,
            parked by, parked domain, parked free, parked page, parse error, partial not found,
            pdoexception, pellentesque, performance security by cloudflare, perimeterx,
            permission to access, permission to view, placeholder image, placeholder text,
            placeholder title, planned maintenance, please check back, please come back, please
            log in, please login, please refresh, please reload, please retry, please sign in,
            please stand by, please try again, please try again later, please wait while, plug in
            required, plugin is required, port 443, port 80, post has been removed, post not
            found, post unavailable, post was deleted, powered by imperva, preparing your, press
            and hold, private profile, processing please, product is no longer, product not
            found, profile is private, profile not found, profile unavailable, prove that you,
            prove you are human, prove you re, proxy error, public html, query error, query
            failed, quis nostrud, quisque, quota exceeded, rangeerror, rate limit, rate limit
            exceeded, rate limited, ray id, recaptcha, redirect automatically, redirect loop,
            redirect you, redirected automatically, redirected you too many times, redirecting
            you, reference id, referenceerror, refresh this page, refresh your browser, refused
            to connect, region locked, registered via, registered with godaddy, related searches,
            reload this page, render error, rendering error, rendering failed, replace this text,
            request blocked, request id, request timed out, request timeout, require_once,
            requires a browser, requires a login, requires authentication, requires
            authorization, requires cookies, requires javascript, requires login, resource cannot
            be found, resource could not, resource not found, resource you are looking,
            restricted in your, return to homepage, return to the homepage, review the security,
            rights restrictions, robot check, routine maintenance, run this app, runtime error,
            runtimeexception, sample content, sample page, sample post, scheduled maintenance,
            script error, scripts are disabled, secure connection failed, security certificate,
            security challenge, security of your connection, security verification, sed do
            eiusmod, segmentation fault, select all images, select all squares, server didn t
            respond, server encountered, server error 500, server error in, server is busy,
            server is down, server is overloaded, server is temporarily, server is unavailable,
            server not found, server too busy, server unavailable, service temporarily, service
            unavailable, servletexception, session expired, session has expired, session is
            invalid, session timed, session timeout, shop is currently, shortcode, sign in to
            access, sign in to continue, sign in to see, sign in to view, signed in to view, sit
            amet, site can t be reached, site connection is secure, site has been disabled, site
            has been site has moved, site is being, site is coming, site is currently, site is
            down, site is not configured, site is not published, site is offline, site is parked,
            site is temporarily, site is unavailable, site is under maintenance, site is
            undergoing, site not available, site not found, site not published, site unavailable,
            site under construction, slide to verify, solve the captcha, solve the puzzle, solve
            this puzzle, something broke, something isn t right, something new is coming,
            something s not right, something went wrong, sponsored listings, sql error, sql
            syntax, sqlstate, ssl certificate, ssl error, stack overflow exception, stack trace,
            stacktrace, start over from, still loading, store is unavailable, store unavailable,
            string not found, subtitle here, successfully installed, sucuri website firewall,
            support id, support javascript, supported browser, supported browsers, suspicious
            activity from, suspicious traffic, switch on javascript, switch them on, symfony
            exception, syntax error, syntaxerror, take me home, taking too long, tbd tbd,
            template error, template missing, template not found, templatedoesnotexist,
            templatesyntaxerror, tempor incididunt, temporarily down, temporarily offline,
            temporarily overloaded, test page for, text goes here, that page can t, third party
            cookies are blocked, this account is private, this application has no explicit
            mapping, this domain has, this domain is, this domain may, this group is private,
            this is a sample, this is embarrassing, this is your first post, this page is no
            longer, this site can t be reached, title here, token mismatch, too many connections,
            too many redirects, too many requests, took too long, traceback most recent,
            translation missing, true false, try again in, try again later, try again shortly,
            try later, try refreshing, try reloading, try your request again, turn off your ad,
            turn off your vpn, turn on cookies, turn on javascript, type the characters, typed
            the address, typed the url, typed the wrong, uh oh, ullamco, unable to connect to,
            unable to display, unable to handle, unable to process, unable to serve, unavailable
            for legal reasons, unavailable in, unavailable in your, unavailable in your country,
            unavailable in your region, uncaught error, uncaught exception, uncaught
            referenceerror, uncaught syntaxerror, uncaught typeerror, undefined array key,
            undefined function, undefined index, undefined method, undefined nan, undefined null,
            undefined offset, undefined property, undefined reference, undefined undefined,
            undefined variable, undergoing maintenance, unexpected error occurred, unexpected
            token, unhandled error, unhandled exception, unhandled rejection, unknown error,
            unsupported browser, untitled document, untitled page, unusual activity from, unusual
            traffic, update your browser, upgrade your browser, upstream connect, upstream
            request, upstream server, url is correct, use javascript, user not found, users from
            the eu, uses javascript, using an ad blocker, using an outdated, using an
            unsupported, ut enim, ut labore, valueerror, var varnish cache server, verify that
            you are, verify that you re, verify you are human, verify you re human, verify you re
            not, verify your browser, verify your identity to continue, verifying you are human,
            vestibulum, video cannot be played, video has been removed, video is not available,
            video is private, video is unavailable, video not found, video removed, video tag,
            video unavailable, view not found, violation of our, vpn detected, vpn or proxy, wait
            a few, wait a moment, wait a second, warning mysql, web application firewall, web
            hosting by, web page for this server, web server is down, web server is returning,
            web server is running, web server is working, webgl, website coming soon, website
            expired, website has been website has expired, website is coming, website is
            currently, website is no longer, website is offline, website is temporarily, website
            is unavailable, website is under, welcome to nginx, welcome to wordpress, well this
            is awkward, werkzeug, whitelabel error page, whitelist this site, widget not found,
            will be redirected, without javascript, without javascript enabled, work properly
            without, works best in, wp config, wp content, wp includes, wrong address, wrong url,
            you are a human, you are human, you are not a robot, you are offline, you do not have
            permission, you don t have permission, you have been blocked, you re human, you re
            not a robot, you re offline, you will be redirected, your company name, your
            connection is not, your content goes here, your ip address, your name here, your
            search did not, your search returned, your text here, your title here, zero results,
            zerodivisionerror
        """,
        1.0: """
            401, 403, 404, 408, 429, 502, 503, 504, 520, 521, 522, 523, 524, 525, access denied,
            access restricted, acl, ad blocker, adblock, adobe flash, ajax, almost there, an
            error has, apache, are not allowed, attention required, authentication,
            authorization, back home, back online, back soon, backend, bandwidth, be right back,
            been before proceeding, blacklisted, blocked by your, blocklist, broken link,
            buffering, cache, can t be found, can t connect, cannot be found, cannot process,
            captchas, cdn, clear your cache, cloudflare, coming soon, connecting, connection
            lost, copyright claim, couldn t connect, crawlers, critical error, currently
            unavailable, database, debug, deprecated, disable your ad, dmca, dns, dns server,
            dolor, downtime, env, err, errno, error code, error occurred, european economic area,
            exceeded, exception in, exceptions, fastly, fatal, firewall, flash player, forbid,
            geo, goes here, handler, hang tight, has been blocked, hold on, http, if you are not,
            iframe, in your country, in your region, inaccessible, incompatible, install flash,
            internal error, internal server, internet connection, internet explorer, ip address,
            ipsum, is down for, is not available, isn t working, javascript, jquery, json, just a
            moment, just a second, latest version of, launching soon, loading, login required,
            looking for has, looking for was, lorem, malformed, may be broken, moved permanently,
            nan, network connection, network error, new page, nginx, nil, no internet, no longer
            available, no longer exist, no longer exists, no matches, not allowed to view, not
            authorized, not authorized to, not available for, not available in, not available
            right now, not found, nothing found, nothing here, nothing to see, nothing was found,
            nullpointerexception, offline, oh no, on this server, one moment, oops, opening soon,
            out of memory, outdated, overload, overview undefined, page cannot, page could not,
            page couldn t, page failed, page may have, page was removed, parent directory,
            parked, parse, parser, permission denied, permissions, permitted, php, placeholder,
            placeholders, please be patient, please hold, please wait, plugins, preloader,
            processing your request, proxy server, quota, redirected, redirecting, redirection,
            redirects, refused, reload, reloading, renamed, request access, requested, requested
            url, retry, retrying, scraping, scripts, secure connection, security check, server
            error, something is wrong, sql, ssl, status code, stderr, syntax, system error,
            temporarily unavailable, test page, this may take, this page, time out, timed out,
            timeout, tls, todo, traceback, troubleshooting, try again, typeerror, typo, unable,
            unable to complete, unable to connect, unable to find, unable to locate, unable to
            reach, unauthorised, unauthorized, unauthorized access, unavailable, undefined, under
            maintenance, unexpected error, unhandled, unknown, unreachable, unresponsive,
            unsupported, upstream, uri, url, use a vpn, user agent, using a vpn, varchar,
            verifying, waf, wait for, we ll be back, webserver, went wrong, whitelabel, whoops,
            will be back, xml, your ip, your text, your title
        """,
        0.6: """
            400, 405, 410, 500, abort, aborted, access, accessible, address, address bar,
            administrator, again, allowed, apologies, apologise, apologize, app, application,
            attempts, authorized, automated, automatically, back, blocked, bookmark, bookmarked,
            bot, bots, broken, browser, browsers, can t find, cannot find, challenge, characters,
            check, chrome, click, code, complete, component, confirm, connect, connection,
            contact, content, continue, cookies, correct url, correctly, could not be loaded,
            could not find, could not load, couldn t find, crashed, data, default, deleted,
            denied, detected, diagnostics, difficulties, directed, directory, disable, disabled,
            display, displayed, doesn t exist, doesn t work, domain, down, edge, element,
            embarrassing, empty, enable, enabled, error, errors, exception, exist, existed,
            exists, experiencing, expired, explorer, fail, failed, fails, fault, file, firefox,
            forbidden, found, gateway, glitch, go back, here, home page, homepage, host, hosted,
            hosting, human, identity, image, incident, inconvenience, incorrect, incorrectly,
            index of, initial, install, installed, internal, interrupted, invalid, issue, issues,
            item, later, limit, line, link, links, load, load this, loads, locate, location, log
            in, logged, logged in, login, looking for, lost, maintenance, match any, message,
            method, missing, mistyped, moment, moved, navigation, network, none, notice, null,
            object, occurred, old version, option, options, outage, output, overloaded, page,
            pages, parameter, patience, pattern, permission, please, plugin, problem, processing,
            properly, protected, protection, prove, proxy, query, reach, redirect, reference,
            refresh, refresh the page, region, regret, rejected, reload the page, removed,
            request, requests, required, requires, reset, resolve, resolved, resource, response,
            restricted, results, robot, robots, safari, scheduled, script, search, secure,
            secured, security, seems, server, service, session, shortly, show, sign in, site,
            slider, slow, solve, sorry, spelling, stand by, standard, status, string, submit,
            support, supported, suspicious, switch, system, technical, technical difficulties,
            technician, temporarily, temporary, terminated, thank you for your patience, the
            requested, this domain, token, traffic, trouble, try, try another, unable to load,
            under construction, unexpected, unexpectedly, update, upgrade, user, username, using,
            valid, variable, verification, verify, version, view, view this, viewing, visit, vpn,
            we re sorry, webmaster, website, work, working, wrong, your account, your browser,
            your connection, your device, your network, your request, your search
        """,
    }
)
