//! A resolver that writes down what it is asked and what the answer is.

use policy::spf::Lookup;
use std::sync::{Arc, Mutex, PoisonError};
use world::resolver::Asking;
use world::{DnsName, Kind, Proof, Reply, Resolver, Security};

pub(crate) struct Recording {
    resolver: Arc<dyn Resolver>,
    lookups: Mutex<Vec<Recorded>>,
}

/// A question and its answer.
#[derive(Clone)]
pub(crate) struct Recorded {
    pub(crate) lookup: Lookup,
    pub(crate) security: Security,
}

impl Recording {
    pub(crate) fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, lookups: Mutex::default() }
    }

    /// The questions so far, in the order of their answers.
    pub(crate) fn lookups(&self) -> Vec<Recorded> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, name: &DnsName, kind: Kind, reply: &Reply) {
        let answer = match &reply.answer {
            Ok(records) => records.data.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        };
        let lookup = Lookup { name: name.to_string(), kind: kind.word(), answer };
        let recorded = Recorded { lookup, security: reply.security };
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner).push(recorded);
    }
}

impl Resolver for Recording {
    fn ask<'a>(&'a self, name: &'a DnsName, kind: Kind, proof: Proof) -> Asking<'a, Reply> {
        Box::pin(async move {
            let reply = self.resolver.ask(name, kind, proof).await;
            self.note(name, kind, &reply);
            reply
        })
    }
}
