//! `check egress`: would others believe what we send?

use crate::cli::args::Global;
use crate::cli::{Connection, Trouble, output};
use crate::selfcheck::SELF_CHECK;
use delivery::selfcheck::{Point, Report, State};
use serde_json::Value;

pub(crate) async fn run(global: &Global) -> Result<(), Trouble> {
    Connection::with(global, async |server| {
        let said = server.ask_daemon(SELF_CHECK, &Value::Null).await?;
        let report: Report = serde_json::from_value(said).map_err(|error| Trouble::new(error.to_string()))?;
        if global.json {
            return output::json(&report);
        }
        output::octets(report.points.iter().map(line).collect::<String>().as_bytes())?;
        for (domain, why) in &report.burning {
            output::line(&format!(
                "mail of {domain} would fail its own DMARC policy: {}",
                output::printable(why)
            ))?;
        }
        Ok(())
    })
    .await
}

fn line(point: &Point) -> String {
    let (state, check, about) = (point.state.word(), point.check.word(), &point.about);
    let mut text = format!("{state:8}{check:6}{about}: {}\n", output::printable(&point.text));
    if !point.help.is_empty() && point.state != State::Unknown {
        text.push_str(&format!("              {}\n", output::printable(&point.help)));
    }
    text
}
