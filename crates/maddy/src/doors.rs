//! The doors, and their new options when the configuration changes.

use crate::config::Config;
use crate::listeners::{DoorName, Serve};
use crate::login::Judge;
use crate::website::Website;
use delivery::Intake;
use mail::Domain;
use policy::Pipeline;
use smtp_in::Desk;
use std::sync::{Arc, PoisonError, RwLock};
use storage::Store;
use tracing::debug;
use world::World;

/// The doors through which new connections go. Connections keep the options they came with.
pub(crate) struct Doors {
    smtp: Arc<smtp_in::Door>,
    submission: Arc<submission::Door>,
    imap: Arc<RwLock<Reading>>,
    web: Website,
    control: Arc<web::ControlDoor>,
    store: Store,
    judge: Arc<Judge>,
    world: World,
}

/// The door of readers, which greets with our name.
struct Reading {
    hostname: Domain,
    door: Arc<imap::Door>,
}

impl Doors {
    /// `pipeline` judges what comes from other servers; through `desk` filters are asked.
    pub(crate) async fn new(
        config: &Config,
        store: &Store,
        intake: &Intake,
        world: &World,
        pipeline: Pipeline,
        desk: Desk,
        web: Website,
    ) -> Self {
        let judge = Arc::new(Judge::new(store.clone(), config.logins.clone(), world).await);
        let spool_dir = store.spool_dir().to_owned();
        let door = smtp_door::Deps { intake: intake.clone(), world: world.clone(), spool_dir };
        let smtp = smtp_in::Deps { door: door.clone(), store: store.clone() };
        let submission = submission::Deps { door, authenticate: judge.clone() };
        let reading = Reading::new(config, store, &judge, world);
        Self {
            smtp: Arc::new(smtp_in::Door::new(config.smtp.clone(), pipeline, desk, smtp)),
            submission: Arc::new(submission::Door::new(config.submission.clone(), submission)),
            imap: Arc::new(RwLock::new(reading)),
            web,
            control: Arc::new(web::ControlDoor::new(config.control.clone(), world)),
            store: store.clone(),
            judge,
            world: world.clone(),
        }
    }

    /// From now on new connections find doors with these options.
    pub(crate) fn change(&self, config: &Config) {
        self.judge.reconfigure(config.logins.clone());
        self.smtp.reconfigure(config.smtp.clone());
        // The checks remember whom they have put off, and go on remembering.
        let pipeline = self.smtp.pipeline().reconfigured(
            config.checks.clone(),
            config.hostname.clone(),
            &config.domains,
        );
        self.smtp.judge_by(pipeline);
        self.smtp.filter_by(config.filters.clone());
        self.submission.reconfigure(config.submission.clone());
        self.web.change(config);
        self.control.reconfigure(config.control.clone());
        let mut reading = self.imap.write().unwrap_or_else(PoisonError::into_inner);
        // The door holds the pictures of mailboxes that all connections share: it is kept where it can be.
        if reading.hostname == config.hostname {
            reading.door.reconfigure(config.imap.clone());
        } else {
            *reading = Reading::new(config, &self.store, &self.judge, &self.world);
        }
    }

    pub(crate) fn judge(&self) -> &Judge {
        &self.judge
    }

    /// The door for programs elsewhere that look after the server.
    pub(crate) fn control(&self) -> &web::ControlDoor {
        &self.control
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// What a listener of a door calls for each connection.
    pub(crate) fn serve(&self, door: DoorName) -> Serve {
        match door {
            DoorName::Smtp => {
                let door = self.smtp.clone();
                Arc::new(move |conn| {
                    let door = door.clone();
                    Box::pin(async move { door.serve(conn).await })
                })
            }
            DoorName::Submission => {
                let door = self.submission.clone();
                Arc::new(move |conn| {
                    let door = door.clone();
                    Box::pin(async move { door.serve(conn).await })
                })
            }
            DoorName::Web => {
                let doors = (self.web.door(), self.imap.clone(), self.submission.clone());
                Arc::new(move |conn| {
                    let (web, reading, submission) = doors.clone();
                    Box::pin(async move {
                        let mut conn = conn;
                        if matches!(conn.protocol(), Some(b"imap" | b"smtp"))
                            && let Err(refusal) = conn.goes_to_logins()
                        {
                            debug!(reason = refusal.as_str(), "connection refused");
                            return;
                        }
                        // Only a listener that is shared offers any.
                        match conn.protocol() {
                            Some(b"imap") => {
                                debug!("a reader, on the port of the web");
                                let door =
                                    reading.read().unwrap_or_else(PoisonError::into_inner).door.clone();
                                door.serve(conn).await;
                            }
                            Some(b"smtp") => {
                                debug!("a sender, on the port of the web");
                                submission.serve(conn).await;
                            }
                            _ => web.serve(conn).await,
                        }
                    })
                })
            }
            DoorName::Control => {
                let door = self.control.clone();
                Arc::new(move |conn| {
                    let door = door.clone();
                    Box::pin(async move { door.serve(conn).await })
                })
            }
            DoorName::Imap => {
                let reading = self.imap.clone();
                Arc::new(move |conn| {
                    let door = reading.read().unwrap_or_else(PoisonError::into_inner).door.clone();
                    Box::pin(async move { door.serve(conn).await })
                })
            }
        }
    }
}

impl Reading {
    fn new(config: &Config, store: &Store, judge: &Arc<Judge>, world: &World) -> Self {
        let hostname = config.hostname.clone();
        let door = imap::Door::new(
            config.imap.clone(),
            hostname.clone(),
            store.clone(),
            judge.clone(),
            world.clone(),
        );
        Self { hostname, door: Arc::new(door) }
    }
}
