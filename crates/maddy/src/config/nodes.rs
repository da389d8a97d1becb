//! Nodes of the configuration with what they are for.

use super::NOTIFICATIONS;
use crate::notifications::Notifications;
use crate::trace::TraceConfig;
use ::config::Section;
use submission::local::LocalConfig;

pub(super) fn trace(section: &mut Section<'_>) -> TraceConfig {
    section.child(
        "trace",
        "What happens to each message, kept for `maddy trace` (docs/trace.md).",
        crate::trace::decode,
    )
}

/// The judges of what comes from elsewhere: our own checks, and filters.
pub(super) fn judges(section: &mut Section<'_>) -> (policy::Config, policy::filter::Filters) {
    let checks = section.child(
        "checks",
        "What is checked of mail from other servers, and what follows: \"none\", \"mark\" (a field X-Junk-Reason), \"quarantine\" (to Junk, with the field), \"reject\", \"defer\".",
        policy::config::decode,
    );
    let filters = section.child(
        "filters",
        "Filters of your own: each is asked about every message from other servers.",
        policy::filter::decode,
    );
    (checks, filters)
}

pub(super) fn local_programs(section: &mut Section<'_>) -> (LocalConfig, Option<Notifications>) {
    let sendmail = section.child(
        "sendmail",
        "Mail from programs of this machine, which call `sendmail` (docs/sending.md).",
        submission::local::decode_local,
    );
    let notifications = section.child_if_present(
        NOTIFICATIONS,
        "Makes this a server that carries the notices of one machine to a few people, through another server, and does nothing else.",
        crate::notifications::decode,
    );
    (sendmail, notifications.flatten())
}

pub(super) fn web(section: &mut Section<'_>) -> web::Config {
    section.child(
        "web",
        "Pages for mail programs and other servers, proofs for certificates, metrics. Off without `listen`.",
        web::decode,
    )
}
