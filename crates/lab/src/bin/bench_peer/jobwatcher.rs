//! ParallelCluster 2's jobwatcher: a real slurmctld without the plugin, and moto.
//!
//! It looks at the queue once a minute. Its nodes are no CLOUD nodes: it takes pending jobs whose nodes
//! are down for jobs that need instances. So all nodes are set down here.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use slurm_asg_lab::{Child, Lab, Options, until, wait_for};

use crate::moto::{Moto, REGION};
use crate::python::Environment;

/// Who it is.
pub const NAME: &str = "jobwatcher 2.8.0";
/// Its own LOOP_TIME.
const MINUTE: Duration = Duration::from_secs(60);
/// It has looked within this time, whatever it waits for.
const LIMIT: Duration = Duration::from_secs(100);

/// Makes what ParallelCluster 2's stack has, as far as jobwatcher asks for it.
const PREPARE: &str = "
import boto3, json
client = boto3.client
vpc = client('ec2').create_vpc(CidrBlock='10.8.0.0/16')['Vpc']['VpcId']
subnet = client('ec2').create_subnet(VpcId=vpc, CidrBlock='10.8.0.0/18')['Subnet']['SubnetId']
client('ec2').create_launch_template(LaunchTemplateName='peer',
    LaunchTemplateData={'InstanceType': 'c5.large', 'ImageId': 'ami-12c6146b'})
client('autoscaling').create_auto_scaling_group(AutoScalingGroupName='peer', MinSize=0, MaxSize=8,
    DesiredCapacity=0, LaunchTemplate={'LaunchTemplateName': 'peer', 'Version': '$Latest'},
    VPCZoneIdentifier=subnet, Tags=[{'ResourceId': 'peer', 'ResourceType': 'auto-scaling-group',
        'Key': 'Application', 'Value': 'parallelcluster-peer', 'PropagateAtLaunch': True}])
template = {'Parameters': {'ComputeInstanceType': {'Type': 'String'}},
    'Resources': {'Topic': {'Type': 'AWS::SNS::Topic'}}}
client('cloudformation').create_stack(StackName='parallelcluster-peer',
    TemplateBody=json.dumps(template), Parameters=[
        {'ParameterKey': 'ComputeInstanceType', 'ParameterValue': 'c5.large'}])
bucket = 'eu-west-1-aws-parallelcluster'
client('s3').create_bucket(Bucket=bucket,
    CreateBucketConfiguration={'LocationConstraint': 'eu-west-1'})
client('s3').put_object(Bucket=bucket, Key='instances/instances.json',
    Body=json.dumps({'c5.large': {'vcpus': '2', 'gpu': '0'}}))
";

/// Prints the group's desired capacity, and sets it back.
const DESIRED: &str = "
import boto3
client = boto3.client('autoscaling')
print(client.describe_auto_scaling_groups()['AutoScalingGroups'][0]['DesiredCapacity'])
client.set_desired_capacity(AutoScalingGroupName='peer', DesiredCapacity=0)
";

/// Becomes the program `$2` where its files are in their places: the machine's /etc and /opt stay as they
/// are, as this mount namespace ends with it. `$1` is a directory for what is laid over them.
const IN_ITS_PLACES: &str = "mount -t tmpfs places \"$1\"; mkdir \"$1/up\" \"$1/work\"; \
    cp \"$1.cfg\" \"$1/up/jobwatcher.cfg\"; \
    mount -t overlay etc -o \"lowerdir=/etc,upperdir=$1/up,workdir=$1/work\" /etc; \
    mount -t tmpfs opt /opt; mkdir -p /opt/slurm/bin /opt/parallelcluster; \
    ln -s /usr/bin/squeue /usr/bin/sinfo /opt/slurm/bin; \
    echo cfn_scheduler_slots=vcpus > /opt/parallelcluster/cfnconfig; exec \"$2\"";

/// The seconds from a submission to the capacity call, for submissions that are spread evenly over the
/// minute between two looks.
pub fn submissions(moto: &Environment, watcher: &Environment, runs: u32) -> Result<Vec<f64>> {
    let lab = Lab::start(Options { plugin: false, ..Options::default() })?;
    lab.command("scontrol", &["update", "NodeName=compute-[1-8]", "State=DOWN", "Reason=none"])?;
    let moto = Moto::start(moto, &lab.path("log/moto.log"))?;
    moto.script(PREPARE)?;
    let log = lab.path("log/jobwatcher.log");
    let mut process = start(&lab, &moto, watcher, &log)?;
    let mut times = Vec::new();
    for run in 0..runs {
        let looks = said(&log, LOOKED);
        alive(&mut process, "jobwatcher looks", || said(&log, LOOKED) > looks)?;
        std::thread::sleep(MINUTE * (2 * run + 1) / (2 * runs));
        let calls = said(&log, CALLS);
        let began = Instant::now();
        let job = lab.sbatch(&["--exclusive"], "true")?;
        alive(&mut process, "jobwatcher asks for capacity", || said(&log, CALLS) > calls)?;
        times.push(began.elapsed().as_secs_f64());
        lab.command("scancel", &[&job.to_string()])?;
        // It says so before it calls.
        let asked = wait_for(LIMIT, || moto.script(DESIRED).ok().filter(|desired| desired == "1"));
        ensure!(asked.is_some(), "jobwatcher has not asked for one instance");
    }
    Ok(times)
}

/// What it writes when it has counted, and when it asks for capacity.
const LOOKED: &str = "nodes busy or unavailable";
const CALLS: &str = "Setting desired to ";

fn start(lab: &Lab, moto: &Moto<'_>, watcher: &Environment, log: &Path) -> Result<Child> {
    let places = lab.path("places");
    fs::create_dir_all(&places)?;
    fs::write(
        places.with_extension("cfg"),
        format!(
            "[jobwatcher]\nregion = {REGION}\nscheduler = slurm\nstack_name = parallelcluster-peer\n\
             cfncluster_dir = /opt/parallelcluster\nproxy = NONE\n"
        ),
    )?;
    let mut environment = moto.environment();
    environment.push(("SLURM_CONF".to_owned(), lab.path("slurm.conf").display().to_string()));
    let (places, program) = (places.display().to_string(), watcher.program("jobwatcher"));
    let program = program.display().to_string();
    let begin = ["--mount", "--propagation", "private", "/bin/sh", "-euc", IN_ITS_PLACES, "sh"];
    let arguments: Vec<_> = begin.into_iter().chain([places.as_str(), &program]).collect();
    Child::start("/usr/bin/unshare", &arguments, &environment, log)
}

/// How often its log has these words.
fn said(log: &Path, words: &str) -> usize {
    fs::read_to_string(log).unwrap_or_default().matches(words).count()
}

fn alive(process: &mut Child, what: &str, holds: impl Fn() -> bool) -> Result<()> {
    until(LIMIT, what, || process.check().map(|()| holds()))
}
