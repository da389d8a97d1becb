//! Failure reports: one message for whose author nobody vouched, told to the author's domain (RFC 9991, in the format of
//! RFC 6591). Of the message they hold some fields of its header, and never an addressee, a subject or a body.

use crate::decide::{Disposition, Verdict};
use crate::dmarc::{DmarcResult, FailureOptions, Psd};
use crate::spf::SpfResult;
use crate::{Facts, Finding, Identity, SpfFinding, authres, dkim, dmarc, sender, spf};
use mail::{Address, Domain, date, header};
use std::net::IpAddr;

/// Octets of the message's own fields that are told at most.
const FIELDS_MAX: usize = 8 * 1024;
/// Octets of a line (RFC 5322 §2.1.1); what is longer is left out.
const LINE_MAX: usize = 998;
/// Fields of the message that say how it was made, and not to whom it went or what about.
const TOLD: [&str; 6] = ["From", "Date", "Message-ID", "DKIM-Signature", "List-ID", "Auto-Submitted"];
/// In place of a reason that may name the addressee.
const NOT_TOLD: &str = "not told to others";

/// A message that is worth a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedMessage {
    /// Where the record stands.
    pub at: Domain,
    /// The domain in From.
    pub author: Domain,
    pub source: IpAddr,
    /// What did not vouch for the author.
    pub failed: Vec<&'static str>,
    /// Where the reports shall go: URIs as written.
    pub ruf: Vec<String>,
    /// Seconds since 1970.
    arrived: i64,
    /// The fields that tell about it.
    details: String,
    /// Fields of the message.
    fields: String,
}

/// What is known of a message that was judged.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub facts: &'a Facts,
    pub findings: &'a [Finding],
    pub verdict: &'a Verdict,
    pub disposition: Option<&'a Disposition>,
    /// The header, or its beginning.
    pub head: &'a [u8],
    /// Our name.
    pub hostname: &'a Domain,
    /// Seconds since 1970.
    pub now: i64,
}

impl FailedMessage {
    /// `None` where the domain does not want to hear of it: there was no failure of a kind that it named, or it is a public
    /// suffix, which would read the mail of others; or for the null path, so that nobody reports about reports.
    pub fn of(judged: Known<'_>) -> Option<Self> {
        let dmarc = judged.findings.iter().find_map(|finding| match finding {
            Finding::Dmarc(one) => Some(one),
            _ => None,
        })?;
        let (applied, author, at) =
            (dmarc.applied.as_ref()?, dmarc.author.as_ref()?, dmarc.record_at.as_ref()?);
        let is_failure = match (applied.record.fo, dmarc.result) {
            (FailureOptions::All | FailureOptions::Any, DmarcResult::Fail) => true,
            (FailureOptions::Any, DmarcResult::Pass) => !(applied.dkim && applied.spf),
            _ => false,
        };
        let is_wanted = !applied.record.ruf.is_empty() && applied.record.psd != Psd::Yes;
        if !is_failure || !is_wanted || matches!(judged.verdict, Verdict::Defer(_)) {
            return None;
        }
        judged.facts.mail_from.address()?;
        let failed = [("dkim", applied.dkim), ("spf", applied.spf)];
        let failed = failed.into_iter().filter(|(_, good)| !good).map(|(name, _)| name).collect();
        Some(Self {
            at: at.clone(),
            author: author.clone(),
            source: judged.facts.peer.to_canonical(),
            failed,
            ruf: applied.record.ruf.clone(),
            arrived: judged.now,
            details: details(judged, dmarc, author),
            fields: fields(judged.head),
        })
    }

    /// The body of a report with its Content-Type, behind which nothing may follow.
    pub fn body(&self, boundary: &str) -> String {
        let Self { author, source, failed, fields, details, .. } = self;
        let failed = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
        let arrived = date::print(self.arrived);
        format!(
            "Content-Type: multipart/report; report-type=feedback-report;\r\n boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n\r\n\
             A message from the address {source} named an author of\r\n{author},\r\nand did not pass DMARC. It came on {arrived}.\r\n\r\n\
             --{boundary}\r\nContent-Type: message/feedback-report\r\n\r\n\
             Feedback-Type: auth-failure\r\nVersion: 1\r\nUser-Agent: maddy/{}\r\nAuth-Failure: dmarc\r\n\
             Identity-Alignment: {failed}\r\nArrival-Date: {arrived}\r\nSource-IP: {source}\r\nReported-Domain: {author}\r\n{details}\r\n\
             --{boundary}\r\nContent-Type: text/rfc822-headers\r\n\r\n{fields}\r\n--{boundary}--\r\n",
            env!("CARGO_PKG_VERSION"),
        )
    }
}

fn details(judged: Known<'_>, dmarc: &dmarc::Outcome, author: &Domain) -> String {
    let delivery = match judged.verdict {
        Verdict::Accept | Verdict::Mark(_) => "delivered",
        Verdict::Quarantine(_) => "spam",
        Verdict::Reject(_) | Verdict::Defer(_) => "reject",
    };
    let sender = judged.facts.mail_from.address();
    // The senders of lists and of who passes mail on often hold the addressee.
    let hidden = sender.filter(|sender| !sender.domain().is_within(author)).map(Address::domain);
    let findings =
        judged.findings.iter().map(|one| hidden.map_or_else(|| one.clone(), |name| hide(one, name)));
    let findings: Vec<Finding> = findings.collect();
    let mut out = authres::field(judged.hostname, &findings, judged.disposition);
    out.push_str(&format!("\r\nDelivery-Result: {delivery}\r\n"));
    match (hidden, sender) {
        (Some(domain), _) => out.push_str(&format!("Original-Mail-From: <redacted@{domain}>\r\n")),
        (None, Some(from)) => out.push_str(&format!("Original-Mail-From: <{from}>\r\n")),
        (None, None) => {}
    }
    let is_related = |name: &Domain| name.is_within(author) || author.is_within(name);
    let applied = dmarc.applied.as_ref();
    for finding in judged.findings {
        match finding {
            Finding::Dkim(all) if applied.is_some_and(|one| !one.dkim) => {
                let bad = all.iter().find(|one| one.domain.as_ref().is_some_and(is_related));
                out.push_str(&bad.map(about_signature).unwrap_or_default());
            }
            Finding::Spf(one)
                if one.identity != Identity::Helo
                    && one.outcome.result != SpfResult::Pass
                    && Domain::parse(asked_about(&one.who)).is_ok_and(|name| is_related(&name)) =>
            {
                let answer = one.outcome.lookups.iter().find(|asked| asked.kind == "TXT");
                let record = answer.map(|asked| asked.answer.replace(['"', '\\'], "")).unwrap_or_default();
                out.push_str(&format!("SPF-DNS: txt : {} : \"{record}\"\r\n", asked_about(&one.who)));
            }
            _ => {}
        }
    }
    plain(&out)
}

/// What was found about an envelope sender, with its domain only.
fn hide(finding: &Finding, domain: &Domain) -> Finding {
    let who = domain.to_string();
    match finding {
        Finding::Spf(one) if one.identity == Identity::MailFrom => {
            // Macros of a record put the local part into names, and reasons tell those names.
            let outcome = spf::Outcome { reason: NOT_TOLD.to_owned(), ..one.outcome.clone() };
            Finding::Spf(SpfFinding { who, outcome, ..one.clone() })
        }
        Finding::Sender(one) => Finding::Sender(sender::Outcome { sender: who, ..one.clone() }),
        other => other.clone(),
    }
}

/// The domain of an address, or the name itself.
fn asked_about(who: &str) -> &str {
    who.rsplit('@').next().unwrap_or(who)
}

fn about_signature(one: &dkim::Outcome) -> String {
    let mut out = String::new();
    let domain = one.domain.as_ref().map(Domain::to_string).unwrap_or_default();
    let identity = one.identity.clone().unwrap_or_else(|| format!("@{domain}"));
    let selector = one.selector.clone().unwrap_or_default();
    for (name, value) in [("Domain", domain), ("Identity", identity), ("Selector", selector)] {
        out.push_str(&format!("DKIM-{name}: {value}\r\n"));
    }
    out
}

/// The fields of a header that are told, each whole or not at all.
fn fields(head: &[u8]) -> String {
    let mut out = String::new();
    for field in header::fields(head) {
        let raw = String::from_utf8_lossy(head.get(field.start..field.end).unwrap_or_default());
        let name = raw.split(':').next().unwrap_or_default().trim_end();
        let is_told = TOLD.iter().any(|told| told.eq_ignore_ascii_case(name));
        if is_told && out.len() + raw.len() <= FIELDS_MAX {
            out.push_str(&plain(&raw));
        }
    }
    out
}

/// In lines of printable ASCII that are not too long, each of which ends in CR LF.
fn plain(text: &str) -> String {
    let lines =
        text.split('\n').map(|line| line.trim_end_matches('\r')).filter(|line| !line.trim().is_empty());
    let printable = |c: char| if c == '\t' || (' '..='~').contains(&c) { c } else { '?' };
    lines.fold(String::new(), |mut out, line| {
        out.extend(line.chars().map(printable).take(LINE_MAX));
        out.push_str("\r\n");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Pipeline};
    use mail::{Blob, Message, ReversePath};
    use world::fake;

    const ZONE: &str = "
        a.example TXT \"v=spf1 ip4:192.0.2.1 -all\"
        _dmarc.a.example TXT \"v=DMARC1; p=reject; ruf=mailto:f@a.example\"
        any.example TXT \"v=spf1 ip4:192.0.2.1 -all\"
        _dmarc.any.example TXT \"v=DMARC1; p=none; fo=1; ruf=mailto:f@any.example\"
        _dmarc.sig.example TXT \"v=DMARC1; p=none; fo=d; ruf=mailto:f@sig.example\"
        m.example TXT \"v=spf1 redirect=%{l}._spf.m.example\"
        _dmarc.quiet.example TXT \"v=DMARC1; p=reject\"
        _dmarc.suffix TXT \"v=DMARC1; p=reject; psd=y; ruf=mailto:f@suffix\"
        x.suffix A 192.0.2.1
    ";

    async fn failed(ip: &str, from: &str, text: &str) -> Option<FailedMessage> {
        let world = fake::world_with(1, ZONE).unwrap();
        let hostname = Domain::parse("mx.o.example").unwrap();
        let mail_from = Address::parse(from).map_or(ReversePath::Null, ReversePath::Address);
        let facts = Facts {
            whose: crate::Whose::Client,
            peer: ip.parse().unwrap(),
            local: None,
            helo: "h.example".to_owned(),
            mail_from,
        };
        let message = Message::new(Blob::from_bytes(text.replace('\n', "\r\n").into_bytes()));
        let pipeline = Pipeline::new(Config::default(), hostname.clone(), world);
        let judgement = pipeline.judge(&facts, &message).await.unwrap();
        let head = message.to_vec().unwrap();
        FailedMessage::of(Known {
            facts: &facts,
            findings: &judgement.findings,
            verdict: &judgement.verdict,
            disposition: judgement.disposition.as_ref(),
            head: &head,
            hostname: &hostname,
            now: 1_767_225_600,
        })
    }

    #[tokio::test]
    async fn a_report_says_how_it_failed_and_not_to_whom_it_went() {
        let text = "Received: from x by y for <secret@o.example>\nFrom: \"gr\u{fc}n\" <b@a.example>\nTo: secret@o.example\n\
                    Subject: secret\nDate: Thu, 01 Jan 2026 00:00:00 +0000\nMessage-ID: <1@a.example>\n\
                    DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s1; h=from; bh=AAAA;\n\tb=AAAA\n\nsecret\n";
        let failed = failed("192.0.2.9", "b@a.example", text).await.unwrap();
        assert_eq!(
            (failed.failed.as_slice(), failed.ruf.as_slice()),
            (&["dkim", "spf"][..], &["mailto:f@a.example".to_owned()][..])
        );
        let body = failed.body("b1");
        for wanted in [
            "Feedback-Type: auth-failure\r\nVersion: 1\r\n",
            "\r\nAuth-Failure: dmarc\r\nIdentity-Alignment: dkim, spf\r\nArrival-Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n",
            "\r\nSource-IP: 192.0.2.9\r\nReported-Domain: a.example\r\nAuthentication-Results: mx.o.example;\r\n",
            "\r\nDelivery-Result: reject\r\nOriginal-Mail-From: <b@a.example>\r\n",
            "\r\nSPF-DNS: txt : a.example : \"v=spf1 ip4:192.0.2.1 -all\"\r\n",
            "\r\nDKIM-Domain: a.example\r\nDKIM-Identity: @a.example\r\nDKIM-Selector: s1\r\n",
            "\r\n\r\nFrom: \"gr?n\" <b@a.example>\r\nDate: Thu,",
            "\r\nDKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s1; h=from; bh=AAAA;\r\n\tb=AAAA\r\n\r\n--b1--\r\n",
        ] {
            assert!(body.contains(wanted), "{wanted:?} is not in\n{body}");
        }
        assert!(!body.contains("secret"), "{body}");
        assert!(body.is_ascii() && body.split("\r\n").all(|line| !line.contains(['\r', '\n'])));
    }

    #[tokio::test]
    async fn an_envelope_sender_does_not_name_the_addressee() {
        let text =
            "Sender: l+bob=o.example@list.example\nFrom: b@a.example\nList-ID: <l.list.example>\n\nhello\n";
        for (from, told) in [
            ("l+bob=o.example@list.example", "<redacted@list.example>"),
            ("l+bob=o.example@nowhere.example", "<redacted@nowhere.example>"),
            ("bob@m.example", "<redacted@m.example>"),
            ("b+bob=o.example@a.example", "<b+bob=o.example@a.example>"),
            ("b+bob=o.example@sub.a.example", "<b+bob=o.example@sub.a.example>"),
        ] {
            let body = failed("192.0.2.9", from, text).await.unwrap().body("b1");
            assert!(body.contains(&format!("\r\nOriginal-Mail-From: {told}\r\n")), "{body}");
            assert_eq!(body.contains("bob"), told.contains("bob"), "{body}");
        }
    }

    #[tokio::test]
    async fn only_what_was_asked_for_is_told() {
        let text = |domain: &str| format!("From: b@{domain}\nSubject: x\n\nhello\n");
        for (ip, from, domain, want) in [
            // Spf passes, and nothing is signed.
            ("192.0.2.1", "b@a.example", "a.example", None),
            ("192.0.2.1", "b@any.example", "any.example", Some("dkim")),
            ("192.0.2.9", "b@any.example", "any.example", Some("dkim, spf")),
            ("192.0.2.9", "b@sub.any.example", "sub.any.example", Some("dkim, spf")),
            ("192.0.2.9", "<>", "a.example", None),
            ("192.0.2.9", "b@sig.example", "sig.example", None),
            ("192.0.2.9", "b@quiet.example", "quiet.example", None),
            ("192.0.2.9", "b@x.suffix", "x.suffix", None),
            ("192.0.2.9", "b@none.example", "none.example", None),
        ] {
            let got = failed(ip, from, &text(domain)).await.map(|one| one.failed.join(", "));
            assert_eq!(got.as_deref(), want, "{ip} {from} {domain}");
        }
    }

    #[test]
    fn a_hostile_header_stays_within_its_bounds() {
        let long = format!("From: {}\r\nDate: x\rInjected: y\r\n", "x".repeat(20_000));
        assert_eq!(fields(long.as_bytes()), "Date: x?Injected: y\r\n");
        let many = "Message-ID: <x>\r\n".repeat(10_000);
        assert!(fields(many.as_bytes()).len() <= FIELDS_MAX);
        assert_eq!(fields(b"From: a\r\n\r\n--b1--\r\nFrom: c\r\n"), "From: a\r\n");
    }
}
