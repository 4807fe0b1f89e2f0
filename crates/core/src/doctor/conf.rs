//! slurm.conf as Slurm reads it: files that are included, lines that go on, defaults of nodes and
//! partitions (src/common/parse_config.c, 22.05 to 26.05).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::hostlist;
use crate::ids::NodeName;
use crate::word::one_line;

/// How deep files may include each other.
const DEPTH_MAX: usize = 8;
/// How many files are read in all.
const FILES_MAX: usize = 200;
/// How many lines are read in all.
const LINES_MAX: usize = 200_000;

/// A slurm.conf with the files that it includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlurmConf {
    lines: Vec<Line>,
    /// What could not be read: a line each, with the place.
    pub problems: Vec<String>,
}

/// A line, with what follows on it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// File and number.
    at: String,
    /// Keys as they are written, and their values.
    pairs: Vec<(String, String)>,
}

/// A `NodeName=` line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeLine {
    /// File and number.
    pub at: String,
    /// Its nodes, as they are written.
    pub expression: String,
    /// Its nodes.
    pub names: Vec<NodeName>,
    facts: Keys,
}

/// A `PartitionName=` line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionLine {
    /// File and number.
    pub at: String,
    /// Its name.
    pub name: String,
    /// Its nodes; of words that are no nodes, nothing.
    pub nodes: BTreeSet<NodeName>,
    facts: Keys,
}

/// Values by keys in small letters.
type Keys = BTreeMap<String, String>;

impl NodeLine {
    /// What it says of a key, whatever the case of its letters.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.facts.get(&key.to_ascii_lowercase()).map(String::as_str)
    }

    /// A number; `None` if it is not there, or none.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.value(key)?.parse().ok()
    }
}

impl PartitionLine {
    /// What it says of a key, whatever the case of its letters.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.facts.get(&key.to_ascii_lowercase()).map(String::as_str)
    }
}

impl SlurmConf {
    /// Reads `path` and what it includes. `read` gives a file's text.
    ///
    /// # Errors
    /// If `path` itself cannot be read.
    pub fn read<E: std::fmt::Display>(
        path: &Path,
        read: &mut dyn FnMut(&Path) -> Result<String, E>,
    ) -> Result<Self, String> {
        let text = read(path).map_err(|error| one_line(&error.to_string()))?;
        let mut conf = Self::default();
        let dir = path.parent().unwrap_or_else(|| Path::new("/")).to_owned();
        conf.add(path, &text, &dir, read, (&mut 0, 0));
        Ok(conf)
    }

    fn add<E: std::fmt::Display>(
        &mut self,
        path: &Path,
        text: &str,
        dir: &Path,
        read: &mut dyn FnMut(&Path) -> Result<String, E>,
        (files, depth): (&mut usize, usize),
    ) {
        for (number, line) in whole_lines(text) {
            if self.lines.len() >= LINES_MAX {
                self.problems.push(format!("more than {LINES_MAX} lines; the rest is left out"));
                return;
            }
            let at = format!("{}:{number}", path.display());
            if let Some(name) = included(&line) {
                let cluster = self.value("ClusterName").unwrap_or_default().to_lowercase();
                let file: PathBuf = dir.join(name.replace("%c", &cluster));
                if *files > FILES_MAX {
                    return;
                }
                *files = files.saturating_add(1);
                if depth >= DEPTH_MAX || *files > FILES_MAX {
                    // Told once: nothing more is read.
                    *files = FILES_MAX.saturating_add(1);
                    self.problems.push(format!("{at}: files include each other without end"));
                    return;
                }
                match read(&file) {
                    Ok(text) => {
                        self.add(&file, &text, dir, read, (files, depth.saturating_add(1)));
                    }
                    Err(error) => self.problems.push(format!(
                        "{at}: {} cannot be read: {}",
                        file.display(),
                        one_line(&error.to_string())
                    )),
                }
                continue;
            }
            let (pairs, rest) = pairs(&line);
            if !rest.is_empty() {
                self.problems.push(format!("{at}: Slurm cannot read `{}`", one_line(&rest)));
            }
            if !pairs.is_empty() {
                self.lines.push(Line { at, pairs });
            }
        }
    }

    /// What it says of a key: the last line that does counts.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        let is_it = |pair: &&(String, String)| pair.0.eq_ignore_ascii_case(key);
        // NodeName=, PartitionName= and their like have keys of their own behind them.
        let firsts = self.lines.iter().rev().filter(|line| !line.is_record());
        firsts.flat_map(|line| line.pairs.iter().rev()).find(is_it).map(|(_, value)| value.as_str())
    }

    /// Words with commas between, in small letters.
    #[must_use]
    pub fn words(&self, key: &str) -> Vec<String> {
        let value = self.value(key).unwrap_or_default().to_ascii_lowercase();
        value.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect()
    }

    /// A number; `INFINITE` and what is below zero is `None`, and so is what is no number.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.value(key).and_then(finite)
    }

    /// All nodes, with what DEFAULT lines say of them. Lines whose nodes cannot be read are left out.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeLine> {
        let records = self.records("nodename");
        let node = |(at, name, facts): (String, String, Keys)| {
            let names = hostlist::expand(&name).ok()?;
            Some(NodeLine { at, expression: name, names, facts })
        };
        records.into_iter().filter_map(node).collect()
    }

    /// All partitions, with what DEFAULT lines say of them.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionLine> {
        let nodes = self.nodes();
        let all: BTreeSet<NodeName> =
            nodes.iter().flat_map(|line| line.names.iter().cloned()).collect();
        let sets = self.node_sets(&nodes);
        let mut partitions = BTreeMap::<String, PartitionLine>::new();
        for (at, name, facts) in self.records("partitionname") {
            let mut chosen = BTreeSet::new();
            for word in words_of(facts.get("nodes").map_or("", String::as_str)) {
                if word.eq_ignore_ascii_case("all") {
                    chosen.extend(all.iter().cloned());
                } else if let Some(set) = sets.get(word) {
                    chosen.extend(set.iter().cloned());
                } else {
                    chosen.extend(hostlist::expand(word).unwrap_or_default());
                }
            }
            let line = PartitionLine { at, name: name.clone(), nodes: chosen, facts };
            partitions.insert(name, line);
        }
        partitions.into_values().collect()
    }

    /// `NodeSet=` lines: by nodes, or by a feature of nodes.
    fn node_sets(&self, nodes: &[NodeLine]) -> BTreeMap<String, BTreeSet<NodeName>> {
        let mut sets = BTreeMap::new();
        for (_, name, facts) in self.records("nodeset") {
            let mut set: BTreeSet<NodeName> =
                hostlist::expand(facts.get("nodes").map_or("", String::as_str))
                    .unwrap_or_default()
                    .into_iter()
                    .collect();
            if let Some(wanted) = facts.get("feature") {
                let has = |line: &&NodeLine| {
                    let features = line.value("Features").or_else(|| line.value("Feature"));
                    features.unwrap_or_default().split(',').any(|feature| feature == wanted)
                };
                set.extend(nodes.iter().filter(has).flat_map(|line| line.names.iter().cloned()));
            }
            sets.insert(name, set);
        }
        sets
    }

    /// Lines that begin with a key, with what the DEFAULT lines before them say.
    fn records(&self, key: &str) -> Vec<(String, String, Keys)> {
        let mut default = Keys::new();
        let mut records = Vec::new();
        for line in &self.lines {
            let Some(((first, name), rest)) = line.pairs.split_first() else { continue };
            if !first.eq_ignore_ascii_case(key) {
                continue;
            }
            let said = rest.iter().map(|(key, value)| (key.to_ascii_lowercase(), value.clone()));
            if name.eq_ignore_ascii_case("default") {
                default.extend(said);
            } else {
                let facts = default.clone().into_iter().chain(said).collect();
                records.push((line.at.clone(), name.clone(), facts));
            }
        }
        records
    }
}

impl Line {
    fn is_record(&self) -> bool {
        let records = ["nodename", "partitionname", "nodeset", "downnodes", "frontendname"];
        let first = self.pairs.first().map(|(key, _)| key.to_ascii_lowercase());
        first.is_some_and(|first| records.contains(&first.as_str()))
    }
}

/// A number of seconds, or of anything; `None` is no limit, or no number.
#[must_use]
pub fn finite(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// The parts of `a[1-2,5],b` between the commas that are not in brackets.
pub(super) fn words_of(expression: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let is_between = |c: char| {
        match c {
            '[' => depth = depth.saturating_add(1),
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    expression.split(is_between).map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// Lines without comments, put together where one goes on, with the number of their first.
fn whole_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = without_comment(line);
        let goes_on = line.trim_end().strip_suffix('\\');
        let (first, mut so_far) = open.take().unwrap_or((number, String::new()));
        so_far.push_str(goes_on.unwrap_or(line));
        if goes_on.is_some() {
            open = Some((first, so_far));
        } else {
            lines.push((first, so_far));
        }
    }
    lines.extend(open);
    lines.into_iter().map(|(number, line)| (number, unescaped(&line))).collect()
}

/// What stands before the first `#` that no odd number of backslashes precedes.
fn without_comment(line: &str) -> &str {
    let mut slashes = 0_usize;
    for (at, c) in line.char_indices() {
        match c {
            '#' if slashes.is_multiple_of(2) => return line.get(..at).unwrap_or(line),
            '\\' => slashes = slashes.saturating_add(1),
            _ => slashes = 0,
        }
    }
    line
}

fn unescaped(line: &str) -> String {
    let mut text = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\\' { text.extend(chars.next()) } else { text.push(c) }
    }
    text
}

/// The file of an `Include` line.
fn included(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    first.eq_ignore_ascii_case("include").then(|| words.next()).flatten()
}

/// `Key=value Key="some words"`, and what cannot be read behind them.
fn pairs(line: &str) -> (Vec<(String, String)>, String) {
    let mut pairs = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let Some((pair, left)) = pair(rest) else { return (pairs, rest.to_owned()) };
        pairs.push(pair);
        rest = left.trim_start();
    }
    (pairs, String::new())
}

fn pair(text: &str) -> Option<((String, String), &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.')?;
    let (key, rest) = text.split_at_checked(end)?;
    let rest = rest.trim_start();
    let rest = rest.strip_prefix(['-', '*', '+', '/']).unwrap_or(rest).strip_prefix('=')?;
    let rest = rest.trim_start();
    if key.is_empty() {
        return None;
    }
    let (value, rest) = match rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((value, rest)) => (value, rest),
        None => {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            rest.split_at_checked(end)?
        }
    };
    (!value.is_empty() || rest.is_empty()).then(|| ((key.to_owned(), value.to_owned()), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(files: &[(&str, &str)]) -> SlurmConf {
        let files: BTreeMap<PathBuf, String> =
            files.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned())).collect();
        let mut read = |path: &Path| files.get(path).cloned().ok_or("no such file");
        SlurmConf::read(Path::new("/etc/slurm/slurm.conf"), &mut read).unwrap()
    }

    fn one(text: &str) -> SlurmConf {
        conf(&[("/etc/slurm/slurm.conf", text)])
    }

    #[test]
    fn the_last_value_of_a_key_counts_whatever_its_letters_and_its_file() {
        let conf = conf(&[
            (
                "/etc/slurm/slurm.conf",
                "clustername=HPC\nSuspendTime = 5 # soon\nINCLUDE more-%c.conf\nResumeRate=\"0\"\n",
            ),
            ("/etc/slurm/more-hpc.conf", "SUSPENDTIME=600 PrivateData=jobs,\\\nCloud\n"),
        ]);
        assert_eq!(conf.value("SuspendTime"), Some("600"));
        assert_eq!(conf.number("suspendtime"), Some(600));
        assert_eq!(conf.words("PrivateData"), ["jobs", "cloud"]);
        assert_eq!((conf.value("ResumeRate"), conf.value("TreeWidth")), (Some("0"), None));
        assert_eq!(conf.problems, Vec::<String>::new());
        assert_eq!(one("SuspendTime=INFINITE").number("SuspendTime"), None);
        assert_eq!(one("SuspendTime=-1").number("SuspendTime"), None);
    }

    #[test]
    fn nodes_and_partitions_have_what_their_default_says() {
        let conf = one("NodeName=DEFAULT CPUs=2 State=CLOUD\nNodeName=a[1-2] RealMemory=1000\n\
                        NodeName=b CPUs=4 State=IDLE\nNodeSet=big Nodes=b\n\
                        PartitionName=DEFAULT SuspendTime=60\nPartitionName=x Nodes=a[1,2],big\n\
                        PartitionName=y Nodes=ALL SuspendTime=INFINITE\n");
        let nodes = conf.nodes();
        assert_eq!((nodes.len(), nodes[0].names.len()), (2, 2));
        assert_eq!(nodes[0].number("cpus"), Some(2));
        assert_eq!(nodes[0].value("state"), Some("CLOUD"));
        assert_eq!(nodes[1].number("CPUs"), Some(4));
        assert_eq!(nodes[1].at, "/etc/slurm/slurm.conf:3");
        let partitions = conf.partitions();
        let of = |nth: usize| (partitions[nth].nodes.len(), partitions[nth].value("suspendtime"));
        assert_eq!((of(0), of(1)), ((3, Some("60")), (3, Some("INFINITE"))));
        // A partition's own time is not the cluster's.
        assert_eq!(conf.value("SuspendTime"), None);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let conf = one("SuspendTime=5\nnonsense here\nInclude gone.conf\nNodeName=a[ CPUs=2\n");
        assert_eq!(
            conf.problems,
            [
                "/etc/slurm/slurm.conf:2: Slurm cannot read `nonsense here`",
                "/etc/slurm/slurm.conf:3: /etc/slurm/gone.conf cannot be read: no such file",
            ]
        );
        assert_eq!(conf.nodes(), []);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_a_file_is_read_or_told_of(text in "(\\PC|[\n =\"#,\\[\\]\\\\-]|NodeName|Nodes|Include|DEFAULT){0,80}") {
            let conf = one(&text);
            let problems = conf.problems.iter().all(|line| !line.contains('\n'));
            proptest::prop_assert!(problems);
            proptest::prop_assert!(conf.partitions().len() <= text.len());
        }
    }

    #[test]
    fn files_that_include_each_other_come_to_an_end() {
        assert_eq!(one("Include slurm.conf\n").problems.len(), 1);
        let conf = one(&"SuspendTime=1\nInclude slurm.conf\n".repeat(50));
        assert_eq!(conf.problems.len(), 1);
        assert_eq!(conf.value("SuspendTime"), Some("1"));
    }
}
