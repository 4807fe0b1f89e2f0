//! The contract against moto, a mock of AWS made by others.
//!
//! `SLURM_ASG_MOTO` names a `moto_server`; without it one is installed below `~/.cache/slurm-asg`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;
mod contract;

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_autoscaling::types::LaunchTemplateSpecification;
use aws_sdk_ec2::types::{InstanceType, RequestLaunchTemplateData};
use contract::Endpoint;
use slurm_asg_aws::AwsCloud;
use slurm_asg_core::doctor::survey::{Answer, Right};
use slurm_asg_core::ids::{AsgName, InstanceId};
use slurm_asg_core::plan::Launch;
use slurm_asg_engine::{Cloud, CloudErrorKind, TerminateRequest};

const VERSION: &str = "5.2.5";
const START_MAX: Duration = Duration::from_secs(60);

/// A running moto. Dropping it ends it.
struct Moto {
    child: Child,
    url: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Moto {
    fn start() -> Self {
        // Another program may take the free port in between: try again then.
        (0..3).find_map(|_| Self::try_start()).expect("moto_server does not start")
    }

    fn try_start() -> Option<Self> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = executable();
        let port = address.port().to_string();
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", &port]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut moto = Self { child, url: format!("http://{address}") };
        moto.listens(address).then_some(moto)
    }

    fn listens(&mut self, address: SocketAddr) -> bool {
        let start = Instant::now();
        while start.elapsed() < START_MAX {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(address).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

/// The `moto_server` to run; installs one if none is named.
fn executable() -> PathBuf {
    if let Some(named) = std::env::var_os("SLURM_ASG_MOTO").filter(|named| !named.is_empty()) {
        return named.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty());
    let cache = cache.map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").expect("HOME is not set")).join(".cache")
    });
    let home = cache.join("slurm-asg").join(format!("moto-{VERSION}"));
    fs::create_dir_all(home.parent().unwrap()).unwrap();
    // Tests in several processes install it once: the lock ends with the file.
    let lock = File::create(home.with_file_name(format!("moto-{VERSION}.lock"))).unwrap();
    lock.lock().unwrap();
    let finished = home.join("finished");
    if !finished.exists() {
        if home.exists() {
            fs::remove_dir_all(&home).unwrap();
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&home));
        let package = format!("moto[server]=={VERSION}");
        run(Command::new(home.join("bin/pip")).args(["install", "--quiet", &package]));
        fs::write(finished, "").unwrap();
    }
    home.join("bin").join("moto_server")
}

fn run(command: &mut Command) {
    let help = "install moto by hand and set SLURM_ASG_MOTO to its moto_server; \
        on Debian this needs the package python3-venv";
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; {help}"));
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{}\n{help}", output.status, text.concat());
}

/// Makes a network, a launch template and an empty group.
async fn make_group(url: &str, name: &str) {
    let config = common::config_at(url).await;
    let ec2 = aws_sdk_ec2::Client::new(&config);
    let vpc = ec2.create_vpc().cidr_block("10.9.0.0/16").send().await.unwrap();
    let vpc = vpc.vpc().unwrap().vpc_id().unwrap().to_owned();
    let subnet = ec2.create_subnet().vpc_id(vpc).cidr_block("10.9.0.0/20").send().await.unwrap();
    let subnet = subnet.subnet().unwrap().subnet_id().unwrap().to_owned();
    let template = format!("template-{name}");
    let data = RequestLaunchTemplateData::builder().image_id("ami-12c6146b");
    let data = data.instance_type(InstanceType::T3Micro).build();
    let made = ec2.create_launch_template().launch_template_name(&template);
    made.launch_template_data(data).send().await.unwrap();
    let template = LaunchTemplateSpecification::builder().launch_template_name(template).build();
    let autoscaling = aws_sdk_autoscaling::Client::new(&config);
    let made = autoscaling.create_auto_scaling_group().auto_scaling_group_name(name);
    let made = made.min_size(0).max_size(20).desired_capacity(0).launch_template(template);
    made.vpc_zone_identifier(subnet).send().await.unwrap();
}

async fn prepared(url: &str) -> (AwsCloud, AsgName) {
    make_group(url, "hpc-compute").await;
    // moto loses updates of calls that overlap.
    let cloud = common::cloud_at(url).await.one_call_at_a_time();
    (cloud, AsgName::new("hpc-compute"))
}

#[tokio::test]
async fn moto_keeps_the_contract() {
    let moto = Moto::start();
    let (cloud, asg) = prepared(&moto.url).await;
    contract::contract(&Endpoint { cloud, asg }).await;
}

/// moto fails without an error code on batches and on unknown instances: what it did is looked up.
#[tokio::test]
async fn a_batch_that_moto_does_not_know_goes_one_by_one() {
    let moto = Moto::start();
    let (cloud, asg) = prepared(&moto.url).await;
    cloud.set_desired(&asg, 12).await.unwrap();
    let groups = cloud.describe_groups(std::slice::from_ref(&asg)).await.unwrap();
    let all: Vec<InstanceId> = groups[&asg].instances.keys().cloned().collect();
    assert_eq!(all.len(), 12);
    for instances in [&all[..6], &all[6..11]] {
        let request =
            TerminateRequest { asg: asg.clone(), instances: instances.to_vec(), decrement: true };
        let answers = cloud.terminate(&request).await;
        assert!(answers.len() == instances.len() && answers.values().all(Result::is_ok));
    }
    let groups = cloud.describe_groups(std::slice::from_ref(&asg)).await.unwrap();
    assert_eq!(groups[&asg].instances.keys().collect::<Vec<_>>(), [&all[11]]);
    assert_eq!(groups[&asg].desired, 1);
}

#[tokio::test]
async fn a_group_that_moto_does_not_know_cannot_be_resized() {
    let moto = Moto::start();
    let cloud = common::cloud_at(&moto.url).await;
    let missing = AsgName::new("no-such-group");
    let error = cloud.set_desired(&missing, 1).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Service);
    assert_eq!(error.message, "HTTP status 500 without an AWS error code");
    let error = cloud.set_sizes(&missing, 0, 1).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Conflict);
    assert_eq!(error.message, "ValidationError: AutoScalingGroup name not found - null");
}

/// moto has no LaunchInstances: the loop is told to take the other way.
#[tokio::test]
async fn moto_cannot_launch_by_zone() {
    let moto = Moto::start();
    let (cloud, asg) = prepared(&moto.url).await;
    let groups = cloud.describe_groups(std::slice::from_ref(&asg)).await.unwrap();
    let zone = groups[&asg].zones[0].clone();
    let request = Launch { asg, zone, count: 1, from: 0, to: 1, token: "t".to_owned() };
    let error = cloud.launch(&[request]).await.remove(0).unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unsupported, "{error}");
}

#[tokio::test]
async fn a_survey_of_moto_has_template_type_and_rights() {
    let moto = Moto::start();
    let (cloud, asg) = prepared(&moto.url).await;
    cloud.set_desired(&asg, 1).await.unwrap();
    let names = ["hpc-compute".to_owned(), "gone".to_owned()];
    let survey = cloud.surveyor().survey(&names, &[]).await;
    assert_eq!(survey.groups["gone"], Answer::Missing);
    let group = survey.groups["hpc-compute"].known().unwrap();
    assert_eq!((group.min, group.max, group.protects_new), (0, 20, false));
    let template = group.template.as_ref().unwrap().known().unwrap();
    assert_eq!(template.instance_type.as_deref(), Some("t3.micro"));
    let micro = survey.types["t3.micro"].known().unwrap();
    assert_eq!((micro.vcpus, micro.memory_mib, micro.gpus), (2, 1024, 0));
    assert_eq!(survey.rights["ec2:CreateTags"], Right::Allowed);
}
