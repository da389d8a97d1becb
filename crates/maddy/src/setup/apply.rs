//! `maddy dns apply`: the records of `dns records`, put into our zones by their own name server (RFC 2136).
//!
//! What machines make and nobody else edits (keys, digests, names of pages, services) is replaced where it differs. What
//! people edit (who may send, where mail goes, policies) is added where there is none, and otherwise left as it is, unless it is
//! asked for. Nothing else is ever touched.

use crate::cli::args::Global;
use crate::cli::{Trouble, ask, output};
use crate::config::Config;
use crate::setup::Place;
use crate::setup::records::{Facts, Says, Wanted, wanted};
use clap::Args;
use mail::Domain;
use net::DnsUpdater;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use world::update::{self, Change, UpdateError};
use world::{Caa, Data, DnsName, Kind, Tlsa, World};

#[derive(Clone, Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Replace also what people edit, where it differs: addresses, MX, SPF, DMARC, where reports go
    #[arg(long)]
    pub(crate) replace: bool,
}

/// Whose record it is, where another stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Made by us, and of use only as it is.
    Machine,
    /// Somebody may have had reasons.
    People,
}

/// What is to be done about the records of one name and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Same,
    Add,
    Replace,
    /// Another record stays, for the reason that is given.
    Left,
    /// The name server does not hold the zone.
    Elsewhere,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Left => "left",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// One step of the plan.
#[derive(Clone, Debug)]
struct Step {
    name: String,
    kind: &'static str,
    action: Action,
    /// What stands there now and goes, and what is put there.
    old: Vec<Data>,
    new: Vec<Data>,
    note: String,
    zone: Option<DnsName>,
    changes: Vec<Change>,
}

pub(crate) async fn run(
    args: &ApplyArgs,
    config: &Config,
    world: &World,
    global: &Global,
) -> Result<(), Trouble> {
    let Some(options) = &config.dns_update else {
        return Err(Trouble::usage(
            "no name server takes changes: name it in `dns { update \"192.0.2.1:53\" { key \"maddy\" secret=\"…\"; }; }`, \
             or paste what `maddy dns records` prints",
        ));
    };
    let updater = DnsUpdater::new(options.clone(), world);
    let facts = Facts::gather(config, args.place.addresses())?;
    let planner = Planner { updater: &updater, replace: args.replace, zones: BTreeMap::new() };
    let list = wanted(config, &facts);
    let steps = planner.plan(&list).await?;
    let is_due = steps.iter().any(|step| !step.changes.is_empty());
    if !global.json {
        output::octets(text(&steps).as_bytes())?;
    }
    // A program that only asks gets the plan.
    let goes = is_due && (args.yes || !global.json);
    if goes {
        ask::confirm("The records are changed as shown.", args.yes)?;
        carry_out(&updater, &steps).await?;
    }
    let missing = if goes { missing(&updater, &steps).await? } else { Vec::new() };
    if global.json {
        let plan: Vec<Value> = steps.iter().map(Step::json).collect();
        output::json(&json!({ "plan": plan, "applied": goes, "missing": missing }))?;
    } else if goes && missing.is_empty() {
        output::line("Done: the name server answers with all of it.")?;
    } else if !is_due {
        output::line("Nothing is to be done.")?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Trouble::new(format!(
        "the name server does not answer with what was put there: {}",
        missing.join("; ")
    )))
}

struct Planner<'a> {
    updater: &'a DnsUpdater,
    replace: bool,
    /// By parent of the names that were asked about: most records share a few zones.
    zones: BTreeMap<String, Option<DnsName>>,
}

impl Planner<'_> {
    async fn plan(mut self, list: &[Wanted]) -> Result<Vec<Step>, Trouble> {
        let mut groups: Vec<(&str, &'static str, Vec<&Wanted>)> = Vec::new();
        for record in list {
            match groups.iter_mut().find(|(name, kind, _)| *name == record.name && *kind == record.kind()) {
                // A TXT record of another purpose may share a name.
                Some((.., group)) if !matches!(record.says, Says::Txt(_)) => group.push(record),
                _ => groups.push((&record.name, record.kind(), vec![record])),
            }
        }
        let mut steps = Vec::new();
        for (name, kind, group) in groups {
            steps.push(self.step(name, kind, &group).await?);
        }
        Ok(steps)
    }

    async fn step(&mut self, name: &str, kind: &'static str, group: &[&Wanted]) -> Result<Step, Trouble> {
        let new: Vec<Data> = group.iter().map(|record| data(&record.says)).collect::<Result<_, _>>()?;
        let mut step = Step {
            name: name.to_owned(),
            kind,
            action: Action::Elsewhere,
            old: Vec::new(),
            new,
            note: String::new(),
            zone: None,
            changes: Vec::new(),
        };
        let Some(first) = group.first() else { return Ok(step) };
        if matches!(first.says, Says::Ptr(_)) {
            step.note = first.purpose.to_owned();
            return Ok(step);
        }
        let at = DnsName::parse(name).map_err(|error| Trouble::new(format!("{name}: {error}")))?;
        let Some(zone) = self.zone(&at).await? else {
            step.note = "its zone is not on this name server".to_owned();
            return Ok(step);
        };
        step.zone = Some(zone);
        self.compare(&mut step, &at, first).await?;
        Ok(step)
    }

    /// What stands there against what should.
    async fn compare(&self, step: &mut Step, at: &DnsName, record: &Wanted) -> Result<(), Trouble> {
        let kind = step.new.first().map_or(Kind::Txt, Data::kind);
        let said = self.updater.ask(at, kind).await.map_err(trouble)?;
        if let Some(alias) = said.alias.filter(|_| kind != Kind::Cname) {
            step.action = Action::Left;
            step.note = format!("the name is another name of {alias}, and has no records of its own");
            return Ok(());
        }
        if kind == Kind::Cname && said.data.is_empty() {
            // A name has a CNAME or other records (RFC 1034 §3.6.2): addresses that somebody has put there stay.
            for kind in [Kind::A, Kind::Aaaa] {
                if !self.updater.ask(at, kind).await.map_err(trouble)?.data.is_empty() {
                    step.action = Action::Left;
                    step.note =
                        "it has an address of its own; `maddy dns check` says whether that leads here"
                            .to_owned();
                    return Ok(());
                }
            }
        }
        // Of the TXT records of a name only those of the same purpose count.
        let there: Vec<Data> = said.data.into_iter().filter(|data| is_rival(data, &record.says)).collect();
        let missing: Vec<Data> =
            step.new.iter().filter(|new| !there.iter().any(|old| is_same(old, new))).cloned().collect();
        let rivals: Vec<Data> =
            there.iter().filter(|old| !step.new.iter().any(|new| is_same(old, new))).cloned().collect();
        let is_ours = owner(&record.says) == Owner::Machine || self.replace;
        step.action = match (missing.is_empty(), rivals.is_empty()) {
            (true, true) => Action::Same,
            (false, true) => Action::Add,
            _ if is_ours => Action::Replace,
            (true, false) => {
                step.note = format!("others stand beside it: {}", shown(&rivals));
                Action::Same
            }
            (false, false) => {
                step.note = format!("there is {}; --replace puts ours in its place", shown(&rivals));
                Action::Left
            }
        };
        if matches!(step.action, Action::Add | Action::Replace) {
            let ttl = u32::try_from(self.updater.options().ttl.as_secs()).unwrap_or(u32::MAX);
            step.old = if step.action == Action::Replace { rivals } else { Vec::new() };
            let removed = step.old.iter().map(|data| Change::Remove { name: at.clone(), data: data.clone() });
            let added = missing.into_iter().map(|data| Change::Add { name: at.clone(), ttl, data });
            step.changes = removed.chain(added).collect();
        }
        Ok(())
    }

    /// The zone that holds a name; `None` if it is elsewhere.
    async fn zone(&mut self, at: &DnsName) -> Result<Option<DnsName>, Trouble> {
        let key = at.to_string();
        if let Some(known) = self.zones.get(&key) {
            return Ok(known.clone());
        }
        let zone = match self.updater.zone_of(at).await {
            Ok(zone) => Some(zone),
            Err(UpdateError::NotHere) => None,
            Err(error) => return Err(trouble(error)),
        };
        self.zones.insert(key, zone.clone());
        Ok(zone)
    }
}

/// All changes of a zone are made, or none of them.
async fn carry_out(updater: &DnsUpdater, steps: &[Step]) -> Result<(), Trouble> {
    let mut zones: BTreeMap<String, (DnsName, Vec<Change>)> = BTreeMap::new();
    for step in steps.iter().filter(|step| !step.changes.is_empty()) {
        if let Some(zone) = &step.zone {
            let (_, changes) = zones.entry(zone.to_string()).or_insert_with(|| (zone.clone(), Vec::new()));
            changes.extend(step.changes.iter().cloned());
        }
    }
    for (zone, changes) in zones.values() {
        for part in changes.chunks(update::CHANGES_MAX) {
            updater
                .change(zone, part)
                .await
                .map_err(|error| Trouble::new(format!("the zone {zone} is not changed: {error}")))?;
        }
    }
    Ok(())
}

/// What the name server does not answer with afterwards.
async fn missing(updater: &DnsUpdater, steps: &[Step]) -> Result<Vec<String>, Trouble> {
    let mut missing = Vec::new();
    for step in steps.iter().filter(|step| !step.changes.is_empty()) {
        let (Ok(at), Some(first)) = (DnsName::parse(&step.name), step.new.first()) else { continue };
        let there = updater.ask(&at, first.kind()).await.map_err(trouble)?.data;
        let is_there = |new: &&Data| there.iter().any(|old| is_same(old, new));
        missing.extend(
            step.new.iter().filter(|new| !is_there(new)).map(|new| format!("{at} {} {new}", step.kind)),
        );
    }
    Ok(missing)
}

fn trouble(error: UpdateError) -> Trouble {
    Trouble::new(error.to_string())
}

fn owner(says: &Says) -> Owner {
    match says {
        Says::Cname(_) | Says::Tlsa(_) | Says::Srv { .. } => Owner::Machine,
        Says::Txt(text) if text.starts_with("v=DKIM1") || text.starts_with("v=STSv1") => Owner::Machine,
        Says::Txt(_) | Says::Address(_) | Says::Mx(_) | Says::Caa(_) | Says::Ptr(_) => Owner::People,
    }
}

/// Whether a record that is there is of the same purpose, so that it cannot stand beside ours without being looked at.
fn is_rival(there: &Data, says: &Says) -> bool {
    match (there, says) {
        (Data::Txt(strings), Says::Txt(text)) => {
            let there = String::from_utf8_lossy(&strings.concat()).into_owned();
            let version = text.split([';', ' ']).next().unwrap_or_default();
            there.split([';', ' ']).next().is_some_and(|other| other.trim().eq_ignore_ascii_case(version))
        }
        // Each authority that may make certificates has a record of its own.
        (Data::Caa(there), Says::Caa(ours)) => there.tag == "issue" && there.value == ours.as_bytes(),
        _ => true,
    }
}

/// Whether two records say the same. The priority of ours does not matter where it leads to us.
fn is_same(there: &Data, ours: &Data) -> bool {
    match (there, ours) {
        (Data::Txt(there), Data::Txt(ours)) => there.concat() == ours.concat(),
        (Data::Mx { exchange: there, .. }, Data::Mx { exchange: ours, .. }) => there == ours,
        (Data::Srv { port, target, .. }, Data::Srv { port: our_port, target: us, .. }) => {
            (port, target) == (our_port, us)
        }
        (there, ours) => there == ours,
    }
}

fn data(says: &Says) -> Result<Data, Trouble> {
    let name = |domain: &Domain| {
        DnsName::of(domain).ok_or_else(|| Trouble::new(format!("{domain} is no name of the DNS")))
    };
    Ok(match says {
        Says::Address(ip) => update::address(*ip),
        Says::Mx(host) => Data::Mx { preference: 10, exchange: name(host)? },
        Says::Txt(text) => update::text(text),
        Says::Cname(host) => Data::Cname(name(host)?),
        Says::Ptr(host) => Data::Ptr(name(host)?),
        Says::Srv { port, target } => {
            Data::Srv { priority: 0, weight: 1, port: *port, target: name(target)? }
        }
        Says::Caa(authority) => {
            Data::Caa(Caa { flags: 0, tag: "issue".to_owned(), value: authority.as_bytes().to_vec() })
        }
        Says::Tlsa(digest) => {
            let octets = (0..digest.len())
                .step_by(2)
                .map(|at| digest.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()));
            let data: Option<Vec<u8>> = octets.collect();
            let data = data.ok_or_else(|| Trouble::new("the digest of a key cannot be read"))?;
            Data::Tlsa(Tlsa { usage: 3, selector: 1, matching: 1, data })
        }
    })
}

fn shown(list: &[Data]) -> String {
    list.iter().map(|data| output::printable(&data.to_string())).collect::<Vec<_>>().join(", ")
}

impl Step {
    fn json(&self) -> Value {
        let words = |list: &[Data]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        json!({
            "name": self.name, "type": self.kind, "action": self.action.word(),
            "zone": self.zone.as_ref().map(ToString::to_string),
            "removes": words(&self.old), "data": words(&self.new), "note": self.note,
        })
    }
}

/// The plan, without what is as it should be.
fn text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        let Step { name, kind, .. } = step;
        for old in &step.old {
            text.push_str(&format!("- {name}. {kind} {}\n", output::printable(&old.to_string())));
        }
        match step.action {
            Action::Add | Action::Replace => {
                for new in &step.new {
                    text.push_str(&format!("+ {name}. {kind} {}\n", output::printable(&new.to_string())));
                }
            }
            Action::Left => text.push_str(&format!("  {name}. {kind} is left as it is: {}\n", step.note)),
            Action::Elsewhere => {
                text.push_str(&format!("  {name}. {kind} is not made here: {}\n", step.note))
            }
            Action::Same if !step.note.is_empty() => {
                text.push_str(&format!("  {name}. {kind} is there; {}\n", step.note));
            }
            Action::Same => {}
        }
    }
    let same = steps.iter().filter(|step| step.action == Action::Same).count();
    text.push_str(&format!("{same} of {} are as they should be\n", steps.len()));
    text
}
