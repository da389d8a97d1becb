//! The way to the mail server: through its daemon where one runs, otherwise straight to its database.

use crate::admin::{Context, Operation};
use crate::cli::Trouble;
use crate::cli::args::Global;
use crate::cli::remote::Remote;
use crate::config::{Place, Source};
use mail::Address;
use nix::unistd::{Gid, Group, Uid, geteuid, setgid, setgroups, setuid};
use serde_json::{Value, json};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use storage::{Error, Store};
use web::CallError;

/// Tries to reach a daemon that holds the lock and does not listen yet, or any more.
const TRIES: u32 = 10;
/// Pause between them.
const PAUSE: Duration = Duration::from_millis(200);

/// The daemon's operation that reads the configuration again.
pub(crate) const RELOAD: &str = "reload";
/// The daemon's operation that says that it is there.
pub(crate) const STATUS: &str = "status";

/// The mail server that a command works on.
pub(crate) struct Connection {
    /// None of a server elsewhere.
    place: Option<Place>,
    way: Way,
}

/// Where operations are carried out.
enum Way {
    Daemon,
    /// A daemon elsewhere, over TCP.
    Remote(Remote),
    /// Here. We hold the lock of the state directory meanwhile, so that no daemon can start.
    Direct(Context),
}

impl Connection {
    async fn open(global: &Global) -> Result<Self, Trouble> {
        if let Some(remote) = Remote::named(global)? {
            return Ok(Self { place: None, way: Way::Remote(remote) });
        }
        let source = Source { config: global.config(), state_dir: global.state_dir.clone() };
        let place = source.place()?;
        let way = match reach(&place, STATUS, &Value::Null).await? {
            Reached::Answer(_) => Way::Daemon,
            Reached::Store(context) => Way::Direct(context),
        };
        Ok(Self { place: Some(place), way })
    }

    /// Opens, works and closes. Whatever a person must be asked is asked before: nobody shall wait for the lock while
    /// somebody types.
    pub(crate) async fn with(
        global: &Global,
        work: impl AsyncFnOnce(&Self) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let connection = Self::open(global).await?;
        let result = work(&connection).await;
        connection.close().await;
        result
    }

    /// Carries out an operation.
    pub(crate) async fn call<O: Operation>(&self, operation: O) -> Result<O::Answer, Trouble> {
        if let Way::Direct(context) = &self.way {
            return Ok(operation.run(context).await?);
        }
        let arguments = serde_json::to_value(&operation).map_err(|error| Trouble::new(error.to_string()))?;
        if let Way::Remote(remote) = &self.way {
            return answer_of::<O>(remote.call(O::NAME, &arguments).await?);
        }
        match reach(self.here()?, O::NAME, &arguments).await? {
            Reached::Answer(answer) => answer_of::<O>(answer),
            // The daemon was there and has ended, without having heard of this.
            Reached::Store(context) => {
                let done = operation.run(&context).await;
                context.store.close().await;
                Ok(done?)
            }
        }
    }

    /// Root becomes the user to whom the state belongs, for work in its directory.
    pub(crate) fn become_owner(&self) -> Result<(), Trouble> {
        Ok(become_owner(self.state_dir()?)?)
    }

    /// Where the state is.
    pub(crate) fn state_dir(&self) -> Result<&Path, Trouble> {
        Ok(&self.here()?.storage.dir)
    }

    fn here(&self) -> Result<&Place, Trouble> {
        self.place.as_ref().ok_or_else(|| {
            Trouble::usage(
                "this works on the files of the server: give it on that machine, without --control",
            )
        })
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        world::system::without_dns().clock.unix()
    }

    /// Carries out an operation that only a daemon can.
    pub(crate) async fn ask_daemon(&self, operation: &str, arguments: &Value) -> Result<Value, Trouble> {
        match &self.way {
            Way::Daemon => call_daemon(&self.here()?.socket, operation, arguments).await,
            Way::Remote(remote) => remote.call(operation, arguments).await,
            Way::Direct(_) => {
                let socket = self.here()?.socket.display();
                Err(Trouble::new(format!("no daemon answers at {socket}, and only a daemon knows this")))
            }
        }
    }

    /// Whether a daemon carries the operations out.
    pub(crate) fn is_daemon(&self) -> bool {
        matches!(self.way, Way::Daemon | Way::Remote(_))
    }

    /// Tells the person if no mail can reach an address, because its domain is not one of ours.
    pub(crate) fn note_domain(&self, name: &str) {
        let (Some(domains), Ok(address)) =
            (self.place.as_ref().and_then(|place| place.domains.as_ref()), Address::parse(name))
        else {
            return;
        };
        if !domains.contains(address.domain()) {
            eprintln!(
                "note: {} is not in `domains`, so no mail from outside reaches {name}",
                address.domain()
            );
        }
    }

    /// Ends the connection; what was written directly is carried over into the database.
    async fn close(self) {
        if let Way::Direct(context) = self.way {
            context.store.close().await;
        }
    }
}

/// What comes of asking.
enum Reached {
    /// The daemon has carried the operation out.
    Answer(Value),
    /// There is none: its database, and nobody else may work on it until it is closed.
    Store(Context),
}

/// Has the daemon carry out an operation, or opens its database where none is there.
async fn reach(place: &Place, operation: &str, arguments: &Value) -> Result<Reached, Trouble> {
    for _ in 0..TRIES {
        match web::call(&place.socket, operation, arguments).await {
            Ok(answer) => return Ok(Reached::Answer(answer)),
            Err(CallError::NotListening(error)) if is_absent(&error) => {}
            Err(CallError::Failed(failure)) => return Err(failure.into()),
            Err(error) => return Err(unreachable(&place.socket, &error)),
        }
        // Only now: root may read what the owner cannot, like the mail that is to be brought in.
        make_state_dir(place)?;
        become_owner(&place.storage.dir)?;
        match open_store(place).await {
            Ok(context) => return Ok(Reached::Store(context)),
            Err(Error::Trouble(storage::Trouble::InUse)) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                let dir = place.storage.dir.display();
                return Err(Trouble::new(format!("the state directory {dir} cannot be opened: {error}")));
            }
        }
    }
    Err(Trouble::new(format!(
        "another process holds {}, and no daemon answers at {}: if a daemon runs with another `runtime-dir`, name \
         its configuration with --config; otherwise wait for the other command to end",
        place.storage.dir.join("maddy.lock").display(),
        place.socket.display(),
    )))
}

fn answer_of<O: Operation>(answer: Value) -> Result<O::Answer, Trouble> {
    serde_json::from_value(answer).map_err(|error| {
        Trouble::new(format!("the daemon answers in another way ({error}); restart it after an update"))
    })
}

/// Makes the state directory for the user whose it is to be, if root comes before the daemon has run.
fn make_state_dir(place: &Place) -> Result<(), Trouble> {
    if place.storage.dir.is_dir() || !geteuid().is_root() || place.user.is_none() {
        return Ok(());
    }
    let user = guard::wanted(place.user.as_deref()).map_err(|error| Trouble::new(error.to_string()))?;
    Ok(guard::make_directory(&place.storage.dir, user.as_ref())?)
}

/// Root becomes the user to whom the state belongs, so that no file is left there that the daemon cannot open.
fn become_owner(dir: &Path) -> io::Result<()> {
    let Ok(found) = std::fs::metadata(dir) else { return Ok(()) };
    if !geteuid().is_root() || found.uid() == 0 {
        return Ok(());
    }
    setgroups(&[])?;
    setgid(Gid::from_raw(found.gid()))?;
    setuid(Uid::from_raw(found.uid()))?;
    Ok(())
}

async fn open_store(place: &Place) -> Result<Context, Error> {
    let world = world::system::without_dns();
    let store = Store::open(place.storage.clone(), world.clone()).await?;
    Ok(Context { store, world })
}

async fn call_daemon(socket: &Path, operation: &str, arguments: &Value) -> Result<Value, Trouble> {
    web::call(socket, operation, arguments).await.map_err(|error| match error {
        CallError::Failed(failure) => failure.into(),
        other => unreachable(socket, &other),
    })
}

/// Has the daemon read its configuration again.
pub(crate) async fn reload(source: &Source, global: &Global) -> Result<(), Trouble> {
    if let Some(remote) = Remote::named(global)? {
        let answer = remote.call(RELOAD, &Value::Null).await?;
        let value = json!({ "reloaded": remote.url() });
        return crate::cli::output::done(global, &value, answer.as_str().unwrap_or("reloaded"));
    }
    let place = source.place()?;
    match web::call(&place.socket, RELOAD, &Value::Null).await {
        Ok(answer) => {
            let value = json!({ "reloaded": source.config });
            crate::cli::output::done(global, &value, answer.as_str().unwrap_or("reloaded"))
        }
        Err(CallError::NotListening(error)) if is_absent(&error) => {
            let socket = place.socket.display();
            Err(Trouble::new(format!(
                "no daemon answers at {socket}, where this configuration has it. If one runs and `state-dir` or \
                 `runtime-dir` was changed since its start, it must be restarted: it listens at the old place. If none \
                 runs, start it with `maddy run`"
            )))
        }
        Err(CallError::Failed(failure)) => Err(failure.into()),
        Err(error) => Err(unreachable(&place.socket, &error)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    // The last two: one that ends has not taken the connection.
    matches!(error.kind(), NotFound | ConnectionRefused | ConnectionReset | BrokenPipe)
}

fn unreachable(socket: &Path, error: &CallError) -> Trouble {
    let denied =
        matches!(error, CallError::NotListening(error) if error.kind() == io::ErrorKind::PermissionDenied);
    if denied {
        return Trouble::new(closed(socket));
    }
    Trouble::new(format!("the daemon at {} cannot be asked: {error}", socket.display()))
}

/// Who may use a socket that we may not.
fn closed(socket: &Path) -> String {
    let shown = socket.display();
    let found = std::fs::symlink_metadata(socket).ok();
    let group = found.as_ref().filter(|found| found.mode() & 0o020 != 0);
    let group = group.and_then(|found| Group::from_gid(Gid::from_raw(found.gid())).ok().flatten());
    match group {
        Some(Group { name, .. }) => format!(
            "{shown} may be used by root and by the group {name}: `sudo usermod -aG {name} \"$USER\"`, then log in anew, if you \
             shall manage this server; once, try sudo"
        ),
        None => format!("{shown} may be used by root and by the daemon's own user only; try sudo"),
    }
}
