//! Who is banned, for how long, and who never is.

use super::*;
use crate::bans::Bans;
use world::fake;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn network(text: &str) -> Network {
    Network::parse(text).unwrap()
}

fn table(options: BanOptions) -> Table {
    Table { options, ..Table::default() }
}

/// Offends until it is banned, and tells how often that was.
fn offend(table: &mut Table, from: &str, offence: Offence, now: u64) -> u32 {
    (1..1000).find(|_| !table.offend(ip(from), offence, now).is_empty()).unwrap_or_default()
}

#[test]
fn an_address_is_banned_and_comes_back() {
    let mut table = table(BanOptions::default());
    assert_eq!(offend(&mut table, "192.0.2.1", Offence::Guess, 1000), 30);
    for (from, now, want) in [
        ("192.0.2.1", 1000, true),
        ("::ffff:192.0.2.1", 1000, true),
        ("192.0.2.2", 1000, false),
        ("192.0.2.1", 1000 + 899, true),
        ("192.0.2.1", 1000 + 900, false),
    ] {
        assert_eq!(table.refuses(ip(from), Entrance::Logins, now), want, "{from} {now}");
    }
    assert_eq!(table.refused, 3);
    // The next time it takes twice as long, and after a quiet time as long as the first.
    assert_eq!(offend(&mut table, "192.0.2.1", Offence::Guess, 2000), 30);
    assert!(table.refuses(ip("192.0.2.1"), Entrance::Logins, 2000 + 1799));
    assert!(!table.refuses(ip("192.0.2.1"), Entrance::Logins, 2000 + 1800));
    let later = 100_000;
    assert_eq!(offend(&mut table, "192.0.2.1", Offence::Guess, later), 30);
    assert!(!table.refuses(ip("192.0.2.1"), Entrance::Logins, later + 900));
}

#[test]
fn a_network_of_offenders_is_banned_as_a_whole() {
    for (place, neighbour, elsewhere) in [
        ("198.51.100.", "198.51.100.200", "198.51.101.1"),
        ("2001:db8:1:", "2001:db8:1:ffff::1", "2001:db8:2::1"),
    ] {
        let mut table = table(BanOptions::default());
        for n in 1..=4 {
            let from = if place.contains(':') { format!("{place}{n}::1") } else { format!("{place}{n}") };
            offend(&mut table, &from, Offence::Abuse, 0);
            assert!(!table.refuses(ip(neighbour), Entrance::Logins, 0));
        }
        let from = if place.contains(':') { format!("{place}5::1") } else { format!("{place}5") };
        offend(&mut table, &from, Offence::Abuse, 0);
        assert!(table.refuses(ip(neighbour), Entrance::Logins, 0));
        assert!(!table.refuses(ip(elsewhere), Entrance::Logins, 0));
    }
}

#[test]
fn who_logged_in_is_not_shut_out_for_its_neighbours_even_after_a_restart() {
    let world = fake::world(1);
    for (owner, neighbours) in [("198.51.100.200", "198.51.100."), ("2001:db8:1:ff::7", "2001:db8:1:")] {
        let bans = Bans::new(BanOptions::default(), world.clock.clone());
        bans.vouch(ip(owner));
        let first = bans.changes();
        assert!(first.is_some());
        bans.vouch(ip(owner));
        assert_eq!(bans.changes(), None, "the same again is not worth writing");
        for n in 1..=5 {
            let from =
                if owner.contains(':') { format!("{neighbours}{n}::1") } else { format!("{neighbours}{n}") };
            (0..30).for_each(|_| bans.report(ip(&from), Offence::Guess));
        }
        let next = Bans::new(BanOptions::default(), world.clock.clone());
        next.restore(&bans.changes().unwrap()).unwrap();
        let stranger = if owner.contains(':') { "2001:db8:1:fe::7" } else { "198.51.100.201" };
        for bans in [&bans, &next] {
            assert!(
                !bans.refuses(ip(owner), Entrance::Logins) && bans.refuses(ip(stranger), Entrance::Logins),
                "{owner}"
            );
        }
        // What is done by hand is meant.
        next.add(network("198.51.100.0/24"), None).unwrap();
        next.add(network("2001:db8::/32"), None).unwrap();
        assert!(next.refuses(ip(owner), Entrance::Logins));
    }
}

#[test]
fn what_an_earlier_version_kept_is_taken_up() {
    let bans = Bans::new(BanOptions::default(), fake::world(1).clock.clone());
    bans.restore(b"{\"marks\":[],\"by_hand\":[[\"192.0.2.0/24\",null]]}").unwrap();
    assert!(bans.refuses(ip("192.0.2.1"), Entrance::Logins));
}

#[test]
fn guessers_are_kept_from_logins_and_abusers_from_everything() {
    use Entrance::{Logins, Public};
    for (offence, is_public_closed) in [(Offence::Guess, false), (Offence::Abuse, true)] {
        let mut table = table(BanOptions::default());
        for n in 1..=5 {
            offend(&mut table, &format!("192.0.2.{n}"), offence, 0);
        }
        for from in ["192.0.2.1", "192.0.2.200"] {
            assert!(table.refuses(ip(from), Logins, 0), "{from}");
            assert_eq!(table.refuses(ip(from), Public, 0), is_public_closed, "{from}");
        }
    }
    // One does not add to the other.
    let mut table = table(BanOptions::default());
    for _ in 0..29 {
        assert!(table.offend(ip("192.0.2.1"), Offence::Guess, 0).is_empty());
    }
    assert_eq!(offend(&mut table, "192.0.2.1", Offence::Abuse, 0), 6);
}

#[test]
fn some_are_never_banned() {
    let mut table = table(BanOptions { never: vec![network("203.0.113.0/24")], ..BanOptions::default() });
    for from in ["203.0.113.9", "127.0.0.1", "10.1.2.3", "::1", "fd00::1", "172.17.0.1"] {
        assert_eq!(offend(&mut table, from, Offence::Abuse, 0), 0, "{from}");
    }
    table.vouch(source_of(ip("192.0.2.1")), 0);
    assert_eq!(offend(&mut table, "192.0.2.1", Offence::Guess, PROVEN_TIME - 1), 0);
    assert_eq!(offend(&mut table, "192.0.2.1", Offence::Guess, PROVEN_TIME), 30);
    table.options.automatic = false;
    assert_eq!(offend(&mut table, "192.0.2.7", Offence::Abuse, 0), 0);
    table.options = BanOptions { private: true, ..BanOptions::default() };
    assert_eq!(offend(&mut table, "127.0.0.1", Offence::Abuse, 0), 6);
    // Who is banned and then named as never to be comes in.
    table.options.never = vec![network("127.0.0.0/8")];
    assert!(!table.refuses(ip("127.0.0.1"), Entrance::Logins, 0));
}

#[test]
fn bans_by_hand_come_and_go() {
    let world = fake::world(1);
    let bans = Bans::new(BanOptions::default(), world.clock.clone());
    bans.add(network("203.0.113.0/24"), None).unwrap();
    bans.add(network("2001:db8::/32"), Some(Duration::from_secs(60))).unwrap();
    assert!(
        bans.refuses(ip("203.0.113.77"), Entrance::Logins)
            && bans.refuses(ip("2001:db8:9::1"), Entrance::Logins)
            && !bans.refuses(ip("203.0.114.1"), Entrance::Logins)
    );
    let list = bans.list();
    assert_eq!(
        list.iter().map(|ban| ban.network.as_str()).collect::<Vec<_>>(),
        ["2001:db8::/32", "203.0.113.0/24"]
    );
    assert!(bans.add(network("0.0.0.0/0"), None).unwrap_err().contains("everybody"));
    assert!(bans.lift(network("203.0.113.0/24")));
    assert!(!bans.lift(network("203.0.113.0/24")));
    assert!(!bans.refuses(ip("203.0.113.77"), Entrance::Logins));
}

#[test]
fn lifting_an_address_forgives_it() {
    let mut table = table(BanOptions::default());
    offend(&mut table, "192.0.2.1", Offence::Guess, 0);
    offend(&mut table, "2001:db8:1:2::5", Offence::Guess, 0);
    assert!(table.lift(network("192.0.2.1")));
    assert!(table.lift(network("2001:db8:1:2::7")));
    assert!(
        !table.refuses(ip("192.0.2.1"), Entrance::Logins, 0)
            && !table.refuses(ip("2001:db8:1:2::5"), Entrance::Logins, 0)
    );
    assert_eq!(offend(&mut table, "192.0.2.1", Offence::Guess, 0), 30);
    assert!(!table.refuses(ip("192.0.2.1"), Entrance::Logins, 900), "the first ban again, not twice as long");
}

#[test]
fn bans_survive_a_restart_and_odd_files_do_no_harm() {
    let world = fake::world(1);
    let bans = Bans::new(BanOptions::default(), world.clock.clone());
    assert_eq!(bans.changes(), None);
    (0..30).for_each(|_| bans.report(ip("192.0.2.1"), Offence::Guess));
    bans.add(network("203.0.113.0/24"), None).unwrap();
    let kept = bans.changes().unwrap();
    assert_eq!(bans.changes(), None, "nothing has changed since");
    let next = Bans::new(BanOptions::default(), world.clock.clone());
    next.restore(&kept).unwrap();
    assert!(
        next.refuses(ip("192.0.2.1"), Entrance::Logins)
            && next.refuses(ip("203.0.113.1"), Entrance::Logins)
            && !next.refuses(ip("192.0.2.2"), Entrance::Logins)
    );
    for odd in [&b""[..], b"{}", b"[", b"{\"marks\":[],\"by_hand\":[[\"x\",null]]}"] {
        let other = Bans::new(BanOptions::default(), world.clock.clone());
        let _ = other.restore(odd);
        assert!(!other.refuses(ip("192.0.2.1"), Entrance::Logins));
    }
}

#[test]
fn the_table_is_bounded_and_keeps_the_worst() {
    let mut table = table(BanOptions::default());
    offend(&mut table, "192.0.2.1", Offence::Guess, 0);
    for n in 0..u32::try_from(MARKS_MAX).unwrap() + 100 {
        let from = Ipv4Addr::from_bits(0x0b00_0000 + n);
        table.offend(from.into(), Offence::Guess, 0);
    }
    assert!(table.marks.len() <= MARKS_MAX);
    assert!(table.refuses(ip("192.0.2.1"), Entrance::Logins, 0));
    for n in 0..u128::try_from(PROVEN_MAX).unwrap() + 100 {
        table.vouch(Ipv6Addr::from_bits(n << 64).into(), 0);
    }
    assert!(table.proven.len() <= PROVEN_MAX);
}

#[test]
fn a_clock_that_ran_ahead_makes_no_long_bans() {
    let (right, wrong) = (1_000_000, 1_000_000 + 400 * 24 * 3600);
    for is_restarted in [false, true] {
        let mut table = table(BanOptions::default());
        assert_eq!(offend(&mut table, "192.0.2.1", Offence::Guess, wrong), 30);
        table.vouch(ip("192.0.2.3"), wrong);
        if is_restarted {
            let kept = table.kept(wrong);
            table.restore(kept);
        }
        let banned = ip("192.0.2.1");
        assert!(table.refuses(banned, Entrance::Logins, right), "the ban holds");
        assert_eq!(table.list(right)[0].until, Some(right + 900));
        assert!(table.refuses(banned, Entrance::Logins, right + 899));
        assert!(!table.refuses(banned, Entrance::Logins, right + 900));
        // The next is the second, as if the clock had always been right.
        assert_eq!(offend(&mut table, "192.0.2.1", Offence::Guess, right + 900), 30);
        assert!(table.refuses(banned, Entrance::Logins, right + 900 + 1799));
        assert!(!table.refuses(banned, Entrance::Logins, right + 900 + 1800));
        // A right login of the future speaks for nobody.
        assert_eq!(offend(&mut table, "192.0.2.3", Offence::Guess, right), 30);
    }
}
