//! Whether others would believe what we send, as findings.

use crate::config::Config;
use crate::selfcheck;
use crate::setup::finding::{Finding, State};
use delivery::selfcheck::{Check, Point, State as Stands};
use world::World;

/// The name that we say, and whether mail in our own name would pass our own policy. Records one by one are compared
/// elsewhere.
pub(crate) async fn look(config: &Config, world: &World) -> Vec<Finding> {
    let (settings, asked) = (config.clone(), world.clone());
    let inspector = tokio::task::spawn_blocking(move || selfcheck::inspector(&settings, &asked)).await;
    let Ok(inspector) = inspector else { return Vec::new() };
    let report = inspector.inspect().await;
    let mut findings: Vec<Finding> =
        report.points.iter().filter(|point| point.check == Check::Helo).map(helo).collect();
    for domain in config.domains.iter().filter(|domain| domain.literal().is_none()) {
        findings.push(match report.burns(domain) {
            None => {
                Finding::good("own-policy", domain, "no mail in its own name would fail its own DMARC policy")
            }
            Some(why) => Finding::new(
                "own-policy",
                domain,
                State::Bad,
                format!("mail in its own name would fail its own DMARC policy: {why}"),
                "others refuse what you send, or put it to junk, because your own record asks for it",
                "mend what is wrong of SPF or DKIM; write p=none into the DMARC record until then",
            ),
        });
    }
    findings
}

fn helo(point: &Point) -> Finding {
    let state = match point.state {
        Stands::Good => return Finding::good("helo", &point.about, point.text.clone()),
        Stands::Bad => State::Bad,
        Stands::Unknown => State::Unknown,
    };
    let why = "servers that compare the name that we say with our address refuse mail, or trust it less";
    Finding::new("helo", &point.about, state, point.text.clone(), why, point.help.clone())
}
