//! What is logged, and the spans around it, sent to a collector by OTLP over HTTP with JSON. Beside the work: nobody waits for
//! the collector, and what finds no room or no collector is left out and counted.

mod config;
mod encode;
mod layer;

pub(crate) use config::{OtlpConfig, decode};
pub(crate) use layer::{Exporting, Record};

use crate::reload::Running;
use auth::Secret;
use net::{FetchLimits, Fetcher, Request, Stop, Url};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tracing::{info, warn};

/// Records that may wait; what finds no room is left out.
pub(crate) const WAITING_MAX: usize = 8 * 1024;
/// Records of one request.
const BATCH_MAX: usize = 512;
/// How long records are gathered before they are sent.
const GATHER: Duration = Duration::from_secs(1);
/// What one request may cost.
const LIMITS: FetchLimits = FetchLimits { time: Duration::from_secs(10), octets: 64 * 1024 };
/// The time for the last request, when the server stops.
const LAST_TIME: Duration = Duration::from_secs(2);

/// Sends until the server stops, and then what is left.
pub(crate) async fn run(
    mut records: Receiver<Record>,
    exporting: Exporting,
    fetcher: Fetcher,
    running: Arc<Running>,
    mut stop: Stop,
) {
    let mut collector = Collector { fetcher, hostname: String::new(), is_down: false };
    let mut batch = Vec::new();
    loop {
        let config = running.config();
        exporting.switch(config.otlp.endpoint.is_some());
        collector.hostname = config.hostname.to_string();
        let ends = tokio::select! {
            () = stop.wait() => true,
            got = records.recv_many(&mut batch, BATCH_MAX) => got == 0,
            // The configuration may say something else by now.
            () = tokio::time::sleep(GATHER) => continue,
        };
        if !ends {
            tokio::select! {
                () = stop.wait() => {}
                () = tokio::time::sleep(GATHER) => {}
            }
        }
        while batch.len() < BATCH_MAX
            && let Ok(record) = records.try_recv()
        {
            batch.push(record);
        }
        let many = batch.len() as u64;
        let sent = match &config.otlp.endpoint {
            Some(endpoint) => collector.send(endpoint, &config.otlp.fields, std::mem::take(&mut batch)),
            None if ends => return,
            None => {
                batch.clear();
                continue;
            }
        };
        if ends {
            let _ = tokio::time::timeout(LAST_TIME, sent).await;
            return;
        }
        if !sent.await {
            exporting.lose(many);
        }
        let lost = exporting.take_lost();
        running.world().meter.otlp_lost.add_many((), (), lost);
    }
}

/// The way to the collector.
struct Collector {
    fetcher: Fetcher,
    hostname: String,
    /// It did not take the last batch, which was said.
    is_down: bool,
}

impl Collector {
    /// Whether it has taken them all.
    async fn send(&mut self, endpoint: &Url, fields: &[(String, Secret)], batch: Vec<Record>) -> bool {
        let (logs, spans) = encode::requests(&self.hostname, &batch);
        for (path, body) in [("logs", logs), ("traces", spans)] {
            let Some(body) = body else { continue };
            if let Err(why) = self.post(endpoint, fields, path, body.to_string()).await {
                if !self.is_down {
                    warn!(%endpoint, why, "the collector takes nothing; what is logged meanwhile is not sent to it");
                }
                self.is_down = true;
                return false;
            }
        }
        if std::mem::take(&mut self.is_down) {
            info!(%endpoint, "the collector takes again what is logged");
        }
        true
    }

    async fn post(
        &self,
        endpoint: &Url,
        fields: &[(String, Secret)],
        path: &str,
        body: String,
    ) -> Result<(), String> {
        let url = endpoint.to_string();
        let url = Url::parse(&format!("{}/v1/{path}", url.trim_end_matches('/')));
        let url = url.map_err(|error| error.to_string())?;
        let request = Request::post(url, "application/json", body.into_bytes());
        let request =
            fields.iter().fold(request, |request, (name, value)| request.field(name, value.reveal()));
        let response = self.fetcher.fetch(&request, LIMITS).await.map_err(|error| error.to_string())?;
        if (200..300).contains(&response.status) {
            Ok(())
        } else {
            Err(format!("it answers {}", response.status))
        }
    }
}
