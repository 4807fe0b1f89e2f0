//! AWS ParallelCluster 3's slurm_resume: a real slurmctld without the plugin, and moto.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::json;
use slurm_asg_lab::{Lab, Layout, NodeKind, Options, nodes_with_addresses};

use crate::Taken;
use crate::moto::{Moto, REGION};
use crate::python::Environment;

/// Who it is.
pub const NAME: &str = "ParallelCluster 3.11.1";
/// Queue, kind and compute resource: ParallelCluster reads them from the node's name.
const KIND: &str = "q1-dy-cr1";

/// Makes the launch template and the table that ParallelCluster has of its own.
const PREPARE: &str = "
import boto3
ec2 = boto3.client('ec2')
vpc = ec2.create_vpc(CidrBlock='10.8.0.0/16')['Vpc']['VpcId']
subnet = ec2.create_subnet(VpcId=vpc, CidrBlock='10.8.0.0/18')['Subnet']['SubnetId']
ec2.create_launch_template(LaunchTemplateName='peer-q1-cr1',
    LaunchTemplateData={'InstanceType': 'c5.large', 'ImageId': 'ami-12c6146b'})
boto3.client('dynamodb').create_table(
    TableName='parallelcluster-slurm-peer', BillingMode='PAY_PER_REQUEST',
    AttributeDefinitions=[{'AttributeName': 'Id', 'AttributeType': 'S'}],
    KeySchema=[{'AttributeName': 'Id', 'KeyType': 'HASH'}])
print(subnet)
";

/// Resumes all nodes of a fresh cluster, with a fresh moto.
pub fn resume(python: &Environment, nodes: u32) -> Result<Taken> {
    let facts = "CPUs=2".to_owned();
    let kind = NodeKind { name: KIND.to_owned(), count: nodes, facts };
    let partitions = format!("PartitionName=q1 Nodes={} Default=YES State=UP\n", kind.nodes());
    let list = kind.nodes();
    let lab = Lab::start(Options {
        plugin: false,
        max: nodes,
        suspend_time_s: 3600,
        layout: Some(Layout {
            kinds: vec![kind],
            partitions,
            gres_conf: String::new(),
            select: "CR_Core".into(),
        }),
        ..Options::default()
    })?;
    let moto = Moto::start(python, &lab.path("log/moto.log"))?;
    let mut set = vec![
        ("PATH".to_owned(), format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", lab.dir().display())),
        ("SLURM_CONF".to_owned(), lab.path("slurm.conf").display().to_string()),
        ("SLURM_BINARIES_DIR".to_owned(), "/usr/bin".to_owned()),
    ];
    set.extend(moto.environment());
    let subnet = moto.script(PREPARE)?;
    let dir = lab.dir();
    write_files(dir, &subnet, &list)?;
    set.push(("CONFIG_FILE".to_owned(), dir.join("resume.conf").display().to_string()));
    set.push(("SLURM_RESUME_FILE".to_owned(), dir.join("resume.json").display().to_string()));
    let before = moto.calls()?;
    let run = python.measure(&python.program("slurm_resume"), &[&list], &set)?;
    ensure!(
        nodes_with_addresses(&lab)? == nodes as usize,
        "slurm_resume has not resumed all nodes"
    );
    Ok(Taken {
        nodes,
        program_s: run.wall_s,
        cpu_s: run.cpu_s,
        memory_mb: run.memory_mb,
        all_bound_s: run.wall_s,
        calls: moto.calls()? - before,
    })
}

/// What ParallelCluster's cook book writes on a head node, as far as slurm_resume reads it.
fn write_files(dir: &Path, subnet: &str, list: &str) -> Result<()> {
    // It logs there whatever logging_config says, and calls scontrol by sudo.
    fs::create_dir_all("/var/log/parallelcluster")?;
    let sudo = dir.join("sudo");
    fs::write(
        &sudo,
        "#!/bin/sh\nwhile :; do case $1 in -*) shift ;; *) exec \"$@\" ;; esac; done\n",
    )?;
    fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755))?;
    let fleet = json!({ "q1": { "cr1": {
        "Api": "run-instances",
        "Instances": [{ "InstanceType": "c5.large" }],
        "AllocationStrategy": "lowest-price",
        "CapacityType": "on-demand",
        "MaxPrice": null,
        "Networking": { "SubnetIds": [subnet] },
    }}});
    fs::write(dir.join("fleet.json"), fleet.to_string())?;
    let job = json!({ "job_id": 1, "nodes_alloc": list, "nodes_resume": list,
        "oversubscribe": "NO", "partition": "q1", "features": null, "extra": null });
    let resume = json!({ "all_nodes_resume": list, "jobs": [job] });
    fs::write(dir.join("resume.json"), resume.to_string())?;
    let path = |name: &str| dir.join(name).display().to_string();
    fs::write(
        dir.join("resume.conf"),
        format!(
            "[slurm_resume]\nregion = {REGION}\ncluster_name = peer\n\
             dynamodb_table = parallelcluster-slurm-peer\nhead_node_private_ip = 127.0.0.1\n\
             head_node_hostname = head\nfleet_config_file = {}\n\
             clustermgtd_heartbeat_file_path = {}\nscaling_strategy = all-or-nothing\n\
             logging_config = /nonexistent\n",
            path("fleet.json"),
            path("heartbeat"),
        ),
    )?;
    let now = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M:%S.%6N+0000"]).output()?;
    fs::write(dir.join("heartbeat"), String::from_utf8_lossy(&now.stdout).trim())?;
    Ok(())
}
