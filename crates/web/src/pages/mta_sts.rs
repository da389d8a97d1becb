//! The MTA-STS policy, the same for all our domains (RFC 8461 §3.2).

use crate::config::StsOptions;
use crate::site::{Page, Site};
use mail::Domain;

pub(crate) fn page(site: &Site) -> Page {
    // The media type is looked at (RFC 8461 §3.3); a charset would not harm, and says nothing here.
    Page::new("text/plain", policy(&site.sts, &site.hostname))
}

/// The text of the policy.
pub fn policy(options: &StsOptions, hostname: &Domain) -> String {
    let own = [hostname.clone()];
    let hosts = if options.hosts.is_empty() { &own[..] } else { &options.hosts[..] };
    let hosts: String = hosts.iter().map(|host| format!("mx: {host}\r\n")).collect();
    format!(
        "version: STSv1\r\nmode: {}\r\n{hosts}max_age: {}\r\n",
        options.mode.word(),
        options.max_age.as_secs()
    )
}

/// An id that is another one whenever the policy is another one (RFC 8461 §3.1).
pub fn policy_id(options: &StsOptions, hostname: &Domain) -> String {
    // FNV-1a, 64 bits: nobody gains by a policy of the same id.
    let hash = policy(options, hostname).bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
