//! `maddy dkim`: what belongs into the DNS, so that others can verify our signatures.

use crate::cli::args::Global;
use crate::cli::{Trouble, output};
use crate::config::Source;
use serde_json::{Value, json};

/// Prints the records of the keys that there are, as lines of a zone file.
pub(crate) fn list(source: &Source, global: &Global) -> Result<(), Trouble> {
    if source.state_dir.is_some() {
        return Err(Trouble::usage(
            "dkim list goes by a configuration, which names the domains: use --config",
        ));
    }
    let config = source.read_settings()?;
    let found = policy::dkim::records(&config.keys_dir(), &config.domains, &config.dkim.selectors)
        .map_err(|error| Trouble::new(error.to_string()))?;
    if !config.dkim.signing.is_on() {
        eprintln!("signing is switched off: dkim {{ enabled #false }}");
    }
    let mut missing: Vec<String> =
        found.iter().filter(|(_, record)| record.is_none()).map(|(domain, _)| domain.to_string()).collect();
    missing.dedup();
    for domain in missing {
        eprintln!("{domain} lacks keys; the server makes them at its next start or reload");
    }
    let records = found.iter().filter_map(|(domain, record)| record.as_ref().map(|record| (domain, record)));
    if global.json {
        let items: Vec<Value> = records
            .map(|(domain, record)| {
                json!({
                    "domain": domain.as_str(),
                    "name": record.name,
                    "text": record.text,
                    "zone": record.zone_line(),
                })
            })
            .collect();
        return output::json(&items);
    }
    let text: String = records.map(|(_, record)| format!("{}\n", record.zone_line())).collect();
    output::octets(text.as_bytes())
}
