//! Which nodes Slurm would take for a job, of those that have room.
//!
//! The rules are those of select/cons_tres (_eval_nodes() and choose_nodes() in
//! src/plugins/select/cons_tres/job_test.c, 22.05.8): nodes that follow one another and weigh
//! the same are a block; of the lightest blocks the tightest that is enough is taken first.

use std::cmp::Reverse;

use super::request::Request;

/// Neighbours that all offer the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The place of the first one.
    pub first: u32,
    /// How many there are.
    pub len: u32,
    /// CPUs that the job may have of each. Never 0.
    pub cpus: u32,
    /// CPUs that go together.
    pub core: u32,
    /// GRES that the job may have of each, in the order of what it asks for.
    pub gres: Vec<u64>,
    /// Lighter ones are taken first.
    pub weight: u64,
    /// The job must have them.
    pub required: bool,
}

impl Offer {
    /// The place behind the last one.
    pub const fn end(&self) -> u32 {
        self.first + self.len
    }
}

/// Nodes that were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The place of the first one.
    pub first: u32,
    /// How many there are.
    pub len: u32,
    /// CPUs of each.
    pub cpus: u32,
    /// CPUs of one core there.
    pub core: u32,
}

impl Pick {
    /// The place of the first one, and the one behind the last.
    pub const fn range(&self) -> (u32, u32) {
        (self.first, self.first + self.len)
    }
}

/// Chooses, if all nodes that the job must have are among the offers.
pub fn choose_all(request: &Request, offers: Vec<Offer>) -> Option<Vec<Pick>> {
    let there: u64 =
        offers.iter().filter(|offer| offer.required).map(|offer| u64::from(offer.len)).sum();
    if there < u64::from(request.required.count) {
        return None;
    }
    choose(request, offers)
}

/// Chooses, or finds that the offers are not enough.
pub fn choose(request: &Request, mut offers: Vec<Offer>) -> Option<Vec<Pick>> {
    let mut nodes: u64 = offers.iter().map(|offer| u64::from(offer.len)).sum();
    let least = u64::from(request.nodes_min);
    // Most jobs that do not fit are told by this: it saves the way through all nodes.
    if nodes < least || most_cpus(&offers, u32::MAX) < u64::from(request.cpus) {
        return None;
    }
    if let Some(picks) = Choice::of(request, &offers) {
        return Some(picks);
    }
    if most_cpus(&offers, request.nodes_max) < u64::from(request.cpus) {
        return None;
    }
    // Small nodes may have filled the job's places: without the smallest it may fit.
    let mut sizes: Vec<u32> = offers.iter().map(|offer| offer.cpus).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes.pop();
    for size in sizes {
        if nodes <= least {
            return None;
        }
        for offer in &mut offers {
            if offer.cpus == size && !offer.required {
                let gone = u64::from(offer.len).min(nodes - least);
                nodes -= gone;
                let gone = u32::try_from(gone).unwrap_or(offer.len);
                offer.first += gone;
                offer.len -= gone;
            }
        }
        offers.retain(|offer| offer.len > 0);
        if let Some(picks) = Choice::of(request, &offers) {
            return Some(picks);
        }
    }
    None
}

/// CPUs that so many nodes have at most.
fn most_cpus(offers: &[Offer], nodes_max: u32) -> u64 {
    let of = |offer: &Offer, nodes: u32| u64::from(offer.cpus) * u64::from(nodes);
    if nodes_max == u32::MAX {
        return offers.iter().fold(0, |sum, offer| sum.saturating_add(of(offer, offer.len)));
    }
    let mut by_size: Vec<&Offer> = offers.iter().collect();
    by_size.sort_unstable_by_key(|offer| Reverse(offer.cpus));
    let mut left = nodes_max;
    by_size.into_iter().fold(0, |sum, offer| {
        let nodes = offer.len.min(left);
        left -= nodes;
        sum.saturating_add(of(offer, nodes))
    })
}

/// What is still missing, and what has been taken.
struct Choice<'a> {
    request: &'a Request,
    cpus: i64,
    cpus_at_most: i64,
    nodes: i64,
    nodes_at_least: i64,
    nodes_left: u32,
    gres: Vec<u64>,
    /// There are nodes that it must have.
    named: bool,
    picks: Vec<Pick>,
}

/// Nodes that follow one another and weigh the same.
struct Block<'o> {
    /// From its first offer to its last. Required ones in between are not part of it.
    offers: &'o [Offer],
    /// Where it begins in the list of all offers.
    from: usize,
    weight: u64,
    cpus: i64,
    nodes: i64,
    gres: Vec<u64>,
    /// The place of the first required node among them.
    required: Option<u32>,
}

impl<'o> Block<'o> {
    fn offers(&self) -> impl Iterator<Item = &'o Offer> + Clone {
        self.offers.iter().filter(|offer| !offer.required)
    }
}

impl<'a> Choice<'a> {
    fn of(request: &'a Request, offers: &[Offer]) -> Option<Vec<Pick>> {
        let per_job = request.asks_in_all();
        let (least, wanted) = (i64::from(request.nodes_min), i64::from(request.nodes_wanted));
        let nodes = if per_job { least.min(wanted) } else { least.max(wanted) };
        let gres_each = i64::from(request.node_gres_cpus_min()).saturating_mul(nodes);
        let cpus_at_most = i64::from(request.cpus_max.unwrap_or(request.cpus))
            .max(gres_each)
            .max(i64::from(request.gres_cpus_min()));
        let mut choice = Self {
            request,
            cpus: i64::from(request.cpus),
            cpus_at_most,
            nodes,
            nodes_at_least: least,
            nodes_left: request.nodes_max,
            gres: request.gres.iter().map(|ask| ask.per_job).collect(),
            named: offers.iter().any(|offer| offer.required),
            picks: Vec::new(),
        };
        for offer in offers.iter().filter(|offer| offer.required) {
            for place in offer.first..offer.end() {
                if choice.nodes_left == 0 {
                    return None;
                }
                choice.take(place, offer);
            }
        }
        if choice.is_done() {
            return Some(choice.picks);
        }
        let mut blocks = blocks(request, offers);
        while !blocks.is_empty() && choice.nodes_left > 0 {
            let best = choice.best(&blocks)?;
            blocks.get(best).into_iter().for_each(|block| choice.take_of(block));
            if choice.is_done() {
                return Some(choice.picks);
            }
            blocks.remove(best);
        }
        let enough = choice.cpus <= 0 && choice.has_gres() && choice.has_enough_nodes(0);
        enough.then_some(choice.picks)
    }

    fn is_done(&self) -> bool {
        self.nodes <= 0 && self.cpus <= 0 && self.has_gres()
    }

    fn has_gres(&self) -> bool {
        self.gres.iter().all(|missing| *missing == 0)
    }

    /// Whether `more` nodes make the least of a range.
    fn has_enough_nodes(&self, more: i64) -> bool {
        let (least, wanted) =
            (i64::from(self.request.nodes_min), i64::from(self.request.nodes_wanted));
        let missing = if wanted > least { self.nodes + least - wanted } else { self.nodes };
        more >= missing
    }

    fn is_enough(&self, block: &Block<'_>) -> bool {
        block.cpus >= self.cpus
            && self.has_enough_nodes(block.nodes)
            && self.gres.iter().zip(&block.gres).all(|(missing, there)| there >= missing)
    }

    /// The lightest block; of several the first that is enough, or the tightest of those, or one
    /// behind it that is not enough and larger. `None` if the nodes must follow one another, and
    /// that one is not enough, though others may be: Slurm tries again without small nodes then.
    fn best(&self, blocks: &[Block<'_>]) -> Option<usize> {
        let mut best: Option<(usize, &Block<'_>, bool)> = None;
        let contiguous = self.request.contiguous;
        let named = blocks.iter().filter(|block| block.required.is_some());
        if contiguous && self.named && named.count() != 1 {
            // Those that it must have are in several blocks, or in none with others.
            return None;
        }
        for (at, block) in blocks.iter().enumerate() {
            let enough = self.is_enough(block);
            if contiguous && self.named && block.required.is_none() {
                continue;
            }
            let better = best.is_none_or(|(_, chosen, chosen_enough)| {
                let required = chosen.required.is_none() && block.required.is_some();
                let lighter = block.weight < chosen.weight;
                let fits_better = if enough {
                    !chosen_enough || block.cpus < chosen.cpus
                } else {
                    block.cpus > chosen.cpus
                };
                let first_enough = contiguous && enough && !chosen_enough;
                required
                    || lighter
                    || first_enough
                    || (block.weight == chosen.weight && fits_better)
            });
            if better {
                best = Some((at, block, enough));
            }
        }
        best.filter(|(.., enough)| *enough || !contiguous).map(|(at, ..)| at)
    }

    fn take_of(&mut self, block: &Block<'_>) {
        if let Some(from) = block.required {
            let places = |offer: &Offer| offer.first..offer.end();
            let up = block.offers().flat_map(|offer| places(offer).map(move |at| (at, offer)));
            let (down, up): (Vec<_>, Vec<_>) = up.partition(|(place, _)| *place < from);
            self.take_in_order(up);
            self.take_in_order(down.into_iter().rev());
        } else if let Some((place, offer)) = self.tightest_node(block) {
            self.take(place, offer);
        } else {
            for offer in block.offers() {
                for place in offer.first..offer.end() {
                    if self.nodes_left == 0 || self.is_done() {
                        return;
                    }
                    if self.nodes_left == 1 && i64::from(offer.cpus) < self.cpus {
                        // It can have only one more, and this one is too small.
                        break;
                    }
                    self.take(place, offer);
                }
            }
        }
    }

    fn take_in_order<'o>(&mut self, nodes: impl IntoIterator<Item = (u32, &'o Offer)>) {
        for (place, offer) in nodes {
            if self.nodes_left == 0 || self.is_done() {
                return;
            }
            self.take(place, offer);
        }
    }

    /// If one more node can be enough, the smallest that is.
    fn tightest_node<'o>(&self, block: &Block<'o>) -> Option<(u32, &'o Offer)> {
        if self.nodes > 1 {
            return None;
        }
        let fits = |offer: &Offer| {
            i64::from(offer.cpus) >= self.cpus
                && self.gres.iter().zip(&offer.gres).all(|(missing, there)| there >= missing)
        };
        let fitting = block.offers().filter(|offer| fits(offer));
        fitting.min_by_key(|offer| offer.cpus).map(|offer| (offer.first, offer))
    }

    fn take(&mut self, place: u32, offer: &Offer) {
        let mut cpus = i64::from(offer.cpus);
        if !self.request.whole {
            // What other nodes must get at least is left for them.
            let others = (self.nodes_at_least - 1).max(0) * i64::from(offer.core);
            let at_most = self.cpus_at_most - others;
            if cpus > at_most {
                let least = self.request.node_cpus_min.max(self.request.node_gres_cpus_min());
                cpus = at_most.max(i64::from(least));
            }
        }
        for (missing, (ask, there)) in
            self.gres.iter_mut().zip(self.request.gres.iter().zip(&offer.gres))
        {
            *missing = missing.saturating_sub(if ask.per_job > 0 { *there } else { 0 });
        }
        self.cpus -= cpus;
        self.cpus_at_most -= cpus;
        self.nodes -= 1;
        self.nodes_at_least -= 1;
        self.nodes_left = self.nodes_left.saturating_sub(1);
        let cpus = u32::try_from(cpus).unwrap_or(0).min(offer.cpus);
        match self.picks.last_mut() {
            Some(last)
                if last.first + last.len == place
                    && (last.cpus, last.core) == (cpus, offer.core) =>
            {
                last.len += 1;
            }
            _ => self.picks.push(Pick { first: place, len: 1, cpus, core: offer.core }),
        }
    }
}

fn blocks<'o>(request: &Request, offers: &'o [Offer]) -> Vec<Block<'o>> {
    let mut blocks: Vec<Block<'o>> = Vec::with_capacity(offers.len());
    let mut end = None;
    // Whether the last block goes on here.
    let mut goes_on = false;
    let mut required_before = None;
    for (at, offer) in offers.iter().enumerate() {
        let adjacent = end == Some(offer.first);
        end = Some(offer.end());
        if !adjacent {
            goes_on = false;
            required_before = None;
        }
        let open = blocks
            .last_mut()
            .filter(|block| goes_on && (request.contiguous || block.weight == offer.weight));
        goes_on = open.is_some();
        if offer.required {
            // It is taken already; it only says from where on its neighbours are taken.
            match open {
                Some(block) => {
                    block.required.get_or_insert(offer.first);
                }
                None => {
                    required_before.get_or_insert((offer.first, offer.weight));
                }
            }
            continue;
        }
        let block = match open {
            Some(block) => block,
            None => {
                let required = required_before
                    .filter(|(_, weight)| request.contiguous || *weight == offer.weight);
                blocks.push(Block {
                    offers: &[],
                    from: at,
                    weight: offer.weight,
                    cpus: 0,
                    nodes: 0,
                    gres: vec![0; request.gres.len()],
                    required: required.map(|(place, _)| place),
                });
                let Some(block) = blocks.last_mut() else { continue };
                block
            }
        };
        required_before = None;
        goes_on = true;
        // Where weights may differ, the last node's counts.
        block.weight = offer.weight;
        let len = i64::from(offer.len);
        block.cpus += i64::from(offer.cpus) * len;
        block.nodes += len;
        for (sum, there) in block.gres.iter_mut().zip(&offer.gres) {
            *sum = sum.saturating_add(there.saturating_mul(u64::from(offer.len)));
        }
        block.offers = offers.get(block.from..=at).unwrap_or_default();
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Job, Partition, SlurmFacts};

    /// Offers as `first+len:cpus@weight`, with `!` behind those that are required.
    fn offers(texts: &[&str]) -> Vec<Offer> {
        texts.iter().map(|text| offer(text)).collect()
    }

    fn offer(text: &str) -> Offer {
        let required = text.ends_with('!');
        let (places, rest) = text.trim_end_matches('!').split_once(':').unwrap();
        let (first, len) = places.split_once('+').unwrap();
        let (cpus, weight) = rest.split_once('@').unwrap_or((rest, "1"));
        Offer {
            first: first.parse().unwrap(),
            len: len.parse().unwrap(),
            cpus: cpus.parse().unwrap(),
            core: 1,
            gres: Vec::new(),
            weight: weight.parse().unwrap(),
            required,
        }
    }

    fn chosen(job: Job, texts: &[&str]) -> Option<Vec<(u32, u32, u32)>> {
        let request = Request::of(&job, &Partition::default(), &SlurmFacts::default()).unwrap();
        let picks = choose(&request, offers(texts))?;
        Some(picks.iter().map(|pick| (pick.first, pick.len, pick.cpus)).collect())
    }

    fn tasks(num_tasks: u32) -> Job {
        Job { job_id: 1, num_tasks, ..Job::default() }
    }

    fn nodes(num_nodes: u32, max_nodes: u32) -> Job {
        Job { job_id: 1, num_nodes, max_nodes, ..Job::default() }
    }

    #[test]
    fn the_smallest_node_that_is_enough_is_taken_alone() {
        assert_eq!(chosen(tasks(3), &["0+2:8", "2+1:4", "3+1:3"]), Some(vec![(3, 1, 3)]));
        assert_eq!(chosen(tasks(3), &["0+2:8", "2+1:4"]), Some(vec![(2, 1, 3)]));
        assert_eq!(chosen(tasks(20), &["0+2:8", "2+1:4"]), Some(vec![(0, 2, 8), (2, 1, 4)]));
        assert_eq!(chosen(tasks(21), &["0+2:8", "2+1:4"]), None);
    }

    #[test]
    fn lighter_nodes_come_first_and_then_the_tightest_block() {
        assert_eq!(chosen(tasks(2), &["0+4:2@2", "4+4:4@1"]), Some(vec![(4, 1, 2)]));
        assert_eq!(chosen(nodes(2, 0), &["0+4:2", "5+2:2", "8+4:2"]), Some(vec![(5, 2, 1)]));
        let both = chosen(nodes(6, 0), &["0+4:2", "5+2:2", "8+3:2"]);
        assert_eq!(both, Some(vec![(0, 4, 1), (5, 2, 1)]));
    }

    #[test]
    fn a_range_of_nodes_takes_what_is_there() {
        assert_eq!(chosen(nodes(2, 6), &["0+4:2"]), Some(vec![(0, 4, 1)]));
        assert_eq!(
            chosen(nodes(2, 3), &["0+4:2"]).unwrap().iter().map(|pick| pick.1).sum::<u32>(),
            3
        );
        assert_eq!(chosen(nodes(2, 6), &["0+1:2"]), None);
    }

    #[test]
    fn required_nodes_are_taken_first_and_their_neighbours_next() {
        let job = Job { req_nodes: Some("n3".into()), ..nodes(3, 0) };
        let picks = chosen(job, &["0+1:2@1", "1+2:2", "3+1:2!", "4+1:2"]).unwrap();
        assert_eq!(picks, [(3, 2, 1), (2, 1, 1)]);
    }

    #[test]
    fn nodes_that_must_follow_one_another_do() {
        let job = Job { contiguous: 1, ..nodes(3, 0) };
        assert_eq!(chosen(job.clone(), &["0+2:2", "3+2:2"]), None);
        assert_eq!(chosen(job, &["0+2:2", "3+3:2"]), Some(vec![(3, 3, 1)]));
    }

    #[test]
    fn the_largest_nodes_tell_how_much_so_many_have() {
        let offers = offers(&["0+2:2", "2+1:8", "3+2:4"]);
        assert_eq!(most_cpus(&offers, u32::MAX), 20);
        assert_eq!(most_cpus(&offers, 2), 12);
        assert_eq!(most_cpus(&offers, 0), 0);
    }

    #[test]
    fn small_nodes_do_not_keep_a_job_from_large_ones() {
        let job = Job { max_nodes: 2, num_tasks: 14, ..nodes(1, 2) };
        assert_eq!(chosen(job, &["0+1:2", "1+2:8"]), Some(vec![(1, 1, 8), (2, 1, 6)]));
    }

    #[test]
    fn tasks_leave_each_node_of_a_job_at_least_a_cpu() {
        let job = Job { num_tasks: 3, ..nodes(2, 0) };
        assert_eq!(chosen(job, &["0+4:8"]), Some(vec![(0, 1, 2), (1, 1, 1)]));
    }
}
