//! The pieces: asg.toml, slurm.conf's lines, user data, IAM policy.

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Value, json};
use slurm_asg_core::doctor::{machine, settings};

use super::setup::Setup;
use super::template;

/// A piece of what is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Piece {
    /// asg.toml
    #[value(name = "asg.toml")]
    AsgToml,
    /// Lines for slurm.conf
    #[value(name = "slurm.conf")]
    SlurmConf,
    /// What an instance does at its first boot
    UserData,
    /// What slurmctld may do in AWS
    Iam,
    /// A template for a group that is not there yet
    Cloudformation,
}

impl Piece {
    /// The file that it is written to.
    pub const fn file(self) -> &'static str {
        match self {
            Self::AsgToml => "asg.toml",
            Self::SlurmConf => "slurm-asg.conf",
            Self::UserData => "user-data.sh",
            Self::Iam => "iam-policy.json",
            Self::Cloudformation => "cloudformation.json",
        }
    }

    /// Its text.
    ///
    /// # Errors
    /// If a file that is built in cannot be read.
    pub fn text(self, setup: &Setup) -> Result<String> {
        let json = |value: Value| Ok(serde_json::to_string_pretty(&value)? + "\n");
        match self {
            Self::AsgToml => Ok(asg_toml(setup)),
            Self::SlurmConf => Ok(slurm_conf(setup)),
            Self::UserData => Ok(user_data(setup)),
            Self::Iam => json(iam(setup)?),
            Self::Cloudformation => json(template::of(setup)?),
        }
    }
}

fn asg_toml(setup: &Setup) -> String {
    let Setup { name, nodes, asg, .. } = setup;
    let mut text =
        "# slurm-asg: asg.toml(5) has all keys. Beside slurm.conf, as /etc/slurm/asg.toml.\n"
            .to_owned();
    if let Some(region) = &setup.region {
        text += &format!("region = \"{region}\"\n");
    }
    if setup.metrics {
        text += "\n[metrics]\npublish = true\n";
    }
    text += &format!("\n[[group]]\nname = \"{name}\"\nnodes = \"{nodes}\"\nasg = \"{asg}\"\n");
    if setup.alarms {
        text += "scale_out = \"alarm\"\n";
    }
    text
}

fn slurm_conf(setup: &Setup) -> String {
    let count = usize::try_from(setup.count).unwrap_or(usize::MAX);
    let release = setup.release;
    let mut text = "# slurm-asg: put this file beside slurm.conf, and at the end of slurm.conf\n\
                    #     Include slurm-asg.conf\n\
                    # What slurm.conf had already and will do is kept.\n"
        .to_owned();
    for setting in settings::settings(release) {
        text += &(setting.settled_line(&setup.conf, count, release) + "\n");
    }
    if setup.machine.gpus > 0 {
        let there = setup.conf.value("GresTypes").filter(|it| !it.is_empty());
        let has = setup.conf.words("GresTypes").iter().any(|it| it == "gpu");
        text += &match there {
            Some(there) if has => format!("GresTypes={there}\n"),
            Some(there) => format!("GresTypes={there},gpu\n"),
            None => "GresTypes=gpu\n".to_owned(),
        };
    }
    let Setup { nodes, partition, .. } = setup;
    let facts = machine::node_facts(&setup.machine);
    let others = setup.conf.partitions();
    let has_default = others.iter().any(|it| {
        it.name != *partition
            && it.value("Default").is_some_and(|it| it.eq_ignore_ascii_case("yes"))
    });
    let default = if has_default { "" } else { " Default=YES" };
    text += &format!("NodeName={nodes} {facts} State=CLOUD\n");
    text +=
        &format!("PartitionName={partition} Nodes={nodes}{default} MaxTime=INFINITE State=UP\n");
    text
}

const SCRIPT: &str = include_str!("../../../../packaging/node/slurm-asg-node");
const UNIT: &str = include_str!("../../../../packaging/node/slurm-asg-node.service");

/// Brings the bootstrap itself along, for images that have only slurmd.
pub fn user_data(setup: &Setup) -> String {
    let mut text = "#!/bin/sh\n\
        # slurm-asg: makes an instance a Slurm node at its first boot. The image has slurmd, munge and curl,\n\
        # munge.key, and slurm.conf unless SLURM_ASG_CONF_SERVER is set below.\n\
        set -eu\n\
        if [ ! -x /usr/sbin/slurm-asg-node ]; then\n"
        .to_owned();
    let here = |text: &mut String, path: &str, word: &str, content: &str| {
        *text += &format!("cat > {path} <<'{word}'\n{}\n{word}\n", content.trim_end());
    };
    here(&mut text, "/usr/sbin/slurm-asg-node", "SLURM_ASG_NODE", SCRIPT);
    text += "chmod 755 /usr/sbin/slurm-asg-node\n";
    here(&mut text, "/etc/systemd/system/slurm-asg-node.service", "SLURM_ASG_UNIT", UNIT);
    text += "fi\n";
    if let Some(controller) = &setup.controller {
        let line = format!("SLURM_ASG_CONF_SERVER={controller}");
        here(&mut text, "/etc/default/slurm-asg-node", "SLURM_ASG_SETTINGS", &line);
    }
    text += "systemctl daemon-reload\n\
             systemctl disable --now slurmd 2>/dev/null || true\n\
             systemctl enable slurm-asg-node\n\
             systemctl start --no-block slurm-asg-node\n";
    text
}

const POLICY: &str = include_str!("../../../../packaging/iam/controller.json");

/// The shipped policy, bound to the group, without what this setup does not need.
pub fn iam(setup: &Setup) -> Result<Value> {
    let region = setup.region.as_deref();
    let partition = match region {
        Some(region) if region.starts_with("cn-") => "aws-cn",
        Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    // An identity's policy never reaches beyond its own account.
    let account = setup.account.as_deref().unwrap_or("*");
    let bound = POLICY
        .replace("arn:aws:", &format!("arn:{partition}:"))
        .replace("REGION", region.unwrap_or("*"))
        .replace("ACCOUNT", account)
        .replace("/GROUP\"", &format!("/{}\"", setup.asg))
        .replace("\"GROUP\"", &format!("\"{}\"", setup.asg));
    let mut policy: Value = serde_json::from_str(&bound).context("packaging/iam")?;
    let statements = policy.get_mut("Statement").and_then(Value::as_array_mut);
    let statements = statements.context("packaging/iam has no statements")?;
    statements.retain(|statement| match statement.get("Sid").and_then(Value::as_str) {
        // asg.toml has no sizes.
        Some("OptionalSizes") => false,
        // Nor does it ask for instances by zone.
        Some("OptionalLaunchInstances" | "OptionalCreateFleet") => false,
        // The queue's own stack gives them (cloudformation/events.json, ControllerRole).
        Some("OptionalEventsQueue") => false,
        Some("OptionalMetrics") => setup.metrics,
        _ => true,
    });
    Ok(json!(policy))
}
