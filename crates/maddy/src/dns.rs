//! A resolver that can be exchanged while others hold it, so that new name servers need no restart.

use mail::Domain;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use world::resolver::Answering;
use world::{Mx, Resolver};

pub(crate) struct Exchangeable(RwLock<Arc<dyn Resolver>>);

impl Exchangeable {
    pub(crate) fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self(RwLock::new(resolver))
    }

    pub(crate) fn set(&self, resolver: Arc<dyn Resolver>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = resolver;
    }

    fn get(&self) -> Arc<dyn Resolver> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Resolver for Exchangeable {
    fn mx<'a>(&'a self, domain: &'a Domain) -> Answering<'a, Vec<Mx>> {
        let resolver = self.get();
        Box::pin(async move { resolver.mx(domain).await })
    }

    fn addresses<'a>(&'a self, host: &'a Domain) -> Answering<'a, Vec<IpAddr>> {
        let resolver = self.get();
        Box::pin(async move { resolver.addresses(host).await })
    }

    fn txt<'a>(&'a self, name: &'a str) -> Answering<'a, Vec<String>> {
        let resolver = self.get();
        Box::pin(async move { resolver.txt(name).await })
    }

    fn names(&self, ip: IpAddr) -> Answering<'_, Vec<Domain>> {
        let resolver = self.get();
        Box::pin(async move { resolver.names(ip).await })
    }
}
