//! Tables of routes: rules and accounts as text, an address or an envelope in, where it goes out.

use crate::aliases::{AliasKey, Aliases};
use crate::plan::{Plan, Success};
use crate::route::{Exit, First, Known, Resolved, RouteConfig, Rules, Target};
use crate::srs::Srs;
use mail::{Address, Domain, Envelope, MailParams, Notify, Recipient, ReversePath};

const NOW: i64 = 1_763_000_000;

/// The rules that all tables here share.
const ALIASES: &str = "
    sales@o.ex:      alice@o.ex bob@elsewhere.ex
    both@o.ex:       alice@o.ex carol@p.ex
    one@o.ex:        alice@o.ex
    out@o.ex:        bob@elsewhere.ex
    nested@o.ex:     sales@o.ex one@o.ex out@o.ex
    tagged@o.ex:     alice+orders@o.ex
    copy@o.ex:       copy@o.ex bob@elsewhere.ex
    self@o.ex:       self@o.ex bob@elsewhere.ex
    onlyself@o.ex:   onlyself@o.ex
    ring1@o.ex:      ring2@o.ex
    ring2@o.ex:      ring1@o.ex
    partly@o.ex:     nobody@o.ex alice@o.ex
    nowhere@o.ex:    nobody@o.ex
    alice+vip@o.ex:  carol@p.ex
    *@p.ex:          alice@o.ex
    *@q.ex:          missing@q.ex
    *@r.ex:          bob@elsewhere.ex
";

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn rules(postmaster: Option<&str>, more: &str) -> Rules {
    let mut aliases = Aliases::default();
    for entry in ALIASES.lines().chain(more.lines()).map(str::trim).filter(|entry| !entry.is_empty()) {
        let (alias, targets) = entry.split_once(':').unwrap();
        aliases.insert(&AliasKey::parse(alias).unwrap(), targets.split_whitespace().map(address).collect());
    }
    let domains = ["o.ex", "p.ex", "q.ex", "r.ex"];
    let config = RouteConfig {
        hostname: Domain::parse("mx.o.ex").unwrap(),
        local_domains: domains.iter().map(|domain| Domain::parse(domain).unwrap()).collect(),
        aliases,
        subaddress: Some('+'),
        postmaster: postmaster.map(address),
    };
    Rules::new(config, Srs::new([7; 32]))
}

/// The directory: it knows only what was asked for.
fn known<'a>(rules: &Rules, accounts: &str, addresses: impl IntoIterator<Item = &'a Address>) -> Known {
    let asked = rules.questions(addresses);
    let accounts: Vec<String> = accounts.split_whitespace().map(str::to_owned).collect();
    let first = accounts.first().cloned().filter(|_| asked.first == First::Needed);
    Known { accounts: accounts.into_iter().filter(|name| asked.names.contains(name)).collect(), first }
}

const ACCOUNTS: &str = "alice@o.ex carol@p.ex copy@o.ex dave+exact@o.ex";

fn shown(resolved: &Resolved) -> String {
    let Resolved::Ours(targets) = resolved else {
        return match resolved {
            Resolved::Temporary(reply) => format!("{} {}", reply.code, reply.status.unwrap()),
            other => format!("{other:?}").to_lowercase(),
        };
    };
    let target = |target: &Target| match target {
        Target::Mailbox { account, address } if *account == address.to_string() => account.clone(),
        Target::Mailbox { account, address } => format!("{account} as {address}"),
        Target::Remote { address, via: Some(via) } => format!("{address} via {via}"),
        Target::Remote { address, via: None } => format!("{address} direct"),
    };
    targets.iter().map(target).collect::<Vec<_>>().join(", ")
}

#[test]
fn where_an_address_leads() {
    for (input, want) in [
        ("alice@o.ex", "alice@o.ex"),
        ("Alice@O.EX", "alice@o.ex as Alice@o.ex"),
        ("alice+shop@o.ex", "alice@o.ex as alice+shop@o.ex"),
        // An account or an alias with the tag in its name comes before the one without.
        ("dave+exact@o.ex", "dave+exact@o.ex"),
        ("dave+other@o.ex", "unknown"),
        ("alice+VIP@o.ex", "carol@p.ex"),
        ("one+tag@o.ex", "alice@o.ex"),
        ("nobody@o.ex", "unknown"),
        ("anybody@elsewhere.ex", "remote"),
        ("anybody@sub.o.ex", "remote"),
        ("one@o.ex", "alice@o.ex"),
        ("sales@o.ex", "alice@o.ex, bob@elsewhere.ex via sales@o.ex"),
        ("both@o.ex", "alice@o.ex, carol@p.ex"),
        ("nested@o.ex", "alice@o.ex, bob@elsewhere.ex via sales@o.ex"),
        ("tagged@o.ex", "alice@o.ex as alice+orders@o.ex"),
        ("copy@o.ex", "copy@o.ex, bob@elsewhere.ex via copy@o.ex"),
        ("self@o.ex", "bob@elsewhere.ex via self@o.ex"),
        ("onlyself@o.ex", "aliasloop"),
        ("ring1@o.ex", "aliasloop"),
        ("partly@o.ex", "alice@o.ex"),
        ("nowhere@o.ex", "unknown"),
        ("carol@p.ex", "carol@p.ex"),
        ("any.body@p.ex", "alice@o.ex"),
        ("any.body@q.ex", "unknown"),
        ("any.body@r.ex", "bob@elsewhere.ex via any.body@r.ex"),
        ("postmaster@o.ex", "alice@o.ex as postmaster@o.ex"),
        ("POSTMASTER+x@p.ex", "alice@o.ex"),
        ("Postmaster@p.ex", "alice@o.ex as Postmaster@p.ex"),
        ("postmaster@mx.o.ex", "alice@o.ex as postmaster@mx.o.ex"),
        ("mailer-daemon@mx.o.ex", "alice@o.ex as mailer-daemon@mx.o.ex"),
        ("alice@mx.o.ex", "remote"),
    ] {
        let rules = rules(None, "");
        let input = address(input);
        let known = known(&rules, ACCOUNTS, [&input]);
        assert_eq!(shown(&rules.resolve(&input, &known, NOW)), want, "{input}");
    }
}

#[test]
fn nothing_leaves_a_closed_server() {
    let rules = rules(None, "").with_exit(Exit::Closed);
    for (input, want) in [
        ("x@elsewhere.ex", "closed"),
        ("out@o.ex", "closed"),
        ("b@r.ex", "closed"),
        // What can be delivered here is.
        ("sales@o.ex", "alice@o.ex"),
        ("alice@o.ex", "alice@o.ex"),
        ("nobody@o.ex", "unknown"),
    ] {
        let input = address(input);
        let known = known(&rules, ACCOUNTS, [&input]);
        assert_eq!(shown(&rules.resolve(&input, &known, NOW)), want, "{input}");
    }
    let text = Resolved::Closed.refusal(&address("x@elsewhere.ex"), crate::Sender::Own).unwrap().to_string();
    assert_eq!(
        text,
        "550 5.7.1 <x@elsewhere.ex> is elsewhere, and this server delivers to its own domains only"
    );
}

#[test]
fn postmaster_is_always_deliverable() {
    for (named, more, accounts, want) in [
        (None, "", ACCOUNTS, "alice@o.ex as postmaster@o.ex"),
        (Some("carol@p.ex"), "", ACCOUNTS, "carol@p.ex"),
        (Some("nobody@o.ex"), "", ACCOUNTS, "alice@o.ex as postmaster@o.ex"),
        (Some("root@elsewhere.ex"), "", ACCOUNTS, "root@elsewhere.ex via postmaster@o.ex"),
        (Some("postmaster@o.ex"), "", ACCOUNTS, "alice@o.ex as postmaster@o.ex"),
        (Some("postmaster@p.ex"), "", ACCOUNTS, "alice@o.ex as postmaster@p.ex"),
        (None, "postmaster@o.ex: carol@p.ex", ACCOUNTS, "carol@p.ex"),
        (Some("alice@o.ex"), "", "postmaster@o.ex alice@o.ex", "postmaster@o.ex"),
        (None, "", "", "450 4.2.1"),
        (Some("alice@o.ex"), "", "", "450 4.2.1"),
    ] {
        let rules = rules(named, more);
        let input = address("postmaster@o.ex");
        let known = known(&rules, accounts, [&input]);
        assert_eq!(shown(&rules.resolve(&input, &known, NOW)), want, "{named:?} {more} {accounts}");
    }
}

#[test]
fn bounces_to_rewritten_senders_go_back() {
    let rules = rules(None, "*@o.ex: carol@p.ex");
    let ours = Domain::parse("o.ex").unwrap();
    let rewrite = |sender: &str| rules.srs().forward(&address(sender), &ours, NOW).unwrap();
    let there = rewrite("x@source.ex");
    let forged = address(&there.to_string().replace("=x@", "=y@"));
    for (input, now, want) in [
        (&there, NOW, format!("x@source.ex via {there}")),
        (&there, NOW + 30 * 86400, "unknown".into()),
        (&forged, NOW, "unknown".into()),
        (&rewrite("alice@p.ex"), NOW, "unknown".into()),
        (&address("SRS0x@o.ex"), NOW, "carol@p.ex".into()),
    ] {
        let known = known(&rules, ACCOUNTS, [input]);
        assert_eq!(shown(&rules.resolve(input, &known, now)), want, "{input}");
    }
}

#[test]
fn who_may_send_as_what() {
    let rules = rules(None, "");
    for (account, input, want) in [
        ("alice@o.ex", "alice@o.ex", true),
        ("alice@o.ex", "ALICE+shop@o.ex", true),
        ("alice@o.ex", "sales@o.ex", true),
        ("alice@o.ex", "any.body@p.ex", true),
        ("alice@o.ex", "postmaster@o.ex", true),
        ("alice@o.ex", "carol@p.ex", false),
        ("carol@p.ex", "carol@p.ex", true),
        ("carol@p.ex", "any.body@p.ex", false),
        ("carol@p.ex", "both@o.ex", true),
        ("carol@p.ex", "alice+vip@o.ex", true),
        ("alice@o.ex", "out@o.ex", false),
        ("alice@o.ex", "alice@elsewhere.ex", false),
        ("alice@o.ex", "nobody@o.ex", false),
    ] {
        let input = address(input);
        let known = known(&rules, ACCOUNTS, [&input]);
        assert_eq!(rules.owns(account, &input, &known, NOW), want, "{account} as {input}");
    }
}

/// `address`, or `address NOTIFY=…`.
fn recipient(text: &str) -> Recipient {
    let (to, notify) = text.split_once(" NOTIFY=").unwrap_or((text, ""));
    let has = |word: &str| notify.split(',').any(|given| given == word);
    let notify = match notify {
        "" => Notify::Default,
        "NEVER" => Notify::Never,
        _ => Notify::On { success: has("SUCCESS"), failure: has("FAILURE"), delay: has("DELAY") },
    };
    Recipient { address: address(to), notify, original: None }
}

fn shown_notify(notify: Notify) -> String {
    match notify {
        Notify::Default => String::new(),
        Notify::Never => " NOTIFY=NEVER".into(),
        Notify::On { success, failure, delay } => {
            let words: Vec<&str> = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")]
                .iter()
                .filter_map(|(on, word)| on.then_some(*word))
                .collect();
            format!(" NOTIFY={}", words.join(","))
        }
    }
}

fn shown_plan(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for local in &plan.local {
        lines.push(format!("file {} for {} as {}", local.account, local.original, local.address));
    }
    for remote in &plan.remote {
        let mut from = remote.from.to_string();
        if let Some((_, rest)) = from.split_once("SRS0=").filter(|_| from.starts_with("SRS0=")) {
            from = format!("SRS0=…{}", &rest[9..]);
        }
        let notify = shown_notify(remote.recipient.notify);
        lines.push(format!("send <{from}> to {}{notify}", remote.recipient.address));
    }
    for refused in &plan.refused {
        lines.push(format!("refuse {} {}", refused.recipient.address, refused.reply.status.unwrap()));
    }
    for told in &plan.told {
        let what = match told.success {
            Success::Delivered => "delivered",
            Success::Expanded => "expanded",
        };
        lines.push(format!("tell {} {what}", told.recipient.address));
    }
    lines
}

#[test]
fn plans() {
    for (from, recipients, want) in [
        ("x@s.ex", "alice@o.ex", "file alice@o.ex for alice@o.ex as alice@o.ex"),
        (
            "x@s.ex",
            "alice+a@o.ex | one@o.ex | bob@e.ex | bob@E.EX | Bob@e.ex",
            "file alice@o.ex for alice+a@o.ex as alice+a@o.ex | send <x@s.ex> to bob@e.ex | send <x@s.ex> to Bob@e.ex",
        ),
        ("x@s.ex", "out@o.ex", "send <SRS0=…=s.ex=x@o.ex> to bob@elsewhere.ex"),
        ("x@s.ex", "a@r.ex", "send <SRS0=…=s.ex=x@r.ex> to bob@elsewhere.ex"),
        // A null sender stays null, one of ours stays as it is.
        ("", "out@o.ex", "send <> to bob@elsewhere.ex"),
        ("alice@o.ex", "out@o.ex", "send <alice@o.ex> to bob@elsewhere.ex"),
        (
            "a-very-long-sender-with-a-return-path-of-its-own=x=y@mailing.s.ex",
            "out@o.ex",
            "send <a-very-long-sender-with-a-return-path-of-its-own=x=y@mailing.s.ex> to bob@elsewhere.ex",
        ),
        (
            "x@s.ex",
            "nobody@o.ex | alice@o.ex | ring1@o.ex",
            "file alice@o.ex for alice@o.ex as alice@o.ex | refuse nobody@o.ex 5.1.1 | refuse ring1@o.ex 5.4.6",
        ),
        (
            "x@s.ex",
            "alice@o.ex NOTIFY=SUCCESS",
            "file alice@o.ex for alice@o.ex as alice@o.ex | tell alice@o.ex delivered",
        ),
        ("x@s.ex", "alice@o.ex NOTIFY=FAILURE", "file alice@o.ex for alice@o.ex as alice@o.ex"),
        (
            "x@s.ex",
            "one@o.ex NOTIFY=SUCCESS",
            "file alice@o.ex for one@o.ex as alice@o.ex | tell one@o.ex delivered",
        ),
        // One forwarding address: everything goes on (RFC 3461 §5.2.7.2).
        ("", "out@o.ex NOTIFY=SUCCESS", "send <> to bob@elsewhere.ex NOTIFY=SUCCESS"),
        // Several: SUCCESS stays here (RFC 3461 §5.2.7.3).
        (
            "",
            "sales@o.ex NOTIFY=SUCCESS",
            "file alice@o.ex for sales@o.ex as alice@o.ex | send <> to bob@elsewhere.ex NOTIFY=NEVER | tell sales@o.ex expanded",
        ),
        (
            "",
            "sales@o.ex NOTIFY=SUCCESS,FAILURE",
            "file alice@o.ex for sales@o.ex as alice@o.ex | send <> to bob@elsewhere.ex NOTIFY=FAILURE | tell sales@o.ex expanded",
        ),
        ("", "bob@e.ex NOTIFY=SUCCESS,DELAY", "send <> to bob@e.ex NOTIFY=SUCCESS,DELAY"),
    ] {
        let rules = rules(None, "");
        let from = match from {
            "" => ReversePath::Null,
            text => ReversePath::Address(address(text)),
        };
        let recipients: Vec<Recipient> = recipients.split(" | ").map(recipient).collect();
        let envelope = Envelope { from, params: MailParams::default(), recipients };
        let known = known(&rules, ACCOUNTS, envelope.recipients.iter().map(|recipient| &recipient.address));
        let plan = rules.plan(&envelope, &known, NOW).unwrap();
        assert_eq!(shown_plan(&plan).join(" | "), want);
    }
}
