//! The judge with a real store, and a clock that stands.

use super::*;
use auth::Secret;
use std::time::Duration;
use storage::PasswordHash;
use tempfile::TempDir;
use world::fake;

pub(super) const HERE: &str = "192.0.2.1";
pub(super) const ELSEWHERE: &str = "198.51.100.1";

pub(super) struct Scene {
    _dir: TempDir,
    pub(super) judge: Arc<Judge>,
    pub(super) store: Store,
    clock: fake::FakeClock,
}

impl Scene {
    /// Alice's password is "right".
    pub(super) async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let clock = fake::FakeClock::default();
        let mut world = fake::world(1);
        world.clock = Arc::new(clock.clone());
        let store = Store::open(storage::Config::new(dir.path()), world.clone()).await.unwrap();
        let hash = auth::hash(&Secret::new("right".to_owned())).unwrap();
        store.create_credential("alice@o.ex", &PasswordHash::new(hash)).await.unwrap();
        Self {
            _dir: dir,
            judge: Arc::new(Judge::new(store.clone(), Logins::default(), &world).await),
            store,
            clock,
        }
    }

    pub(super) async fn login(&self, user: &str, password: &str, from: &str) -> String {
        let login = Login::new(user, Secret::new(password.to_owned())).unwrap();
        match self.judge.authenticate(Claim::Password(login), visitor(from)).await {
            Ok(identity) => format!("in: {identity}"),
            Err(denied) => denied.to_string(),
        }
    }
}

pub(super) fn visitor(from: &str) -> Visitor {
    Visitor { from: from.parse().unwrap(), service: auth::Service::Imap }
}

pub(super) const WRONG: &str = "User name or password is wrong";
pub(super) const TOO_MANY: &str = "Too many failed logins; try again in 10 seconds";

#[tokio::test]
async fn guesses_end_before_anything_is_hashed() {
    let scene = Scene::new().await;
    for n in 0..10 {
        assert_eq!(scene.login("alice@o.ex", &format!("guess {n}"), HERE).await, WRONG);
    }
    // No hash can be made now: what is refused is refused without.
    let all = scene.judge.turns.take_all().await;
    assert_eq!(scene.login("alice@o.ex", "right", HERE).await, TOO_MANY);
    assert_eq!(scene.login("nobody@o.ex", "x", HERE).await, TOO_MANY);
    drop(all);
    assert_eq!(scene.login("alice@o.ex", "right", ELSEWHERE).await, "in: alice@o.ex");
    scene.clock.advance(Duration::from_secs(10));
    assert_eq!(scene.login("alice@o.ex", "right", HERE).await, "in: alice@o.ex");
}

#[tokio::test]
async fn unknown_users_are_counted_like_others() {
    let scene = Scene::new().await;
    for n in 0..10 {
        assert_eq!(scene.login(&format!("u{n}@o.ex"), "x", HERE).await, WRONG);
    }
    assert_eq!(scene.login("u0@o.ex", "y", HERE).await, TOO_MANY);
}

#[tokio::test]
async fn an_old_password_that_comes_again_is_no_guess() {
    let scene = Scene::new().await;
    for _ in 0..30 {
        assert_eq!(scene.login("alice@o.ex", "of last year", HERE).await, WRONG);
    }
    assert_eq!(scene.login("alice@o.ex", "right", HERE).await, "in: alice@o.ex");
    // It costs no hash, but only at the address where it was tried.
    let all = scene.judge.turns.take_all().await;
    assert_eq!(scene.login("alice@o.ex", "of last year", HERE).await, WRONG);
    let login = Login::new("alice@o.ex", Secret::new("of last year".to_owned())).unwrap();
    let elsewhere = scene.judge.authenticate(Claim::Password(login), visitor(ELSEWHERE));
    assert!(tokio::time::timeout(Duration::ZERO, elsewhere).await.is_err());
    drop(all);
}

#[tokio::test]
async fn what_is_no_new_guess_bans_nobody() {
    let scene = Scene::new().await;
    let options = net::BanOptions { offences: 11, ..net::BanOptions::default() };
    let bans = Bans::new(options, Arc::new(scene.clock.clone()));
    scene.judge.tell(bans.clone());
    for _ in 0..30 {
        assert_eq!(scene.login("alice@o.ex", "of last year", HERE).await, WRONG);
    }
    for _ in 0..30 {
        let claim = Claim::Scram { user: "alice@o.ex".to_owned(), proof: None };
        assert!(scene.judge.authenticate(claim, visitor(ELSEWHERE)).await.is_err());
    }
    // With the first these are ten; then a login has to wait.
    for n in 0..9 {
        assert_eq!(scene.login("alice@o.ex", &format!("guess {n}"), HERE).await, WRONG);
    }
    for n in 0..30 {
        assert_eq!(scene.login("alice@o.ex", &format!("more {n}"), HERE).await, TOO_MANY);
    }
    assert_eq!(bans.list(), []);
    // By SCRAM the account was guessed from elsewhere as well, so the wait is the longest.
    scene.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(scene.login("alice@o.ex", "one more", HERE).await, WRONG);
    let banned: Vec<_> = bans.list().into_iter().map(|ban| ban.network).collect();
    assert_eq!(banned, [format!("{HERE}/32")]);
}

#[tokio::test]
async fn a_crowd_of_connections_gets_no_more_guesses_than_one() {
    let scene = Arc::new(Scene::new().await);
    let crowd: Vec<_> = (0..40)
        .map(|n| {
            let scene = scene.clone();
            tokio::spawn(async move { scene.login("alice@o.ex", &format!("guess {n}"), HERE).await })
        })
        .collect();
    let mut answers = Vec::new();
    for one in crowd {
        answers.push(one.await.unwrap());
    }
    assert_eq!(answers.iter().filter(|answer| *answer == WRONG).count(), 10, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| *answer == TOO_MANY).count(), 30, "{answers:?}");
}

#[tokio::test]
async fn who_was_here_comes_in_beside_a_guesser() {
    let scene = Scene::new().await;
    assert_eq!(scene.login("alice@o.ex", "right", HERE).await, "in: alice@o.ex");
    for n in 0..10 {
        assert_eq!(scene.login("bob@o.ex", &format!("guess {n}"), HERE).await, WRONG);
    }
    assert_eq!(scene.login("bob@o.ex", "guess", HERE).await, TOO_MANY);
    scene.clock.advance(Duration::from_secs(5));
    assert_eq!(scene.login("alice@o.ex", "right", HERE).await, "in: alice@o.ex");
}

#[tokio::test]
async fn exempt_networks_may_fail_as_they_like_from_the_moment_they_are() {
    let scene = Scene::new().await;
    for n in 0..10 {
        assert_eq!(scene.login("alice@o.ex", &format!("guess {n}"), HERE).await, WRONG);
    }
    assert_eq!(scene.login("alice@o.ex", "right", HERE).await, TOO_MANY);
    let exempt = vec![::config::Network::parse("192.0.2.0/24").unwrap()];
    scene.judge.reconfigure(Logins { exempt, ..Logins::default() });
    for n in 0..5 {
        assert_eq!(scene.login("alice@o.ex", &format!("more {n}"), HERE).await, WRONG);
    }
    assert_eq!(scene.login("alice@o.ex", "right", HERE).await, "in: alice@o.ex");
}
