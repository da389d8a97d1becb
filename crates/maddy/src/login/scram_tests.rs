//! SCRAM through the judge: who is asked with what, when it is announced, and how it is counted.

use super::tests::{ELSEWHERE, HERE, Scene, TOO_MANY, WRONG, visitor};
use super::*;
use auth::fake::ScramClient;
use auth::{Bindings, Circumstances, Conversation, Secret, Turn};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

/// What the server says first, and what becomes of the login.
async fn exchange(scene: &Scene, user: &str, password: &str, from: &str) -> (String, String) {
    let circumstances =
        Circumstances { visitor: visitor(from), bindings: Bindings::default(), certificate: None };
    let client = ScramClient::new(ScramHash::Sha256, user, password, "n,,", b"");
    let judge = scene.judge.as_ref();
    let first = STANDARD.encode(client.first());
    let begun =
        Conversation::begin(judge, Mechanism::ScramSha256, circumstances, Some(first.as_bytes())).await;
    let (mut conversation, Turn::Challenge(said)) = begun else { return (String::new(), shown(begun.1)) };
    let said = String::from_utf8(STANDARD.decode(said).unwrap()).unwrap();
    let (last, verifier) = client.last(&said);
    let done = match conversation.answer(judge, STANDARD.encode(last).as_bytes()).await {
        Turn::Challenge(end) => {
            assert_eq!(end, STANDARD.encode(verifier), "the server knows the password");
            shown(conversation.answer(judge, b"").await)
        }
        other => shown(other),
    };
    (said, done)
}

fn shown(turn: Turn) -> String {
    match turn {
        Turn::Judged { verdict: Ok(identity), .. } => format!("in: {identity}"),
        Turn::Judged { verdict: Err(denied), .. } => denied.to_string(),
        other => format!("{other:?}"),
    }
}

/// What the client is asked, without the nonce.
fn question(said: &str) -> &str {
    said.split_once(',').unwrap().1
}

async fn announced(scene: &Scene) -> bool {
    scene.judge.mechanisms().contains(&Mechanism::ScramSha256)
}

#[tokio::test]
async fn a_password_that_was_seen_is_good_for_scram() {
    let scene = Scene::new().await;
    assert!(!announced(&scene).await, "there is an account that cannot use it");
    let (before, done) = exchange(&scene, "alice@o.ex", "right", HERE).await;
    assert_eq!(done, WRONG);
    assert_eq!(scene.login("alice@o.ex", "right", HERE).await, "in: alice@o.ex");
    for _ in 0..1000 {
        if announced(&scene).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(announced(&scene).await);
    let (after, done) = exchange(&scene, "Alice@O.ex", "right", HERE).await;
    assert_eq!(done, "in: alice@o.ex");
    assert_eq!(question(&before), question(&after), "nobody sees that the account can do it now");
    assert_eq!(exchange(&scene, "alice@o.ex", "Right", HERE).await.1, WRONG);
    // What was kept belongs to that password, and not to the next.
    let hash = auth::hash(&Secret::new("new".to_owned())).unwrap();
    scene.store.set_password("alice@o.ex", &PasswordHash::new(hash)).await.unwrap();
    assert_eq!(exchange(&scene, "alice@o.ex", "right", HERE).await.1, WRONG);
    assert_eq!(exchange(&scene, "alice@o.ex", "new", HERE).await.1, WRONG);
}

#[tokio::test]
async fn nobody_is_asked_like_somebody() {
    let scene = Scene::new().await;
    let (first, done) = exchange(&scene, "nobody@o.ex", "x", HERE).await;
    assert_eq!(done, WRONG);
    let (second, _) = exchange(&scene, "nobody@o.ex", "x", ELSEWHERE).await;
    assert_eq!(question(&first), question(&second));
    assert_ne!(first, second, "the nonce is new each time");
    let (other, _) = exchange(&scene, "somebody@o.ex", "x", HERE).await;
    assert_ne!(question(&first), question(&other));
    // The account that comes into being later is asked in the same way.
    let salt = scene.store.scram_salt("nobody@o.ex").await.unwrap();
    let password = Secret::new("secret".to_owned());
    let hash = PasswordHash::new(auth::hash(&password).unwrap()).with_scram(verifier(&password, salt));
    scene.store.create_credential("nobody@o.ex", &hash).await.unwrap();
    let (third, done) = exchange(&scene, "nobody@o.ex", "secret", HERE).await;
    assert_eq!((question(&first), done.as_str()), (question(&third), "in: nobody@o.ex"));
}

#[tokio::test]
async fn guesses_by_scram_are_counted_with_all_others() {
    let scene = Scene::new().await;
    for n in 0..5 {
        assert_eq!(scene.login("alice@o.ex", &format!("guess {n}"), HERE).await, WRONG);
        assert_eq!(exchange(&scene, "alice@o.ex", &format!("guess {n}"), HERE).await.1, WRONG);
    }
    assert_eq!(exchange(&scene, "alice@o.ex", "right", HERE).await, (String::new(), TOO_MANY.to_owned()));
    assert_eq!(scene.login("alice@o.ex", "right", HERE).await, TOO_MANY);
}

#[tokio::test]
async fn many_exchanges_at_once_are_no_more_guesses_than_one_by_one() {
    let scene = Scene::new().await;
    let claim = || Claim::Scram { user: "alice@o.ex".to_owned(), proof: None };
    let mut wrong = 0;
    for _ in 0..40 {
        // Their questions were all asked before the first proof came.
        if scene.judge.authenticate(claim(), visitor(HERE)).await == Err(Denied::WrongCredentials) {
            wrong += 1;
        }
    }
    assert_eq!(wrong, 10);
    // A right proof is not looked at either while there were too many.
    let right = Claim::Scram { user: "alice@o.ex".to_owned(), proof: Some(Proof::Given) };
    let verdict = scene.judge.authenticate(right, visitor(HERE)).await;
    assert!(matches!(verdict, Err(Denied::TooManyGuesses(_))), "{verdict:?}");
}

#[tokio::test]
async fn a_session_ends_with_its_password() {
    let scene = Scene::new().await;
    let login = Login::new("alice@o.ex", Secret::new("right".to_owned())).unwrap();
    let identity = scene.judge.authenticate(Claim::Password(login), visitor(HERE)).await.unwrap();
    let mut ending = scene.judge.clone().ending(identity);
    assert!(tokio::time::timeout(Duration::from_millis(50), ending.wait()).await.is_err());
    scene.store.create_credential("bob@o.ex", &PasswordHash::new("x")).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), ending.wait()).await.is_err());
    let hash = auth::hash(&Secret::new("right".to_owned())).unwrap();
    scene.store.set_password("alice@o.ex", &PasswordHash::new(hash)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), ending.wait()).await.expect("the password was set anew");
}

/// Sessions look at the end of their login only now and then; meanwhile nothing of the store is theirs.
#[tokio::test]
async fn sessions_that_are_busy_keep_nothing_of_the_store() {
    let scene = Scene::new().await;
    let login = Login::new("alice@o.ex", Secret::new("right".to_owned())).unwrap();
    let identity = scene.judge.authenticate(Claim::Password(login), visitor(HERE)).await.unwrap();
    let mut endings: Vec<_> = (0..50).map(|_| scene.judge.clone().ending(identity.clone())).collect();
    for ending in &mut endings {
        // One look, which begins what it has to begin.
        assert!(futures_util::FutureExt::now_or_never(Box::pin(ending.wait())).is_none());
    }
    // All connections of the store are needed at once.
    let questions = (0..20).map(|_| scene.store.credential("alice@o.ex"));
    for found in futures_util::future::join_all(questions).await {
        assert!(found.expect("the store answers").is_some());
    }
}
