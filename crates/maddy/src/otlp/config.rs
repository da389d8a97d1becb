//! The node `otlp`: where the collector is, and what is shown to it.

use ::config::{Section, secret_text};
use auth::Secret;
use net::Url;
use net::url::{Host, Scheme};
use std::path::Path;

/// Most fields that are sent besides.
const FIELDS_MAX: usize = 16;
/// Fields that are ours to write.
const OURS: [&str; 6] =
    ["host", "connection", "content-length", "content-type", "transfer-encoding", "user-agent"];

/// Checked node `otlp`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OtlpConfig {
    /// Where the collector takes `/v1/logs` and `/v1/traces`; nothing is sent without it.
    pub(crate) endpoint: Option<Url>,
    /// Fields of each request, as a rule with a token.
    pub(crate) fields: Vec<(String, Secret)>,
}

/// Reads the node.
pub(crate) fn decode(section: &mut Section<'_>) -> OtlpConfig {
    let read = |text: &str| Url::parse(text.trim_end_matches('/')).map_err(|error| error.to_string());
    let endpoint = section
        .parsed("endpoint", "a URL", read, "A collector, like \"http://127.0.0.1:4318\"; off without it.")
        .optional();
    let file = section
        .path(
            "headers-file",
            "A file that only the server can read, with a line \"Name: value\" for each field that the collector wants to see, \
             like \"Authorization: Bearer …\".",
        )
        .optional();
    let fields = file.map_or(Vec::new(), |file| read_fields(section, &file));
    if let Some(url) = endpoint.as_ref().filter(|url| !fields.is_empty() && is_open(url)) {
        let text = format!("what stands in `headers-file` would go to {url} in clear");
        section.problem(section.child_span("endpoint"), text, "use https, or a collector on this machine");
    }
    OtlpConfig { endpoint, fields }
}

fn read_fields(section: &Section<'_>, file: &Path) -> Vec<(String, Secret)> {
    secret_text(file).and_then(|text| fields(&text)).unwrap_or_else(|error| {
        let help = "write lines like \"Authorization: Bearer …\" into it";
        section.problem(section.child_span("headers-file"), format!("{}: {error}", file.display()), help);
        Vec::new()
    })
}

/// Whether others could read along on the way.
fn is_open(url: &Url) -> bool {
    let is_here = match url.host() {
        Host::Address(ip) => ip.is_loopback(),
        Host::Name(name) => name.as_str() == "localhost",
    };
    url.scheme() == Scheme::Http && !is_here
}

/// The fields in a text, one in each line. The error shows no value.
fn fields(text: &str) -> Result<Vec<(String, Secret)>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let fields: Vec<(String, Secret)> =
        lines.map(|(at, line)| field(line, at + 1)).collect::<Result<_, _>>()?;
    if fields.len() > FIELDS_MAX {
        return Err(format!("there are more than {FIELDS_MAX} fields"));
    }
    Ok(fields)
}

fn field(line: &str, number: usize) -> Result<(String, Secret), String> {
    let Some((name, value)) = line.split_once(':') else {
        return Err(format!("line {number} is not \"Name: value\""));
    };
    // RFC 9110 §5.6.2 and RFC 9110 §5.5, as far as anybody uses them.
    let is_letter = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let (name, value) = (name.to_ascii_lowercase(), value.trim());
    if name.is_empty() || !name.bytes().all(is_letter) || OURS.contains(&name.as_str()) {
        return Err(format!("line {number} has no name of a field that may be set"));
    }
    if value.is_empty() || !value.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()) {
        return Err(format!("line {number} has no value that a field can have"));
    }
    Ok((name, Secret::new(value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::config::Tree;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn fields_come_from_a_file_and_go_nowhere_in_clear() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("headers");
        let read = |text: &str, mode: u32, endpoint: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let text = format!("endpoint \"{endpoint}\"; headers-file {:?}", path.display().to_string());
            let tree = Tree::from_text("test", &text, &|_| None);
            tree.decode(decode).map_err(|problems| problems.to_string())
        };
        let good = "Authorization: Bearer s3cret:x\n\nX-Scope-OrgID: 7\n";
        for endpoint in ["https://collector.example/otlp", "http://127.0.0.1:4318", "http://localhost:4318"] {
            let config = read(good, 0o600, endpoint).unwrap();
            let shown: Vec<_> =
                config.fields.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
            assert_eq!(shown, [("authorization", "Bearer s3cret:x"), ("x-scope-orgid", "7")]);
            assert!(!format!("{config:?}").contains("s3cret"));
        }
        for (text, mode, endpoint, want) in [
            (good, 0o600, "http://collector.example", "in clear"),
            (good, 0o644, "https://collector.example", "chmod 600"),
            ("Authorization Bearer s3cret", 0o600, "https://collector.example", "line 1 is not"),
            ("a: b\nContent-Length: 5", 0o600, "https://collector.example", "line 2 has no name"),
            ("a b: c", 0o600, "https://collector.example", "line 1 has no name"),
            ("a: s3cret\u{e9}", 0o600, "https://collector.example", "line 1 has no value"),
            (&"a: b\n".repeat(17), 0o600, "https://collector.example", "more than 16"),
        ] {
            let problems = read(text, mode, endpoint).unwrap_err();
            assert!(problems.contains(want) && !problems.contains("s3cret"), "{want}: {problems}");
        }
    }
}
