//! A host with TLS and logins, made of the server's side of our own protocol: for smarthosts and for STARTTLS.

use mail::{Domain, Reply};
use net::{Conn, Driven, Gate, Limits, ListenOptions, Listener, ServerTls, Stop, Tls};
use smtp_proto::server::{
    Answer, AuthOptions, Channel, ClearAuth, Options, Question, Senders, Session, StartTls,
};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use world::World;

/// What the relay was asked, one line each, with the TLS that was in use at MAIL.
pub(crate) type Heard = Arc<Mutex<Vec<String>>>;

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) heard: Heard,
    pub(crate) ca: std::path::PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where TLS begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    AtOnce,
    WhenAsked,
}

impl Relay {
    /// A relay whose certificate is for `name`, from a CA of its own in `dir`.
    pub(crate) async fn start(dir: &std::path::Path, name: &str, begin: Begin, world: &World) -> Self {
        let demo = net::demo_ca(dir, &[name.to_owned()], world.clock.as_ref()).unwrap();
        let tls = ServerTls::from_files(&[demo.leaf], world.clock.clone()).unwrap();
        let tls = if begin == Begin::AtOnce { Tls::Implicit(tls) } else { Tls::StartTls(tls) };
        let options = ListenOptions {
            name: "relay",
            address: "127.0.0.2:0".parse().unwrap(),
            family: net::Family::default(),
            tls,
            proxy: net::ProxyTrust::default(),
            busy: b"",
        };
        let listener = Listener::bind(options, Gate::new(Limits::default()), world, Stop::never()).unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Heard::default();
        let shared = heard.clone();
        let serve = move |conn| talk(conn, begin, shared.clone());
        let task = tokio::spawn(listener.run(serve));
        Self { address, heard, ca: demo.ca, task }
    }
}

async fn talk(mut conn: Conn, begin: Begin, heard: Heard) {
    let mut options = Options::new(Domain::parse("relay.example").unwrap());
    options.starttls = if begin == Begin::WhenAsked { StartTls::Offered } else { StartTls::Absent };
    options.auth = AuthOptions { mechanisms: vec!["PLAIN".into()], clear: ClearAuth::Refused };
    options.senders = Senders::Anyone;
    let channel = if begin == Begin::AtOnce { Channel::Tls } else { Channel::Clear };
    let mut session = Session::new(options, channel);
    let note = |line: String| heard.lock().unwrap().push(line);
    loop {
        match conn.drive(&mut session).await {
            Driven::Ask(question) => {
                let tls = if conn.tls().is_some() { "tls" } else { "clear" };
                session.answer(answer(question, tls, &note));
            }
            Driven::StartTls => match conn.start_tls().await {
                Ok(()) => session.tls_started(),
                Err(_) => return note("handshake failed".into()),
            },
            Driven::Body(_) | Driven::Stopping => {}
            Driven::Closed(_) | Driven::TimedOut => return,
        }
    }
}

fn answer(question: Question, tls: &str, note: &impl Fn(String)) -> Answer {
    let ok = || Answer::from(Reply::new(250, mail::Status::success(0, 0), "ok"));
    match question {
        Question::AuthBegin { mechanism, initial } => {
            let initial = initial.map(|secret| String::from_utf8_lossy(secret.expose()).into_owned());
            let initial = initial.unwrap_or_default();
            note(format!("AUTH {mechanism} {initial}"));
            // \0me\0secret
            match initial.as_str() {
                "AG1lAHNlY3JldA==" => Reply::new(235, mail::Status::success(7, 0), "welcome").into(),
                _ => Reply::new(535, mail::Status::permanent(7, 8), "wrong password").into(),
            }
        }
        Question::Mail(mail) => {
            note(format!("MAIL <{}> {tls}", mail.from));
            ok()
        }
        Question::Data => Reply::bare(354, "go on").into(),
        Question::EndOfData => {
            note("message".into());
            ok()
        }
        Question::Reset => Answer::Noted,
        Question::Rcpt(recipient) if recipient.address.local() == "bad" => {
            Reply::new(550, mail::Status::permanent(1, 1), "who is that").into()
        }
        Question::AuthRespond(_)
        | Question::Hello { .. }
        | Question::Rcpt(_)
        | Question::Xclient(_)
        | Question::Xforward(_) => ok(),
    }
}
