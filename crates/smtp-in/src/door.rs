//! The door: one connection from greeting to end.

use crate::config::Config;
use crate::visit::Visit;
use net::Conn;
use policy::Pipeline;
use smtp_door::Deps;
use std::sync::{Arc, PoisonError, RwLock};

/// Takes mail from strangers.
pub struct Door {
    config: RwLock<Arc<Config>>,
    pipeline: RwLock<Pipeline>,
    deps: Deps,
}

impl Door {
    /// The pipeline judges each message before it is taken.
    pub fn new(config: Config, pipeline: Pipeline, deps: Deps) -> Self {
        Self { config: RwLock::new(Arc::new(config)), pipeline: RwLock::new(pipeline), deps }
    }

    /// New options, for connections from now on.
    pub fn reconfigure(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// The checks of arriving mail.
    pub fn pipeline(&self) -> Pipeline {
        self.pipeline.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Other checks, for connections from now on.
    pub fn judge_by(&self, pipeline: Pipeline) {
        *self.pipeline.write().unwrap_or_else(PoisonError::into_inner) = pipeline;
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, conn: Conn) {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        let options = smtp_door::options(&config.door, &self.deps, &conn);
        let visit = Visit::new(&self.deps, self.pipeline(), &conn);
        smtp_door::converse(conn, options, visit).await;
    }
}
