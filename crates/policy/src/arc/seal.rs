//! Seals what is handed on: what we found, the message as it came, and the chain so far, signed with the RSA key of one of our
//! domains, so that the next server may believe what it cannot see any more (RFC 8617 §5.1).
//!
//! The findings are taken from our own Authentication-Results, which the door has put in front: the seal says what readers
//! here are told, and nothing else. A message that has none was not judged, and is not sealed. Nor is one whose chain we found
//! broken: it stays as it is for the next to judge, who may have better luck with the DNS.

use super::INSTANCES_MAX;
use super::chain::{self, Link, MESSAGE, RESULTS, SEAL};
use crate::dkim::canon::{BodyHash, signed_header};
use crate::dkim::keys::Key;
use crate::dkim::sign::{fold, folded_base64, names_to_sign};
use crate::head::{Head, RawField, RawFields};
use crate::results;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::{Domain, Message};
use mail_auth::dkim::Canonicalization;
use std::io;

const FORM: Canonicalization = Canonicalization::Relaxed;

/// Who seals, with what, and when.
pub(crate) struct Sealing<'a> {
    /// The name that our Authentication-Results carry.
    pub(crate) hostname: &'a Domain,
    pub(crate) domain: &'a Domain,
    pub(crate) key: &'a Key,
    pub(crate) now: i64,
}

/// The three fields of a new set, the one to stand on top last, without their last line breaks. `None` where there is nothing
/// to seal. Blocks on the disk.
pub(crate) fn seal(message: &Message, sealing: &Sealing<'_>) -> io::Result<Option<[String; 3]>> {
    let head = Head::read(message)?;
    let fields = head.fields();
    let Some(found) = our_results(&fields, sealing.hostname) else { return Ok(None) };
    let Ok(links) = chain::read(&fields) else { return Ok(None) };
    let is_good = results::read(&results::without_comments(found.as_bytes()))
        .iter()
        .any(|one| one.method == "arc" && one.result == "pass");
    let instance = links.len() + 1;
    if (!links.is_empty() && !is_good) || instance > usize::from(INSTANCES_MAX) {
        return Ok(None);
    }
    let results = format!(" i={instance};{found}");
    let mut body = BodyHash::new(FORM, None);
    head.each_piece_of_body(message, |piece| body.push(piece))?;
    let signed = sealing.message_signature(instance, &fields, &body.finish().digest)?;
    let sealed = sealing.seal_field(instance, &fields, &links, &results, &signed)?;
    Ok(Some([
        format!("ARC-Authentication-Results:{results}"),
        format!("ARC-Message-Signature:{signed}"),
        format!("ARC-Seal:{sealed}"),
    ]))
}

/// What our own Authentication-Results say, from their authserv-id on; the newest. `None` without any finding.
fn our_results(fields: &RawFields<'_>, hostname: &Domain) -> Option<String> {
    let at = fields.named("authentication-results").first()?;
    let value = std::str::from_utf8(fields.all[*at].value).ok()?.trim_end();
    let plain = results::without_comments(value.as_bytes());
    let (id, payload) = plain.split_once(';')?;
    let is_ours = Domain::parse(id.trim()).is_ok_and(|id| id == *hostname);
    (is_ours && payload.trim() != "none").then(|| value.to_owned())
}

impl Sealing<'_> {
    fn tags(&self, instance: usize) -> String {
        let (algorithm, domain) = (self.key.kind().algorithm(), self.domain);
        format!(" i={instance}; a={algorithm}; t={}; d={domain};\r\n\ts={};", self.now, self.key.selector)
    }

    /// RFC 8617 §4.1.2: as a DKIM signature, over the DKIM signatures that are there as well, and over no field of ARC.
    fn message_signature(
        &self,
        instance: usize,
        fields: &RawFields<'_>,
        body_hash: &[u8],
    ) -> io::Result<String> {
        let mut names = names_to_sign(fields);
        names.extend(std::iter::repeat_n("DKIM-Signature", fields.named("dkim-signature").len().min(20)));
        let mut value = format!(
            "{} c=relaxed/relaxed;\r\n\th={};\r\n\tbh={};\r\n\tb=",
            self.tags(instance),
            fold(&names, ":"),
            STANDARD.encode(body_hash)
        );
        let lower: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let own = RawField { name: b"ARC-Message-Signature", value: value.as_bytes() };
        let input = signed_header(fields, &lower, FORM, None, own);
        value.push_str(&folded_base64(&self.key.sign(&input)?));
        Ok(value)
    }

    /// RFC 8617 §5.1.1: all sets from the oldest, in each the results, the message signature and the seal, ours with an empty
    /// `b=`.
    fn seal_field(
        &self,
        instance: usize,
        fields: &RawFields<'_>,
        links: &[Link],
        results: &str,
        signed: &str,
    ) -> io::Result<String> {
        let status = if links.is_empty() { "none" } else { "pass" };
        let mut value = format!("{} cv={status};\r\n\tb=", self.tags(instance));
        let places = links.iter().flat_map(|link| [link.results_at, link.message_at, link.seal_at]);
        let older = places.map(|at| (fields.all[at].name, fields.all[at].value));
        let (results, signed) = (format!("{results}\r\n"), format!("{signed}\r\n"));
        let ours = [
            (RESULTS.as_bytes(), results.as_bytes()),
            (MESSAGE.as_bytes(), signed.as_bytes()),
            (SEAL.as_bytes(), value.as_bytes()),
        ];
        let mut input = Vec::new();
        FORM.canonicalize_headers(older.chain(ours), &mut input);
        let signature = folded_base64(&self.key.sign(&input)?);
        value.push_str(&signature);
        Ok(value)
    }
}
