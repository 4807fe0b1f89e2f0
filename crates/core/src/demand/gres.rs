//! Generic resources as Slurm writes them: what a node has (`gpu:tesla:2(S:0-1),nic:1`), what
//! of it is in use (`gpu:tesla:1(IDX:0)`), and what a job asks for (`gres:gpu:tesla:2`).

use std::collections::BTreeMap;

use crate::snapshot::{Job, Text, said};

/// One line of a node's stock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stock {
    /// The resource, as in `gpu`.
    pub name: String,
    /// Its type, as in `tesla`, if the node tells types apart.
    pub kind: Option<String>,
    /// How many there are, or are in use.
    pub count: u64,
    /// Jobs use it without using it up.
    pub endless: bool,
    /// It is known where on the node it is, which a slurmd that registered with device files
    /// says.
    pub located: bool,
    /// How many of the resource the stock has, of whatever type.
    pub in_all: u64,
}

/// How much of one line of a stock is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Of this line.
    pub of_type: u64,
    /// Of the resource, of whatever type.
    pub in_all: u64,
}

/// What a job asks of one resource. Numbers that are 0 were not said.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// The resource.
    pub name: String,
    /// The type, if it has to be one.
    pub kind: Option<String>,
    /// In all.
    pub per_job: u64,
    /// On each node.
    pub per_node: u64,
    /// For each task.
    pub per_task: u64,
    /// CPUs that go with each.
    pub cpus_each: u32,
    /// Memory that goes with each, MiB.
    pub memory_each: u64,
}

impl InUse {
    /// What is in use once so much is not any more.
    pub const fn without(self, gone: Self) -> Self {
        Self {
            of_type: self.of_type.saturating_sub(gone.of_type),
            in_all: self.in_all.saturating_sub(gone.in_all),
        }
    }
}

impl Stock {
    /// Whether it is some of the resource, and of the type if there has to be one.
    pub fn is_of(&self, name: &str, kind: Option<&str>) -> bool {
        self.name == name && (kind.is_none() || kind == self.kind.as_deref())
    }

    /// Whether it is some of what is asked for.
    fn is_asked_for(&self, ask: &Ask) -> bool {
        self.is_of(&ask.name, ask.kind.as_deref())
    }

    /// How many there are while so many are in use.
    const fn left(&self, used: InUse) -> u64 {
        if self.endless {
            return self.count;
        }
        let (of_type, in_all) =
            (self.count.saturating_sub(used.of_type), self.in_all.saturating_sub(used.in_all));
        if of_type < in_all { of_type } else { in_all }
    }
}

impl Ask {
    /// How many it asks of a node on which so many tasks run; `None` if it only asks for some
    /// in all.
    pub fn on_node(&self, tasks: u64) -> Option<u64> {
        match self {
            Self { per_node: 1.., .. } => Some(self.per_node),
            Self { per_task: 1.., .. } => Some(self.per_task.saturating_mul(tasks)),
            Self { .. } => None,
        }
    }

    /// CPUs that go with so many.
    pub fn cpus_for(&self, count: u64) -> u32 {
        let cpus = count.saturating_mul(u64::from(self.cpus_each));
        u32::try_from(cpus).unwrap_or(u32::MAX)
    }
}

/// Notes that more of a resource is in use: so many of a type, or of the first ones if it is not
/// known, and so many in all.
pub fn note(stock: &[Stock], used: &mut [InUse], (name, kind): (&str, Option<&str>), more: InUse) {
    let mut rest = more.of_type;
    for (line, used) in stock.iter().zip(used).filter(|(line, _)| line.name == name) {
        if line.is_of(name, kind) {
            let of_type = rest.min(line.count.saturating_sub(used.of_type));
            used.of_type += of_type;
            rest -= of_type;
        }
        used.in_all = used.in_all.saturating_add(more.in_all);
    }
}

/// Books what a job gets. As long as it is not known where on the node a type of GRES is, Slurm
/// books of the type only what the job asked of each node, and of the resource all that it got
/// (_job_alloc() in src/slurmctld/gres_ctld.c, 22.05.8): more jobs get the type than there is.
pub fn book(stock: &[Stock], used: &mut [InUse], ask: &Ask, count: u64) {
    let lines = || stock.iter().filter(|line| line.is_asked_for(ask));
    if lines().any(|line| line.endless) {
        return;
    }
    let is_told = lines().all(|line| line.located || line.kind.is_none());
    let of_type = if is_told { count } else { count.min(ask.per_node) };
    note(stock, used, (&ask.name, ask.kind.as_deref()), InUse { of_type, in_all: count });
}

/// What of that which was booked for a job is free again when it ends. Of a type whose place is
/// not known that is nothing, unless the job named it (_job_dealloc() in gres_ctld.c, 22.05.8).
pub fn given_back(line: &Stock, booked: InUse, asks: &[Ask]) -> InUse {
    if line.located || line.kind.is_none() {
        return booked;
    }
    let is_named = asks.iter().any(|ask| ask.name == line.name && ask.kind == line.kind);
    InUse { of_type: if is_named { booked.in_all } else { 0 }, ..booked }
}

/// Whether there is any of what is asked for, in use or not.
pub fn has(stock: &[Stock], ask: &Ask) -> bool {
    stock.iter().any(|line| line.is_asked_for(ask))
}

/// What is left of each line that is some of what is asked for. What is not said to be in use is
/// not.
pub fn left<'s>(
    stock: &'s [Stock],
    used: &'s [InUse],
    ask: &'s Ask,
) -> impl Iterator<Item = (&'s Stock, u64)> {
    let used = used.iter().copied().chain(std::iter::repeat(InUse::default()));
    let lines = stock.iter().zip(used).filter(|(line, _)| line.is_asked_for(ask));
    lines.map(|(line, used)| (line, line.left(used)))
}

/// Where a number of an ask is.
type Place = fn(&mut Ask) -> &mut u64;

/// Resources that share the GPUs of a node with one another: placing them is left to Slurm.
const SHARING: [&str; 2] = ["mps", "shard"];

/// Reads a node's `gres` or `gres_used`. What is not understood is passed over.
#[must_use]
pub fn stocks(text: &str) -> Vec<Stock> {
    let mut stocks: Vec<Stock> = parts(text).filter_map(stock).collect();
    let mut in_all: BTreeMap<String, u64> = BTreeMap::new();
    for line in &stocks {
        let sum = in_all.entry(line.name.clone()).or_insert(0);
        *sum = sum.saturating_add(line.count);
    }
    for line in &mut stocks {
        line.in_all = in_all.get(&line.name).copied().unwrap_or(line.count);
    }
    stocks
}

fn stock(part: &str) -> Option<Stock> {
    // `(S:0-1)`, `(IDX:0)` and `(CNT:1)` say which ones; `(null)` stands for no type.
    let part = part.replace("(null)", "").replace(":no_consume", ":!");
    let plain = part.split('(').next()?;
    let (name, rest) = plain.split_once(':').unwrap_or((plain, ""));
    let located = part.contains("(S:");
    let name = name.trim().to_owned();
    let mut stock = Stock { name, kind: None, count: 1, endless: false, located, in_all: 0 };
    for word in rest.split(':').filter(|word| !word.is_empty()) {
        match (word, count(word)) {
            ("!", _) => stock.endless = true,
            (_, Some(count)) => stock.count = count,
            (kind, None) => stock.kind = Some(kind.to_owned()),
        }
    }
    (!stock.name.is_empty()).then_some(stock)
}

/// What the job asks for; or by the name of sbatch's option what of it is left to Slurm.
///
/// # Errors
/// See above.
pub fn asks(job: &Job) -> Result<Vec<Ask>, &'static str> {
    let mut asks: Vec<Ask> = Vec::new();
    if said(&job.tres_per_socket).is_some() {
        return Err("--gpus-per-socket");
    }
    let places: [(&Text, Place); 3] = [
        (&job.tres_per_job, |ask| &mut ask.per_job),
        (&job.tres_per_node, |ask| &mut ask.per_node),
        (&job.tres_per_task, |ask| &mut ask.per_task),
    ];
    for (text, place) in places {
        for (name, kind, count) in said(text).into_iter().flat_map(wanted) {
            if SHARING.contains(&name.as_str()) {
                return Err("GPUs that are shared");
            }
            let at = asks.iter().position(|ask| ask.name == name && ask.kind == kind);
            let at = at.unwrap_or_else(|| {
                asks.push(Ask { name, kind, ..Ask::default() });
                asks.len() - 1
            });
            if let Some(ask) = asks.get_mut(at) {
                let number = place(ask);
                *number = number.saturating_add(count);
            }
        }
    }
    for (name, _, count) in said(&job.cpus_per_tres).into_iter().flat_map(wanted) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        asks.iter_mut().filter(|ask| ask.name == name).for_each(|ask| ask.cpus_each = count);
    }
    for (name, _, count) in said(&job.mem_per_tres).into_iter().flat_map(wanted) {
        asks.iter_mut().filter(|ask| ask.name == name).for_each(|ask| ask.memory_each = count);
    }
    asks.retain(|ask| ask.per_job > 0 || ask.per_node > 0 || ask.per_task > 0);
    Ok(asks)
}

/// Reads `gres:gpu:tesla:2` (22.05) and `gres/gpu:tesla=2` (24.05 and later), of which there may
/// be several. TRES other than GRES are passed over.
fn wanted(text: &str) -> impl Iterator<Item = (String, Option<String>, u64)> {
    parts(text).filter_map(|part| {
        let part = part.trim();
        let plain = match (part.strip_prefix("gres:"), part.strip_prefix("gres/")) {
            (Some(rest), _) | (None, Some(rest)) => rest,
            // cpu=2, mem=1G, node=1: not a GRES.
            (None, None) if part.contains('=') => return None,
            (None, None) => part,
        };
        let mut words = plain.split([':', '=']);
        let name = words.next().filter(|name| !name.is_empty())?.to_owned();
        let (mut kind, mut number) = (None, 1);
        for word in words {
            match count(word) {
                Some(count) => number = count,
                None => kind = Some(word.to_owned()),
            }
        }
        Some((name, kind, number))
    })
}

/// `4`, `2K`, `1G`: Slurm's suffixes are powers of 1024.
fn count(word: &str) -> Option<u64> {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match word.get(digits.len()..)? {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        "t" | "T" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok().map(|number| number.saturating_mul(factor))
}

/// Splits at commas that are in no parentheses.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, kind: Option<&str>, count: u64) -> Stock {
        let (name, kind) = (name.into(), kind.map(Into::into));
        Stock { name, kind, count, endless: false, located: false, in_all: count }
    }

    #[test]
    fn a_node_s_stock_is_read_in_each_form_that_slurm_writes() {
        let table = [
            ("gpu:2", vec![line("gpu", None, 2)]),
            ("gpu", vec![line("gpu", None, 1)]),
            (
                "gpu:tesla:2(S:0-1),gpu:a100:4(S:0,1),nic:1",
                vec![
                    Stock { located: true, in_all: 6, ..line("gpu", Some("tesla"), 2) },
                    Stock { located: true, in_all: 6, ..line("gpu", Some("a100"), 4) },
                    line("nic", None, 1),
                ],
            ),
            ("gpu:(null):0(IDX:N/A)", vec![line("gpu", None, 0)]),
            (
                "gpu:tesla:3(IDX:0-1,3),lic:2K",
                vec![line("gpu", Some("tesla"), 3), line("lic", None, 2048)],
            ),
            ("", vec![]),
            (",,(", vec![]),
        ];
        for (text, expected) in table {
            assert_eq!(stocks(text), expected, "{text}");
        }
        assert!(stocks("bw:no_consume:4G")[0].endless);
    }

    #[test]
    fn what_a_job_asks_for_is_read_from_all_its_fields() {
        let job = Job {
            tres_per_node: Some("gres:gpu:tesla:2,gres:nic:1".into()),
            tres_per_task: Some("cpu=2,gres/gpu:tesla=1".into()),
            cpus_per_tres: Some("gres:gpu:4".into()),
            mem_per_tres: Some("gres:gpu:1024".into()),
            ..Job::default()
        };
        let gpu = Ask {
            name: "gpu".into(),
            kind: Some("tesla".into()),
            per_node: 2,
            per_task: 1,
            cpus_each: 4,
            memory_each: 1024,
            ..Ask::default()
        };
        let nic = Ask { name: "nic".into(), per_node: 1, ..Ask::default() };
        assert_eq!(asks(&job), Ok(vec![gpu, nic]));
        let job = Job { tres_per_job: Some("gres:shard:2".into()), ..Job::default() };
        assert_eq!(asks(&job), Err("GPUs that are shared"));
        let job = Job { tres_per_job: Some("gres:gpu:0".into()), ..Job::default() };
        assert_eq!(asks(&job), Ok(vec![]));
    }
}
