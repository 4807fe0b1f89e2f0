//! Instance metadata, version 2 only: a session token first, then the data of the one instance the path names.

use crate::world::{Instance, Lifecycle, World, scramble};
use std::collections::BTreeMap;

/// Longest life of a token, in seconds.
pub const TOKEN_TTL_S_MAX: u64 = 21_600;

/// The session tokens given out.
#[derive(Debug, Default)]
pub struct Tokens {
    given: BTreeMap<String, (String, u64)>,
    count: u64,
}

impl Tokens {
    fn give(&mut self, instance: &str, ttl_s: u64, now_ms: u64) -> String {
        self.given.retain(|_, (_, expires_at_ms)| *expires_at_ms > now_ms);
        self.count += 1;
        let token = format!("AQAE{:016x}{:016x}==", scramble(self.count), scramble(!self.count));
        self.given.insert(token.clone(), (instance.into(), now_ms + ttl_s * 1000));
        token
    }

    fn valid(&self, token: Option<&str>, instance: &str, now_ms: u64) -> bool {
        token
            .and_then(|token| self.given.get(token))
            .is_some_and(|(owner, expires_at_ms)| owner == instance && *expires_at_ms > now_ms)
    }
}

/// `PUT latest/api/token`: status and body.
pub fn put_token(world: &mut World, id: &str, ttl: Option<&str>, now_ms: u64) -> (u16, String) {
    let ttl_s = ttl
        .and_then(|text| text.parse().ok())
        .filter(|ttl_s| (1..=TOKEN_TTL_S_MAX).contains(ttl_s));
    match (machine(world, id), ttl_s) {
        (None, _) => not_found(),
        (Some(_), None) => (400, "Bad Request".into()),
        (Some(_), Some(ttl_s)) => (200, world.tokens.give(id, ttl_s, now_ms)),
    }
}

/// `GET latest/meta-data/…`: status and body.
#[must_use]
pub fn get(
    world: &World,
    id: &str,
    path: &[&str],
    token: Option<&str>,
    now_ms: u64,
) -> (u16, String) {
    let Some(instance) = machine(world, id) else { return not_found() };
    if !world.tokens.valid(token, id, now_ms) {
        return (401, "Unauthorized".into());
    }
    let answer = match path {
        ["instance-id"] => Some(instance.id.clone()),
        ["local-ipv4"] => Some(instance.ip.to_string()),
        ["instance-type"] => Some(instance.instance_type.clone()),
        ["placement", "availability-zone"] => Some(instance.zone.clone()),
        ["tags", "instance"] | ["tags", "instance", ""] => {
            Some(instance.tags.keys().map(String::as_str).collect::<Vec<_>>().join("\n"))
        }
        ["tags", "instance", key] => instance.tags.get(*key).cloned(),
        _ => None,
    };
    answer.map_or_else(not_found, |text| (200, text))
}

fn machine<'a>(world: &'a World, id: &str) -> Option<&'a Instance> {
    world.cloud().instances.get(id).filter(|instance| instance.lifecycle != Lifecycle::Gone)
}

fn not_found() -> (u16, String) {
    (404, "Not Found".into())
}
