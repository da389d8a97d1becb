//! A resolver that writes down what it is asked and what the answer is.

use mail::Domain;
use policy::spf::Lookup;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use world::resolver::Answering;
use world::{DnsError, Mx, Resolver};

pub(crate) struct Recording {
    resolver: Arc<dyn Resolver>,
    lookups: Mutex<Vec<Lookup>>,
}

impl Recording {
    pub(crate) fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, lookups: Mutex::default() }
    }

    /// The questions so far, in the order of their answers.
    pub(crate) fn lookups(&self) -> Vec<Lookup> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note<T>(
        &self,
        name: &str,
        kind: &'static str,
        answer: Result<Vec<T>, DnsError>,
        shown: impl Fn(&T) -> String,
    ) -> Result<Vec<T>, DnsError> {
        let text = match &answer {
            Ok(records) => records.iter().map(shown).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        };
        let lookup = Lookup { name: name.to_owned(), kind, answer: text };
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner).push(lookup);
        answer
    }
}

impl Resolver for Recording {
    fn mx<'a>(&'a self, domain: &'a Domain) -> Answering<'a, Vec<Mx>> {
        let shown = |mx: &Mx| match &mx.exchange {
            Some(host) => format!("{} {host}", mx.preference),
            None => format!("{} .", mx.preference),
        };
        Box::pin(async move { self.note(domain.as_str(), "MX", self.resolver.mx(domain).await, shown) })
    }

    fn addresses<'a>(&'a self, host: &'a Domain) -> Answering<'a, Vec<IpAddr>> {
        Box::pin(async move {
            self.note(host.as_str(), "A", self.resolver.addresses(host).await, IpAddr::to_string)
        })
    }

    fn txt<'a>(&'a self, name: &'a str) -> Answering<'a, Vec<String>> {
        let shown = |text: &String| format!("\"{text}\"");
        Box::pin(async move { self.note(name, "TXT", self.resolver.txt(name).await, shown) })
    }

    fn names(&self, ip: IpAddr) -> Answering<'_, Vec<Domain>> {
        Box::pin(async move {
            self.note(&ip.to_string(), "PTR", self.resolver.names(ip).await, Domain::to_string)
        })
    }
}
