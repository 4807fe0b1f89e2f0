//! Availability Zones: the nodes of one job get instances of one zone, as far as there are any.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use super::group::Pass;
use super::supply::count;
use super::whole::Incomplete;
use crate::ids::{AsgName, InstanceId, NodeName};

/// An instance that may be given a node.
pub struct Spare<'a> {
    pub asg: &'a AsgName,
    pub id: &'a InstanceId,
    pub address: IpAddr,
}

/// Such instances by zone, in the order in which they were added.
#[derive(Default)]
pub struct Ready<'a> {
    zones: BTreeMap<&'a str, VecDeque<(usize, Spare<'a>)>>,
    added: usize,
}

impl<'a> Ready<'a> {
    pub fn add(&mut self, zone: &'a str, spare: Spare<'a>) {
        self.zones.entry(zone).or_default().push_back((self.added, spare));
        self.added += 1;
    }

    /// The next one, of this zone if it has any.
    fn take(&mut self, zone: Option<&str>) -> Option<Spare<'a>> {
        let first = self.zones.iter().min_by_key(|(_, spares)| spares.front().map(|it| it.0));
        let first = first.map(|(zone, _)| *zone)?;
        let zone = zone.filter(|zone| self.zones.contains_key(zone)).unwrap_or(first);
        let spares = self.zones.get_mut(zone)?;
        let (_, spare) = spares.pop_front()?;
        if spares.is_empty() {
            self.zones.remove(zone);
        }
        Some(spare)
    }

    /// Where there are enough for so many nodes, or else the most.
    fn zone_for(&self, nodes: usize) -> Option<&'a str> {
        let first = |spares: &VecDeque<(usize, Spare<'_>)>| spares.front().map(|it| it.0);
        let enough = self.zones.iter().filter(|(_, spares)| spares.len() >= nodes);
        let enough = enough.min_by_key(|(_, spares)| first(spares));
        let most = || self.zones.iter().max_by_key(|(_, spares)| spares.len());
        enough.or_else(most).map(|(zone, _)| *zone)
    }
}

impl<'a> Pass<'a, '_> {
    /// Gives nodes that wait the instances that are there: pairs, and the nodes that are left.
    pub(super) fn pair(&mut self, mut ready: Ready<'a>) -> Vec<(&'a NodeName, Spare<'a>)> {
        let owners = self.owners();
        let mut zones: BTreeMap<usize, Option<&'a str>> = BTreeMap::new();
        let mut pairs = Vec::new();
        let mut left = Vec::new();
        for name in std::mem::take(&mut self.booting) {
            let zone = owners.get(name).and_then(|at| {
                let job = self.jobs.get(*at)?;
                *zones.entry(*at).or_insert_with(|| {
                    self.zone_of_job(job).or_else(|| ready.zone_for(job.missing.len()))
                })
            });
            match ready.take(zone) {
                Some(spare) => pairs.push((name, spare)),
                None => left.push(name),
            }
        }
        self.booting = left;
        pairs
    }

    /// Which of the waiting jobs a node belongs to, by their places.
    pub(super) fn owners(&self) -> BTreeMap<&'a NodeName, usize> {
        let jobs = self.jobs.iter().enumerate();
        jobs.flat_map(|(at, job)| job.missing.iter().map(move |name| (*name, at))).collect()
    }

    /// The zone in which most of a job's instances are.
    pub(super) fn zone_of_job(&self, job: &Incomplete<'a>) -> Option<&'a str> {
        let mut counts: BTreeMap<&'a str, u32> = BTreeMap::new();
        for name in &job.others {
            let Some(binding) = self.scene.memory.bindings.get(*name) else { continue };
            let member = self.scene.snapshot.member(&binding.asg, &binding.instance);
            if let Some(member) = member {
                *counts.entry(&member.zone).or_insert(0) += 1;
            }
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(zone, _)| zone)
    }

    /// How many instances of an Auto Scaling group each of its zones has.
    pub(super) fn load_of_zones(&self, at: usize) -> BTreeMap<&'a str, u32> {
        let Some(book) = self.books.get(at) else { return BTreeMap::new() };
        let asg = book.asg;
        let load = |zone: &&'a String| {
            let here = |member: &&crate::snapshot::Member| {
                member.lifecycle.is_capacity() && member.zone == **zone
            };
            count(asg.instances.values().filter(here).count())
        };
        asg.zones.iter().map(|zone| (zone.as_str(), load(&zone))).collect()
    }
}
