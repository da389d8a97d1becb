//! The node `doctor`: how often the server looks after itself.

use config::Section;
use policy::Switch;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longest time between two looks.
const EVERY_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// The checked node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DoctorOptions {
    /// Time between two looks; `None`: only when somebody asks.
    pub(crate) every: Option<Duration>,
    /// Time between two looks that read the whole database, too.
    pub(crate) database: Option<Duration>,
    /// Whether postmaster is told what has changed.
    pub(crate) mail: Switch,
}

impl Default for DoctorOptions {
    fn default() -> Self {
        Self { every: Some(DAY), database: Some(EVERY_MAX), mail: Switch::On }
    }
}

/// Reads the node.
pub(crate) fn decode(section: &mut Section<'_>) -> DoctorOptions {
    let usual = DoctorOptions::default();
    let every = section
        .duration(
            "every",
            "How often the running server looks at all that `maddy doctor` looks at; \"0s\": never.",
        )
        .within(Duration::ZERO..=EVERY_MAX)
        .or(usual.every.unwrap_or_default());
    let database = section
        .duration("database", "How often such a look reads every row and every octet, too; \"0s\": never.")
        .within(Duration::ZERO..=12 * EVERY_MAX)
        .or(usual.database.unwrap_or_default());
    let mail = section.flag("mail", "Whether postmaster gets a letter when something has changed.");
    let mail = if mail.or(usual.mail.is_on()) { Switch::On } else { Switch::Off };
    let some = |time: Duration| Some(time).filter(|time| !time.is_zero());
    DoctorOptions { every: some(every), database: some(database), mail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Tree;

    #[test]
    fn nothing_need_be_said_and_nought_is_never() {
        let read = |text: &str| Tree::from_text("t", text, &|_| None).decode(decode).unwrap();
        assert_eq!(read(""), DoctorOptions::default());
        let off = DoctorOptions { every: None, database: None, mail: Switch::Off };
        assert_eq!(read("every \"0s\"\ndatabase \"0s\"\nmail #false"), off);
    }
}
