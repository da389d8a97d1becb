//! What to do about which result of which check, and the defaults: those of a personal domain.

use crate::arc::ArcResult;
use crate::dkim::DkimResult;
use crate::dnslist::Thresholds;
use crate::helo::HeloResult;
use crate::iprev::IprevResult;
use crate::sender::SenderResult;
use crate::spf::SpfResult;
use mail::Domain;

/// What a rule asks for. Of several the greatest counts: while it is unknown whether somebody vouches for the
/// message, nothing final is said. Only a refusal that no answer can undo comes before a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Nothing,
    /// Deliver, with the reason in a header field.
    Mark,
    /// Deliver to Junk, with the reason in a header field.
    Quarantine,
    Reject,
    /// Ask the client to come again.
    Defer,
}

impl Action {
    /// The word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Mark => "mark",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
            Self::Defer => "defer",
        }
    }
}

/// An action for each result of a check. A result that is not named has no consequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actions<R>(Vec<(R, Action)>);

impl<R: Copy + PartialEq> Actions<R> {
    pub fn of(&self, result: R) -> Action {
        self.0.iter().find(|(one, _)| *one == result).map_or(Action::Nothing, |(_, action)| *action)
    }

    pub fn set(&mut self, result: R, action: Action) {
        match self.0.iter_mut().find(|(one, _)| *one == result) {
            Some((_, old)) => *old = action,
            None => self.0.push((result, action)),
        }
    }

    pub(crate) fn usual(rows: &[Row<R>]) -> Self {
        Self(rows.iter().map(|row| (row.result, row.usual)).collect())
    }
}

/// An option of the configuration: a result and what may be done about it.
pub(crate) struct Row<R> {
    pub(crate) word: &'static str,
    pub(crate) result: R,
    pub(crate) usual: Action,
    pub(crate) choices: Choices,
    pub(crate) doc: &'static str,
}

/// What may be done about a result.
#[derive(Clone, Copy)]
pub(crate) enum Choices {
    Any,
    /// Where the DNS gave no answer, nothing is refused for good.
    Unanswered,
}

/// What failed, as far as DMARC tells cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmarcCase {
    /// The domain asks for rejection.
    Reject,
    /// The domain asks for quarantine.
    Quarantine,
    /// The domain asks for nothing.
    Monitor,
    /// The domain has no record.
    NoRecord,
    /// The DNS did not say what DMARC needs to know.
    TempError,
    /// No From, several, or one that cannot be read.
    UnclearAuthor,
}

/// What to do about which finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub iprev: Actions<IprevResult>,
    pub helo: Actions<HeloResult>,
    pub sender: Actions<SenderResult>,
    /// SPF of MAIL FROM counts only where nobody vouches for the author: a forwarded message fails SPF and still
    /// carries its signature.
    pub spf: Actions<SpfResult>,
    pub spf_helo: Actions<SpfResult>,
    /// The best result of all signatures; `None` where there is none.
    pub dkim: Actions<Option<DkimResult>>,
    pub arc: Actions<ArcResult>,
    /// Whose seals are believed, with all names below.
    pub trusted_sealers: Vec<Domain>,
    pub dmarc: Actions<DmarcCase>,
    pub lists: Thresholds,
}

impl Default for Rules {
    /// Do what the domains ask for, put to Junk what cannot be told, lose nothing.
    fn default() -> Self {
        Self {
            iprev: Actions::usual(IPREV),
            helo: Actions::usual(HELO),
            sender: Actions::usual(SENDER),
            spf: Actions::usual(SPF),
            spf_helo: Actions::usual(SPF_HELO),
            dkim: Actions::usual(DKIM),
            arc: Actions::usual(ARC),
            trusted_sealers: Vec::new(),
            dmarc: Actions::usual(DMARC),
            lists: Thresholds::default(),
        }
    }
}

const fn row<R>(word: &'static str, result: R, usual: Action, doc: &'static str) -> Row<R> {
    Row { word, result, usual, choices: Choices::Any, doc }
}

const fn unanswered<R>(result: R, usual: Action) -> Row<R> {
    let doc = "What to do if the DNS gives no answer.";
    Row { word: "temperror", result, usual, choices: Choices::Unanswered, doc }
}

const fn helo_unanswered(usual: Action) -> Row<SpfResult> {
    let doc = "What to do if the DNS does not say who may use the name in HELO.";
    Row { word: "helo-temperror", result: SpfResult::TempError, usual, choices: Choices::Unanswered, doc }
}

pub(crate) const IPREV: &[Row<IprevResult>] = &[
    row(
        "fail",
        IprevResult::Fail,
        Action::Nothing,
        "What to do if there is a reverse name and it does not lead back.",
    ),
    row("none", IprevResult::PermError, Action::Nothing, "What to do if there is no reverse name."),
    unanswered(IprevResult::TempError, Action::Nothing),
];

pub(crate) const HELO: &[Row<HeloResult>] = &[
    row(
        "syntax",
        HeloResult::BadSyntax,
        Action::Mark,
        "What to do about something that is neither a name nor an address literal.",
    ),
    row(
        "bare-address",
        HeloResult::BareAddress,
        Action::Mark,
        "What to do about an IP address without brackets.",
    ),
    row(
        "wrong-address",
        HeloResult::WrongAddress,
        Action::Mark,
        "What to do about the address of somebody else.",
    ),
    row(
        "own-name",
        HeloResult::OwnName,
        Action::Quarantine,
        "What to do about a stranger who calls itself as we do.",
    ),
    row(
        "own-address",
        HeloResult::OwnAddress,
        Action::Quarantine,
        "What to do about a stranger who gives our address as its own.",
    ),
    row("short-name", HeloResult::ShortName, Action::Nothing, "What to do about a name without a dot."),
    row(
        "unresolvable",
        HeloResult::Unresolvable,
        Action::Nothing,
        "What to do about a name with neither address nor mail host.",
    ),
    row(
        "mismatch",
        HeloResult::Mismatch,
        Action::Nothing,
        "What to do about a name that does not lead to the client. The standard forbids to refuse it for that.",
    ),
    unanswered(HeloResult::TempError, Action::Nothing),
];

pub(crate) const SENDER: &[Row<SenderResult>] = &[
    row(
        "null-mx",
        SenderResult::NullMx,
        Action::Quarantine,
        "What to do if the domain in MAIL FROM says that it takes no mail.",
    ),
    row("nonexistent", SenderResult::Nonexistent, Action::Mark, "What to do if the domain does not exist."),
    row(
        "no-mail-host",
        SenderResult::NoMailHost,
        Action::Mark,
        "What to do if the domain has neither mail host nor address.",
    ),
    row(
        "own-domain",
        SenderResult::OwnDomain,
        Action::Quarantine,
        "What to do if a stranger sends in the name of one of our domains and nobody vouches for it.",
    ),
    unanswered(SenderResult::TempError, Action::Nothing),
];

pub(crate) const SPF: &[Row<SpfResult>] = &[
    row(
        "fail",
        SpfResult::Fail,
        Action::Quarantine,
        "What to do if the domain says no and nobody else vouches for the author.",
    ),
    row("softfail", SpfResult::SoftFail, Action::Nothing, "What to do if the domain says \"probably not\"."),
    row("neutral", SpfResult::Neutral, Action::Nothing, "What to do if the domain says \"perhaps\"."),
    row("none", SpfResult::None, Action::Nothing, "What to do if the domain says nothing."),
    row(
        "permerror",
        SpfResult::PermError,
        Action::Nothing,
        "What to do if the record of the domain cannot be understood.",
    ),
    unanswered(SpfResult::TempError, Action::Defer),
];

pub(crate) const SPF_HELO: &[Row<SpfResult>] = &[
    row("helo-fail", SpfResult::Fail, Action::Nothing, "What to do if the name in HELO says no."),
    row(
        "helo-softfail",
        SpfResult::SoftFail,
        Action::Nothing,
        "What to do if the name in HELO says \"probably not\".",
    ),
    row(
        "helo-neutral",
        SpfResult::Neutral,
        Action::Nothing,
        "What to do if the name in HELO says \"perhaps\".",
    ),
    row("helo-none", SpfResult::None, Action::Nothing, "What to do if the name in HELO says nothing."),
    row(
        "helo-permerror",
        SpfResult::PermError,
        Action::Nothing,
        "What to do if the record of the name in HELO cannot be understood.",
    ),
    helo_unanswered(Action::Nothing),
];

pub(crate) const DKIM: &[Row<Option<DkimResult>>] = &[
    row("none", None, Action::Nothing, "What to do if there is no signature."),
    row(
        "fail",
        Some(DkimResult::Fail),
        Action::Nothing,
        "What to do if no signature is good: what was signed has changed, or its time is over.",
    ),
    row(
        "policy",
        Some(DkimResult::Policy),
        Action::Nothing,
        "What to do if signatures are too weak or cover too little.",
    ),
    row(
        "permerror",
        Some(DkimResult::PermError),
        Action::Nothing,
        "What to do if no signature has a usable key.",
    ),
    row("neutral", Some(DkimResult::Neutral), Action::Nothing, "What to do if no signature can be read."),
    unanswered(Some(DkimResult::TempError), Action::Nothing),
];

pub(crate) const ARC: &[Row<ArcResult>] = &[row(
    "fail",
    ArcResult::Fail,
    Action::Nothing,
    "What to do about a broken chain. By the standard it is as good as none.",
)];

pub(crate) const DMARC: &[Row<DmarcCase>] = &[
    row("reject", DmarcCase::Reject, Action::Reject, "What to do where the domain asks to reject."),
    row(
        "quarantine",
        DmarcCase::Quarantine,
        Action::Quarantine,
        "What to do where the domain asks for quarantine.",
    ),
    row("monitor", DmarcCase::Monitor, Action::Nothing, "What to do where the domain asks for nothing."),
    row("no-record", DmarcCase::NoRecord, Action::Nothing, "What to do where the domain has no record."),
    row(
        "unclear-author",
        DmarcCase::UnclearAuthor,
        Action::Quarantine,
        "What to do with no From, several, or one that cannot be read.",
    ),
    unanswered(DmarcCase::TempError, Action::Defer),
];
