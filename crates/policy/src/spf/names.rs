//! Names and networks as terms of a record compare them (RFC 7208 §4.3, §5, §7.3).

use super::record::Prefix;
use std::net::IpAddr;

/// Longest name that a macro may make (RFC 7208 §7.3).
const NAME_MAX: usize = 253;
/// Longest label (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// A name that can be asked for: at least two labels, each of lawful length (RFC 7208 §4.3), and no address in brackets.
pub(super) fn is_well_formed(name: &str) -> bool {
    let lawful = |label: &str| (1..=LABEL_MAX).contains(&label.len());
    name.len() <= NAME_MAX
        && name.contains('.')
        && !name.starts_with('[')
        && name.bytes().all(|b| b.is_ascii_graphic())
        && name.split('.').all(lawful)
}

/// Drops the dot at the end, and labels on the left until the name fits (RFC 7208 §7.3).
pub(super) fn fit(name: &str) -> &str {
    let mut name = name.strip_suffix('.').unwrap_or(name);
    while name.len() > NAME_MAX {
        name = name.split_once('.').map_or("", |(_, rest)| rest);
    }
    name
}

pub(super) fn within(ip: IpAddr, network: IpAddr, prefix: Prefix) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - prefix.v4)).unwrap_or(0);
            (u32::from(ip) ^ u32::from(network)) & mask == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(u32::from(128 - prefix.v6)).unwrap_or(0);
            (u128::from(ip) ^ u128::from(network)) & mask == 0
        }
        _ => false,
    }
}

/// Which validated name `%{p}` stands for (RFC 7208 §7.3).
pub(super) fn best_name(names: Vec<String>, domain: &str) -> Option<String> {
    let domain = domain.to_ascii_lowercase();
    let found = names
        .iter()
        .find(|name| **name == domain)
        .or_else(|| names.iter().find(|name| is_at_or_below(name, &domain)))
        .or_else(|| names.first());
    found.cloned()
}

pub(super) fn is_at_or_below(name: &str, parent: &str) -> bool {
    name == parent || name.strip_suffix(parent).is_some_and(|head| head.ends_with('.'))
}
