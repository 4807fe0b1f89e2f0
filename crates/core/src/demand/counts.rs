//! Nodes for features with counts: `fast*2&big*1`.
//!
//! Slurm looks for them in one way where a job starts, and in another where it plans.

use super::choose::{Pick, choose, choose_all};
use super::feature::Expression;
use super::fit::{Features, Where, offers};
use super::named::Named;
use super::places::{Places, joined};
use super::pool::Pool;
use super::request::Request;
use crate::snapshot::SlurmFacts;

/// So many nodes of each feature.
type Counts = [(Expression, u32)];

/// Where the nodes of a job are looked for.
pub struct Search<'s> {
    /// The nodes.
    pub pool: &'s Pool<'s>,
    /// How they are shared out.
    pub slurm: &'s SlurmFacts,
    /// What the job asks for.
    pub request: &'s Request,
    /// Where it may go.
    pub place: &'s Where<'s>,
}

impl Search<'_> {
    /// First the nodes of each feature, and then the rest around them. In brackets each has nodes
    /// of its own, and all have at least one of the features (_get_req_features() in
    /// node_scheduler.c, 22.05.8).
    pub fn find(&self, counts: &Counts, apart: bool) -> Option<Vec<Pick>> {
        let Self { request, place, .. } = self;
        let mut required = place.required.to_vec();
        let mut fixed = 0;
        for (features, count) in counts {
            let part = Request {
                nodes_min: *count,
                nodes_wanted: *count,
                nodes_max: *count,
                cpus: *count,
                tasks: None,
                required: Named::default(),
                ..(*request).clone()
            };
            let taken = joined([place.excluded, required.as_slice()].concat());
            let here = Where { required: &[], excluded: &taken, ..(*place).clone() };
            let of =
                |features| choose(&part, offers(self.pool, &part, self.slurm, &here, features));
            let picks = if apart {
                counts.iter().find_map(|(first, _)| of(Features::Both(first, features)))?
            } else {
                of(Features::Each(features))?
            };
            required.extend(picks.iter().map(Pick::range));
            required = joined(required);
            fixed += *count;
        }
        let least = request.nodes_min.max(fixed);
        let whole = Request {
            nodes_min: least,
            // Of a range the least is enough.
            nodes_wanted: least,
            nodes_max: request.nodes_max.max(least),
            cpus: request.cpus.max(least),
            ..(*request).clone()
        };
        let here = Where { required: &required, ..(*place).clone() };
        let features = if apart { Features::AnyOf(counts) } else { Features::Any };
        choose_all(&whole, offers(self.pool, &whole, self.slurm, &here, features))
    }

    /// Where Slurm only plans, the nodes of each feature must be enough for all that the job asks
    /// for, and so must the rest that is missing of its nodes; of a range it wants the most then,
    /// and plans nothing if the features make more than the least. A feature behind the first one
    /// that finds none is forgotten where nodes are missing (_try_sched() in backfill.c, 22.05.8).
    pub fn plan(&self, counts: &Counts) -> Option<Vec<Pick>> {
        let request = self.request;
        let mut planned: Vec<Pick> = Vec::new();
        let mut all_found = true;
        for (features, count) in counts {
            let nodes_max = request.nodes_max.max(*count);
            let part =
                Request { nodes_min: *count, nodes_wanted: *count, nodes_max, ..request.clone() };
            let Some(picks) = self.beside(&planned, &part, Features::Each(features)) else {
                all_found = false;
                break;
            };
            planned.extend(picks);
        }
        let fixed = planned.iter().fold(0_u32, |sum, pick| sum.saturating_add(pick.len));
        if fixed >= request.nodes_wanted || fixed == 0 {
            return Some(planned).filter(|_| all_found);
        }
        let rest = Request {
            nodes_min: request.nodes_min.checked_sub(fixed)?,
            nodes_wanted: request.nodes_wanted - fixed,
            nodes_max: request.nodes_max.saturating_sub(fixed),
            ..request.clone()
        };
        let picks = self.beside(&planned, &rest, Features::Any)?;
        planned.extend(picks);
        Some(planned)
    }

    /// Nodes for a part of the job, beside those that are planned.
    fn beside(
        &self,
        planned: &[Pick],
        part: &Request,
        features: Features<'_>,
    ) -> Option<Vec<Pick>> {
        let planned: Places = planned.iter().map(Pick::range).collect();
        let excluded = joined([self.place.excluded, planned.as_slice()].concat());
        let here = Where { excluded: &excluded, ..self.place.clone() };
        choose_all(part, offers(self.pool, part, self.slurm, &here, features))
    }
}
