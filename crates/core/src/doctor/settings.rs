//! What slurm.conf has to say for slurm-asg, once: `slurm-asg init` writes it, `slurm-asg check`
//! looks for it.

use crate::snapshot::Release;

use super::conf::SlurmConf;
use super::{Area, Finding, Level};

/// A setting of slurm.conf.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// What is written where nothing else is needed.
    pub value: &'static str,
    /// What will do.
    rule: Rule,
    level: Level,
    /// What happens without it.
    pub why: &'static str,
}

/// What will do for a setting.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// The list has this word.
    Has(&'static str),
    /// A program is named; which one is looked at elsewhere.
    Set,
    /// This number.
    Is(u64),
    /// At least this number; what holds without a line is the second.
    AtLeast(u64, u64),
    /// At least as many as there are nodes.
    AsManyAsNodes,
    /// Slurm's power saving is on: a number, here or in a partition.
    PowerSaving,
}

/// The settings, in the order in which they are written.
const SETTINGS: &[Setting] = &[
    Setting {
        key: "JobSubmitPlugins",
        value: "asg",
        rule: Rule::Has("asg"),
        level: Level::Error,
        why: "slurmctld does not load slurm-asg",
    },
    Setting {
        key: "ResumeProgram",
        value: "/usr/sbin/slurm-asg-resume",
        rule: Rule::Set,
        level: Level::Error,
        why: "Slurm's power saving is off, and no node is ever powered up",
    },
    Setting {
        key: "SuspendProgram",
        value: "/usr/sbin/slurm-asg-suspend",
        rule: Rule::Set,
        level: Level::Error,
        why: "Slurm's power saving is off, and no node is ever powered up",
    },
    Setting {
        key: "ResumeFailProgram",
        value: "/usr/sbin/slurm-asg-suspend",
        rule: Rule::Set,
        level: Level::Warning,
        why: "slurm-asg hears later of nodes that never registered, and they stay down longer",
    },
    Setting {
        key: "SuspendTime",
        value: "600",
        rule: Rule::PowerSaving,
        level: Level::Error,
        why: "Slurm's power saving is off, and no node is ever powered up or down",
    },
    Setting {
        key: "SuspendTimeout",
        value: "30",
        rule: Rule::AtLeast(1, 30),
        level: Level::Warning,
        why: "a node that was powered down may be asked for again before it is off",
    },
    Setting {
        key: "ResumeTimeout",
        value: "900",
        rule: Rule::AtLeast(180, 60),
        level: Level::Warning,
        why: "nodes whose instances take longer to launch and boot are set down, and their jobs \
              requeue",
    },
    Setting {
        key: "ResumeRate",
        value: "0",
        rule: Rule::Is(0),
        level: Level::Warning,
        why: "nodes of large jobs are powered up one after the other; what limits AWS's calls is \
              slurm-asg's business",
    },
    Setting {
        key: "SuspendRate",
        value: "0",
        rule: Rule::Is(0),
        level: Level::Warning,
        why: "idle nodes are powered down one after the other, and cost money meanwhile",
    },
    Setting {
        key: "SlurmctldParameters",
        value: "idle_on_node_suspend",
        rule: Rule::Has("idle_on_node_suspend"),
        level: Level::Warning,
        why: "a node that failed stays down or drained after its instance has gone",
    },
    Setting {
        key: "ReturnToService",
        value: "2",
        rule: Rule::Is(2),
        level: Level::Warning,
        why: "a node that was set down stays down, although its instance registers",
    },
    Setting {
        key: "TreeWidth",
        value: "65533",
        rule: Rule::AsManyAsNodes,
        level: Level::Warning,
        why: "slurmctld sends messages through other nodes, which may be powered down or not know \
              the address",
    },
    Setting {
        key: "PrivateData",
        value: "cloud",
        rule: Rule::Has("cloud"),
        level: Level::Error,
        why: "before 23.02 Slurm hides powered-down nodes from everybody, slurm-asg too",
    },
];

/// The settings that a release needs; all of them if it is not known.
pub fn settings(release: Option<Release>) -> impl Iterator<Item = &'static Setting> {
    let shows_all = release.is_some_and(Release::shows_powered_down_nodes);
    SETTINGS.iter().filter(move |setting| setting.key != "PrivateData" || !shows_all)
}

impl Setting {
    /// The line to write beside what slurm.conf says already.
    #[must_use]
    pub fn line(&self, conf: &SlurmConf) -> String {
        let Self { key, value, .. } = self;
        match (self.rule, conf.value(key)) {
            (Rule::Has(word), Some(there)) if !there.is_empty() => {
                if conf.words(key).iter().any(|it| it == word) {
                    format!("{key}={there}")
                } else {
                    format!("{key}={there},{word}")
                }
            }
            _ => format!("{key}={value}"),
        }
    }

    /// The line for a file of its own: what slurm.conf says already and will do is kept, but for
    /// programs, which must be slurm-asg's.
    #[must_use]
    pub fn settled_line(&self, conf: &SlurmConf, nodes: usize, release: Option<Release>) -> String {
        let Self { key, value, .. } = self;
        match (self.rule, conf.value(key)) {
            (Rule::Set, _) => format!("{key}={value}"),
            (_, Some(there)) if self.look_at(conf, nodes, release).is_none() => {
                format!("{key}={there}")
            }
            _ => self.line(conf),
        }
    }

    /// A program is named that is not slurm-asg's own.
    fn other_program(&self, conf: &SlurmConf) -> Option<String> {
        let Rule::Set = self.rule else { return None };
        let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let said = conf.value(self.key)?;
        let is_ours = name(said) == name(self.value);
        (!is_ours).then(|| format!("{}={said} is no program of slurm-asg's", self.key))
    }

    /// What is wrong with it in `conf`, with so many nodes.
    fn look_at(&self, conf: &SlurmConf, nodes: usize, release: Option<Release>) -> Option<String> {
        let key = self.key;
        let said = conf.value(key);
        let instead = || said.map_or(format!("{key} is not set"), |said| format!("{key}={said}"));
        match self.rule {
            Rule::Has(word) => {
                let has = conf.words(key).iter().any(|it| it == word);
                (!has).then(|| match said {
                    Some(said) if !said.is_empty() => format!("{key}={said} is without {word}"),
                    _ => format!("{key} is not set"),
                })
            }
            Rule::Set => {
                let is_none = said.is_none_or(|said| said.eq_ignore_ascii_case("(null)"));
                is_none.then(instead)
            }
            Rule::Is(number) => (conf.number(key) != Some(number)).then(instead),
            Rule::AtLeast(least, default) => {
                let number = match said {
                    None => default,
                    // INFINITE waits for ever.
                    Some(_) => conf.number(key).unwrap_or(u64::MAX),
                };
                (number < least).then(|| match said {
                    None => format!("{key} is not set, which is {default} s"),
                    Some(said) => format!("{key}={said}"),
                })
            }
            Rule::AsManyAsNodes => {
                let default = Release::tree_width_of(release);
                let width = conf.number(key).unwrap_or(default);
                let is_enough = usize::try_from(width).is_ok_and(|width| width >= nodes);
                (!is_enough).then(|| format!("{}, and there are {nodes} nodes", instead()))
            }
            Rule::PowerSaving => {
                let somewhere = conf.number(key).is_some()
                    || conf
                        .partitions()
                        .iter()
                        .any(|it| it.value(key).and_then(super::conf::finite).is_some());
                (!somewhere).then(instead)
            }
        }
    }
}

/// What slurm.conf lacks.
pub(super) fn look_at(
    conf: &SlurmConf,
    nodes: usize,
    release: Option<Release>,
    findings: &mut Vec<Finding>,
) {
    for setting in settings(release) {
        if let Some(what) = setting.other_program(conf) {
            findings.push(Finding {
                level: Level::Warning,
                area: Area::SlurmConf,
                check: "other_program".to_owned(),
                what,
                why: "slurm-asg hears of Slurm's requests only when it looks by itself, and two \
                      that scale one group work against each other; right if it runs slurm-asg's"
                    .to_owned(),
                write: format!("{}={}", setting.key, setting.value),
            });
            continue;
        }
        let Some(what) = setting.look_at(conf, nodes, release) else { continue };
        findings.push(Finding {
            level: setting.level,
            area: Area::SlurmConf,
            check: setting.key.to_owned(),
            what,
            why: setting.why.to_owned(),
            write: setting.line(conf),
        });
    }
    let parameters = conf.words("SlurmctldParameters");
    let without = |word: &str| {
        let rest: Vec<_> = parameters.iter().filter(|it| *it != word).cloned().collect();
        format!("SlurmctldParameters={}", rest.join(","))
    };
    let has = |word: &str| parameters.iter().any(|it| it == word);
    if has("cloud_reg_addrs") && release.is_some_and(Release::takes_addresses_from_peers) {
        findings.push(Finding {
            level: Level::Warning,
            area: Area::SlurmConf,
            check: "cloud_reg_addrs".to_owned(),
            what: "SlurmctldParameters has cloud_reg_addrs".to_owned(),
            why: "since 23.11 it is always so, and slurmctld logs an error where it is written"
                .to_owned(),
            write: without("cloud_reg_addrs"),
        });
    }
    if has("cloud_dns") {
        findings.push(Finding {
            level: Level::Warning,
            area: Area::SlurmConf,
            check: "cloud_dns".to_owned(),
            what: "SlurmctldParameters has cloud_dns".to_owned(),
            why: "jobs of several nodes look for each other by DNS then, and slurm-asg gives \
                  addresses to Slurm only"
                .to_owned(),
            write: without("cloud_dns"),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn conf(text: &str) -> SlurmConf {
        SlurmConf::read(Path::new("s"), &mut |_| Ok::<_, String>(text.to_owned())).unwrap()
    }

    fn keys(text: &str, release: &str) -> Vec<String> {
        let mut findings = Vec::new();
        look_at(&conf(text), 100, Release::parse(release), &mut findings);
        findings.into_iter().map(|it| it.check).collect()
    }

    fn whole(release: Option<Release>) -> String {
        let none = SlurmConf::default();
        settings(release).map(|it| it.line(&none) + "\n").collect()
    }

    #[test]
    fn what_is_written_is_what_is_looked_for() {
        for release in ["22.05", "23.02", "24.11", "26.05"] {
            let text = whole(Release::parse(release));
            assert_eq!(keys(&text, release), Vec::<String>::new(), "{release}\n{text}");
        }
        assert!(whole(Release::parse("22.05")).contains("PrivateData=cloud"));
        assert!(!whole(Release::parse("23.02")).contains("PrivateData"));
        assert!(whole(None).contains("PrivateData"));
    }

    #[test]
    fn each_setting_is_missed() {
        let text = whole(Release::parse("22.05"));
        for line in text.lines() {
            let key = line.split('=').next().unwrap();
            let rest = text.replace(&format!("{line}\n"), "");
            let expected = if key == "SuspendTimeout" { vec![] } else { vec![key.to_owned()] };
            assert_eq!(keys(&rest, "22.05"), expected);
        }
    }

    #[test]
    fn values_that_will_not_do_are_found() {
        for (change, key) in [
            ("ResumeTimeout=60", "ResumeTimeout"),
            ("SuspendTime=INFINITE", "SuspendTime"),
            ("ResumeRate=300", "ResumeRate"),
            ("ReturnToService=1", "ReturnToService"),
            ("TreeWidth=50", "TreeWidth"),
            ("PrivateData=jobs", "PrivateData"),
            ("ResumeProgram=/opt/slurm/resume.py", "other_program"),
            ("JobSubmitPlugins=lua", "JobSubmitPlugins"),
            ("SlurmctldParameters=idle_on_node_suspend,cloud_dns", "cloud_dns"),
        ] {
            let text = whole(Release::parse("22.05")) + change + "\n";
            assert_eq!(keys(&text, "22.05"), [key], "{change}");
        }
        // A partition may suspend although the cluster does not.
        let text =
            whole(Release::parse("22.05")) + "SuspendTime=-1\nPartitionName=x SuspendTime=60\n";
        assert_eq!(keys(&text, "22.05"), Vec::<String>::new());
        let text = whole(None) + "SlurmctldParameters=idle_on_node_suspend,cloud_reg_addrs\n";
        assert_eq!(keys(&text, "22.05"), Vec::<String>::new());
        assert_eq!(keys(&text, "23.11"), ["cloud_reg_addrs"]);
    }

    #[test]
    fn what_slurm_conf_has_already_stays_in_the_line_to_write() {
        let conf = conf("JobSubmitPlugins=lua\nPrivateData=jobs,cloud\n");
        let line = |key: &str| {
            settings(Release::parse("22.05")).find(|it| it.key == key).unwrap().line(&conf)
        };
        assert_eq!(line("JobSubmitPlugins"), "JobSubmitPlugins=lua,asg");
        assert_eq!(line("PrivateData"), "PrivateData=jobs,cloud");
        assert_eq!(line("SlurmctldParameters"), "SlurmctldParameters=idle_on_node_suspend");
    }
}
