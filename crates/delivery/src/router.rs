//! The rules together with the directory: one look into the store for each question.

use crate::plan::Plan;
use crate::refusal;
use crate::route::{Exit, Known, Resolved, RouteConfig, Rules, Target};
use crate::srs::Srs;
use mail::{Address, Domain, Envelope, Reply};
use storage::{Store, Usage};
use tracing::error;
use world::World;

/// Name of the secret under which senders are rewritten.
const SRS_SECRET: &str = "srs";
const SRS_KEY_OCTETS: usize = 32;

/// Answers who gets mail. Made anew when the configuration changes.
pub struct Router {
    rules: Rules,
    store: Store,
    world: World,
}

impl Router {
    /// Reads or makes the secret of rewritten senders.
    pub async fn load(config: RouteConfig, store: Store, world: World) -> storage::Result<Self> {
        let secret = store.secret(SRS_SECRET, SRS_KEY_OCTETS).await?;
        let mut key = [0; SRS_KEY_OCTETS];
        let octets = secret.len().min(SRS_KEY_OCTETS);
        key[..octets].copy_from_slice(&secret[..octets]);
        Ok(Self { rules: Rules::new(config, Srs::new(key)), store, world })
    }

    /// The same router for a server that mail may leave, or not.
    pub fn with_exit(self, exit: Exit) -> Self {
        Self { rules: self.rules.with_exit(exit), ..self }
    }

    /// Whether the domain is one of those whose mail ends here.
    pub fn is_local(&self, domain: &Domain) -> bool {
        self.rules.is_local(domain)
    }

    /// Our name, as notices and EHLO say it.
    pub fn hostname(&self) -> &Domain {
        &self.rules.config().hostname
    }

    /// The address behind `RCPT TO:<Postmaster>` without a domain (RFC 5321 §4.1.1.3).
    pub fn bare_postmaster(&self) -> Option<Address> {
        Address::new("postmaster", self.rules.primary().clone()).ok()
    }

    /// What the address is to us. Trouble of the store is [`Resolved::Temporary`].
    pub async fn resolve(&self, address: &Address) -> Resolved {
        match self.look([address]).await {
            Ok(known) => self.rules.resolve(address, &known, self.world.clock.unix()),
            Err(reply) => Resolved::Temporary(reply),
        }
    }

    /// What a sender hears of a recipient when none of the mailboxes behind it has room for a message of `octets` (0: it
    /// was not said how many there will be). Whether it fits in the end is decided when it is filed.
    pub async fn no_room(&self, address: &Address, resolved: &Resolved, octets: u64) -> Option<Reply> {
        let Resolved::Ours(targets) = resolved else { return None };
        let mut names = Vec::with_capacity(targets.len());
        for target in targets {
            match target {
                Target::Mailbox { account, .. } => names.push(account.clone()),
                Target::Remote { .. } => return None,
            }
        }
        if self.store.has_unlimited(&names) {
            return None;
        }
        let allowances = match self.store.allowances(&names).await {
            Ok(allowances) => allowances,
            Err(error) => {
                error!(%error, "the quotas cannot be read");
                return Some(refusal::of_store(&error));
            }
        };
        let more = Usage { octets, messages: 1 };
        if allowances.is_empty() || allowances.values().any(|allowance| allowance.has_room_for(more)) {
            return None;
        }
        let ever = allowances.values().any(|allowance| allowance.could_hold(more));
        Some(if ever { refusal::no_room(address) } else { refusal::never_fits(address) })
    }

    /// What a sender hears of a recipient elsewhere to whom nothing is sent any more. Trouble of the store stops nobody.
    pub async fn suppressed(&self, address: &Address, resolved: &Resolved) -> Option<Reply> {
        if !matches!(resolved, Resolved::Remote) {
            return None;
        }
        match self.store.suppressed(&address.key()).await {
            Ok(found) => found.map(|found| refusal::suppressed(address, &found)),
            Err(error) => {
                error!(%error, "the suppressed addresses cannot be read");
                None
            }
        }
    }

    /// Whether the account (by its name, an [`Address::key`]) may send as this address: its own, subaddresses of it,
    /// and aliases and catch-alls that lead to it.
    pub async fn owns(&self, account: &str, address: &Address) -> Result<bool, Reply> {
        let known = self.look([address]).await?;
        Ok(self.rules.owns(account, address, &known, self.world.clock.unix()))
    }

    /// Decides about the whole envelope.
    pub async fn plan(&self, envelope: &Envelope) -> Result<Plan, Reply> {
        let known = self.look(envelope.recipients.iter().map(|recipient| &recipient.address)).await?;
        self.rules.plan(envelope, &known, self.world.clock.unix())
    }

    async fn look<'a>(&self, addresses: impl IntoIterator<Item = &'a Address>) -> Result<Known, Reply> {
        let questions = self.rules.questions(addresses);
        self.ask(questions.names, questions.first).await.map_err(|error| {
            error!(%error, "the directory cannot be read");
            refusal::of_store(&error)
        })
    }

    async fn ask(&self, names: Vec<String>, first: crate::route::First) -> storage::Result<Known> {
        let mut known = Known::default();
        if !names.is_empty() {
            known.accounts = self.store.existing_accounts(&names).await?;
        }
        if first == crate::route::First::Needed {
            known.first = self.store.first_account().await?;
        }
        Ok(known)
    }
}
