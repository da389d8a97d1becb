//! How often a door is used, and by how many at the same time: by an address, a network, a sender, for a recipient, in all.

use crate::concurrency::{Bounds, By, Place, Present};
use ::config::{Network, Section};
use mail::{Reply, Status};
use policy::{Meter, Rate};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::info;
use world::Clock;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    ConnectionsPerAddress,
    ConnectionsPerNetwork,
    MessagesPerAddress,
    MessagesPerNetwork,
    MessagesPerSender,
    RecipientsPerSender,
    MessagesPerRecipient,
    Messages,
}

impl Of {
    const ALL: [Self; 8] = [
        Self::ConnectionsPerAddress,
        Self::ConnectionsPerNetwork,
        Self::MessagesPerAddress,
        Self::MessagesPerNetwork,
        Self::MessagesPerSender,
        Self::RecipientsPerSender,
        Self::MessagesPerRecipient,
        Self::Messages,
    ];

    /// Name of its option, and what that says.
    fn option(self) -> (&'static str, &'static str) {
        match self {
            Self::ConnectionsPerAddress => ("connections-per-address", "New connections from one address."),
            Self::ConnectionsPerNetwork => (
                "connections-per-network",
                "New connections from one network (a /24 of IPv4, a /64 of IPv6).",
            ),
            Self::MessagesPerAddress => ("messages-per-address", "Messages from one address."),
            Self::MessagesPerNetwork => ("messages-per-network", "Messages from one network."),
            Self::MessagesPerSender => (
                "messages-per-sender",
                "Messages of one sender: of an account, where people log in; else of the address in MAIL from one network.",
            ),
            Self::RecipientsPerSender => {
                ("recipients-per-sender", "Recipients of one sender's messages, senders told apart as above.")
            }
            Self::MessagesPerRecipient => (
                "messages-per-recipient",
                "Messages for one recipient: an account, by whichever of its addresses, or an address.",
            ),
            Self::Messages => ("messages", "Messages in all."),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::ConnectionsPerAddress => "connections from this address",
            Self::ConnectionsPerNetwork => "connections from this network",
            Self::MessagesPerAddress => "messages from this address",
            Self::MessagesPerNetwork => "messages from this network",
            Self::MessagesPerSender => "messages of this sender",
            Self::RecipientsPerSender => "recipients of this sender",
            Self::MessagesPerRecipient => "messages for this recipient",
            Self::Messages => "messages",
        }
    }
}

/// Checked node `rates`. What has no rate is not limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateOptions {
    rates: [Option<Rate>; Of::ALL.len()],
    bounds: Bounds,
    /// Who is not counted by address, network or MAIL, and not in all.
    exempt: Vec<Network>,
}

impl Default for RateOptions {
    /// None, and this machine is exempt.
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1"].iter().filter_map(|text| Network::parse(text).ok());
        Self { rates: [None; Of::ALL.len()], bounds: Bounds::default(), exempt: loopback.collect() }
    }
}

impl RateOptions {
    /// Reads the node.
    pub fn decode(section: &mut Section<'_>) -> Self {
        let rates = Of::ALL.map(|of| {
            let (name, doc) = of.option();
            section.parsed(name, "a rate like \"60/1m\"", Rate::parse, doc).optional()
        });
        let bounds = Bounds::decode(section);
        let exempt = section
            .parsed(
                "exempt",
                "an address or a network",
                Network::parse,
                "Who is not counted; may repeat. This machine (127.0.0.0/8 and ::1), if nothing is given.",
            )
            .many();
        let exempt = if exempt.is_empty() { Self::default().exempt } else { exempt };
        Self { rates, bounds, exempt }
    }

    /// Whether a client is counted.
    pub fn is_exempt(&self, client: IpAddr) -> bool {
        self.exempt.iter().any(|network| network.contains(client))
    }
}

/// The counts of one door. Clones are one.
#[derive(Clone)]
pub struct Rates {
    inner: Arc<Mutex<Inner>>,
    present: Present,
    clock: Arc<dyn Clock>,
}

struct Inner {
    options: RateOptions,
    meters: [Meter; Of::ALL.len()],
}

impl Rates {
    pub fn new(options: RateOptions, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner { options, meters: std::array::from_fn(|_| Meter::default()) };
        Self { inner: Arc::new(Mutex::new(inner)), present: Present::default(), clock }
    }

    /// Other rates from now on; what was counted stays.
    pub fn set(&self, options: RateOptions) {
        self.lock().options = options;
    }

    /// A connection from there: 421 if there have been too many.
    pub fn connection(&self, client: IpAddr) -> Result<(), Reply> {
        let events = [
            (Of::ConnectionsPerAddress, client.to_string()),
            (Of::ConnectionsPerNetwork, network_of(client).to_string()),
        ];
        if self.lock().options.is_exempt(client) {
            return Ok(());
        }
        self.pass(&events, 421)
    }

    /// A message of a stranger: its place among those on their way in, or 451.
    pub fn message(&self, client: IpAddr, sender: Option<&str>) -> Result<Place, Reply> {
        let sender = sender.map(|sender| unproven(sender, client));
        if self.lock().options.is_exempt(client) {
            return self.enter(Vec::new(), 451);
        }
        self.count_message(Some(client), sender)
    }

    /// A message of somebody who has logged in from there.
    pub fn message_of(&self, account: &str, client: IpAddr) -> Result<Place, Reply> {
        let client = (!self.lock().options.is_exempt(client)).then_some(client);
        self.count_message(client, Some(account.to_owned()))
    }

    fn count_message(&self, client: Option<IpAddr>, sender: Option<String>) -> Result<Place, Reply> {
        let (mut events, mut places) = (vec![(Of::Messages, String::new())], vec![(By::All, String::new())]);
        if let Some(client) = client {
            let (address, network) = (client.to_string(), network_of(client).to_string());
            events.push((Of::MessagesPerAddress, address.clone()));
            events.push((Of::MessagesPerNetwork, network.clone()));
            places.extend([(By::Address, address), (By::Network, network)]);
        }
        if let Some(sender) = sender {
            events.push((Of::MessagesPerSender, sender.clone()));
            places.push((By::Sender, sender));
        }
        let place = self.enter(places, 451)?;
        self.pass(&events, 451)?;
        Ok(place)
    }

    /// A recipient of a stranger's message; both as keys.
    pub fn recipient(&self, client: IpAddr, sender: Option<&str>, recipient: &str) -> Result<Place, Reply> {
        if self.lock().options.is_exempt(client) {
            return self.enter(Vec::new(), 450);
        }
        self.count_recipient(sender.map(|sender| unproven(sender, client)), recipient)
    }

    /// A recipient of a message of somebody who has logged in.
    pub fn recipient_of(&self, account: &str, recipient: &str) -> Result<Place, Reply> {
        self.count_recipient(Some(account.to_owned()), recipient)
    }

    fn count_recipient(&self, sender: Option<String>, recipient: &str) -> Result<Place, Reply> {
        let mut events = vec![(Of::MessagesPerRecipient, recipient.to_owned())];
        events.extend(sender.map(|sender| (Of::RecipientsPerSender, sender)));
        let place = self.enter(vec![(By::Recipient, recipient.to_owned())], 450)?;
        self.pass(&events, 450)?;
        Ok(place)
    }

    /// A place among those who are here at the same time.
    fn enter(&self, keys: Vec<(By, String)>, code: u16) -> Result<Place, Reply> {
        let bounds = self.lock().options.bounds.clone();
        self.present.enter(&bounds, keys).map_err(|by| {
            info!(of = by.words(), "too many at the same time");
            let text = format!("Too many {} at the same time; try again in a moment", by.words());
            Reply::new(code, Status::transient(7, 1), text)
        })
    }

    /// All of them, or none is counted.
    fn pass(&self, events: &[(Of, String)], code: u16) -> Result<(), Reply> {
        let now = self.clock.unix();
        let mut inner = self.lock();
        let Inner { options, meters } = &mut *inner;
        for (of, key) in events {
            let Some(rate) = options.rates[*of as usize] else { continue };
            if let Err(wait) = meters[*of as usize].ask(rate, key.as_str(), now) {
                info!(of = of.words(), key, %rate, wait = wait.as_secs(), "too many");
                return Err(too_many(code, *of, wait));
            }
        }
        for (of, key) in events {
            if let Some(rate) = options.rates[*of as usize] {
                meters[*of as usize].count(rate, key.as_str(), now);
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sender whom nobody has proven to be one: counted apart for each network, so that whoever writes another's name into
/// MAIL uses up nothing of the other's.
fn unproven(sender: &str, client: IpAddr) -> String {
    format!("{sender} {}", network_of(client))
}

fn too_many(code: u16, of: Of, wait: Duration) -> Reply {
    let seconds = wait.as_secs() + 1;
    let text = format!("Too many {}; try again in {seconds} seconds", of.words());
    Reply::new(code, Status::transient(7, 1), text)
}

/// The first address of the /24 or /64 that holds this one.
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::fake::FakeClock;

    fn rates(text: &str) -> (Rates, FakeClock) {
        let tree = ::config::Tree::from_text("test", text, &|_| None);
        let clock = FakeClock::default();
        (Rates::new(tree.decode(RateOptions::decode).unwrap(), Arc::new(clock.clone())), clock)
    }

    fn said<T>(result: Result<T, Reply>) -> String {
        result.map_or_else(|reply| reply.to_string(), |_| "ok".to_owned())
    }

    #[test]
    fn each_is_counted_by_itself() {
        let (rates, clock) = rates("messages-per-address \"2/1m\"\nmessages-per-network \"3/1m\"");
        let go = |ip: &str| said(rates.message(ip.parse().unwrap(), Some("a@b.example")));
        for (ip, want) in [
            ("192.0.2.1", "ok"),
            ("::ffff:192.0.2.1", "ok"),
            ("192.0.2.1", "451 4.7.1 Too many messages from this address; try again in 31 seconds"),
            ("192.0.2.2", "ok"),
            ("192.0.2.3", "451 4.7.1 Too many messages from this network; try again in 21 seconds"),
            ("198.51.100.1", "ok"),
            ("127.0.0.1", "ok"),
            ("127.0.0.1", "ok"),
            ("127.0.0.1", "ok"),
            ("2001:db8::1", "ok"),
        ] {
            assert_eq!(go(&ip.parse::<IpAddr>().unwrap().to_canonical().to_string()), want, "{ip}");
        }
        clock.advance(Duration::from_secs(60));
        assert_eq!(go("192.0.2.1"), "ok");
    }

    #[test]
    fn what_is_refused_is_not_counted_elsewhere() {
        let (rates, _) = rates("messages-per-recipient \"1/1m\"\nrecipients-per-sender \"2/1m\"");
        let client = "192.0.2.1".parse().unwrap();
        let go = |to: &str| said(rates.recipient(client, Some("s@s.example"), to));
        assert_eq!(go("a@o.example"), "ok");
        for _ in 0..5 {
            assert!(go("a@o.example").starts_with("450 4.7.1 Too many messages for this recipient"));
        }
        assert_eq!(go("b@o.example"), "ok");
        assert!(go("c@o.example").starts_with("450 4.7.1 Too many recipients of this sender"));
        assert_eq!(said(rates.recipient(client, None, "c@o.example")), "ok");
    }

    /// Who only writes a name into MAIL uses up nothing of its owner's.
    #[test]
    fn a_name_in_mail_is_counted_for_each_network() {
        let (rates, _) = rates("messages-per-sender \"1/1m\"\nrecipients-per-sender \"1/1m\"");
        let message = |from: &str| said(rates.message(from.parse().unwrap(), Some("s@s.example")));
        let recipient =
            |from: &str, to: &str| said(rates.recipient(from.parse().unwrap(), Some("s@s.example"), to));
        assert_eq!(message("203.0.113.9"), "ok");
        assert!(message("203.0.113.10").starts_with("451 4.7.1 Too many messages of this sender"));
        assert_eq!(message("192.0.2.1"), "ok");
        assert_eq!(recipient("203.0.113.9", "a@o.example"), "ok");
        assert!(recipient("203.0.113.9", "b@o.example").starts_with("450 4.7.1 Too many recipients"));
        assert_eq!(recipient("192.0.2.1", "b@o.example"), "ok");
        // Who is not counted is not asked either.
        assert_eq!(
            (recipient("127.0.0.1", "c@o.example"), recipient("127.0.0.1", "d@o.example")),
            ("ok".into(), "ok".into())
        );
        assert_eq!(said(rates.recipient_of("s@s.example", "e@o.example")), "ok");
        assert!(said(rates.recipient_of("s@s.example", "f@o.example")).starts_with("450"));
    }

    #[test]
    fn nothing_is_limited_unless_it_is_asked_for() {
        let (rates, _) = rates("");
        for _ in 0..1000 {
            assert_eq!(said(rates.connection("192.0.2.1".parse().unwrap())), "ok");
            assert_eq!(said(rates.message_of("alice@o.example", [192, 0, 2, 1].into())), "ok");
        }
        let (rates, _) = self::rates("connections-per-address \"1/1m\"\nexempt \"192.0.2.0/24\"");
        let go = |ip: &str| said(rates.connection(ip.parse().unwrap()));
        assert_eq!(
            (go("192.0.2.1"), go("192.0.2.1"), go("127.0.0.1")),
            ("ok".into(), "ok".into(), "ok".into())
        );
        assert!(go("127.0.0.1").starts_with("421 4.7.1 Too many connections from this address"));
    }

    /// Who has logged in is told apart by account, wherever it is; its address counts too, unless it is exempt.
    #[test]
    fn who_has_logged_in_is_counted_by_address_too() {
        let (rates, _) = rates("messages-per-address \"1/1m\"\nmessages-per-sender \"2/1m\"");
        let go = |account: &str, ip: &str| said(rates.message_of(account, ip.parse().unwrap()));
        assert_eq!(go("a@o.example", "192.0.2.1"), "ok");
        assert!(go("b@o.example", "192.0.2.1").starts_with("451 4.7.1 Too many messages from this address"));
        assert_eq!(
            (go("b@o.example", "127.0.0.1"), go("b@o.example", "127.0.0.1")),
            ("ok".into(), "ok".into())
        );
        assert!(go("b@o.example", "127.0.0.1").starts_with("451 4.7.1 Too many messages of this sender"));
    }

    #[test]
    fn only_so_many_are_here_at_the_same_time() {
        let (rates, _) = rates(
            "concurrency-per-address 1\nconcurrency-per-network 2\nconcurrency-per-recipient 1\nmessages-per-sender \"2/1m\"",
        );
        let go = |ip: &str| rates.message(ip.parse().unwrap(), Some("s@s.example"));
        let first = go("192.0.2.1").unwrap();
        // What is put off for this is not counted for its rate.
        for _ in 0..5 {
            assert_eq!(
                said(go("192.0.2.1")),
                "451 4.7.1 Too many messages from this address at the same time; try again in a moment"
            );
        }
        let second = go("192.0.2.2").unwrap();
        assert!(
            said(go("192.0.2.3")).starts_with("451 4.7.1 Too many messages from this network at the same")
        );
        drop((first, second));
        assert!(
            said(go("192.0.2.1")).starts_with("451 4.7.1 Too many messages of this sender; try again in")
        );
        let to = |ip: &str| rates.recipient(ip.parse().unwrap(), None, "r@o.example");
        let held = to("192.0.2.1").unwrap();
        assert!(said(to("203.0.113.1")).starts_with("450 4.7.1 Too many messages for this recipient at the"));
        assert_eq!(said(to("127.0.0.1")), "ok");
        drop(held);
        assert_eq!(said(to("203.0.113.1")), "ok");
    }
}
